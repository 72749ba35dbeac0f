"""``adjourn shell``: look at jobs, and retry, cancel or abort them, at a prompt or with one command."""

from __future__ import annotations

import argparse
import cmd
import datetime
import shlex
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from adjourn._domain.checks import ORDERS, WAITS_FOR
from adjourn._domain.spelling import hint
from adjourn.app import App
from adjourn.cli import applications, flags, grammar
from adjourn.cli.changes import Changes, complain
from adjourn.cli.doubts import doubt
from adjourn.cli.grammar import (
    COUNT_FILTERS,
    DEFAULT_LIMIT,
    LISTED,
    PAGING,
    PAUSE_OPTIONS,
    PAUSED,
    USAGES,
    UsageError,
)
from adjourn.cli.limits import LimitCommands
from adjourn.cli.pauses import switch, switch_schedules
from adjourn.cli.progress import add_quiet
from adjourn.cli.workflows import WorkflowCommands
from adjourn.exceptions import AdjournException
from adjourn.jobs import Job, JobCounts, Status
from adjourn.limits import Scope
from adjourn.types import Row

if TYPE_CHECKING:
    from adjourn.cli.tables import Screen

HELP = "look at jobs, retry, change, cancel, abort and delete them; and at workflows and limits"
DESCRIPTION = """\
Look at jobs; retry, change, cancel, abort or delete them. Look at workflows and limits, and change them. With COMMAND, the shell runs that one command and exits. Without, it asks for
commands until `exit` or the end of the input.
"""
EPILOG = """\
commands:
{commands}

A filter is written queue=mail, with quotes if the value contains blanks. A status is one of {statuses}; a job
waits for one of {reasons}, where task is a worker that knows its task. live_only=yes leaves out jobs that have ended.

`retry`, `change`, `cancel` and `delete` with filters only count the jobs that match, until you add yes. Without a status, the jobs that
failed match. error=Timeout is in the class or the message of the last error; finished_after=2030-12-31T23:59+01:00 is a time with its
offset from UTC, and so is at=..., before which the jobs do not run; delay and for are seconds, or a time such as 10m or 1h30m. `change` gives jobs that wait another priority=5,
another queue by move_to=slow, another time by at=..., or has them run at once by now=yes.

A workflow is running, succeeded, failed or cancelled. A rate is NUMBER/SECONDS, as in rate=10/60, or several: rate=10/1,1000/3600. What
set_limit sets holds until reset_limit, whatever programs declare.

A list shows {limit} rows. limit=NUMBER shows more or fewer; after=VALUE, with the first column of the last row that you
saw, shows the rows that follow.

examples:
  adjourn shell list_jobs queue=mail status=failed details
  adjourn shell list_jobs order=due
  adjourn shell show 42
  adjourn shell retry 42 43
  adjourn shell retry task=shop.mail error=Timeout yes
  adjourn shell change queue=mail task=shop.news priority=-5 move_to=slow yes
  adjourn shell list_workflows status=failed
  adjourn shell set_limit queue=mail concurrency=5 rate=100/60
  adjourn shell pause queue=mail for=1h reason="the mail server is down"
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    width = max(len(usage) for usage, _ in grammar.usages())
    parser: flags.Parser = commands.add_parser(
        "shell",
        help=HELP,
        description=DESCRIPTION,
        epilog=EPILOG.format(
            commands="\n".join(f"  {usage:{width}}  {text}" for usage, text in grammar.usages()),
            limit=DEFAULT_LIMIT,
            reasons=", ".join(WAITS_FOR),
            statuses=", ".join(status.value for status in Status if status is not Status.ABORTING),
        ),
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument(
        "words", metavar="COMMAND", nargs="*", default=[], help="one of the commands below, with its arguments"
    )
    add_quiet(parser, "SHELL_QUIET")


def run(options: argparse.Namespace) -> int:
    """Run the one command, or read commands."""
    try:
        # Imported here, because rich comes with an extra.
        from adjourn.cli.tables import Screen
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        raise AdjournException('The shell needs rich, which is not installed: pip install "adjourn[cli]"') from error
    app = applications.load_with_tasks(options)
    with app.open():
        shell = Shell(app, Screen(), is_quiet=getattr(options, "quiet", False))
        if not options.words:
            return shell.ask()
        try:
            shell.do(grammar.split(options.words))
        except UsageError as error:
            options.parser.error(str(error))
    return 0


class Shell(Changes, LimitCommands, WorkflowCommands, cmd.Cmd):
    """The commands, one method each, named after `USAGES`.

    Parameters
    ----------
    app
        An open app.
    screen
        Prints the answers.
    is_quiet
        Whether not to say how far something is that takes long.
    """

    def __init__(self, app: App, screen: Screen, *, is_quiet: bool = False) -> None:
        super().__init__(app, screen, is_quiet=is_quiet)
        self._failed = False
        self._interactive = sys.stdin.isatty()
        self.prompt = "adjourn> " if self._interactive else ""

    def ask(self) -> int:
        """Read commands until the end. Return 1 if one has failed and the input is not a terminal, else 0."""
        if self._interactive:
            self._screen.say("`help` lists the commands, `exit` or Ctrl-D ends.")
        while True:
            try:
                self.cmdloop()
            except KeyboardInterrupt:
                self._screen.say("")
            else:
                return 1 if self._failed and not self._interactive else 0

    def do(self, words: list[str]) -> bool:
        """Run one command, and return whether it was the last one.

        Raises
        ------
        UsageError
            If the command is invalid.
        """
        name, *arguments = words
        if name not in USAGES:
            raise UsageError(f"there is no command {name!r}{hint(name, USAGES)} These are: {', '.join(USAGES)}")
        for word in arguments if name not in ("pause", "set_limit", "reset_limit") else ():
            if word.startswith("task="):
                applications.doubt_task(self._app, word.removeprefix("task="))
        action: Callable[[list[str]], bool | None] = getattr(self, f"on_{name}")
        return bool(action(arguments))

    # What `cmd` calls

    def onecmd(self, line: str) -> bool:
        """Run a line; if it fails, print the reason in one line."""
        try:
            words = ["exit"] if line == "EOF" else shlex.split(line)
            return bool(words) and self.do(words)
        except (UsageError, ValueError, AdjournException) as error:
            self._failed = True
            complain(error)
        return False

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Complete a command's name."""
        return [name for name in USAGES if name.startswith(text)]

    def completedefault(self, *ignored: Any) -> list[str]:
        """Complete the names of filters, and the words for a status."""
        text, line = str(ignored[0]), str(ignored[1])
        known = LISTED if line.startswith("list_jobs") else COUNT_FILTERS
        if line.rpartition(" ")[2].startswith("status="):
            return [status.value for status in Status if status.value.startswith(text)]
        if line.rpartition(" ")[2].startswith("waits_for="):
            return [reason for reason in WAITS_FOR if reason.startswith(text)]
        if line.rpartition(" ")[2].startswith("order="):
            return [order for order in ORDERS if order.startswith(text)]
        return [f"{name}=" for name in (*known, *PAGING) if name.startswith(text)]

    # The commands

    def on_list_jobs(self, words: list[str]) -> None:
        """List jobs."""
        details = "details" in words
        given = grammar.filters([word for word in words if word != "details"], (*LISTED, *PAGING))
        limit = given.pop("limit", DEFAULT_LIMIT)
        after = grammar.number("after", str(given.pop("after", 0)))
        # Ask for one more than is shown, to know whether there are more.
        jobs = self._app.job_manager.list_jobs(**given, limit=limit + 1, after_id=after)
        self._screen.jobs([self._masked(job) for job in jobs[:limit]], details=details)
        self._hint(len(jobs) > limit, jobs[:limit][-1].id if jobs[:limit] else after)

    def on_list_queues(self, words: list[str]) -> None:
        """Count jobs by queue."""
        self._counts(self._app.job_manager.list_queues, words)

    def on_list_tasks(self, words: list[str]) -> None:
        """Count jobs by task."""
        self._counts(self._app.job_manager.list_tasks, words)

    def on_list_locks(self, words: list[str]) -> None:
        """Count jobs by lock."""
        self._counts(self._app.job_manager.list_locks, words)

    def on_list_workers(self, words: list[str]) -> None:
        """List the registered workers."""
        grammar.filters(words, ())
        manager = self._app.job_manager
        workers = manager.list_workers()
        self._screen.workers(workers)
        # As of their last heartbeats. Those that have ended since are left out.
        ids = [(worker.id, job_id) for worker in workers for job_id in worker.running_jobs]
        runs = [
            job
            for worker_id, job_id in ids[:DEFAULT_LIMIT]
            for job in manager.list_jobs(job_id, status="doing", worker_id=worker_id)
        ]
        if runs:
            self._screen.say("")
            self._screen.runs(runs)
        if len(ids) > DEFAULT_LIMIT:
            self._screen.say(f"They run {len(ids) - DEFAULT_LIMIT:,} more: list_jobs status=doing")

    def on_list_schedules(self, words: list[str]) -> None:
        """List the known schedules, and this app's schedules that never ran."""
        grammar.filters(words, ())
        rows: list[Row] = list(self._app.job_manager.list_schedules())
        known = {(row["task_name"], row["periodic_id"]) for row in rows}
        rows += [row for row in self._declared() if (row["task_name"], row["periodic_id"]) not in known]
        self._screen.schedules(sorted(rows, key=lambda row: (row["task_name"], row["periodic_id"])))

    def on_list_pauses(self, words: list[str]) -> None:
        """List what is paused."""
        grammar.filters(words, ())
        self._screen.pauses(self._app.job_manager.list_pauses())

    def on_pause(self, words: list[str]) -> None:
        """Pause queues, tasks and schedules."""
        given = grammar.filters(words, (*PAUSED, *PAUSE_OPTIONS))
        if "for" in given and "until" in given:
            raise UsageError("for and until exclude each other: write one of them")
        names = {"for": "seconds"}
        said = {names.get(name, name): given.pop(name) for name in PAUSE_OPTIONS if name in given}
        self._switch("pause", given, said)

    def on_resume(self, words: list[str]) -> None:
        """Resume queues, tasks and schedules."""
        self._switch("resume", grammar.filters(words, PAUSED), {})

    def _switch(self, command: str, given: dict[str, str], said: dict[str, Any]) -> None:
        schedule, periodic_id = given.pop("schedule", None), given.pop("periodic_id", None)
        if not given and schedule is None:
            raise UsageError(f"{command} what? Write queue=NAME, task=NAME or schedule=TASK")
        pause = command == "pause"
        if schedule is not None:
            for line in switch_schedules(self._app, schedule, periodic_id, said, pause=pause):
                self._screen.say(line)
        scopes: dict[str, Scope] = {"queue": "queue", "task": "task"}
        for scope, name in given.items():
            if pause:
                doubt(self._app, scopes[scope], name)
            self._screen.say(switch(self._changing, scopes[scope], name, said, pause=pause))

    def on_show(self, words: list[str]) -> None:
        """Show a job."""
        (job_id,) = grammar.ids_in("show", words, most=1)
        jobs = self._app.job_manager.list_jobs(id=job_id)
        if not jobs:
            raise AdjournException(f"There is no job {job_id}.")
        self._screen.job(self._masked(jobs[0]), waits_for=self._waits_for(jobs[0]))

    def on_help(self, words: list[str]) -> None:
        """List the commands."""
        self._screen.usage(grammar.usages())

    def on_exit(self, words: list[str]) -> bool:
        """End."""
        return True

    # Shared code

    def _counts(self, method: Callable[..., list[JobCounts]], words: list[str]) -> None:
        given = grammar.filters(words, (*COUNT_FILTERS, *PAGING))
        limit, after = given.pop("limit", DEFAULT_LIMIT), given.pop("after", "")
        # The database sorts names differently from Python: search for the name instead of comparing.
        rows = method(**given)
        names = [row["name"] for row in rows]
        rest = rows[names.index(after) + 1 :] if after in names else rows
        self._screen.counts(rest[:limit])
        self._hint(len(rest) > limit, rest[:limit][-1]["name"] if rest[:limit] else after)

    def _hint(self, more: bool, last: Any) -> None:
        if more:
            self._screen.say(f"There are more: add after={shlex.quote(str(last))}")

    def _waits_for(self, job: Job) -> str | None:
        """Return what a job waits for, in the words of the filter `waits_for`; None if it does not wait."""
        if job.status != Status.TODO:
            return None
        find = self._app.job_manager.list_jobs
        return next((reason for reason in WAITS_FOR if find(job.id, waits_for=reason)), None)

    def _masked(self, job: Job) -> Job:
        """Return a job without the values of arguments whose names look secret, or that it, or its task here, declares sensitive."""
        task = self._app.tasks.get(job.task_name)
        return job.masked(task.sensitive if task else ())

    def _declared(self) -> Iterable[Row]:
        now = datetime.datetime.now(datetime.UTC)
        for each in self._app.periodic_registry.periodic_tasks.values():
            yield {
                "task_name": each.task.name,
                "periodic_id": each.periodic_id,
                "cron": each.cron.expression,
                "timezone": each.cron.timezone,
                "next_tick": each.cron.next(now),
            }
