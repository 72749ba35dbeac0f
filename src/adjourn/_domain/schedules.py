"""Pure rules for when a schedule is due, and what happens to missed ticks."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator
from typing import Any

import attrs

from adjourn._domain.checks import check_known
from adjourn._domain.cron import Cron
from adjourn._domain.time_checks import check_seconds
from adjourn.exceptions import InvalidOption
from adjourn.types import PeriodicDefaults

DEFAULT_MAX_DELAY = 600.0
"""How many seconds late a tick is still deferred, if neither the schedule nor the app says something else."""
ON_TIME = 60.0
"""How many seconds late a tick does not count as missed when a worker starts."""
WHILE_UP = 600.0
"""How many seconds late a tick does not count as missed while a worker is up."""


class MissedRuns(enum.StrEnum):
    """What happens to ticks that came while no worker was running."""

    SKIP = "skip"
    """They are not deferred, unless the worker is less than a minute late."""
    LATEST = "latest"
    """The latest of them is deferred."""
    ALL = "all"
    """All of them are deferred."""


class SkipReason(enum.StrEnum):
    """Why the job of a tick is not stored."""

    QUEUEING_LOCK = "queueing_lock"
    """A job with its queueing lock waits already."""
    TOO_LATE = "too_late"
    """It is later than ``max_delay`` allows."""
    MISSED = "missed"
    """No worker was running, and the schedule says ``missed="skip"``."""


@attrs.frozen(kw_only=True)
class DueTicks:
    """What is to be done about a schedule's ticks now.

    Attributes
    ----------
    ticks
        The times to defer, in order.
    skipped
        The latest of the times that are too late; None if there is none.
    reason, max_delay
        Why it is skipped, and how many seconds late it might have been; None for no limit.
    """

    ticks: Iterator[datetime.datetime]
    skipped: datetime.datetime | None = None
    reason: SkipReason = SkipReason.TOO_LATE
    max_delay: float | None = None


@attrs.frozen(kw_only=True)
class Schedule:
    """When something is due, and what happens to missed ticks.

    Attributes
    ----------
    cron
        When it is due.
    periodic_id
        Tells several schedules of one task apart.
    missed
        What happens to missed ticks; None for the latest of them, within the default of ``max_delay``.
    max_delay
        How many seconds late a tick is still deferred; None takes the app's value.
    """

    cron: Cron
    periodic_id: str
    missed: MissedRuns | None
    max_delay: float | None

    def longest_delay(self, app_max_delay: float | None) -> float | None:
        """Return how many seconds late a tick is still deferred; None for no limit.

        The default does not take back what ``missed`` promises: it holds only for a schedule that does not name it.

        Parameters
        ----------
        app_max_delay
            The app's ``max_delay``; None if it has none.
        """
        given = self.max_delay if self.max_delay is not None else app_max_delay
        if given is None and self.missed not in (MissedRuns.LATEST, MissedRuns.ALL):
            return DEFAULT_MAX_DELAY
        return given

    def due(
        self, since: datetime.datetime | None, now: datetime.datetime, app_max_delay: float | None, *, is_up: bool
    ) -> DueTicks:
        """Find out what to do about the ticks up to now.

        Parameters
        ----------
        since
            Ticks up to this time have been handled; None if the schedule is new. Then the latest tick at most is found.
        now
            The time.
        app_max_delay
            The app's ``max_delay`` in seconds; None if it has none.
        is_up
            Whether this worker has looked before. Then ticks that are less than ten minutes late were not missed.
        """
        longest = self.longest_delay(app_max_delay)
        reason = SkipReason.TOO_LATE
        if self.missed is MissedRuns.SKIP and not is_up and (longest is None or longest > ON_TIME):
            longest, reason = ON_TIME, SkipReason.MISSED
        if since is None:
            latest = self.cron.latest(_before(now, DEFAULT_MAX_DELAY if longest is None else longest), now)
            return DueTicks(ticks=iter(() if latest is None else (latest,)))
        since = min(since, now)
        oldest = since if longest is None else max(since, _before(now, longest))
        skipped: datetime.datetime | None = None
        if self.missed is MissedRuns.ALL:
            ticks = self.cron.between(oldest, now)
            skipped = self._latest_skipped(since, oldest)
        else:
            found = list(self.cron.between(max(oldest, _before(now, WHILE_UP)), now)) if is_up else []
            if not found and (latest := self.cron.latest(oldest, now)) is not None:
                found = [latest]
            if not found:
                skipped = self._latest_skipped(since, oldest)
            ticks = iter(found)
        return DueTicks(ticks=ticks, skipped=skipped, reason=reason, max_delay=longest)

    def _latest_skipped(self, since: datetime.datetime, oldest: datetime.datetime) -> datetime.datetime | None:
        return self.cron.latest(since, oldest) if oldest > since else None


def _before(now: datetime.datetime, seconds: float) -> datetime.datetime:
    return now - datetime.timedelta(seconds=seconds)


def checked_missed(value: Any) -> MissedRuns | None:
    """Return the policy that a ``missed`` option names; None if it names none."""
    if value is None:
        return None
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
    """Return an app's options for all periodic tasks."""
    given: PeriodicDefaults = {} if value is None else value
    check_known("periodic_defaults", given, PeriodicDefaults.__annotations__)
    if "max_delay" in given:
        check_seconds("periodic_defaults: max_delay", given["max_delay"])
    return {**given}
