"""`adjourn migrate-code` changes what it can, leaves the rest as it is, and says where to look."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from adjourn import cli
from adjourn._codemod import names
from adjourn._codemod.programs import look_through
from adjourn.cli.flags import Parser

CHANGES = {
    # Imports
    "import procrastinate": "import adjourn as procrastinate",
    "import procrastinate  # the queue": "import adjourn as procrastinate  # the queue",
    "import procrastinate as queue": "import adjourn as queue",
    "import procrastinate.jobs as j, os": "import adjourn.jobs as j, os",
    "import os, procrastinate": "import os, adjourn as procrastinate",
    "import procrastinate, procrastinate.jobs": "import adjourn as procrastinate",
    "import procrastinate.contrib.psycopg2": "import adjourn as procrastinate",
    "if True:\n    import procrastinate as p\n": "if True:\n    import adjourn as p\n",
    "from procrastinate import App, RetryStrategy as R": "from adjourn import App, RetryStrategy as R",
    "from procrastinate.contrib.sqlalchemy import (\n    SQLAlchemyPsycopg2Connector,  # blocking\n)": (
        "from adjourn.contrib.sqlalchemy import (\n    SQLAlchemyPsycopg2Connector,  # blocking\n)"
    ),
    "from procrastinate.contrib.psycopg2.psycopg2_connector import Psycopg2Connector": (
        "from adjourn.contrib.psycopg2 import Psycopg2Connector"
    ),
    "from procrastinate.psycopg_connector import PsycopgConnector": "from adjourn.psycopg_connector import PsycopgConnector",
    '__import__("procrastinate")': '__import__("adjourn")',
    "from procrastinate import *": "from adjourn import *",
    # Paths in texts
    "INSTALLED_APPS = ['procrastinate.contrib.django']": "INSTALLED_APPS = ['adjourn.contrib.django']",
    'mock.patch("procrastinate.App.open")': 'mock.patch("adjourn.App.open")',
    "x = r'procrastinate.worker.Worker'": "x = r'adjourn.worker.Worker'",
    'entry = "procrastinate.cli:main"': 'entry = "adjourn.cli:main"',
    "LOGGING['loggers']['procrastinate.worker'] = {}": "LOGGING['loggers']['adjourn.worker'] = {}",
    # Loggers, modules and commands
    "logging.getLogger('procrastinate')": "logging.getLogger('adjourn')",
    'logging.getLogger("procrastinate.blueprints").disabled = True': 'logging.getLogger("adjourn.blueprints").disabled = True',
    "LOGGING = {'loggers': {'procrastinate': {'handlers': ['procrastinate']}}}": (
        "LOGGING = {'loggers': {'adjourn': {'handlers': ['procrastinate']}}}"
    ),
    "dict(loggers={'procrastinate': {}})": "dict(loggers={'adjourn': {}})",
    "LOGGING['loggers']['procrastinate'] = {}": "LOGGING['loggers']['adjourn'] = {}",
    "LOGGING = {'filters': {'procrastinate': {'name': 'procrastinate'}}}": (
        "LOGGING = {'filters': {'procrastinate': {'name': 'adjourn'}}}"
    ),
    "caplog.set_level('INFO', logger='procrastinate')": "caplog.set_level('INFO', logger='adjourn')",
    "call_command('procrastinate', 'worker')": "call_command('adjourn', 'worker')",
    "run(['procrastinate', '--app', 'tasks.app', 'worker'])": "run(['adjourn', '--app', 'tasks.app', 'worker'])",
    "run(['procrastinate', 'worker'])": "run(['adjourn', 'worker'])",
    "run([sys.executable, '-m', 'procrastinate'])": "run([sys.executable, '-m', 'adjourn'])",
    "run(['./manage.py', 'procrastinate'])": "run(['./manage.py', 'adjourn'])",
    # Settings and variables
    "PROCRASTINATE_IMPORT_PATHS = ['shop.tasks']": "ADJOURN_IMPORT_PATHS = ['shop.tasks']",
    "override_settings(PROCRASTINATE_READONLY_MODELS=False)": "override_settings(ADJOURN_READONLY_MODELS=False)",
    "settings.PROCRASTINATE_ON_APP_READY": "settings.ADJOURN_ON_APP_READY",
    "os.environ['PROCRASTINATE_WORKER_QUEUES']": "os.environ['ADJOURN_WORKER_QUEUES']",
    # Names that are awaited
    "async def f():\n    await app.job_manager.finish_job(job, 'failed', False)\n": (
        "async def f():\n    await app.job_manager.finish_job_async(job, 'failed', False)\n"
    ),
}
KEPT = [
    "from .procrastinate import app",
    "from mypackage.procrastinate import app",
    "import procrastinate_tools",
    "# import procrastinate",
    '"""Tasks.\n\nimport procrastinate, or set procrastinate.contrib.django and PROCRASTINATE_APP."""',
    "def f():\n    'procrastinate.contrib.django'\n",
    "def f(app: 'procrastinate.App') -> 'procrastinate.jobs.Job': ...\n",
    "app: 'procrastinate.App' = make()",
    "cast('procrastinate.App', x)",
    "T = Optional['procrastinate.jobs.Job']",
    "DATABASES = {'default': {'NAME': 'procrastinate'}}",
    "b'procrastinate.contrib.django'",
    "say('I procrastinate.')",
    "await_me = app.job_manager.finish_job(job, 'failed', False)",
    "app.configure_task('builtin:procrastinate.builtin_tasks.remove_old_jobs')",
]
FINDINGS = {
    "from procrastinate.utils import async_to_sync": "use asgiref.sync.async_to_sync",
    "import procrastinate\nprocrastinate.utils.wait_any(x)": "use asyncio.wait",
    "from procrastinate import utils as u\nu.wait_any(x)": "use asyncio.wait",
    "import procrastinate\nprocrastinate.periodic.PeriodicDeferrer(registry)": "use a worker",
    "from procrastinate.contrib.aiopg import AiopgConnector": "use adjourn.PsycopgConnector",
    "import procrastinate\nprocrastinate.AiopgConnector(dsn='')": "use adjourn.PsycopgConnector",
    "from procrastinate.shell import ProcrastinateShell": "use the command `adjourn shell`",
    "from procrastinate.contrib.sphinx import setup": "there is no such extension",
    "extensions = ['procrastinate.contrib.sphinx']": "there is no such extension",
    "from procrastinate.cli import load_app": "a command line is no library",
    "from procrastinate.jobs import Status\nStatus.ABORTING": "no job has this status",
    "job['status'] == 'aborting'  # procrastinate": "job.abort_requested",
    "connector.defer_jobs_all(jobs)  # procrastinate": "use app.job_manager.batch_defer_jobs_async",
    "manager.listen_for_jobs(on_notification=f)": "use connector.listen_notify",
    "sql = '''select id\nfrom procrastinate_jobs'''": "the view adjourn.adjourn_all_jobs",
    "sql = f'select procrastinate_defer_jobs_v1({x})'": "the view adjourn.adjourn_all_jobs",
    "models.ForeignKey('procrastinate.ProcrastinateJob', on_delete=models.CASCADE)": "db_constraint=False",
    "ForeignKey(to=ProcrastinateJob, null=True, on_delete=SET_NULL)": "db_constraint=False",
    "dependencies = [('procrastinate', '0041_post_retry_failed_job')]": "depend on ('adjourn', '0001_initial')",
    "@app.task(lock='a', retry=3)  # procrastinate\ndef f(): ...": "does not hold its lock",
    "@app.task(queueing_lock='a', retry=True)  # procrastinate\ndef f(): ...": "given up its queueing lock",
    "f.configure(lock='a', schedule_in={'hours': 1})  # procrastinate": "does not hold its lock",
    "PATH = 'procrastinate.demos.demo_async.tasks'": "a demo of its own",
    "PATH = 'procrastinate.nonsense.tasks'": "adjourn has nothing there",
    "os.environ['PROCRASTINATE_NONSENSE']": "no such setting",
    "PROCRASTINATE_NONSENSE = 1": "no such setting",
    "run('procrastinate worker', shell=True)": "the command is adjourn",
    "run('exec procrastinate --app=shop.app worker', shell=True)": "the command is adjourn",
    "run(f'{python} -m procrastinate worker {queue}')": "the command is adjourn",
    "run('python manage.py procrastinate worker')": "the command is adjourn",
    "import_module(f'procrastinate.{name}')": "if it is a path, it begins with adjourn",
}
QUIET = [
    "@app.task(lock='a', retry=False)  # procrastinate\ndef f(): ...",
    "@app.task(queueing_lock=None, retry=3)  # procrastinate\ndef f(): ...",
    "f.configure(lock='a')  # procrastinate",
    "from procrastinate import App, JobContext, exceptions, jobs, manager, types, utils\nutils.utcnow()",
    "'''procrastinate_jobs in prose'''",
    "# procrastinate_jobs in a comment",
    "'''procrastinate worker, in prose'''",
    "print('procrastinate -- for ever', 'I procrastinate', f'{you} procrastinate {when}')",
]


def changed(tmp_path: Path, code: str, name: str = "program.py") -> tuple[str, list[str]]:
    """What becomes of a file, and what is to be looked at."""
    path = tmp_path / name
    path.write_text(code)
    found = list(look_through([path]))
    for file in found:
        file.write()
    return path.read_text(), [finding.text for file in found for finding in file.findings]


@pytest.mark.parametrize("before", CHANGES)
def test_a_name_is_changed_and_the_rest_stays(tmp_path: Path, before: str) -> None:
    after, findings = changed(tmp_path, before)
    assert after == CHANGES[before]
    assert findings == []
    assert changed(tmp_path, after)[0] == after


@pytest.mark.parametrize("code", KEPT)
def test_what_only_looks_like_it_is_kept(tmp_path: Path, code: str) -> None:
    assert changed(tmp_path, code)[0] == code


@pytest.mark.parametrize("code", FINDINGS)
def test_what_needs_a_look_is_listed_with_advice_however_often_it_is_run(tmp_path: Path, code: str) -> None:
    after, (finding,) = changed(tmp_path, code)
    assert FINDINGS[code] in finding
    assert FINDINGS[code] in changed(tmp_path, after)[1][0]


@pytest.mark.parametrize("code", QUIET)
def test_nothing_is_listed_without_need(tmp_path: Path, code: str) -> None:
    assert changed(tmp_path, code)[1] == []


def test_a_place_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("import x\n\nsql = '''\nselect *\nfrom procrastinate_jobs\nwhere procrastinate_events'''\n")
    (file,) = look_through([path])
    assert [finding.line for finding in file.findings] == [5, 6]


@pytest.mark.parametrize(
    "content",
    [
        b"import procrastinate\r\n\r\nx  =  1\t\r\n",
        b"\xef\xbb\xbfimport procrastinate\n",
        b"# -*- coding: latin-1 -*-\nimport procrastinate\nname = 'Zo\xeb'\n",
        b"import procrastinate",
        b"import procrastinate\n\n\n\n# the end",
    ],
)
def test_line_ends_encodings_and_odd_formatting_are_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    path.chmod(0o750)
    (file,) = look_through([path])
    assert "+import adjourn as procrastinate" in file.diff()
    file.write()
    assert path.read_bytes() == content.replace(b"import procrastinate", b"import adjourn as procrastinate")
    assert path.stat().st_mode & 0o777 == 0o750
    assert list(tmp_path.iterdir()) == [path]


# Files and folders


def paths_in(folder: Path) -> list[str]:
    return [str(file.path.relative_to(folder)) for file in look_through([folder])]


def test_folders_are_searched_and_what_is_not_the_users_own_is_left_out(tmp_path: Path) -> None:
    mine = ["a.py", "package/b.py", "package/types.pyi", "deploy/Dockerfile", ".env.production", "requirements.txt"]
    others = [
        ".venv/lib/c.py",
        "env/lib/c.py",
        "node_modules/c.py",
        "x.egg-info/c.txt",
        "__pycache__/c.py",
        "page.html",
    ]
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    for name in (*mine, *others):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("procrastinate" if path.suffix not in (".py", ".pyi") else "import procrastinate")
    (tmp_path / "other.py").write_text("import os")
    assert sorted(paths_in(tmp_path)) == sorted(mine)
    assert len(list(look_through([tmp_path, tmp_path / "a.py"]))) == len(mine)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PROCRASTINATE_APP=tasks.app", "write ADJOURN_APP"),
        ("export PROCRASTINATE_NONSENSE=1", "no such setting"),
        ("web: python manage.py procrastinate worker", "write manage.py adjourn"),
        ('CMD ["procrastinate", "--app=tasks.app", "worker"]', "the command is adjourn"),
        ("ExecStart=/usr/bin/procrastinate worker", "the command is adjourn"),
        ("procrastinate>=3", "install adjourn"),
        ('    "procrastinate[sphinx]>=3",', "install adjourn"),
        ("select * from procrastinate_jobs", "adjourn_all_jobs"),
        ("title: we procrastinate", "see whether"),
    ],
)
def test_lines_of_other_files_are_listed_and_never_changed(tmp_path: Path, line: str, told: str) -> None:
    content = f"# procrastinate in a comment\n{line}\n"
    after, (finding,) = changed(tmp_path, content, "some.cfg")
    assert after == content
    assert told in finding
    assert line.strip() in finding


# The names


def test_the_variables_are_those_of_both_command_lines() -> None:
    theirs = pytest.importorskip("procrastinate", reason="Procrastinate is not installed here")
    source = (Path(theirs.__file__).parent / "cli.py").read_text()
    assert set(re.findall(r'envvar="(\w+)"', source)) == names.VARIABLES
    parser = cli.make_parser()
    commands: Any = next(action.choices for action in parser._actions if action.choices and action.metavar == "COMMAND")
    parsers: list[Parser] = [parser, *commands.values()]
    ours = {variable.name for each in parsers for variable in each.variables.values()}
    assert {f"ADJOURN_{name}" for name in names.VARIABLES} <= ours


def test_the_modules_are_here() -> None:
    import importlib

    for name in names.MODULES:
        importlib.import_module(f"adjourn.{name}")


# The command


PROGRAM = dedent(
    '''\
    """Greets, by way of procrastinate."""
    import logging

    import procrastinate
    from procrastinate.testing import InMemoryConnector
    from procrastinate import exceptions,  utils  # both

    logging.getLogger("procrastinate").setLevel("ERROR")
    blueprint = procrastinate.Blueprint()


    @blueprint.task(name="greet", queueing_lock="one", retry=procrastinate.RetryStrategy(max_attempts=2))
    def greet(name):
        print("Hello,", name)


    async def stalled(app):
        return await app.job_manager.get_stalled_jobs()


    app = procrastinate.App(connector=InMemoryConnector())
    app.add_tasks_from(blueprint, namespace="people")
    with app.open():
        greet.defer(name="Ada")
        try:
            greet.defer(name="Eve")
        except exceptions.AlreadyEnqueued as error:
            print(type(error).__name__, utils.utcnow().tzinfo)
        app.run_worker(wait=False)
    import asyncio
    print(asyncio.run(stalled(app)), [job["status"] for job in app.connector.jobs.values()])
    '''
)
SAYS = "AlreadyEnqueued UTC\nHello, Ada\n[] ['succeeded']\n"


def test_a_program_runs_afterwards_without_procrastinate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    assert cli.main(["migrate-code", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert path.read_text() == PROGRAM
    assert cli.main(["migrate-code", str(tmp_path), "--write"]) == 0
    assert capsys.readouterr().out == shown.replace("to change, 1", "changed, 1").replace("; --write changes them", "")
    assert f"{path}:12: queueing_lock and retry: " in shown
    assert shown.endswith("1 file to change, 1 place to look at; --write changes them.\n")
    patched = tmp_path / "copy.txt"
    patched.write_text(PROGRAM)
    subprocess.run(["patch", "-s", str(patched)], input=shown, text=True, check=True)
    assert patched.read_text() == path.read_text()
    block = (
        "import sys; sys.modules['procrastinate'] = None; import runpy; runpy.run_path(sys.argv[1], run_name='program')"
    )
    done = subprocess.run([sys.executable, "-c", block, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (SAYS, "")
    after = path.read_text()
    assert cli.main(["migrate-code", "--write", str(tmp_path)]) == 0
    assert path.read_text() == after


def test_what_cannot_be_read_is_told_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("import procrastinate\nprint 'old'\n")
    (tmp_path / "good.py").write_text("import procrastinate\n")
    assert cli.main(["migrate-code", "--write", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert re.search(r"^adjourn: .*bad\.py cannot be read: line 2: ", said.err, re.MULTILINE)
    assert "1 file changed, 0 places to look at." in said.out
    assert (tmp_path / "good.py").read_text() == "import adjourn as procrastinate\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"# coding: klingon\nimport procrastinate\n", "unknown encoding: klingon"),
        (b"import procrastinate\nx = '\xff'\n", "'utf-8' codec can't decode"),
        (b"import procrastinate\nx = " + b"(" * 3000 + b"1" + b")" * 3000, "it is nested too deeply"),
        (b"import procrastinate\nif x:\n    y\n" + b"elif x:\n    y\n" * 500, "it is nested too deeply"),
    ],
    ids=["encoding", "bytes", "parentheses", "branches"],
)
def test_odd_files_are_told_without_a_traceback(
    tmp_path: Path, content: bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_bytes(content)
    assert cli.main(["migrate-code", str(tmp_path)]) == 1
    assert f"bad.py cannot be read: {told}" in capsys.readouterr().err


def test_pipes_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert list(look_through([tmp_path, tmp_path / "pipe.py"])) == []


def test_what_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.py").write_text("import procrastinate  # Zo\u00eb\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "adjourn", "migrate-code", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "+import adjourn as procrastinate  # Zo\\xeb\n" in done.stdout


def test_nothing_to_do_and_a_wrong_path_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["migrate-code", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Nothing of Procrastinate is left here.\n"
    assert cli.main(["migrate-code", str(tmp_path / "none")]) == 1
    assert "There is no file or folder" in capsys.readouterr().err


def test_without_libcst_the_command_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("libcst", "adjourn._codemod"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "libcst", None)
    assert cli.main(["migrate-code", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().endswith('pip install "adjourn[codemod]"')


def test_code_of_others_is_read_and_stays_python(tmp_path: Path) -> None:
    theirs = pytest.importorskip("procrastinate", reason="Procrastinate is not installed here")
    path = Path(theirs.__file__).parent / "shell.py"
    (file,) = look_through([path])
    assert file.before == path.read_bytes()
    compile(file.after, path.name, "exec")
    assert b"from procrastinate" not in file.after
    (tmp_path / "again.py").write_bytes(file.after)
    (again,) = look_through([tmp_path / "again.py"])
    assert not again.is_changed
    assert {finding.line for finding in again.findings} <= {finding.line for finding in file.findings}
