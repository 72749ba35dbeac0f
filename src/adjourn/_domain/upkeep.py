"""When upkeep is due: the work that any worker does from time to time for all workers."""

from __future__ import annotations

import weakref

import attrs

HEAL_INTERVAL = 60.0
"""Seconds between searches for locks that have lost their head."""
PARTITION_INTERVAL = 24 * 3600.0
"""Seconds between checks that there are partitions for the weeks ahead."""
KEEP_INTERVAL = 24 * 3600.0
"""Seconds between records of which schedules are still in use."""
HEAL_SHARE = 20
"""Checking every lock takes longer the more there are; it may take at most 1/N of the time, with this N."""


@attrs.define
class Timetable:
    """When each part of the upkeep is due in this process, as seconds of a monotonic clock.

    The workers of a process share it, so a test suite that runs a worker after each test does not repeat all upkeep.
    """

    heal_at: float = 0.0
    partition_at: float = 0.0
    keep_at: float = 0.0

    def has_healed(self, began: float, ended: float) -> None:
        """Record when locks were checked, which decides the next check."""
        self.heal_at = began + max(HEAL_INTERVAL, HEAL_SHARE * (ended - began))

    def makes_partitions(self, now: float) -> None:
        """Record when partitions were made, which decides the next time."""
        self.partition_at = now + PARTITION_INTERVAL

    def keeps_schedules(self, now: float) -> None:
        """Record when the schedules in use were stored, which decides the next time."""
        self.keep_at = now + KEEP_INTERVAL


_TIMETABLES: weakref.WeakKeyDictionary[object, Timetable] = weakref.WeakKeyDictionary()


def timetable_of(job_manager: object) -> Timetable:
    """Return the timetable of the database that a job manager works with."""
    return _TIMETABLES.setdefault(job_manager, Timetable())
