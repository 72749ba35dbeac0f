"""What a monitor has read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from adjourn.types import Row


@attrs.frozen(kw_only=True)
class QueueFigures:
    """A queue with jobs that are ready or run, or could be ready if a worker were there.

    Attributes
    ----------
    name
        The queue.
    ready, running
        How many jobs could run now, and how many run, among those that were looked at.
    is_capped
        Whether it has more jobs than were looked at.
    latency
        For how many seconds the oldest job could have run that does not; also one that is due, or has a free lock, and that no worker has made
        ready. 0 while the queue is paused.
    workers
        How many live workers serve it.
    is_paused
        Whether it is paused.
    """

    name: str
    ready: int
    running: int
    is_capped: bool
    latency: float
    workers: int
    is_paused: bool


def latencies(ready: Iterable[Row], late: Iterable[Row]) -> dict[str, float]:
    """Return for how long the oldest job of each queue could have run that does not.

    Parameters
    ----------
    ready
        The rows of ``latency``: jobs that are ready.
    late
        Those of ``late``: jobs that no worker has made ready.
    """
    found: dict[str, float] = {}
    for row in (*ready, *late):
        found[row["queue"]] = max(found.get(row["queue"], 0.0), row["latency"])
    return found


@attrs.frozen(kw_only=True)
class WaitFigures:
    """Jobs that wait for something else than a worker.

    Attributes
    ----------
    kind
        What they wait for: ``"scheduled"``, ``"lock"``, ``"task"`` (a worker that knows it) or ``"turn"`` (to run apart).
    jobs
        How many there are, among those that were looked at.
    is_capped
        Whether there are more.
    """

    kind: str
    jobs: int
    is_capped: bool


@attrs.frozen(kw_only=True)
class WorkerFigures:
    """A worker.

    Attributes
    ----------
    id, name, queues
        The worker; queues is None for all.
    is_alive, is_idle, is_ending
        Whether its last heartbeat is young enough, whether it waits for jobs, and whether it takes no more: it was stopped, or runs its last jobs.
    silence, age
        Seconds since its last heartbeat, and since it has registered.
    running
        How many of the running jobs that were looked at are its own.
    overdue
        How many of its jobs were asked to end and have not.
    """

    id: int
    name: str
    queues: list[str] | None
    is_alive: bool
    is_idle: bool
    is_ending: bool
    silence: float
    age: float
    running: int
    overdue: int


@attrs.frozen(kw_only=True)
class RunningJob:
    """A job that runs.

    Attributes
    ----------
    id, queue, task, lock, attempt
        The job, and the number of this attempt, from one.
    worker_id
        Its worker.
    seconds
        For how long it has been running.
    is_aborted
        Whether somebody has asked it to end.
    """

    id: int
    queue: str
    task: str
    lock: str | None
    attempt: int
    worker_id: int
    seconds: float
    is_aborted: bool


@attrs.frozen(kw_only=True)
class TaskFigures:
    """What became of the latest jobs of a task, those of the last hour.

    Attributes
    ----------
    name
        The task.
    ended, failed, given_up
        How many jobs have ended, how many of them failed, and how many were cancelled or aborted.
    seconds, longest
        How long their last runs took, on average and at most.
    """

    name: str
    ended: int
    failed: int
    given_up: int
    seconds: float
    longest: float


@attrs.frozen(kw_only=True)
class Rates:
    """What happened a second between two looks.

    Attributes
    ----------
    deferred, ended
        How many jobs were stored, and how many have ended, a second.
    """

    deferred: float
    ended: float


@attrs.frozen(kw_only=True)
class Snapshot:
    """What a monitor has seen at one time.

    Attributes
    ----------
    database, version, clock
        The database, the server's release, and its time in UTC.
    rates
        What happened since the last look; None for the first one.
    queues, waits, workers, running, tasks
        The figures, each a list.
    tables
        The tables of adjourn, the largest first: ``name``, ``bytes``, ``rows`` and ``dead`` (both estimates), and ``vacuumed``, how
        many seconds ago.
    oldest_transaction
        For how many seconds the oldest transaction of this database has been open; None if there is none, or none that may be seen.
    """

    database: str
    version: str
    clock: str
    rates: Rates | None
    queues: list[QueueFigures]
    waits: list[WaitFigures]
    workers: list[WorkerFigures]
    running: list[RunningJob]
    tasks: list[TaskFigures]
    tables: list[dict[str, Any]]
    oldest_transaction: float | None

    @property
    def latency(self) -> float:
        """For how many seconds the oldest job could have run that does not."""
        return max((queue.latency for queue in self.queues), default=0.0)
