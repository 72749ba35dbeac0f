"""When the upkeep of a queue is due, that is what any worker does now and then for all of them."""

from __future__ import annotations

import weakref

import attrs

HEAL_INTERVAL = 60.0
"""Seconds between looks for locks that have lost their head."""
PARTITION_INTERVAL = 24 * 3600.0
"""Seconds between looks whether there are partitions for the weeks ahead."""
KEEP_INTERVAL = 24 * 3600.0
"""Seconds between notes of which schedules are still in use."""
HEAL_SHARE = 20
"""Looking at every lock takes longer the more there are; it may take one part in so many of the time."""


@attrs.define
class Timetable:
    """When each part of the upkeep is due in this process, as seconds of a monotonic clock.

    The workers of a process share it: a test suite that runs a worker after each test does not do it all each time.
    """

    heal_at: float = 0.0
    partition_at: float = 0.0
    keep_at: float = 0.0

    def has_healed(self, began: float, ended: float) -> None:
        """Note when locks were looked at, and so when they will be again."""
        self.heal_at = began + max(HEAL_INTERVAL, HEAL_SHARE * (ended - began))

    def makes_partitions(self, now: float) -> None:
        """Note when partitions were made, and so when they will be again."""
        self.partition_at = now + PARTITION_INTERVAL

    def keeps_schedules(self, now: float) -> None:
        """Note when it was noted which schedules are in use, and so when it will be again."""
        self.keep_at = now + KEEP_INTERVAL


_TIMETABLES: weakref.WeakKeyDictionary[object, Timetable] = weakref.WeakKeyDictionary()


def timetable_of(job_manager: object) -> Timetable:
    """Return the timetable of the database that a job manager works with."""
    return _TIMETABLES.setdefault(job_manager, Timetable())
