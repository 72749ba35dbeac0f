"""When a schedule is due, and what becomes of the ticks that were missed: pure rules."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adjourn._domain.checks import check_known, check_seconds
from adjourn._domain.cron import Cron
from adjourn.exceptions import InvalidOption
from adjourn.types import PeriodicDefaults

DEFAULT_MAX_DELAY = 600.0
"""Seconds after its time within which a tick is still deferred."""
ON_TIME = 60.0
"""Seconds after its time within which a tick does not count as missed."""


class MissedRuns(enum.StrEnum):
    """What happens to ticks that came while no worker was running."""

    SKIP = "skip"
    """They are not deferred, unless the worker is less than a minute late."""
    LATEST = "latest"
    """The latest of them is deferred, if it is not older than ``max_delay``."""
    ALL = "all"
    """All that are not older than ``max_delay`` are deferred."""


@attrs.frozen(kw_only=True)
class Schedule:
    """When something is due, and what becomes of missed ticks.

    Attributes
    ----------
    cron
        When it is due.
    periodic_id
        Tells several schedules of one task apart.
    missed
        What becomes of missed ticks.
    max_delay
        Seconds after its time within which a tick is still deferred; None takes the app's.
    """

    cron: Cron
    periodic_id: str
    missed: MissedRuns
    max_delay: float | None

    def due(self, since: datetime.datetime, now: datetime.datetime, max_delay: float) -> Iterator[datetime.datetime]:
        """Find the ticks to defer now, in order.

        Parameters
        ----------
        since
            Ticks up to this time have been handled.
        now
            The time.
        max_delay
            Seconds, the app's default.
        """
        longest = self.max_delay if self.max_delay is not None else max_delay
        return self.cron.between(max(since, now - datetime.timedelta(seconds=longest)), now)

    def overdue(
        self, since: datetime.datetime | None, now: datetime.datetime, max_delay: float
    ) -> Iterable[datetime.datetime]:
        """Find the ticks to defer when a worker starts, in order; `missed` decides about those that were missed.

        Takes the same parameters as `due`; ``since`` is None if the schedule is new: the latest tick at most is found then.
        """
        if self.missed is MissedRuns.ALL and since is not None:
            return self.due(since, now, max_delay)
        longest = self.max_delay if self.max_delay is not None else max_delay
        if self.missed is MissedRuns.SKIP:
            longest = min(longest, ON_TIME)
        oldest = now - datetime.timedelta(seconds=longest)
        latest = self.cron.latest(oldest if since is None else max(since, oldest), now)
        return [] if latest is None else [latest]


def checked_missed(value: Any) -> MissedRuns:
    """Return the policy that a ``missed`` option names."""
    try:
        return MissedRuns(value)
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in MissedRuns)
        raise InvalidOption(f"missed={value!r}: pass one of {choices}.") from error


def checked_max_delay(value: Any) -> float | None:
    """Return a ``max_delay`` in seconds, None for the app's."""
    check_seconds("max_delay", value, optional=True)
    seconds: float | None = value
    return seconds


def checked_defaults(value: Any) -> PeriodicDefaults:
    """Return an app's options for all periodic tasks, with the defaults added."""
    given: PeriodicDefaults = {} if value is None else value
    check_known("periodic_defaults", given, PeriodicDefaults.__annotations__)
    defaults: PeriodicDefaults = {"max_delay": DEFAULT_MAX_DELAY, **given}
    check_seconds("periodic_defaults: max_delay", defaults.get("max_delay"))
    return defaults
