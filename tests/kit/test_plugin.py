"""The pytest plugin, in runs of pytest of its own: options, marker, fixtures, and isolation of each kind."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import psycopg
import pytest

from adjourn.sql.templates import literal

# A run in this process forgets the modules that it has imported first, and would then have two of each class.
from adjourn.testing.kit import bound, databases, inlining, isolation, workers  # noqa: F401
from adjourn.testing.plugin import KINDS
from support.databases import new_database
from support.processes import run_python

PROGRAM = """
import asyncio
import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid"))
sent = []

@app.task(name="send")
def send(number):
    sent.append(number)

@app.task(name="order")
async def order(number):
    await send.defer_async(number=number)

@app.task(name="hang")
async def hang():
    await sleep_long()

async def sleep_long():
    await asyncio.sleep(3600)

@app.periodic(cron="* * * * *")
@app.task(name="nightly")
def nightly(timestamp):
    sent.append("nightly")
"""

SAME_TESTS = """
import pytest
import program

@pytest.fixture(autouse=True)
def nothing_sent():
    program.sent.clear()

def test_a_job_is_deferred_and_runs(adjourn_jobs, adjourn_drain):
    program.order.defer(number=1)
    adjourn_jobs.assert_deferred(program.order, args={"number": 1}, count=1)
    assert adjourn_drain().succeeded == 2
    assert program.sent == [1]

def test_nothing_of_another_test_is_there(adjourn_jobs):
    adjourn_jobs.refute_deferred()

def test_time_passes(adjourn_app, adjourn_drain, adjourn_travel, adjourn_jobs):
    program.send.configure(schedule_in={"hours": 1}, lock="one").defer(number=2)
    assert adjourn_drain().left == 1
    adjourn_travel(hours=1)
    assert adjourn_drain().succeeded == 1
    assert len(adjourn_jobs.periodic(program.nightly)) == 1

@pytest.mark.anyio
async def test_on_an_event_loop(adjourn_jobs, adjourn_drain_async):
    await program.order.defer_async(number=3)
    await adjourn_jobs.assert_deferred_async(program.order)
    assert (await adjourn_drain_async()).succeeded == 2
    adjourn_jobs.assert_deferred(program.send, status="succeeded")

@pytest.mark.adjourn(inline=True)
def test_inline(adjourn_app):
    program.order.defer(number=4)
    assert program.sent == [4]

