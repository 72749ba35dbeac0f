"""The command line as its users meet it: a process with arguments, an environment, an answer and an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import sql
from support.forked import can_fork, run_command

VERSION = sql.latest_version()
HERE = Path(__file__).parent
SCRIPT = Path(sys.executable).parent / "adjourn"
TIMEOUT = 30
SECRET = "hunter2"
UNREACHABLE = f"postgresql://someone:{SECRET}@127.0.0.1:1/nothing?connect_timeout=2"


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    output: str
    errors: str

    @property
    def complaint(self) -> str:
        """The one line on stderr that says what is wrong."""
        assert "Traceback" not in self.errors
        (line,) = (line for line in self.errors.splitlines() if line.startswith("adjourn: "))
        return line


@dataclass
class CommandLine:
    """Runs ``adjourn`` in the directory of the sample app."""

    environment: dict[str, str]
    directory: Path = HERE
    command: list[str] = field(default_factory=lambda: [str(SCRIPT)])
    forks: bool = True

    def __call__(self, *arguments: str, given: str = "", **environment: str) -> Outcome:
        """Run a command to its end: the script itself in a fork, which spares its imports, if that is the same."""
        variables = {**self.environment, **environment}
        if self.forks and can_fork(variables):
            return Outcome(*run_command(SCRIPT, arguments, self.directory, variables, given, TIMEOUT))
        process = subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=variables,
            input=given,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.directory,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def offline() -> CommandLine:
    """The command line without an app."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ADJOURN_")}
    return CommandLine({**inherited, "COLUMNS": "200"})


@pytest.fixture
def command(offline: CommandLine, database: str) -> CommandLine:
    """The command line with the sample app, on this worker's database."""
    return CommandLine({**offline.environment, "ADJOURN_APP": "sample_app.app", "SAMPLE_DSN": database})


@pytest.fixture
def bare_schema(command: CommandLine, observer: psycopg.Connection) -> Iterator[str]:
    """The name of a schema that does not exist yet."""
    name = "command_line"
    yield name
    observer.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def statuses(observer: psycopg.Connection) -> list[str]:
    """The statuses of all jobs, oldest job first."""
    return [status for (status,) in observer.execute("SELECT status FROM adjourn.adjourn_all_jobs ORDER BY id")]


def wait_until_sleeping(process: subprocess.Popen[str]) -> None:
    """Wait until a job's body has begun: one that was only claimed is handed back by a stop."""
    assert process.stdout is not None
    assert process.stdout.readline() == "sleeping\n"


# The program


def test_the_version_is_that_of_the_package(offline: CommandLine) -> None:
    outcome = offline("--version")
    assert (outcome.code, outcome.output) == (0, f"adjourn {adjourn.__version__}\n")


@pytest.mark.parametrize("command", [[str(SCRIPT)], [sys.executable, "-m", "adjourn"]], ids=["script", "module"])
def test_the_script_and_the_module_are_the_same_program_as_its_forks(offline: CommandLine, command: list[str]) -> None:
    process = CommandLine(offline.environment, command=command, forks=False)
    for arguments in (["--version"], ["--help"], ["worker", "--no-such-flag"], ["schema", "--read"]):
        assert process(*arguments) == offline(*arguments)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("worker", ["ADJOURN_WORKER_CONCURRENCY", "SECONDS", "default: 5", "SIGTERM", "worker_defaults"]),
        ("schema", ["--apply", "--read", "--version", "may be run at any time"]),
        ("defer", ["ADJOURN_DEFER_QUEUEING_LOCK", "ISO 8601", "JSON", "standard input"]),
        ("healthchecks", ["database", "schema"]),
        ("shell", ["list_jobs", "show ID", "abort ID", "limit=NUMBER", "after=VALUE"]),
        ("pause", ["--queue", "--task", "all workers"]),
        ("demo", ["ADJOURN_DEMO_FILES", "Leaves nothing behind"]),
    ],
)
def test_each_command_explains_itself(offline: CommandLine, name: str, told: list[str]) -> None:
    outcome = offline(name, "--help")
    text = " ".join(outcome.output.split())
    assert outcome.code == 0
    assert [words for words in told if words not in text] == []
    assert name in offline("--help").output


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["worker", "--nonsense"], ["schema", "--read", "--apply"], ["defer"]]
)
def test_a_command_line_that_makes_no_sense_exits_with_2(offline: CommandLine, arguments: list[str]) -> None:
    outcome = offline(*arguments)
    assert outcome.code == 2
    assert "usage: adjourn" in outcome.errors


