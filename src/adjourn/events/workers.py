"""The events of workers, of their connections, and of their upkeep."""

from __future__ import annotations

import attrs

from adjourn._domain.upkeep import BlockingSession
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
class HeartbeatFailed(WorkerEvent):
    """A worker could not send a heartbeat. It keeps trying.

    Attributes
    ----------
    error
        The error.
    failures
        How many times in a row.
    """

    error: Exception
    failures: int


@attrs.frozen(kw_only=True)
class ConnectionLost(WorkerEvent):
    """The database did not serve a worker. The worker connects again.

    Attributes
    ----------
    error
        The error.
    failures
        How many times in a row.
    retry_in
        Seconds until it tries again.
    waiting
        How many outcomes of jobs wait to be stored.
    """

    error: Exception
    failures: int
    retry_in: float
    waiting: int


@attrs.frozen(kw_only=True)
class ConnectionRestored(WorkerEvent):
    """The database serves a worker again."""


@attrs.frozen(kw_only=True)
class UnregisteringFailed(WorkerEvent):
    """A worker has ended and could not unregister. Another one will rescue its jobs.

    Attributes
    ----------
    error
        The error.
    waiting
        How many outcomes of jobs could not be stored.
    """

    error: Exception
    waiting: int


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
