"""The shell: what its commands answer, in process; and as a program, its prompt and its exit codes."""

from __future__ import annotations

import datetime
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn.cli import authors
from adjourn.cli.grammar import UsageError
from adjourn.cli.progress import ProgressReport
from adjourn.cli.shell import Shell
from adjourn.cli.tables import Screen
from adjourn.jobs import Author
from adjourn.manager import JobManager
from support.waiting import until

HERE = Path(__file__).parent
SCRIPT = Path(sys.executable).parent / "adjourn"


@pytest.fixture
def app(database: str) -> Iterator[adjourn.App]:
    """A synchronous app, open, with a few tasks."""
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database, min_size=1))

    @app.task(name="mail", queue="mail")
    def mail(to: str) -> None: ...

    @app.periodic(cron="0 3 * * *", periodic_id="nightly", timezone="Europe/Paris")
    @app.task(name="clean")
    def clean(timestamp: int) -> None: ...

    with app.open():
        yield app


class Typed:
    """Types commands into a shell, and reads what it prints."""

    def __init__(self, app: adjourn.App, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell = Shell(app, Screen())
        self.capsys = capsys

    def __call__(self, line: str) -> list[list[str]]:
        """Type a line; the answer's lines, each in its words."""
        self.shell.do(line.split(" "))
        return [
            words for line in self.capsys.readouterr().out.splitlines() if (words := line.split()) and line[0] != "─"
        ]


@pytest.fixture
def typed(app: adjourn.App, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types into a shell on the app."""
    return Typed(app, capsys)


def fail(observer: psycopg.Connection, job_id: int) -> None:
    """Have a job fail once, with an error that wants to write on the terminal."""
    error = {
        "exception": "builtins.ValueError",
        "message": "\x1b[31mno address",
        "traceback": "Traceback (most recent call last):\n  File mail.py\nValueError: no address\n",
        "attempt": 0,
        "started_at": "2030-01-01T00:00:00+00:00",
        "ended_at": "2030-01-01T00:00:01+00:00",
    }
    observer.execute(
        "UPDATE adjourn.adjourn_jobs SET errors = %s, attempts = 1 WHERE id = %s", [json.dumps([error]), job_id]
    )


def claim(observer: psycopg.Connection, job_id: int) -> None:
    """Make a job one that runs."""
    observer.execute(
        "WITH worker AS (INSERT INTO adjourn.adjourn_workers (name, expires_at) VALUES ('w', now() + '1 hour') RETURNING id)"
        " UPDATE adjourn.adjourn_jobs SET worker_id = worker.id FROM worker WHERE adjourn_jobs.id = %s",
        [job_id],
    )


# Lists


def test_jobs_are_listed_by_what_they_have_in_common(app: adjourn.App, typed: Typed) -> None:
    first, second = app.tasks["mail"].batch_defer({"to": "a"}, {"to": "b"})
    app.tasks["mail"].configure(queue="other", lock="l").defer(to="c")
    header, *rows = typed("list_jobs queue=mail status=todo")
    assert header == [
        "id",
        "status",
        "queue",
        "task_name",
        "task_kwargs",
        "attempts",
        "scheduled_at",
        "worker_name",
        "overdue",
        "progress",
    ]
    assert rows == [
        [str(first), "todo", "mail", "mail", '{"to":', '"a"}', "0", "-", "-", "false", "-"],
        [str(second), "todo", "mail", "mail", '{"to":', '"b"}', "0", "-", "-", "false", "-"],
    ]
    assert [row[2] for row in typed("list_jobs lock=l")[1:]] == ["other"]
    assert typed("list_jobs status=failed") == [["(none)"]]


def test_details_are_told_on_demand(app: adjourn.App, typed: Typed) -> None:
    when = datetime.datetime(2031, 2, 3, tzinfo=datetime.UTC)
    app.tasks["mail"].configure(lock="l", queueing_lock="q", priority=7, schedule_at=when).defer(to="a")
    header, row = typed("list_jobs details")
    assert {"priority", "lock", "queueing_lock", "worker_id", "enqueued_at", "finished_at"} <= set(header)
    assert {"7", "l", "q", *when.astimezone().isoformat(" ", "seconds").split()} <= set(row)


def test_details_have_the_last_error(app: adjourn.App, typed: Typed, observer: psycopg.Connection) -> None:
    job_id, _ = app.tasks["mail"].batch_defer({"to": "a"}, {"to": "b"})
    fail(observer, job_id)
    header, first, second = typed("list_jobs details")
    assert header[-1] == "error"
    assert first[-3:-1] == ["builtins.ValueError:", "\\x1b[31mno"]
    assert second[-1] == "-"


def test_long_lists_come_in_pages(app: adjourn.App, typed: Typed) -> None:
    ids = app.tasks["mail"].batch_defer(*({"to": str(number)} for number in range(5)))
    seen, line = [], "list_jobs limit=2"
    for _ in range(3):
        _, *rows = typed(line)
        more = rows.pop() if rows[-1][0] == "There" else None
        seen += [int(row[0]) for row in rows]
        if more is None:
            break
        line = f"list_jobs limit=2 {more[-1]}"
    assert seen == ids


@pytest.mark.parametrize(("command", "option"), [("list_queues", "queue"), ("list_locks", "lock")])
def test_jobs_are_counted_and_counts_come_in_pages(app: adjourn.App, typed: Typed, command: str, option: str) -> None:
    for name in ("a", "b", "c", "c"):
        app.configure_task("mail", **{option: name}).defer(to="x")  # type: ignore[arg-type]
    header, *rows = typed(command)
    assert header == ["name", "jobs_count", "todo", "doing", "succeeded", "failed", "cancelled", "aborted"]
    assert [row[:3] for row in rows] == [["a", "1", "1"], ["b", "1", "1"], ["c", "2", "2"]]
    _, first, hint = typed(f"{command} limit=1")
    assert (first[0], hint[-1]) == ("a", "after=a")
    assert [row[0] for row in typed(f"{command} limit=5 after=a")[1:]] == ["b", "c"]
    assert [row[0] for row in typed(f"{command} {option}=b status=todo")[1:]] == ["b"]


def test_tasks_are_counted(app: adjourn.App, typed: Typed) -> None:
    app.tasks["mail"].defer(to="a")
    assert typed("list_tasks queue=mail")[1][:2] == ["mail", "1"]


def test_jobs_that_have_ended_can_be_left_out_of_the_counts(app: adjourn.App, typed: Typed) -> None:
    for lock in ("a", "b"):
        app.configure_task("mail", lock=lock).defer(to="x")
    app.job_manager.cancel_job_by_id(app.job_manager.list_jobs(lock="b")[0].id or 0)
    assert [row[0] for row in typed("list_locks")[1:]] == ["a", "b"]
    for yes in ("1", "yes"):
        assert [row[0] for row in typed(f"list_locks live_only={yes}")[1:]] == ["a"]
    assert [row[0] for row in typed("list_locks live_only=no")[1:]] == ["a", "b"]


def test_jobs_are_found_by_what_they_wait_for(app: adjourn.App, typed: Typed, observer: psycopg.Connection) -> None:
    app.configure_task("mail", schedule_in={"hours": 1}).defer(to="x")
    unknown = app.configure_task("unknown").defer()
    observer.execute("UPDATE adjourn.adjourn_jobs SET hold = 5, unknown_since = now() WHERE id = %s", [unknown])
    assert [row[0] for row in typed("list_jobs waits_for=task")[1:]] == [str(unknown)]
    assert [row[:2] for row in typed("list_tasks waits_for=task")[1:]] == [["unknown", "1"]]
    assert [row[:2] for row in typed("list_tasks waits_for=time")[1:]] == [["mail", "1"]]
    with pytest.raises(
        adjourn.exceptions.InvalidOption, match=r"waits_for='tasks'; did you mean 'task'\? Pass one of: time"
    ):
        typed("list_jobs waits_for=tasks")


def test_jobs_are_listed_by_when_they_are_due(app: adjourn.App, typed: Typed) -> None:
    ids = {
        minutes: app.configure_task("mail.send", queue="mail", schedule_in={"minutes": minutes}).defer()
        for minutes in (30, 10, 20)
    }
    app.configure_task("mail.send", queue="mail").defer()
    _, *rows = typed("list_jobs order=due")
    assert [row[0] for row in rows] == [str(ids[minutes]) for minutes in (10, 20, 30)]
    first = typed("list_jobs order=due limit=2")
    assert first[-1][-1] == f"after={ids[20]}"
    assert [row[0] for row in typed(f"list_jobs order=due limit=2 after={ids[20]}")[1:]] == [str(ids[30])]
    with pytest.raises(adjourn.exceptions.InvalidOption, match=r"order=.dew.*Pass one of: id, due"):
        typed("list_jobs order=dew")


def test_workers_are_listed_and_named_where_their_jobs_are(
    app: adjourn.App, typed: Typed, observer: psycopg.Connection
) -> None:
    assert typed("list_workers") == [["(none)"]]
    job_id = app.tasks["mail"].defer(to="a")
    claim(observer, job_id)
    header, row = typed("list_workers")
    assert header[:8] == ["id", "name", "queues", "started_at", "last_heartbeat_at", "alive", "running", "overdue"]
    assert header[8:] == ["host", "pid", "version", "concurrency"]
    assert row[1:3] == ["w", "-"]
    assert row[-7:] == ["true", "1", "0", "-", "-", "-", "-"]
    # What workers say of themselves is text that may come from anywhere.
    observer.execute(
        "UPDATE adjourn.adjourn_workers SET running = %s, details = %s",
        [[job_id, job_id + 1], json.dumps({"host": "\x1b[2Jhost", "pid": 7, "version": "1.2", "concurrency": 10})],
    )
    observer.execute("UPDATE adjourn.adjourn_jobs SET started_at = now()")
    _, row, runs, run = typed("list_workers")
    assert row[-4:] == ["\\x1b[2Jhost", "7", "1.2", "10"]
    assert runs == ["worker_id", "worker_name", "id", "task_name", "queue", "started_at", "overdue"]
    assert run[1:5] == ["w", str(job_id), "mail", "mail"]
    assert run[-1] == "false"
    assert "-" not in run
    # Of many jobs, the first ones are shown.
    observer.execute("UPDATE adjourn.adjourn_workers SET running = array(SELECT generate_series(1, 60))")
    assert typed("list_workers")[-1] == ["They", "run", "10", "more:", "list_jobs", "status=doing"]
    (_, job) = typed("list_jobs")
    assert job[-3:] == ["w", "false", "-"]
    assert ["worker_name", "w"] in typed(f"show {job_id}")


def test_schedules_are_listed_whether_they_have_run_or_not(app: adjourn.App, typed: Typed) -> None:
    (_, before) = typed("list_schedules")
    assert before[:2] == ["clean", "nightly"]
    assert "Europe/Paris" in before
    assert before.count("-") == 4  # no last run, no job of it, no pause, and no worker that has seen it
    job = app.tasks["clean"].make_job().evolve(task_kwargs={"timestamp": 1})
    app.job_manager.defer_periodic_job(job, "nightly", 1, cron="0 3 * * *", timezone="Europe/Paris")
    (_, after) = typed("list_schedules")
    assert after[:2] == ["clean", "nightly"]
    assert after.count("-") == 1  # not paused


# One job


def test_a_job_is_shown_with_its_errors_and_commands_no_terminal(
    app: adjourn.App, typed: Typed, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["mail"].defer(to="\x1b[2J")
    fail(observer, job_id)
    lines = [" ".join(words) for words in typed(f"show {job_id}")]
    assert f"id {job_id}" in lines
    assert 'task_kwargs {"to": "\\u001b[2J"}' in lines
    assert any(line.endswith("builtins.ValueError: \\x1b[31mno address") for line in lines)
    assert "File mail.py" in lines
    assert "\x1b" not in "".join(lines)


def test_a_job_is_cancelled_and_retried(app: adjourn.App, typed: Typed) -> None:
    job_id = app.tasks["mail"].defer(to="a")
    assert typed(f"cancel {job_id}") == [["Job", str(job_id), "is", "cancelled"]]
    assert app.job_manager.get_job_status(job_id) == "cancelled"
    with pytest.raises(adjourn.exceptions.AdjournException, match="is cancelled, and has ended already"):
        typed(f"cancel {job_id}")
    typed(f"retry {job_id}")
    assert app.job_manager.get_job_status(job_id) == "todo"


def test_a_running_job_is_aborted_but_not_cancelled(
    app: adjourn.App, typed: Typed, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["mail"].defer(to="a")
    claim(observer, job_id)
    with pytest.raises(adjourn.exceptions.AdjournException, match=f"is doing: `abort {job_id}` asks it to end"):
        typed(f"cancel {job_id}")
    assert typed(f"abort {job_id}") == [["Job", str(job_id), "is", "asked", "to", "end"]]
    assert app.job_manager.list_jobs(id=job_id)[0].abort_requested


def test_ctrl_c_says_how_many_jobs_are_done(app: adjourn.App, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adjourn._sync.managers.many.PAGE", 10)

    def interrupt(progress: ProgressReport, done: int) -> None:
        progress.done = done
        if done == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressReport, "__call__", interrupt)
    ids = app.tasks["mail"].batch_defer(*[{"to": "a"}] * 25)
    typed.capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        typed("cancel queue=mail yes")
    assert typed.capsys.readouterr().err == "\nadjourn: interrupted. Cancelled: 20 jobs; the same command goes on\n"
    assert [job.id for job in app.job_manager.list_jobs(status="cancelled")] == ids[:20]
    monkeypatch.undo()
    assert typed("cancel queue=mail yes") == [["Cancelled:", "5", "jobs"]]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("cancel queue=mail", "todo"),
        ("cancel queue=mail limit=25", "todo"),
        ("change queue=mail priority=7", "todo"),
        ("change queue=mail move_to=slow", "todo"),
        ("retry queue=mail status=cancelled", "cancelled"),
        ("delete queue=mail status=cancelled", "cancelled"),
    ],
)
def test_what_takes_long_says_on_stderr_how_far_it_is_unless_it_is_to_be_quiet(
    app: adjourn.App, typed: Typed, monkeypatch: pytest.MonkeyPatch, command: str, status: str
) -> None:
    monkeypatch.setattr("adjourn._sync.managers.many.PAGE", 10)
    monkeypatch.setattr("adjourn.cli.progress.GLANCE", 0.001)
    number = 25 if "limit" not in command else 40
    ids = app.tasks["mail"].configure(queue="mail").batch_defer(*[{"to": "a"}] * number)
    app.tasks["mail"].configure(queue="other").batch_defer(*[{"to": "a"}] * 5)
    if status == "cancelled":
        app.job_manager.cancel_jobs(queue="mail")
    totals: set[int | None] = set()
    told: list[int | None] = []
    say = ProgressReport._say

    def note(progress: ProgressReport, *arguments: Any) -> None:
        say(progress, *arguments)
        told.append(progress.done)

    def wait(progress: ProgressReport, done: int) -> None:
        progress.done = done
        totals.add(until(lambda: progress.total))
        until(lambda: done == 25 or done in told)  # the end may come before the next look

    monkeypatch.setattr(ProgressReport, "_say", note)
    monkeypatch.setattr(ProgressReport, "__call__", wait)
    typed.capsys.readouterr()
    typed.shell.do([*command.split(" "), "yes"])
    captured = typed.capsys.readouterr()
    assert totals == {25}
    assert captured.out.split()[-2:] == ["25", "jobs"]
    assert set(re.findall(r"jobs: (\d+)%, (\d+) of (\d+) in", captured.err)) <= {
        ("40", "10", "25"),
        ("80", "20", "25"),
        ("100", "25", "25"),
    }
    assert len(captured.err.splitlines()) >= 2
    assert len(ids) == number


def test_a_shell_that_is_quiet_does_not_say_how_far_it_is(
    app: adjourn.App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn._sync.managers.many.PAGE", 1)
    monkeypatch.setattr("adjourn.cli.progress.GLANCE", 0.001)
    app.tasks["mail"].batch_defer(*[{"to": "a"}] * 25)
    capsys.readouterr()
    Shell(app, Screen(), is_quiet=True).do(["cancel", "queue=mail", "yes"])
    captured = capsys.readouterr()
    assert (captured.err, captured.out.split()[-2:]) == ("", ["25", "jobs"])


@pytest.mark.parametrize("command", ["show", "retry", "cancel", "abort"])
def test_a_job_that_does_not_exist_is_an_error(typed: Typed, command: str) -> None:
    with pytest.raises(adjourn.exceptions.AdjournException, match="There is no job 987654321"):
        typed(f"{command} 987654321")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("dance", "there is no command 'dance'. These are: list_jobs"),
        ("list_jobs colour=red", "'colour=red' is not a filter of this command. It takes id="),
        ("list_queues details", "'details' is not a filter"),
        ("list_locks live_only=perhaps", "live_only='perhaps' is neither yes"),
        ("list_schedules queue=a", "It takes none"),
        ("lst_jobs", "there is no command 'lst_jobs'; did you mean 'list_jobs'?"),
        ("list_jobs stauts=todo", "'stauts=todo' is not a filter of this command; did you mean 'status'?"),
        ("list_jobs limit=many", "limit='many' is not a whole number"),
        ("list_jobs limit=0", "limit=0: pass a whole number of one or more"),
        ("list_jobs after=x", "after='x' is not a whole number"),
        ("list_jobs id=-1", "id='-1' is out of range"),
        ("show 1 2", "write show ID"),
        ("retry", "write retry ID..."),
        ("retry 1 delay=5", "delay is for filters: write at=TIME"),
        ("retry task=mail delay=5 at=2030-01-01T00:00+00:00", "delay and at exclude each other"),
        ("change", "change what?"),
        ("change 1", "change what?"),
        ("change priority=1", "write change ID..."),
        ("change 1 priority=high", "priority='high' is not a whole number"),
        ("change 1 task=mail priority=1", "change takes the ids of jobs, or filters, and not both"),
        ("change 1 now=yes at=2030-01-01T00:00+00:00", "at and now exclude each other"),
        ("cancel one", "ID='one' is not a whole number"),
        ("list_jobs finished_after=yesterday", "is not a time"),
        ("set_limit", "write set_limit queue=NAME"),
        ("set_limit queue=a task=b concurrency=1", "write set_limit queue=NAME"),
        ("set_limit queue=mail", "set it to what? Write concurrency=NUMBER"),
        ("set_limit queue=mail rate=often", "rate='often': write NUMBER/SECONDS"),
        ("set_limit queue=mail rate=0/5", "rate='0/5': write NUMBER/SECONDS"),
        ("set_limit queue=mail concurrency=many", "concurrency='many' is not a whole number"),
        ("reset_limit", "write reset_limit queue=NAME"),
        ("list_workflows status=todo", "status='todo': pass one of running, succeeded"),
        ("show_workflow", "write show_workflow ID"),
        ("cancel_workflow", "write cancel_workflow ID"),
        ("cancel_workflow 1 abort=perhaps", "abort='perhaps' is neither yes"),
        ("retry_workflow 1 2", "write retry_workflow ID"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(typed: Typed, line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        typed(line)


def test_help_names_every_command(typed: Typed) -> None:
    text = str(typed("help"))
    assert all(name.removeprefix("on_") in text for name in vars(Shell) if name.startswith("on_"))


# The program


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    """The environment of a shell on the sample app."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ADJOURN_")}
    return {**inherited, "ADJOURN_APP": "sample_app.app", "SAMPLE_DSN": database}