@pytest.mark.parametrize("arguments", [["worker"], ["defer", "x"], ["healthchecks"], ["schema"], ["schema", "--apply"]])
def test_without_an_app_each_command_says_how_to_name_it(offline: CommandLine, arguments: list[str]) -> None:
    outcome = offline(*arguments)
    assert outcome.code == 2
    assert "--app=package.module.app" in outcome.errors
    assert "ADJOURN_APP" in outcome.errors
    assert "Traceback" not in outcome.errors


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nowhere.app", "'nowhere' could not be imported"),
        ("sample_app.nothing", "has no 'nothing'"),
        ("sample_app.not_an_app", "is of type str, not App"),
        ("app", "is not a path such as package.module.app"),
    ],
)
def test_an_app_path_that_leads_nowhere_is_explained(command: CommandLine, path: str, complaint: str) -> None:
    outcome = command("--app", path, "healthchecks")
    assert outcome.code == 1
    assert complaint in outcome.complaint


BROKEN = {
    "syntax": ("import os\n\ndef app(:\n", "SyntaxError: ", 3),
    "missing": ("import os\nDSN = os.environ['NO_SUCH_VARIABLE']\n", "KeyError: 'NO_SUCH_VARIABLE'", 2),
    "wrong": ("import adjourn\napp = adjourn.App(connector=5)\n", "InvalidOption: connector=5", 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_module_that_cannot_be_carried_out_is_told_in_one_line(
    offline: CommandLine, tmp_path: Path, name: str
) -> None:
    text, told, line = BROKEN[name]
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    there = CommandLine(offline.environment, directory=tmp_path)
    for words in (["healthchecks"], ["worker"], ["defer", "any"]):
        outcome = there("--app", f"{name}.app", *words)
        assert outcome.code == 1
        assert outcome.complaint.startswith(f"adjourn: {name}.app: {told}")
        assert outcome.complaint.endswith(f"({path}, line {line})")
    assert "Traceback" in there("--app", f"{name}.app", "healthchecks", "--log-level=DEBUG").errors


def test_a_module_of_the_import_paths_that_raises_is_told_in_one_line(offline: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(
        "import adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(), import_paths=['broken'])\n"
    )
    (tmp_path / "broken.py").write_text("\n1 / 0\n")
    there = CommandLine(offline.environment, directory=tmp_path)
    for words in (["worker"], ["defer", "any"], ["shell", "list_jobs"]):
        outcome = there("--app", "whole.app", *words)
        assert outcome.code == 1
        told = f"adjourn: import_paths of whole.app: ZeroDivisionError: division by zero ({tmp_path}/broken.py, line 2)"
        assert outcome.complaint == told


def test_the_app_can_be_named_after_the_command(command: CommandLine) -> None:
    assert command("healthchecks", "--app", "sample_app.app", ADJOURN_APP="nowhere.app").code == 0


def test_an_app_in_another_directory_is_not_found(command: CommandLine, tmp_path: Path) -> None:
    elsewhere = CommandLine(command.environment, directory=tmp_path)
    assert "'sample_app' could not be imported" in elsewhere("healthchecks").complaint


def test_a_database_that_cannot_be_reached_is_named_without_its_password(command: CommandLine) -> None:
    for level in ("INFO", "DEBUG"):
        for arguments in (["healthchecks"], ["worker"], ["defer", "sample_app.clean"], ["schema", "--apply"]):
            outcome = command("--log-level", level, *arguments, SAMPLE_DSN=UNREACHABLE)
            assert outcome.code == 1
            assert "127.0.0.1" in outcome.errors
            assert SECRET not in outcome.errors + outcome.output
            assert ("Traceback" in outcome.errors) == (level == "DEBUG")


def test_a_reader_that_goes_away_is_no_reason_to_complain(offline: CommandLine) -> None:
    with offline.start("schema", "--read") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(TIMEOUT) == 1
        assert process.stderr.read() == ""


# schema


def test_the_schema_is_applied_once_and_says_so(command: CommandLine, bare_schema: str) -> None:
    assert command("schema", "--version", SAMPLE_SCHEMA=bare_schema).output == "0\n"
    first = command("schema", "--apply", SAMPLE_SCHEMA=bare_schema)
    assert first.code == 0
    assert f"Applied version 1 (initial) to schema {bare_schema}" in first.output
    second = command("schema", SAMPLE_SCHEMA=bare_schema)
    assert (second.code, second.output) == (0, f"The schema is up to date, version {VERSION}\n")
    assert command("schema", "--version", SAMPLE_SCHEMA=bare_schema).output == f"{VERSION}\n"


def test_the_version_of_a_missing_schema_tells_how_to_make_it(command: CommandLine) -> None:
    assert "schema --apply" in command("schema", "--version", SAMPLE_SCHEMA="nowhere").errors


def test_the_schema_can_be_read_without_app_and_database(offline: CommandLine) -> None:
    outcome = offline("schema", "--read")
    assert outcome.code == 0
    assert 'create table "adjourn".adjourn_jobs' in outcome.output


def test_the_schema_is_read_under_the_name_that_the_app_gives_it(command: CommandLine) -> None:
    outcome = command("schema", "--read", SAMPLE_SCHEMA="elsewhere", SAMPLE_DSN=UNREACHABLE)
    assert 'create table "elsewhere".adjourn_jobs' in outcome.output


def test_the_path_of_the_migrations_exists(offline: CommandLine) -> None:
    assert list(Path(offline("schema", "--migrations-path").output.strip()).glob("0001_*.sql"))


# healthchecks


def test_healthchecks_of_what_is_healthy_are_all_ok(command: CommandLine) -> None:
    outcome = command("healthchecks")
    checks = f"App: OK\nDatabase connection: OK\nSchema version {VERSION}: OK\nJobs can be stored and run: OK\n"
    assert (outcome.code, outcome.output) == (0, checks)


def test_healthchecks_stop_at_what_is_missing(command: CommandLine) -> None:
    outcome = command("healthchecks", SAMPLE_SCHEMA="nowhere")
    assert (outcome.code, outcome.output) == (1, "App: OK\nDatabase connection: OK\n")
    assert "schema --apply" in outcome.complaint


# pause and resume


def test_queues_and_tasks_are_paused_until_they_are_resumed(command: CommandLine, observer: psycopg.Connection) -> None:
    paused = "SELECT scope, name FROM adjourn.adjourn_pauses ORDER BY scope"
    outcome = command("pause", "--queue=mail", "-t", "sample_app.add")
    assert (outcome.code, outcome.output) == (0, "Queue mail is paused\nTask sample_app.add is paused\n")
    assert observer.execute(paused).fetchall() == [("queue", "mail"), ("task", "sample_app.add")]
    assert command("pause", "--queue=mail").output == "Queue mail is paused already\n"
    outcome = command("resume", "--queue=mail", "--task=sample_app.add")
    assert outcome.output == "Queue mail is resumed\nTask sample_app.add is resumed\n"
    assert observer.execute(paused).fetchall() == []
    assert command("resume", "--queue=mail").output == "Queue mail is not paused\n"
    outcome = command("pause", "--queue=mail", "--for=7200", "--reason=the mail server is down")
    assert outcome.output == "Queue mail is paused for 2 h\n"
    said = "SELECT reason, extract(epoch FROM ends_at - paused_at)::integer, paused_by LIKE '%@%' FROM adjourn.adjourn_pauses"
    assert observer.execute(said).fetchall() == [("the mail server is down", 7200, True)]
    (audit,) = observer.execute(
        "SELECT action, target, outcome, how FROM adjourn.adjourn_audit ORDER BY id DESC LIMIT 1"
    ).fetchall()
    assert audit == ("queue.pause", "mail", "for 7200 s, because the mail server is down", "shell")
    assert command("pause", "--queue=mail", "--for=5", "--until=2101-01-31T12:00+01:00").code == 2
    outcome = command("pause", "--queue=mail", "--for=0")
    assert (outcome.code, "argument --for: '0' is no time at all" in outcome.errors) == (2, True)
    outcome = command("pause", "--queue=mail", "--until=2001-01-31T12:00+01:00")
    assert (outcome.code, "has passed: pass a time to come" in outcome.errors) == (2, True)
    assert observer.execute(said).fetchall() == [("the mail server is down", 7200, True)]
    assert command("resume", "--queue=mail", "--for=5").code == 2
    assert command("resume").code == 2
    assert command("pause", "--queue=mail", "--periodic-id=x").code == 2


def test_a_schedule_is_paused_until_it_is_resumed(command: CommandLine, observer: psycopg.Connection) -> None:
    observer.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick) values "
        "('sample_app.add', '', '@daily', 'UTC', now()), ('sample_app.add', 'b', '@daily', 'UTC', now())"
    )
    outcome = command("pause", "--schedule=sample_app.add", "--periodic-id=b")
    assert outcome.output == "Schedule sample_app.add (b) is paused\n"
    outcome = command("resume", "--schedule=sample_app.add")
    assert outcome.output == "Schedule sample_app.add is not paused\nSchedule sample_app.add (b) is resumed\n"
    outcome = command("pause", "--schedule=sample_app.ad")
    assert (outcome.code, outcome.output) == (1, "")
    assert "Task sample_app.ad has no schedule" in outcome.errors


# defer


def test_a_deferred_job_is_stored_and_its_id_printed(command: CommandLine, observer: psycopg.Connection) -> None:
    outcome = command("defer", "sample_app.add", '{"a": 1, "b": 2}')
    row = observer.execute("SELECT id, queue, task_name, args FROM adjourn.adjourn_jobs").fetchone()
    assert outcome.code == 0
    assert row == (int(outcome.output), "default", "sample_app.add", {"a": 1, "b": 2})


def test_a_job_is_deferred_with_all_options(command: CommandLine, observer: psycopg.Connection) -> None:
    options = ["--queue=q", "--lock=l", "--queueing-lock=u", "--priority=-3", "--at=2090-01-01T00:00:00+00:00"]
    assert command("defer", "sample_app.clean", *options).code == 0
    row = observer.execute(
        "SELECT queue, lock, queueing_lock, priority, extract(year FROM scheduled_at)::int FROM adjourn.adjourn_jobs"
    ).fetchone()
    assert row == ("q", "l", "u", -3, 2090)


def test_a_job_is_deferred_for_later(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("defer", "sample_app.clean", "--in=3600").code == 0
    row = observer.execute("SELECT round(extract(epoch FROM scheduled_at - now()) / 60) FROM adjourn.adjourn_jobs")
    assert row.fetchone() == (60,)


def test_the_environment_stands_in_for_flags(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("defer", "sample_app.clean", ADJOURN_DEFER_QUEUE="of the environment").code == 0
    assert command("defer", "sample_app.add", '{"a": 1, "b": 1}', "--queue=own", ADJOURN_DEFER_QUEUE="other").code == 0
    rows = observer.execute("SELECT queue FROM adjourn.adjourn_jobs ORDER BY id").fetchall()
    assert rows == [("of the environment",), ("own",)]


def test_arguments_are_read_from_standard_input(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("defer", "sample_app.add", "-", given='{"a": 3, "b": 4}').code == 0
    assert observer.execute("SELECT args FROM adjourn.adjourn_jobs").fetchall() == [({"a": 3, "b": 4},)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.task"], "no task named 'nowhere.task'"),
        (["sample_app.add"], "missing argument 'a', 'b'"),
        (["sample_app.add", '{"a": 1, "b": 1, "c": 1}'], "takes no argument 'c'"),
        (["sample_app.add", "[1, 2]"], "is not a JSON object"),
        (["sample_app.add", "{a: 1}"], "as a JSON object"),
    ],
)
def test_a_job_that_cannot_be_is_refused_and_nothing_stored(
    command: CommandLine, observer: psycopg.Connection, arguments: list[str], complaint: str
) -> None:
    outcome = command("defer", *arguments)
    assert (outcome.code, outcome.output) == (1, "")
    assert complaint in outcome.complaint
    assert statuses(observer) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--at", "2090-01-01T00:00:00"], "add the offset from UTC"),
        (["--at", "tomorrow"], "'tomorrow' is not a time"),
        (["--in", "soon"], "'soon' is not a number of seconds"),
        (["--in", "1e300"], "--in: '1e300' is not a number of seconds between 0 and 3,162,240,000"),
        (["--at", "9999-12-31T23:00:00-05:00"], "--at: '9999-12-31T23:00:00-05:00' is at an end of the calendar"),
        (["--at", "2090-01-01T00:00:00Z", "--in", "5"], "not allowed with"),
        (["--priority", "high"], "'high' is not a whole number"),
        (["--priority", str(2**40)], f"--priority={2**40}: pass an integer between"),
        (["--queue", "x" * 300], "--queue='xxx"),
    ],
)
def test_a_flag_that_makes_no_sense_is_a_usage_error(
    command: CommandLine, observer: psycopg.Connection, options: list[str], complaint: str
) -> None:
    outcome = command("defer", "sample_app.clean", *options)
    assert outcome.code == 2
    assert complaint in outcome.errors
    assert statuses(observer) == []


def test_an_unknown_task_is_deferred_on_request(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("defer", "nowhere.task", '{"any": "thing"}', "--unknown").code == 0
    assert statuses(observer) == ["todo"]


def test_a_taken_queueing_lock_is_an_error_unless_ignored(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("defer", "sample_app.clean").code == 0
    refused = command("defer", "sample_app.clean")
    assert refused.code == 1
    assert "'only one'" in refused.complaint
    ignored = command("defer", "sample_app.clean", "--ignore-already-enqueued")
    assert (ignored.code, ignored.output) == (0, "")
    assert "(ignored)" in ignored.errors
    assert statuses(observer) == ["todo"]


# worker


def test_a_one_shot_worker_runs_what_there_is_and_ends(command: CommandLine, observer: psycopg.Connection) -> None:
    command("defer", "sample_app.add", '{"a": 1, "b": 2}')
    command("defer", "sample_app.fail")
    outcome = command("worker", "--one-shot")
    assert outcome.code == 0
    assert statuses(observer) == ["succeeded", "failed"]
    assert "sample_app.add" in outcome.errors
    assert "RuntimeError: on purpose" in outcome.errors


def test_a_worker_serves_only_its_queues(command: CommandLine, observer: psycopg.Connection) -> None:
    command("defer", "sample_app.clean", "--queue=other")
    assert command("worker", "--one-shot", "--queues=slow, default").code == 0
    assert statuses(observer) == ["todo"]
    assert command("worker", "--queues", "", ADJOURN_WORKER_WAIT="no", ADJOURN_WORKER_QUEUES="slow").code == 0
    assert statuses(observer) == ["succeeded"]


def test_a_worker_deletes_finished_jobs_on_request(command: CommandLine, observer: psycopg.Connection) -> None:
    command("defer", "sample_app.clean")
    assert command("worker", "--one-shot", "--delete-jobs=always").code == 0
    assert statuses(observer) == []


def test_flags_go_before_the_environment_and_that_before_the_app(command: CommandLine) -> None:
    assert "3 jobs at once" in command("worker", "--one-shot").errors
    assert "4 jobs at once" in command("worker", "--one-shot", ADJOURN_WORKER_CONCURRENCY="4").errors
    assert "5 jobs at once" in command("worker", "--one-shot", "-c5", ADJOURN_WORKER_CONCURRENCY="4").errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_ends_its_job_and_exits_with_0(
    command: CommandLine, observer: psycopg.Connection, number: signal.Signals
) -> None:
    command("defer", "sample_app.sleep", '{"seconds": 1}')
    command("defer", "sample_app.clean")
    with command.start("worker", "--concurrency=1") as process:
        wait_until_sleeping(process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert number.name in errors
    assert statuses(observer) == ["succeeded", "todo"]


def test_a_worker_hands_back_what_it_has_no_time_for(command: CommandLine, observer: psycopg.Connection) -> None:
    command("defer", "sample_app.sleep", '{"seconds": 60}')
    with command.start("worker", "--shutdown-graceful-timeout=0.1") as process:
        wait_until_sleeping(process)
        process.terminate()
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert statuses(observer) == ["todo"]


def test_a_worker_on_a_missing_schema_tells_how_to_make_it(command: CommandLine) -> None:
    outcome = command("worker", SAMPLE_SCHEMA="nowhere")
    assert outcome.code == 1
    assert "schema --apply" in outcome.complaint


def test_a_worker_of_a_synchronous_app_is_refused(command: CommandLine) -> None:
    outcome = command("--app=sample_app.synchronous_app", "worker")
    assert outcome.code == 1
    assert "(SyncPsycopgConnector) is synchronous" in outcome.complaint


def test_commands_beside_the_worker_take_a_synchronous_app(command: CommandLine, observer: psycopg.Connection) -> None:
    assert command("--app=sample_app.synchronous_app", "defer", "sample_app.clean").code == 0
    assert command("--app=sample_app.synchronous_app", "healthchecks").code == 0
    assert statuses(observer) == ["todo"]


def test_a_worker_option_that_cannot_be_is_explained(command: CommandLine) -> None:
    outcome = command("worker", "--stalled-worker-timeout=5")
    assert outcome.code == 2
    assert "error: --stalled-worker-timeout=5.0: pass more seconds than --update-heartbeat-interval" in outcome.errors
    outcome = command("worker", ADJOURN_WORKER_CONCURRENCY="many")
    assert outcome.code == 2
    assert "environment variable ADJOURN_WORKER_CONCURRENCY: 'many' is not a whole number" in outcome.errors


# Log records


def test_log_records_are_written_as_json_with_all_that_they_carry(command: CommandLine) -> None:
    command("defer", "sample_app.add", '{"a": 1, "b": 2}')
    outcome = command("--log-format=json", "worker", "--one-shot", "--name=somebody")
    records = [json.loads(line) for line in outcome.errors.splitlines()]
    by_action = {record["action"]: record for record in records if "action" in record}
    assert by_action["start_worker"]["worker"]["name"] == "somebody"
    assert by_action["job_success"]["job"]["task_kwargs"] == {"a": 1, "b": 2}
    assert by_action["job_success"]["level"] == "INFO"
    assert by_action["job_success"]["duration"] >= 0


def test_a_log_format_can_name_what_only_some_records_carry(command: CommandLine) -> None:
    outcome = command("--log-format={levelname}|{action}|{job}", "--log-format-style={", "worker", "--one-shot")
    assert "INFO|start_worker|\n" in outcome.errors
    assert "Logging error" not in outcome.errors


def test_a_quiet_log_says_nothing(command: CommandLine) -> None:
    assert command("--log-level=error", "worker", "--one-shot").errors == ""


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"ADJOURN_LOG_LEVEL": "LOUD"}, "environment variable ADJOURN_LOG_LEVEL: 'LOUD' is not one of DEBUG"),
        ({"ADJOURN_LOG_FORMAT_STYLE": "!"}, "environment variable ADJOURN_LOG_FORMAT_STYLE: '!' is not one of"),
        ({"ADJOURN_LOG_FORMAT": "plain words"}, "Invalid format 'plain words'"),
    ],
)
def test_log_settings_that_make_no_sense_are_usage_errors(
    command: CommandLine, environment: dict[str, str], complaint: str
) -> None:
    outcome = command("healthchecks", **environment)
    assert outcome.code == 2
    assert complaint in outcome.errors


# demo


def test_the_demo_without_its_extra_tells_how_to_install_it(offline: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')")
    outcome = offline("demo", PYTHONPATH=str(tmp_path))
    assert outcome.code == 1
    assert 'pip install "adjourn[demo]"' in outcome.complaint
