"""Rows that lists return: dictionaries, whose values are also typed attributes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class Column(Generic[T_co]):
    """A column of a row, as an attribute of the name that it has in its class."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...

    @overload
    def __get__(self, row: Mapping[str, Any], owner: type) -> T_co: ...

    def __get__(self, row: Mapping[str, Any] | None, owner: type) -> Any:
        """Return the row's value."""
        return self if row is None else row[self._name]


class TypedRow(dict[str, Any]):
    """A row whose columns are attributes as well: ``row.name`` is ``row["name"]``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"


class JobCounts(TypedRow):
    """How many jobs a queue, a task or a lock has, with each status.

    Attributes
    ----------
    name : str
        The name of the queue or the task, or the lock.
    jobs_count : int
        How many jobs it has.
    todo, doing, succeeded, failed, cancelled, aborted : int
        How many of them have this status.
    """

    __slots__ = ()

    name: Column[str] = Column()
    jobs_count: Column[int] = Column()
    todo: Column[int] = Column()
    doing: Column[int] = Column()
    succeeded: Column[int] = Column()
    failed: Column[int] = Column()
    cancelled: Column[int] = Column()
    aborted: Column[int] = Column()


class RegisteredSchedule(TypedRow):
    """A schedule of a periodic task that has been due at least once.

    Attributes
    ----------
    task_name, periodic_id : str
        The task, and what tells several schedules of it apart.
    cron, timezone : str
        When it is due.
    last_tick : datetime.datetime
        The last tick that was deferred or skipped.
    last_job_id : int or None
        The job of that tick; None if it was skipped.
    seen_at : datetime.datetime
        When a worker last used the schedule, by the database's clock.
    next_tick : datetime.datetime or None
        When it is due next; None if that is not known, because its ``cron`` cannot be read here.
    paused_at : datetime.datetime or None
        Since when it is paused; None if it is not.
    """

    __slots__ = ()

    task_name: Column[str] = Column()
    periodic_id: Column[str] = Column()
    cron: Column[str] = Column()
    timezone: Column[str] = Column()
    last_tick: Column[datetime.datetime] = Column()
    last_job_id: Column[int | None] = Column()
    seen_at: Column[datetime.datetime] = Column()
    next_tick: Column[datetime.datetime | None] = Column()
    paused_at: Column[datetime.datetime | None] = Column()


class RegisteredWorker(TypedRow):
    """A worker that the database knows.

    Attributes
    ----------
    id : int
        Its number, which running jobs have as ``worker_id``.
    name : str
        Its name; several may have the same.
    queues : tuple of str, or None
        The queues that it serves; None for all.
    started_at : datetime.datetime
        When it registered, by the database's clock.
    last_heartbeat_at : datetime.datetime
        When it last gave a sign of life, by the database's clock.
    alive : bool
        Whether that is recent enough. The jobs of a worker that is not alive are about to be taken over.
    running : int
        How many jobs it has: those that run, and those that it has claimed to run next.
    overdue : int
        How many of them were asked to end, because they are past their ``timeout`` or somebody has asked to abort them, and
        had not ended at its last sign of life.
    running_jobs : tuple of int
        The ids of the jobs that ran at its last sign of life, a thousand at most.
    details : dict
        What else it said of itself then: ``host``, ``pid``, ``version`` (adjourn's), ``python``, ``concurrency``, ``buffered`` (jobs
        claimed that have not begun), ``outbox`` (outcomes not stored yet), ``listens`` (whether it hears notifications),
        ``exchanged_ago`` (seconds since its last round trip that succeeded), ``rss`` (bytes of memory) and ``ending`` (whether it was
        stopped, and takes no more jobs). Empty before its first heartbeat.
    """

    __slots__ = ()

    id: Column[int] = Column()
    name: Column[str] = Column()
    queues: Column[tuple[str, ...] | None] = Column()
    started_at: Column[datetime.datetime] = Column()
    last_heartbeat_at: Column[datetime.datetime] = Column()
    alive: Column[bool] = Column()
    running: Column[int] = Column()
    overdue: Column[int] = Column()
    running_jobs: Column[tuple[int, ...]] = Column()
    details: Column[dict[str, Any]] = Column()