def shell(environment: dict[str, str], *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the shell to its end."""
    return subprocess.run(
        [str(SCRIPT), "shell", *words],
        cwd=HERE,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_command_is_a_program_and_a_synchronous_connector_is_enough(environment: dict[str, str]) -> None:
    outcome = shell({**environment, "ADJOURN_APP": "sample_app.synchronous_app"}, "list_jobs", "queue=slow")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "(none)\n", "")


def test_one_command_may_be_one_word(environment: dict[str, str]) -> None:
    environment = {**environment, "ADJOURN_APP": "sample_app.synchronous_app"}
    assert shell(environment, "list_jobs 'queue=any other'").returncode == 0
    outcome = shell(environment, "list_jobs 'queue")
    assert (outcome.returncode, "quotation" in outcome.stderr) == (2, True)


def test_what_fails_exits_with_one_and_one_line(environment: dict[str, str]) -> None:
    outcome = shell(environment, "show", "987654321")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "adjourn: There is no job 987654321.\n"


def test_of_several_jobs_each_is_seen_to_and_each_failure_is_told(
    environment: dict[str, str], app: adjourn.App
) -> None:
    first, last = app.tasks["mail"].batch_defer({"to": "a"}, {"to": "b"})
    for command, done in (("cancel", "cancelled"), ("retry", "todo"), ("abort", "cancelled")):
        outcome = shell(environment, command, str(first), "987654321", "987654322", str(last))
        assert outcome.returncode == 1
        assert [line.split()[1] for line in outcome.stdout.splitlines()] == [str(first), str(last)]
        assert outcome.stderr == "adjourn: There is no job 987654321.\nadjourn: There is no job 987654322.\n"
        assert [job.status for job in app.job_manager.list_jobs()] == [done, done]


def test_what_makes_no_sense_exits_with_two(environment: dict[str, str]) -> None:
    outcome = shell(environment, "list_jobs", "colour=red")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr.splitlines()[-1].startswith("adjourn shell: error: 'colour=red' is not a filter")


def test_commands_are_read_from_a_file_and_one_that_fails_stops_none(environment: dict[str, str]) -> None:
    outcome = shell(environment, given="show 987654321\n\nlist_jobs queue='a b\nlist_jobs 'queue=a b'\nexit\nhelp\n")
    assert outcome.returncode == 1
    assert outcome.stdout == "(none)\n"
    assert outcome.stderr.splitlines() == ["adjourn: There is no job 987654321.", "adjourn: No closing quotation"]


def read_until_prompt(terminal: int) -> bytes:
    """What a program on a terminal says up to its prompt."""
    said = b""
    while not said.endswith(b"adjourn> "):
        assert select.select([terminal], [], [], 30)[0], said
        said += os.read(terminal, 4096)
    return said


def test_a_prompt_is_answered_until_the_end_of_the_input(environment: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "shell"], cwd=HERE, env=environment, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    try:
        said = b""
        for answer in (b"list_jobs\n", b"show 987654321\n", b"\x04"):
            said += read_until_prompt(leader)
            os.write(leader, answer)
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert process.returncode == 0
    assert b"`help` lists the commands" in said
    assert b"adjourn> " in said
    assert b"(none)" in said
    assert b"adjourn: There is no job 987654321." in said


def test_without_rich_the_message_names_the_extra(environment: dict[str, str], tmp_path: Path) -> None:
    blocked = tmp_path / "rich"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')")
    outcome = shell({**environment, "PYTHONPATH": str(tmp_path)}, "list_jobs")
    assert outcome.returncode == 1
    assert outcome.stderr == ('adjourn: The shell needs rich, which is not installed: pip install "adjourn[cli]"\n')


def test_jobs_that_match_filters_are_counted_and_then_changed(
    app: adjourn.App, typed: Typed, observer: psycopg.Connection
) -> None:
    ids = app.tasks["mail"].batch_defer({"to": "a"}, {"to": "b"}, {"to": "c"})
    for job_id in ids[:2]:
        fail(observer, job_id)
    assert typed("cancel task=mail error=address") == [
        ["2", "jobs", "with", "these", "filters:", "add", "yes", "to", "cancel", "them"]
    ]
    assert typed("cancel task=mail error=address limit=1") == [
        [
            "2",
            "jobs",
            "with",
            "these",
            "filters,",
            "of",
            "which",
            "1",
            "would",
            "be",
            "changed:",
            "add",
            "yes",
            "to",
            "cancel",
            "them",
        ]
    ]
    assert typed("cancel task=mail error=address yes") == [["Cancelled:", "2", "jobs"]]
    assert typed("retry task=mail") == [["0", "jobs", "with", "these", "filters:", "add", "yes", "to", "retry", "them"]]
    assert typed("retry status=cancelled limit=1 delay=60 yes") == [["Run", "again:", "1", "job"]]
    assert app.job_manager.get_job_status(ids[0]) == "todo"
    assert typed("delete status=cancelled finished_after=2001-01-01T00:00+00:00 yes") == [["Deleted:", "1", "job"]]
    assert typed("cancel " + str(ids[2]))
    assert typed(f"delete {ids[2]}") == [f"Job {ids[2]} is deleted".split()]
    with pytest.raises(adjourn.AdjournException, match="is todo, and is not deleted"):
        typed(f"delete {ids[0]}")
    with pytest.raises(UsageError, match="is not a time"):
        typed("delete finished_before=yesterday")
    with pytest.raises(UsageError, match="'colour=red' is not a filter"):
        typed("retry colour=red")
    with pytest.raises(UsageError, match=r"add the offset from UTC, as in 2030-01-01T00:00:00\+00:00$"):
        typed("retry finished_before=2030-01-01")


def test_show_says_what_a_job_waits_for(app: adjourn.App, typed: Typed) -> None:
    mail = app.tasks["mail"]
    ready = mail.defer(to="a")
    locked = mail.configure(lock="a lock of its own").defer(to="b")
    scheduled = mail.configure(schedule_in={"hours": 1}).defer(to="c")
    ended = mail.defer(to="d")
    app.job_manager.cancel_job_by_id(ended)
    for job_id, reason in ((ready, "worker"), (locked, "lock"), (scheduled, "time"), (ended, "-")):
        assert ["waits_for", reason] in typed(f"show {job_id}")


def test_sensitive_arguments_are_hidden(app: adjourn.App, typed: Typed) -> None:
    @app.task(name="transfer", queue="money", sensitive=["to"])
    def transfer(to: str) -> None: ...

    job_id = transfer.defer(to="DE02120300")
    for command in ("list_jobs details", f"show {job_id}"):
        told = " ".join(" ".join(row) for row in typed(command))
        assert "***" in told
        assert "DE02120300" not in told


def test_waiting_jobs_are_changed_by_their_ids_and_by_filters(app: adjourn.App, typed: Typed) -> None:
    ids = [app.configure_task("mail", queue="mail").defer(to=str(number)) for number in range(3)]

    def jobs() -> list[tuple[int, str, object]]:
        found = {job.id: job for job in app.job_manager.list_jobs()}
        return [
            (job.priority, job.queue, at and at.year) for job in map(found.get, ids) if job for at in [job.scheduled_at]
        ]

    assert typed("change queue=mail priority=-5 move_to=slow") == [
        ["3", "jobs", "with", "these", "filters:", "add", "yes", "to", "change", "them"]
    ]
    assert jobs() == [(0, "mail", None)] * 3
    assert typed("change queue=mail priority=-5 move_to=slow yes") == [["Changed:", "3", "jobs"]]
    assert jobs() == [(-5, "slow", None)] * 3
    assert typed(f"change {ids[0]} {ids[1]} at=2100-01-31T12:00+01:00") == [
        f"Job {each} is changed".split() for each in ids[:2]
    ]
    assert typed(f"change {ids[0]} now=yes") == [f"Job {ids[0]} is changed".split()]
    assert jobs() == [(-5, "slow", None), (-5, "slow", 2100), (-5, "slow", None)]
    app.job_manager.cancel_jobs(ids)
    with pytest.raises(adjourn.AdjournException, match=f"Job {ids[0]} is cancelled.*only jobs that wait"):
        typed(f"change {ids[0]} priority=1")
    assert typed("retry status=cancelled at=2100-01-31T12:00+01:00 yes") == [["Run", "again:", "3", "jobs"]]
    app.job_manager.cancel_jobs(ids)
    typed(f"retry {ids[2]} at=2101-01-31T12:00+01:00")
    assert [year for _, _, year in jobs()] == [2100, 2100, 2101]


def test_the_audit_has_what_was_typed_and_by_whom(app: adjourn.App, typed: Typed) -> None:
    ids = [app.tasks["mail"].defer(to="a") for _ in range(3)]
    typed("pause queue=mail reason=maintenance")
    typed("resume queue=mail")
    typed("set_limit queue=mail concurrency=3")
    typed("reset_limit queue=mail")
    typed(f"change {ids[0]} priority=4")
    typed(f"cancel {ids[0]}")
    typed(f"retry {ids[0]}")
    typed("cancel queue=mail")  # it only counts
    typed("cancel queue=mail yes")
    notes = app.job_manager.actions.list_audit()
    user, at, host = notes[0].author.name.partition("@")
    assert user
    assert (at, host) == ("@", socket.gethostname())
    assert {(note.author.name, note.author.how) for note in notes} == {(notes[0].author.name, "shell")}
    bulk, *others = notes
    assert (bulk.action, bulk.jobs, bulk.filter) == ("bulk.cancel", 3, {"statuses": ["todo"], "queue": "mail"})
    assert (bulk.target or "").startswith("bulk ")
    assert [(note.action, note.target) for note in reversed(others)] == [
        ("queue.pause", "mail"),
        ("queue.resume", "mail"),
        ("limit.set", "queue mail"),
        ("limit.reset", "queue mail"),
        *((f"job.{action}", str(ids[0])) for action in ("priority", "cancel", "retry")),
    ]


def test_who_has_no_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def getuser() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", getuser)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert authors.author() == Author(name=f"4711@{socket.gethostname()}", how="shell")


@pytest.mark.parametrize("line", ["retry {id}", "retry queue=mail yes", "change {id} at=2101-01-31T12:00+01:00"])
def test_who_wants_a_job_to_run_is_told_of_the_pause_that_keeps_it(app: adjourn.App, typed: Typed, line: str) -> None:
    job_id = app.tasks["mail"].configure(queue="mail").defer(to="ann")
    if line.startswith("retry"):
        app.job_manager.cancel_job_by_id(job_id)
        line = line.replace("yes", "status=cancelled yes")
    app.job_manager.pause_queue("mail")
    app.job_manager.pause_queue("others")
    app.job_manager.pause_task("mail", seconds=3600)
    told = typed(line.format(id=job_id))
    assert " ".join(told[-1]) == (
        "Queue mail is paused: no job of it starts until it is resumed. "
        "Task mail is paused: no job of it starts until the pause ends."
    )
    assert len(typed(f"change {job_id} priority=3")) == 1


def test_the_pauses_that_keep_many_jobs_are_found_by_one_look(
    app: adjourn.App, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = app.tasks["mail"].configure(queue="mail").batch_defer(*({"to": "ann"} for _ in range(20)))
    app.job_manager.pause_queue("mail")
    looks = 0
    list_jobs, search_jobs = JobManager.list_jobs, JobManager.search_jobs

    def counting(find: Any) -> Any:
        def look(*arguments: Any, **options: Any) -> Any:
            nonlocal looks
            looks += 1
            return find(*arguments, **options)

        return look

    monkeypatch.setattr(JobManager, "list_jobs", counting(list_jobs))
    monkeypatch.setattr(JobManager, "search_jobs", counting(search_jobs))
    told = typed(f"change {' '.join(map(str, ids))} now=yes")
    assert " ".join(told[-1]) == "Queue mail is paused: no job of it starts until it is resumed."
    assert looks == 1


def test_queues_and_tasks_are_paused_and_resumed(app: adjourn.App, typed: Typed) -> None:
    assert typed("pause queue=mail") == [["Queue", "mail", "is", "paused"]]
    assert typed("pause queue=mail task=clean") == [
        ["Queue", "mail", "is", "paused", "already"],
        ["Task", "clean", "is", "paused"],
    ]
    assert [row[:2] for row in typed("list_pauses")[1:]] == [["queue", "mail"], ["task", "clean"]]
    assert typed("resume queue=mail") == [["Queue", "mail", "is", "resumed"]]
    assert typed("resume queue=mail") == [["Queue", "mail", "is", "not", "paused"]]
    with pytest.raises(UsageError, match="resume what"):
        typed("resume")
    assert typed("pause queue=mail for=7200 reason=maintenance") == [["Queue", "mail", "is", "paused", "for", "2", "h"]]
    assert {"mail", "maintenance", authors.author().name} <= set(" ".join(typed("list_pauses")[1]).split())
    assert typed("pause task=mail until=2101-01-31T12:00+01:00")[0][:5] == ["Task", "mail", "is", "paused", "until"]
    with pytest.raises(UsageError, match="exclude each other"):
        typed("pause queue=mail for=3600 until=2101-01-31T12:00+01:00")
    for wrong in ("for=-1", "for=0", "for=long", "until=tomorrow", "until=2101-01-31", "until=2001-01-31T12:00+01:00"):
        with pytest.raises(UsageError, match=wrong.partition("=")[0]):
            typed(f"pause queue=mail {wrong}")
    with pytest.raises(UsageError, match="not a filter of this command"):
        typed("resume queue=mail for=5")
    typed("resume queue=mail task=mail")
    assert typed("pause schedule=clean") == [["Schedule", "clean", "(nightly)", "is", "paused"]]
    assert typed("list_pauses")[1][:2] == ["schedule", "clean"]
    (done, kept) = typed("resume schedule=clean periodic_id=nightly")
    assert done == ["Schedule", "clean", "(nightly)", "is", "resumed"]
    assert " ".join(kept) == "Task clean is paused: no job of it starts until it is resumed."
    typed("resume task=clean")
    assert typed("resume schedule=clean") == [["Schedule", "clean", "(nightly)", "is", "not", "paused"]]
    with pytest.raises(
        adjourn.AdjournException, match=r"Task mail has no schedule with periodic_id='x': .*list_schedules"
    ):
        typed("pause schedule=mail periodic_id=x")
    app.job_manager.set_limit(queue="mail", concurrency=3, rate=adjourn.Rate(10, 60))
    assert typed("list_limits")[1][:2] == ["queue", "mail"]
    assert "10 in 60 s" in " ".join(typed("list_limits")[1])


def test_jobs_are_listed_by_their_error_and_by_when_they_ended(
    app: adjourn.App, typed: Typed, observer: psycopg.Connection
) -> None:
    first, second, third = app.tasks["mail"].batch_defer({"to": "a"}, {"to": "b"}, {"to": "c"})
    fail(observer, first)
    fail(observer, second)
    app.job_manager.cancel_jobs([second, third])
    assert [row[0] for row in typed("list_jobs error=address")[1:]] == [str(first), str(second)]
    assert [row[0] for row in typed("list_jobs error=ValueError finished_after=2001-01-01T00:00+00:00")[1:]] == [
        str(second)
    ]
    assert [row[0] for row in typed("list_jobs finished_after=2001-01-01T00:00Z")[1:]] == [str(second), str(third)]
    assert typed("list_jobs finished_before=2001-01-01T00:00+00:00") == [["(none)"]]
    assert typed("list_jobs error=nothing") == [["(none)"]]


def test_limits_are_set_and_taken_back(app: adjourn.App, typed: Typed) -> None:
    assert typed("set_limit queue=mail concurrency=3 rate=10/60,100/3600") == [
        ["The", "limit", "of", "queue", "mail", "is", "set"]
    ]
    (_, row) = typed("list_limits")
    assert row[:3] == ["queue", "mail", "3"]
    assert "10 in 60 s, 100 in 3600 s" in " ".join(row)
    assert typed("set_limit queue=mail rate=none") == [["The", "limit", "of", "queue", "mail", "is", "set"]]
    assert typed("set_limit queue=mail rate=none") == [
        ["The", "limit", "of", "queue", "mail", "was", "set", "so", "already"]
    ]
    (limit,) = app.job_manager.list_limits()
    assert (limit.concurrency, limit.rate) == (3, ())
    assert typed("reset_limit queue=mail") == [
        ["The", "limit", "of", "queue", "mail", "is", "what", "programs", "declare"]
    ]
    assert typed("reset_limit queue=mail") == [["The", "limit", "of", "queue", "mail", "was", "not", "set"]]
    assert typed("set_limit name=tenants concurrency=2") == [["The", "limit", "tenants", "is", "set"]]


def test_workflows_are_seen_cancelled_and_retried(app: adjourn.App, typed: Typed) -> None:
    ids = []
    for name in ("import", "export"):
        flow = app.workflow(name)
        flow.map(app.tasks["mail"], [{"to": "a"}, {"to": "b"}])
        ids.append(flow.defer().id)
    first, second = ids
    header, *rows = typed("list_workflows")
    assert header[:7] == ["id", "name", "status", "jobs", "remaining", "failed", "cancelled"]
    assert [row[:7] for row in rows] == [
        [str(second), "export", "running", "2", "2", "0", "0"],
        [str(first), "import", "running", "2", "2", "0", "0"],
    ]
    assert typed("list_workflows limit=1")[-1] == f"There are more: add after={second}".split()
    assert [row[0] for row in typed(f"list_workflows after={second}")[1:]] == [str(first)]
    assert typed(f"cancel_workflow {first}") == [f"Workflow {first} is cancelled, with 2 jobs".split()]
    assert [row[0] for row in typed("list_workflows status=cancelled")[1:]] == [str(first)]
    shown = typed(f"show_workflow {first}")
    assert ["status", "cancelled"] in shown
    assert shown[-1] == f"Its jobs: list_jobs workflow_id={first}".split()
    assert typed(f"retry_workflow {first}") == [f"Workflow {first}: 2 jobs run again".split()]
    assert typed("list_workflows status=cancelled") == [["(none)"]]
    assert typed(f"cancel_workflow {first} abort=yes")[0][2:4] == ["is", "cancelled,"]
    done = app.workflow().defer().id
    assert typed(f"cancel_workflow {done}") == [f"Workflow {done} has succeeded already".split()]
    for command in ("show_workflow", "cancel_workflow", "retry_workflow"):
        with pytest.raises(adjourn.AdjournException, match="There is no workflow 987654321"):
            typed(f"{command} 987654321")
