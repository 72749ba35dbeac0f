"""The events of workers, of their connections, and of their upkeep."""

from __future__ import annotations

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.upkeep import BlockingSession, DeadWorker
from adjourn.events.subscriptions import Event


@attrs.frozen(kw_only=True)
class WorkerIdentity:
    """Identifies a worker.

    Attributes
    ----------
    name
        The worker's name.
    id
        The worker's id in the database; 0 while it is not registered, and None if it never was.
    queues
        The queues that it serves; None for all.
    """

    name: str
    id: int | None
    queues: tuple[str, ...] | None


@attrs.frozen(kw_only=True)
class WorkerEvent(Event):
    """Something happened to a worker of this process.

    Attributes
    ----------
    worker
        The worker.
    """

    worker: WorkerIdentity


@attrs.frozen(kw_only=True)
class WorkerStarted(WorkerEvent):
    """A worker has registered, and begins to claim jobs.

    Attributes
    ----------
    concurrency
        How many jobs it runs at once.
    """

    concurrency: int


@attrs.frozen(kw_only=True)
class RetriesWithoutWait(WorkerEvent):
    """Tasks of a worker that has started retry failed jobs at once, because their ``retry`` is ``True`` or a number.

    It is told once in the life of an app.

    Attributes
    ----------
    task_names
        The names of the tasks.
    """

    task_names: tuple[str, ...]


@attrs.frozen(kw_only=True)
class LimitsHeldUp(WorkerEvent):
    """A worker has started without storing some of the limits that its app declares, because another transaction changes them and has not
    ended. It stores them when that has.

    Attributes
    ----------
    limits
        Which, such as ``"queue mail"``.
    """

    limits: tuple[str, ...]


@attrs.frozen(kw_only=True)
class WorkerStopping(WorkerEvent):
    """A worker runs no more jobs, and is about to hand back the jobs that it still has.

    Attributes
    ----------
    concurrency
        How many jobs it ran at once.
    """

    concurrency: int


@attrs.frozen(kw_only=True)
class WorkerStopped(WorkerEvent):
    """A worker has ended, and its connections are closed."""


@attrs.frozen(kw_only=True)
class WorkerDeclaredDead(WorkerEvent):
    """Other workers take over this worker's jobs, because its last heartbeat is too old. It registers again.

    Attributes
    ----------
    silence
        Seconds of silence after which a worker counts as dead.
    given_up
        How many running jobs it has given up.
    """

    silence: float
    given_up: int


@attrs.frozen(kw_only=True)
class OthersDeclaredDead(Event):
    """A worker of this process has declared others dead. They were killed, or only silent for too long: nobody can tell. If they had jobs,
    `JobsRescued` says what became of these.

    Attributes
    ----------
    died
        How many.
    workers
        The first five of them.
    """

    died: int
    workers: tuple[DeadWorker, ...]


@attrs.frozen(kw_only=True)
class HeartbeatFailed(WorkerEvent):
    """A worker could not send a heartbeat. It keeps trying.

    Attributes
    ----------
    error
        The error.
    failures
        How many times in a row.
    is_news
        Whether the log tells of it: the first failure, one of another kind, and one each minute.
    """

    error: BaseException
    failures: int
    is_news: bool


@attrs.frozen(kw_only=True)
class SlotsLost(WorkerEvent):
    """All slots of a worker are held by jobs that were asked to end and have not ended, so it runs no job. Told each
    minute.

    Attributes
    ----------
    slots
        How many jobs it runs at once.
    duration
        Seconds that this has lasted.
    ends_after
        Seconds after which the worker ends, its ``stuck_worker_timeout``; None for never.
    """

    slots: int
    duration: float
    ends_after: float | None


@attrs.frozen(kw_only=True)
class EventLoopBlocked(WorkerEvent):
    """A task does not let a worker's event loop turn, and so keeps other jobs waiting. Told once each time.

    Attributes
    ----------
    job
        The job that blocks the loop; None if something else does.
    patience
        The seconds for which it has not turned, at least.
    handed_back
        How many jobs the worker had claimed and not begun. They go back to their queues.
    stack
        Where the loop's thread is, as in a traceback.
    """

    job: Job | None
    patience: float
    handed_back: int
    stack: str


@attrs.frozen(kw_only=True)
class ConnectionLost(WorkerEvent):
    """The database did not serve a worker. The worker connects again.

    Attributes
    ----------
    error
        The error.
    failures
        How many times in a row.
    is_news
        Whether the log tells of it: the first failure, one of another kind, and one each minute.
    retry_in
        Seconds until it tries again.
    waiting
        How many outcomes of jobs wait to be stored.
    """

    error: BaseException
    failures: int
    is_news: bool
    retry_in: float
    waiting: int


@attrs.frozen(kw_only=True)
class ConnectionRestored(WorkerEvent):
    """The database serves a worker again.

    Attributes
    ----------
    duration
        Seconds for which it did not.
    """

    duration: float


@attrs.frozen(kw_only=True)
class UnregisteringFailed(WorkerEvent):
    """A worker has ended and could not tell the database. Another one will rescue its jobs.

    Attributes
    ----------
    error
        The error.
    waiting
        How many jobs are affected.
    unstored
        How many of them have ended. Their outcomes are not stored, so they run again.
    """

    error: BaseException
    waiting: int
    unstored: int


@attrs.frozen(kw_only=True)
class PartitionsNotMade(Event):
    """Another session has locked the table of finished jobs, so it got no partitions for the weeks ahead. A worker
    tries again later.

    Attributes
    ----------
    error
        The database's error.
    waits_for
        The sessions that use the table, the one with the oldest transaction first.
    """

    error: Exception
    waits_for: tuple[BlockingSession, ...] = ()