@pytest.mark.adjourn(queues=["mail"])
def test_queues(adjourn_drain):
    program.send.configure(queue="mail").defer(number=5)
    program.send.defer(number=6)
    assert adjourn_drain().succeeded == 1
    assert adjourn_drain(queues=None).succeeded == 1

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.fixture(scope="module")
def given(server_dsn: str) -> Iterator[str]:
    """The address of a database of tests, which nobody else is connected to."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with new_database(server_dsn, f"plugin_test_{worker}") as dsn:
        yield dsn


@pytest.fixture
def program(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.Pytester]:
    """A directory with a program, and an ini file that names its app; for runs that are not those of a worker."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(program=PROGRAM)
    pytester.makeini("[pytest]\nadjourn_app = program.app\npythonpath = .\n")
    yield pytester
    sys.modules.pop("program", None)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest in this process, without the plugins that have nothing to do with it."""
    others = ("adjourn", "django", "pytest_cov", "hypothesispytest", "timeout", "xdist")
    plugins = [f"-pno:{name}" for name in others]
    return pytester.runpytest_inprocess(*plugins, "-padjourn.testing.plugin", *arguments)


def test_the_same_tests_pass_in_memory_and_on_postgres(program: pytest.Pytester, given: str) -> None:
    program.makepyfile(SAME_TESTS)
    for kind in KINDS:
        result = run(program, "-o", f"adjourn_isolation={kind}", f"--adjourn-dsn={given}", "-W", "error")
        assert result.ret == 0, kind
        result.assert_outcomes(passed=6)
        sys.modules.pop("program", None)
    with psycopg.connect(given) as connection:
        assert connection.execute("SELECT id FROM adjourn.adjourn_all_jobs").fetchall() == []
        assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname LIKE 'adjourn_pytest%'").fetchall() == []


def test_code_with_a_transaction_of_its_own_is_tested_on_postgres(program: pytest.Pytester, given: str) -> None:
    program.makepyfile(
        """
        import psycopg
        import pytest
        import program

        @pytest.mark.adjourn(isolation="delete")
        def test_rollback(adjourn_dsn, adjourn_jobs, adjourn_drain):
            with psycopg.connect(adjourn_dsn) as connection:
                program.send.configure(connection=connection).defer(number=1)
                connection.rollback()
            adjourn_jobs.refute_deferred(program.send)
            with psycopg.connect(adjourn_dsn) as connection:
                program.send.configure(connection=connection).defer(number=2)
            assert adjourn_drain().succeeded == 1
            assert program.sent == [2]

        def test_memory_names_the_way(adjourn_app):
            program.send.configure(connection=object()).defer(number=1)
        """
    )
    result = run(program, f"--adjourn-dsn={given}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(['*InvalidConnection*mark the test with @pytest.mark.adjourn(isolation="delete")*'])


def test_a_connection_to_elsewhere_is_refused_and_nothing_is_stored_there(
    program: pytest.Pytester, given: str, database: str, server_dsn: str
) -> None:
    program.makepyfile(
        f"""
        import psycopg
        import pytest
        import program

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.parametrize("isolation", ["delete", "schema", "template", "transaction"])
        def test_it(request, isolation):
            request.node.add_marker(pytest.mark.adjourn(isolation=isolation))
            adjourn_dsn, jobs = map(request.getfixturevalue, ("adjourn_dsn", "adjourn_jobs"))
            with psycopg.connect({database!r}) as connection:
                with pytest.raises(Exception, match="This connection is to the database|this is another connection"):
                    program.send.configure(connection=connection).defer(number=1)
            jobs.refute_deferred()
            if isolation == "template":  # its address is not adjourn_dsn
                with psycopg.connect(adjourn_dsn) as connection, pytest.raises(Exception, match="adjourn_dsn"):
                    program.send.configure(connection=connection).defer(number=1)
            elif isolation != "transaction":
                with psycopg.connect(adjourn_dsn) as connection:
                    program.send.configure(connection=connection).defer(number=1)
                jobs.assert_deferred(program.send)

        @pytest.mark.adjourn(isolation="delete")
        @pytest.mark.anyio
        async def test_awaited(anyio_backend, adjourn_jobs):
            async with await psycopg.AsyncConnection.connect({database!r}) as connection:
                with pytest.raises(program.adjourn.exceptions.InvalidConnection, match="connect to the fixture adjourn_dsn"):
                    await program.send.configure(connection=connection).defer_async(number=1)
        """
    )
    run(program, f"--adjourn-dsn={given}").assert_outcomes(passed=5)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT 1 FROM adjourn.adjourn_all_jobs").fetchall() == []


def test_a_worker_runs_beside_the_test_and_defers_no_periodic_task(program: pytest.Pytester, given: str) -> None:
    program.makepyfile(
        """
        import pytest
        import program

        @pytest.mark.parametrize("number", [1, 2])
        def test_worker(adjourn_worker, adjourn_jobs, number):
            program.sent.clear()
            program.order.defer(number=number)
            adjourn_worker.wait_idle()
            assert program.sent == [number]
            adjourn_jobs.refute_deferred(program.nightly)

        @pytest.mark.adjourn(isolation="transaction")
        def test_refused(adjourn_worker):
            pass
        """
    )
    for kind in ("memory", "delete"):
        result = run(program, "-o", f"adjourn_isolation={kind}", f"--adjourn-dsn={given}")
        result.assert_outcomes(passed=2, errors=1)
        result.stdout.fnmatch_lines(["*InvalidOption: A worker sees nothing of a transaction*isolation='delete'*"])


def test_a_job_that_hangs_ends_the_test_and_shows_where_it_is(program: pytest.Pytester) -> None:
    program.makepyfile(
        """
        import program

        def test_worker(adjourn_worker):
            program.hang.defer()
            adjourn_worker.wait_idle(timeout=0.2)
        """
    )
    result = run(program)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*TimeoutError: 1 job has not ended within 0.2 s: hang?1?() (doing).*", "*in sleep_long*"]
    )


def test_a_worker_that_ends_by_itself_fails_the_test(program: pytest.Pytester) -> None:
    program.makepyfile(
        """
        import pytest
        import program

        @pytest.fixture
        def adjourn_app(adjourn_isolate):
            program.app.import_paths = ("no_such_module",)
            return adjourn_isolate(program.app)

        def test_worker(adjourn_worker):
            pass
        """
    )
    result = run(program)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*LoadFromPathError*no_such_module*"])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("isolation='disk'", "isolation='disk': pass one of memory, transaction, delete, schema, template."),
        ("isolated=True", "there is no argument 'isolated'"),
        ("'memory'", "positional argument 'memory'"),
        ("inline=1", "inline=1: pass True or False"),
        ("queues='mail'", "queues='mail': pass a list of names"),
    ],
)
def test_a_marker_that_is_not_valid_is_an_error_of_the_collection(
    program: pytest.Pytester, marker: str, words: str
) -> None:
    program.makepyfile(f"import pytest\n@pytest.mark.adjourn({marker})\ndef test_it(): pass")
    result = run(program)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*test_it: @pytest.mark.adjourn: {words.replace('[', '?')}*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_options_that_are_not_valid_are_named(program: pytest.Pytester) -> None:
    program.makepyfile("def test_it(adjourn_app): pass")
    result = run(program, "-o", "adjourn_isolation=disk")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*adjourn_isolation = disk: pass one of*"])
    result = run(program, "-o", "adjourn_app=")
    result.stdout.fnmatch_lines(["*Tell the tests where your app is: `adjourn_app = package.module.app`*"])
    result = run(program, "-o", "adjourn_app=program.none")
    result.stdout.fnmatch_lines(["*LoadFromPathError: *program.none*"])


def test_a_database_with_jobs_that_is_not_one_of_tests_is_refused(program: pytest.Pytester, server_dsn: str) -> None:
    program.makepyfile("import program\ndef test_it(adjourn_jobs): program.send.defer(number=1)")
    with new_database(server_dsn, f"production_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as dsn:
        options = (f"--adjourn-dsn={dsn}", "-o", "adjourn_isolation=delete")
        run(program, *options, "--adjourn-keep").assert_outcomes(passed=1)
        result = run(program, *options)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*The database 'production_*' has jobs, which tests would delete*"])


def test_what_a_dead_run_has_left_is_removed_and_nothing_else(
    program: pytest.Pytester, server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.makepyfile("import program\ndef test_it(adjourn_jobs): program.send.defer(number=1)")
    worker = f"dead_{os.getpid()}"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
    names = [f"adjourn_pytest_{worker}{number}" for number in ("", "_0", "_1")]
    with contextlib.ExitStack() as stack, psycopg.connect(server_dsn, autocommit=True) as connection:
        for name in names:
            stack.enter_context(new_database(server_dsn, name))
        for name in names[:2]:
            connection.execute(f"COMMENT ON DATABASE {name} IS {literal(databases.OURS)}".encode())
        result = run(program, f"--adjourn-dsn={server_dsn}", "-o", "adjourn_isolation=delete")
        result.assert_outcomes(passed=1)
        found = connection.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{names[0]}%'".encode())
        assert [name for (name,) in found.fetchall()] == names[2:]


def test_the_plugin_imports_nothing_that_takes_time() -> None:
    done = run_python(
        "-c",
        "import sys, adjourn.testing.plugin as plugin; from _pytest import fixtures\n"
        "names = {name for name in sys.modules if name.split('.')[0] in ('adjourn', 'anyio', 'attrs', 'psycopg', 'sqlalchemy')}\n"
        "assert names == {'adjourn', 'adjourn.testing', 'adjourn.testing.plugin'}, names",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="starts nine processes: scripts/test-all runs it")
def test_workers_of_xdist_share_a_server_and_no_jobs(program: pytest.Pytester, server_dsn: str) -> None:
    program.makepyfile(
        """
        import pytest
        import program

        @pytest.mark.parametrize("number", range(50))
        @pytest.mark.parametrize("isolation", ["memory", "delete", "schema", "transaction"])
        def test_it(request, isolation, number):
            request.node.add_marker(pytest.mark.adjourn(isolation=isolation))
            jobs, drain = map(request.getfixturevalue, ("adjourn_jobs", "adjourn_drain"))
            jobs.refute_deferred()
            program.send.defer(number=number)
            assert drain().succeeded == 1
        """
    )
    with new_database(server_dsn, "xdist_test") as dsn:
        plugins = [f"-pno:{name}" for name in ("adjourn", "django", "pytest_cov", "timeout")]
        result = program.runpytest_subprocess(*plugins, "-padjourn.testing.plugin", "-n8", f"--adjourn-dsn={dsn}")
        result.assert_outcomes(passed=200)
        with psycopg.connect(dsn) as connection:
            left = "SELECT datname FROM pg_database WHERE datname LIKE 'adjourn_pytest_gw%'"
            assert connection.execute(left).fetchall() == []
            left = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'adjourn_pytest%'"
            assert connection.execute(left).fetchall() == []
