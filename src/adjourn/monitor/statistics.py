"""What has become of jobs in the past, and how long that took: what workers have counted, by queue, task and time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import attrs

from adjourn._domain.checks import check_filter, check_flag
from adjourn._domain.statistics import BUCKETS, RUN_BOUNDS, WAIT_BOUNDS, Durations
from adjourn._domain.time_checks import check_aware
from adjourn.exceptions import InvalidOption
from adjourn.monitor.reader import Reader

KEPT_BY_MINUTE = datetime.timedelta(hours=2)
KEPT_BY_TEN_MINUTES = datetime.timedelta(days=2)
KEPT_BY_HOUR = datetime.timedelta(days=14)
"""Younger statistics are kept by the minute, by ten minutes, and by the hour; the others by the day, for 90 days."""
MOST_POINTS = 2_000
"""A range has so many periods at most."""
MOST_ROWS = 20_000
"""So many rows are read at most: the earliest ones."""


@attrs.frozen(kw_only=True)
class PeriodFigures:
    """What has become of jobs in one period of time.

    Attributes
    ----------
    at
        When it begins, in UTC.
    seconds
        How long it is: what was asked for or, further back than that is kept, longer.
    queue, task
        Whose jobs these are; None if those of all were added up.
    jobs
        How many, by what became of them: ``"succeeded"``, ``"failed"``, ``"aborted"`` and ``"cancelled"`` have ended; ``"retried"``,
        ``"returned"`` (handed back by a worker that stopped), ``"suspended"`` (sleep, or wait for an event) and ``"rescued"``
        (their workers died) have not. An outcome that no job had is absent.
    run
        How long their runs took.
    wait
        How long they waited before these runs, from when they were deferred or due.
    """

    at: datetime.datetime
    seconds: float
    queue: str | None
    task: str | None
    jobs: Mapping[str, int]
    run: Durations
    wait: Durations

    @property
    def ended(self) -> int:
        """How many jobs have ended, in whatever way."""
        return sum(self.jobs.get(name, 0) for name in ("succeeded", "failed", "aborted", "cancelled"))

    @property
    def ended_a_second(self) -> float:
        """How many jobs have ended a second, on average."""
        return self.ended / self.seconds

    @property
    def failed_share(self) -> float | None:
        """Which part of the jobs that have succeeded or failed has failed, from 0 to 1; None if there are none."""
        failed, succeeded = self.jobs.get("failed", 0), self.jobs.get("succeeded", 0)
        return failed / (failed + succeeded) if failed + succeeded else None


def statistics(
    reader: Reader,
    *,
    start: datetime.datetime,
    end: datetime.datetime | None = None,
    step: float | None = None,
    queue: str | None = None,
    task: str | None = None,
    by_queue: bool = False,
    by_task: bool = False,
) -> list[PeriodFigures]:
    """Read what has become of jobs, in the order of time, then of queues, then of tasks. Periods without any are absent.

    A worker stores what it has counted every ten seconds, so the latest period is not complete. One that is killed loses what it has
    not stored; a worker with ``statistics=False`` stores nothing.

    Parameters
    ----------
    reader
        Reads from the database, in the folder ``"monitor"``.
    start, end
        The range of time. The start is rounded down to a period that is kept: minutes of the last two hours, ten minutes of the last
        two days, hours of the last two weeks, days before. Default of the end: the time in a minute, by this computer's clock.
    step
        How long each period is, in seconds, from the start on; 60 or more. One that is longer than the range gives the sum of all.
        Default: the period that is kept of the time of the start, or a multiple of it where that were too many.
    queue, task
        Only the jobs of this queue, of this task. Default: None, all.
    by_queue, by_task
        Tell queues, or tasks, or pairs of them apart. Default: False, added up.

    Raises
    ------
    InvalidOption
        If an argument is not valid, or there were more than 2,000 periods.
    ConnectorException
        If the database refuses, or does not answer in two seconds.

    Examples
    --------
    The rate of a queue in each minute of the last hour, and how long 95 % of the jobs of each task took at most in that time::

        hour = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        rates = [(each.at, each.ended_a_second) for each in statistics(reader, start=hour, queue="mail")]
        tasks = statistics(reader, start=hour, step=7200, by_task=True)
        slow = {each.task: each.run.percentile(95) for each in tasks}
    """
    check_aware("start", start)
    now = datetime.datetime.now(datetime.UTC)
    if end is None:
        end = now + datetime.timedelta(minutes=1)
    else:
        check_aware("end", end)
    check_filter("queue", queue)
    check_filter("task", task)
    check_flag("by_queue", by_queue)
    check_flag("by_task", by_task)
    if end <= start:
        raise InvalidOption(f"end={end!r}: pass a time after the start, {start.isoformat()}.")
    age = now - start
    kept = (
        60 if age <= KEPT_BY_MINUTE else 600 if age <= KEPT_BY_TEN_MINUTES else 3600 if age <= KEPT_BY_HOUR else 86400
    )
    began = start.timestamp() // kept * kept
    step = _step(step, kept, end.timestamp() - began)
    rows = reader.rows(
        "statistics",
        start=began,
        end=end.timestamp(),
        step=step,
        queue=queue,
        task=task,
        by_queue=by_queue,
        by_task=by_task,
        most=MOST_ROWS,
    )
    found: dict[tuple[float, str | None, str | None], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["at"], row["queue"], row["task"]), []).append(row)
    return [_figures(at, queue, task, step, of_one) for (at, queue, task), of_one in found.items()]


def _step(step: float | None, kept: int, seconds: float) -> float:
    """Return how long each period is."""
    if step is None:
        return kept * max(1, -(-seconds // (kept * MOST_POINTS)))
    if isinstance(step, bool) or not isinstance(step, int | float) or not step >= 60:  # not a number is not at least 60
        raise InvalidOption.no_seconds("step", step, "a number of seconds, 60 or more")
    if seconds / step > MOST_POINTS:
        raise InvalidOption(
            f"step={step!r}: that makes more than {MOST_POINTS:,} periods; pass more seconds, or a shorter range."
        )
    return step


def _figures(at: float, queue: str | None, task: str | None, step: float, rows: list[dict[str, Any]]) -> PeriodFigures:
    run = Durations(seconds=0.0, counts=[0] * BUCKETS, bounds=RUN_BOUNDS)
    wait = Durations(seconds=0.0, counts=[0] * BUCKETS, bounds=WAIT_BOUNDS)
    for row in rows:
        if row["run_counts"][0] is not None:  # what no worker has counted took no time
            run += Durations(seconds=row["run_seconds"], counts=row["run_counts"], bounds=RUN_BOUNDS)
            wait += Durations(seconds=row["wait_seconds"], counts=row["wait_counts"], bounds=WAIT_BOUNDS)
    return PeriodFigures(
        at=datetime.datetime.fromtimestamp(at, datetime.UTC),
        seconds=max(step, *(row["longest"] for row in rows)),
        queue=queue,
        task=task,
        jobs={row["outcome"]: row["jobs"] for row in rows},
        run=run,
        wait=wait,
    )
