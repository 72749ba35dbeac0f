"""What happens to workers, to their connections, and in what they do for all of them."""

from __future__ import annotations

import attrs

from adjourn.events.subscriptions import Event


@attrs.frozen(kw_only=True)
class WorkerIdentity:
    """Which worker it was.

    Attributes
    ----------
    name
        As it was given.
    id
        The number that the database knows it by; 0 while it is not registered, and None if it never was.
    queues
        Which it serves; None for all.
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
        Which one.
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
    """A worker runs no more jobs, and is about to give back whatever it still has.

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
    """Other workers take this one's jobs over, because they have not heard of it for too long. It registers anew.

    Attributes
    ----------
    silence
        Seconds of silence after which a worker counts as dead.
    given_up
        How many running jobs it has let go of.
    """

    silence: float
    given_up: int


@attrs.frozen(kw_only=True)
class HeartbeatFailed(WorkerEvent):
    """A worker could not give a sign of life. It goes on trying.

    Attributes
    ----------
    error
        Why.
    failures
        How often in a row.
    """

    error: Exception
    failures: int


@attrs.frozen(kw_only=True)
class ConnectionLost(WorkerEvent):
    """The database did not serve a worker. It connects again.

    Attributes
    ----------
    error
        Why.
    failures
        How often in a row.
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
    """A worker has ended and could not tell the database. Another one will rescue its jobs.

    Attributes
    ----------
    error
        Why.
    waiting
        How many outcomes of jobs could not be stored.
    """

    error: Exception
    waiting: int


@attrs.frozen(kw_only=True)
class PartitionsNotMade(Event):
    """Somebody holds the table of finished jobs, so it got no partitions for the weeks ahead. It is tried again.

    Attributes
    ----------
    error
        The database's error.
    """

    error: Exception
