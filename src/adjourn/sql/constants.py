"""The numbers that SQL and Python share. SQL text uses them by name: ``@ready``, ``@most_errors``, ...

A number that has been released does not change: rows hold it, and functions of an older release compare with it.
"""

from __future__ import annotations

import enum


class Hold(enum.IntEnum):
    """The column ``hold`` of a job: whether it can be claimed, and if not, what it waits for."""

    READY = 0
    """The job can be claimed, or runs."""
    SCHEDULED = 1
    """It is not due yet."""
    BEHIND = 2
    """It waits behind its lock's head."""
    UNPLACED = 3
    """It has a lock, and no worker has placed it yet."""


MOST_ERRORS = 10
"""How many errors of a job are kept: the first, and the last ones."""
DUE_LIMIT = 1000
"""How many due jobs one exchange makes ready."""
WEEKS_AHEAD = 8
"""For how many weeks in advance partitions for finished jobs are made."""
CLOCK_TOLERANCE = 600
"""Seconds that the server's clock may have been ahead of what it says now; ticks that were recorded from beyond that are
not believed."""
LARGEST_ID = 2**63 - 1
"""The largest number of type bigint."""

NUMBERS = {
    **{hold.name.lower(): int(hold) for hold in Hold},
    "most_errors": MOST_ERRORS,
    "due_limit": DUE_LIMIT,
    "weeks_ahead": WEEKS_AHEAD,
    "clock_tolerance": CLOCK_TOLERANCE,
    "largest_id": LARGEST_ID,
}
"""All numbers, by their names in SQL text."""
