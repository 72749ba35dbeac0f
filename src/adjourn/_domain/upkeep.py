"""When upkeep is due: the work that any worker does from time to time for all workers."""

from __future__ import annotations

import datetime
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs

from adjourn._domain.times import time_of
from adjourn._domain.wording import shown

HEAL_INTERVAL = 60.0
"""Seconds between searches for locks that have lost their head."""
PARTITION_INTERVAL = 24 * 3600.0
"""Seconds between checks that there are partitions for the weeks ahead."""
FORGET_INTERVAL = 60.0
"""Seconds between deletions of unique keys whose jobs do not count any more."""
EXPIRE_INTERVAL = 60.0
"""Seconds between searches for jobs that have expired."""
ADD_UP_INTERVAL = 60.0
"""Seconds between two times that statistics are added up."""
FORGET_AUDIT_INTERVAL = 3600.0
"""Seconds between deletions of old notes of what people did."""
KEEP_INTERVAL = 24 * 3600.0
"""Seconds between records of which schedules are still in use."""
HEAL_SHARE = 20
"""Checking every lock takes longer the more there are; it may take at most 1/N of the time, with this N."""
LONGEST_VISIT = 0.5
"""Seconds after which one kind of upkeep lets others have their turn, and goes on later."""


MOST_NAMED = 3
"""How many sessions a message names."""


@attrs.frozen(kw_only=True)
class DeadWorker:
    """A worker that was declared dead: it was killed, or only silent for too long.

    Attributes
    ----------
    id
        Its number.
    name
        Its name, which others may have had.
    host
        Where it ran, as it had said; None if it had not.
    pid
        The number of its process there; None if it had not said it.
    rss
        Bytes of memory that it held when it was last heard of; None if it had not said it.
    last_heartbeat_at
        When it was last heard of.
    is_silent
        Whether it was silent for too long; False for one that left with jobs, or was declared dead by hand.
    freed
        How many of its jobs run again.
    failed
        How many of them have failed.
    freed_ids
        The ids of the first that run again.
    failed_ids
        The ids of the first that have failed.
    """

    id: int
    name: str
    host: str | None
    pid: int | None
    rss: int | None
    last_heartbeat_at: datetime.datetime
    is_silent: bool
    freed: int
    failed: int
    freed_ids: tuple[int, ...] = attrs.field(converter=tuple)
    failed_ids: tuple[int, ...] = attrs.field(converter=tuple)

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Self:
        """Read the details of its note in the audit."""
        # These are as the worker has said them, and another program may have said anything.
        said = {name: details.get(name) for name in ("host", "pid", "rss")}
        for name, kind in (("host", str), ("pid", int), ("rss", int)):
            if not isinstance(said[name], kind) or isinstance(said[name], bool):
                said[name] = None
        known = {each.name: details[each.name] for each in attrs.fields(cls) if each.name not in ("id", *said)} | said
        return cls(**{**known, "id": details["worker_id"], "last_heartbeat_at": time_of(details["last_heartbeat_at"])})

    def __str__(self) -> str:
        where = "" if self.host is None else f" on {shown(self.host)}"
        pid = "" if self.pid is None else f", pid {self.pid}"
        return (
            f"{self.name!r} ({self.id}){where}{pid}, last heartbeat {self.last_heartbeat_at.isoformat(' ', 'seconds')}"
        )


@attrs.frozen(kw_only=True)
class Rescue:
    """What became of the jobs of workers that have died.

    Attributes
    ----------
    rescued
        How many jobs were freed.
    failed
        How many failed.
    dead_workers
        How many workers had them.
    worker_names
        The names of the first of these.
    rescued_ids
        The ids of the first jobs that were freed.
    failed_ids
        The ids of the first that failed.
    died
        How many workers were declared dead, with jobs or without.
    deaths
        The first of these.
    """

    rescued: int
    failed: int
    dead_workers: int
    worker_names: tuple[str, ...] = attrs.field(converter=tuple)
    rescued_ids: tuple[int, ...] = attrs.field(converter=tuple)
    failed_ids: tuple[int, ...] = attrs.field(converter=tuple)
    died: int
    deaths: tuple[DeadWorker, ...] = attrs.field(converter=tuple)

    @property
    def counts(self) -> tuple[int, int]:
        """How many jobs were freed, and how many failed."""
        return self.rescued, self.failed


@attrs.frozen(kw_only=True)
class BlockingSession:
    """A session of the database for which upkeep has to wait.

    Attributes
    ----------
    pid
        Its process on the server, for ``pg_terminate_backend``.
    role
        The role that it has logged in as.
    application_name
        What it calls itself.
    since
        When its transaction began; None if this role may not know.
    """

    pid: int
    role: str | None
    application_name: str | None
    since: datetime.datetime | None

    def __str__(self) -> str:
        since = f", in a transaction since {self.since.isoformat(' ', 'seconds')}" if self.since else ""
        return f"session {self.pid} ({self.application_name or ''!r} of role {self.role!r}{since})"


def named_sessions(sessions: Sequence[BlockingSession]) -> str:
    """Return sessions as text for a message."""
    if not sessions:
        return "a session that has ended meanwhile"
    more = f" and {len(sessions) - MOST_NAMED} more" if len(sessions) > MOST_NAMED else ""
    return ", ".join(map(str, sessions[:MOST_NAMED])) + more


@attrs.define
class Timetable:
    """When each part of the upkeep is due in this process, as seconds of a monotonic clock.

    The workers of a process share it, so a test suite that runs a worker after each test does not repeat all upkeep.
    """

    heal_at: float = 0.0
    healed_to: str | None = None
    """Up to where locks were checked, as the database says it; None if all of them were."""
    partition_at: float = 0.0
    keep_at: float = 0.0
    forget_at: float = 0.0
    expire_at: float = 0.0
    add_up_at: float = 0.0
    forget_audit_at: float = 0.0
    forgotten_to: str = ""
    """The unique key up to which keys were looked at."""

    def has_healed(self, began: float, ended: float) -> None:
        """Record when locks were checked, which decides the next check, or when to go on if not all were."""
        longest = 0.0 if self.healed_to is not None else HEAL_INTERVAL
        self.heal_at = began + max(longest, HEAL_SHARE * (ended - began))

    def makes_partitions(self, now: float) -> None:
        """Record when partitions were made, which decides the next time."""
        self.partition_at = now + PARTITION_INTERVAL

    def forgets_keys(self, now: float) -> None:
        """Record when unique keys were deleted, which decides the next time."""
        self.forget_at = now + FORGET_INTERVAL

    def expires_jobs(self, now: float) -> None:
        """Record when jobs were ended that had expired, which decides the next time."""
        self.expire_at = now + EXPIRE_INTERVAL

    def adds_up(self, now: float) -> None:
        """Record when statistics were added up, which decides the next time."""
        self.add_up_at = now + ADD_UP_INTERVAL

    def forgets_audit(self, now: float) -> None:
        """Record when old notes of what people did were deleted, which decides the next time."""
        self.forget_audit_at = now + FORGET_AUDIT_INTERVAL

    def keeps_schedules(self, now: float) -> None:
        """Record when the schedules in use were stored, which decides the next time."""
        self.keep_at = now + KEEP_INTERVAL


_TIMETABLES: weakref.WeakKeyDictionary[object, Timetable] = weakref.WeakKeyDictionary()


def timetable_of(job_manager: object) -> Timetable:
    """Return the timetable of the database that a job manager works with."""
    return _TIMETABLES.setdefault(job_manager, Timetable())
