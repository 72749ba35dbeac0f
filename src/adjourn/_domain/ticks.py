"""A tick of a schedule, on its way into the database."""

from __future__ import annotations

import datetime
import enum

import attrs

from adjourn._domain.cron import next_tick
from adjourn._domain.jobs import Job

OVERDUE = 60.0
"""Seconds after which a tick that nobody has deferred is overdue: workers look for ticks more often."""


class TickOutcome(enum.StrEnum):
    """What became of a tick."""

    STORED = "stored"
    """It is recorded, and its job is stored."""
    SKIPPED = "skipped"
    """It is recorded as skipped."""
    TAKEN = "taken"
    """It is recorded, but its job is not stored, because a job with the same queueing lock waits already."""
    KNOWN = "known"
    """It, or a later one, was recorded before."""
    EARLY = "early"
    """It is in the future of the database's clock, so it is not recorded."""
    PAUSED = "paused"
    """Its schedule is paused, so it is left for when it is resumed."""
    HELD = "held"
    """Another transaction has locked the schedule, or holds the job's queueing lock and is not committed yet."""
    BUSY = "busy"
    """Another worker was deferring ticks."""

    @property
    def is_final(self) -> bool:
        """Whether the tick is recorded, so that nobody needs to try again."""
        return self not in (TickOutcome.EARLY, TickOutcome.PAUSED, TickOutcome.HELD, TickOutcome.BUSY)


@attrs.frozen
class LastTick:
    """How far a schedule has come, by the database.

    Attributes
    ----------
    at
        The last tick that is recorded.
    is_paused
        Whether those after it are left for later.
    """

    at: datetime.datetime
    is_paused: bool = False


@attrs.frozen(kw_only=True)
class Tick:
    """A tick to be deferred, or to be recorded as skipped.

    Attributes
    ----------
    periodic_id
        Tells several schedules of one task apart.
    cron, timezone
        The schedule, to be shown in lists.
    at
        When it is due: an aware datetime.
    job
        The job, without an id.
    is_skipped
        Whether the tick is recorded and its job is not stored.
    """

    periodic_id: str
    cron: str
    timezone: str
    at: datetime.datetime
    job: Job
    is_skipped: bool = False

    @property
    def following(self) -> datetime.datetime | None:
        """When the next one of its schedule is due; None if that cannot be known."""
        try:
            return next_tick(self.cron, self.timezone, self.at)
        except (ValueError, KeyError):  # one that was deferred by hand may have another text there, or none
            return None
