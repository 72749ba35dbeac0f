"""The shell's output: tables of the database's content, with control characters escaped. Needs rich."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adjourn._domain.wording import shown
from adjourn.jobs import Job, Progress, Status
from adjourn.limits import LimitState, Pause
from adjourn.types import Row
from adjourn.worker import RegisteredWorker
from adjourn.workflows import WorkflowState

STYLES = {
    Status.DOING: "cyan",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
    Status.ABORTED: "yellow",
}
JOB_COLUMNS = (
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
)
JOB_DETAILS = (
    *("id", "status", "reason", "queue", "task_name", "task_kwargs", "priority", "lock", "queueing_lock", "attempts"),
    *(
        "worker_name",
        "worker_id",
        "overdue",
        "abort_requested",
        "scheduled_at",
        "enqueued_at",
        "started_at",
        "finished_at",
        "progress",
    ),
)
COUNT_COLUMNS = ("name", "jobs_count", "todo", "doing", "succeeded", "failed", "cancelled", "aborted")
WORKER_COLUMNS = ("id", "name", "queues", "started_at", "last_heartbeat_at", "alive", "running", "overdue")
WORKER_DETAILS = ("host", "pid", "version", "concurrency")
RUN_COLUMNS = ("worker_id", "worker_name", "id", "task_name", "queue", "started_at", "overdue")
SCHEDULE_COLUMNS = (
    *("task_name", "periodic_id", "cron", "timezone", "last_tick", "last_job_id", "next_tick", "paused_at", "seen_at"),
)
LIMIT_COLUMNS = ("scope", "name", "concurrency", "rates", "declared", "held", "waiting")
WORKFLOW_COLUMNS = (
    *("id", "name", "status", "jobs", "remaining", "failed", "cancelled", "is_open", "created_at", "finished_at"),
)
PAUSE_COLUMNS = ("scope", "name", "paused_at", "ends_at", "paused_by", "reason", "periodic_id")
UNBOUNDED = 100_000
"""The width of output that is not a terminal: a program that reads it needs each row on one line."""


class Screen:
    """Prints to standard output: as wide as the terminal or, if it is not a terminal, one line for each row."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else UNBOUNDED)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(shown(text)), soft_wrap=True)

    def jobs(self, jobs: Iterable[Job], *, details: bool) -> None:
        """Print jobs, one a row."""
        columns = JOB_DETAILS if details else JOB_COLUMNS
        rows = ([getattr(job, column) for column in columns] + [_last_error(job)] * details for job in jobs)
        self._table((*columns, "error") if details else columns, rows)

    def counts(self, rows: Iterable[Row]) -> None:
        """Print counts of jobs, as `JobManager.list_queues` and similar methods return them."""
        self._table(COUNT_COLUMNS, ([row[column] for column in COUNT_COLUMNS] for row in rows))

    def workers(self, workers: Iterable[RegisteredWorker]) -> None:
        """Print workers, one a row, with what each has said of itself."""
        rows = (
            [getattr(worker, column) for column in WORKER_COLUMNS]
            + [worker.details.get(column) for column in WORKER_DETAILS]
            for worker in workers
        )
        self._table((*WORKER_COLUMNS, *WORKER_DETAILS), rows)

    def runs(self, jobs: Iterable[Job]) -> None:
        """Print what workers run, one job a row."""
        self._table(RUN_COLUMNS, ([getattr(job, column) for column in RUN_COLUMNS] for job in jobs))

    def limits(self, limits: Iterable[LimitState]) -> None:
        """Print limits, one a row."""
        rows = (
            [_rates(limit) if column == "rates" else getattr(limit, column) for column in LIMIT_COLUMNS]
            for limit in limits
        )
        self._table(LIMIT_COLUMNS, rows)

    def workflows(self, flows: Iterable[WorkflowState]) -> None:
        """Print workflows, one a row."""
        rows = ([getattr(flow, column) for column in WORKFLOW_COLUMNS] for flow in flows)
        self._table(WORKFLOW_COLUMNS, rows)

    def workflow(self, flow: WorkflowState) -> None:
        """Print what is known of a workflow."""
        table = Table(box=None, show_header=False, pad_edge=False)
        for column in WORKFLOW_COLUMNS:
            table.add_row(Text(column, style="bold"), _cell(column, getattr(flow, column)))
        self._console.print(table)

    def pauses(self, pauses: Iterable[Pause]) -> None:
        """Print what is paused, one a row."""
        self._table(PAUSE_COLUMNS, ([getattr(pause, column) for column in PAUSE_COLUMNS] for pause in pauses))

    def schedules(self, rows: Iterable[Row]) -> None:
        """Print schedules of periodic tasks, as `JobManager.list_schedules` returns them."""
        self._table(SCHEDULE_COLUMNS, ([row.get(column) for column in SCHEDULE_COLUMNS] for row in rows))

    def job(self, job: Job, *, waits_for: str | None = None) -> None:
        """Print all that is known of a job, what it waits for, its result, and the errors of its attempts."""
        table = Table(box=None, show_header=False, pad_edge=False)
        for column in JOB_DETAILS:
            table.add_row(Text(column, style="bold"), _cell(column, getattr(job, column)))
            if column == "status":
                table.add_row(Text("waits_for", style="bold"), _cell("waits_for", waits_for))
        if job.has_result:
            table.add_row(
                Text("result", style="bold"), Text(shown(json.dumps(job.result, ensure_ascii=False, default=str)))
            )
        self._console.print(table)
        for error in job.errors:
            self._error(error)

    def usage(self, lines: Sequence[tuple[str, str]]) -> None:
        """Print the commands, and what they do."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for command, text in lines:
            table.add_row(Text(command, style="bold"), Text(text))
        self._console.print(table)

    def _error(self, error: Mapping[str, Any]) -> None:
        times = " to ".join(_time(str(error[name])) for name in ("started_at", "ended_at") if error.get(name))
        which = f"Attempt {error.get('attempt', '?')}" if error.get("started_at") else "Not begun"
        heading = f"{which}, {times}: {error.get('exception')}: {error.get('message')}"
        self._console.print()
        self._console.print(Text(shown(heading), style="red"), soft_wrap=True)
        if trace := error.get("traceback"):
            self._console.print(Text(shown(str(trace).rstrip())), soft_wrap=True)

    def _table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        table = Table(box=box.SIMPLE_HEAD if self._console.is_terminal else None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(column, value) for column, value in zip(columns, row, strict=True)))
        self._console.print(table if table.row_count else Text("(none)"))


def _cell(column: str, value: Any) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, datetime.datetime):
        return Text(value.astimezone().isoformat(" ", "seconds"))
    if isinstance(value, Progress):
        return Text(shown(_progress(value)))
    if column == "status":
        # A workflow has statuses of its own.
        return Text(str(value), style=STYLES.get(Status.DOING if value == "running" else Status(value), ""))
    if isinstance(value, str):
        return Text(shown(value))
    return Text(shown(json.dumps(value, ensure_ascii=False, default=str)))


def _progress(progress: Progress) -> str:
    """Return how far a job has come, such as ``30 of 200 (15 %): writing``."""
    text = f"{progress.current:g}"
    if progress.total is not None:
        share = f" ({progress.current / progress.total:.0%})" if progress.total > 0 else ""
        text += f" of {progress.total:g}{share}"
    return text if progress.message is None else f"{text}: {progress.message}"


def _last_error(job: Job) -> str | None:
    """Return the class of the last error of a job, and the first line of its message."""
    if not job.errors:
        return None
    exception, message = (str(job.errors[-1].get(name) or "") for name in ("exception", "message"))
    return f"{exception}: {message.partition(chr(10))[0]}"


def _rates(limit: LimitState) -> str | None:
    """Return rates such as ``10 in 1 s, 1000 in 3600 s``."""
    return ", ".join(f"{rate.limit} in {rate.period:g} s" for rate in limit.rate) or None


def _time(text: str) -> str:
    try:
        return datetime.datetime.fromisoformat(text).astimezone().isoformat(" ", "seconds")
    except ValueError:
        return text
