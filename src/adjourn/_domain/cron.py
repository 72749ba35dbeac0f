"""When a cron expression is due: a pure rule on top of croniter."""

from __future__ import annotations

import copy
import datetime
import functools
import re
import zoneinfo
from collections.abc import Iterator

import attrs
from croniter import croniter

from adjourn.exceptions import InvalidOption

_MOST_FIELDS = 6
_HOUR = 1
_MOST_FOUND = 1000
_BY_CHANCE = re.compile(r"(?<![a-z])[hr](?![a-z])", re.IGNORECASE)


@attrs.frozen
class Cron:
    """A cron expression in a time zone.

    Parameters
    ----------
    expression
        Five fields (minute, hour, day of the month, month, day of the week), a sixth for seconds, or an alias such as
        ``@hourly``.
    timezone
        The IANA name of the time zone that the fields are in, UTC by default.

    Raises
    ------
    InvalidOption
        If the expression cannot be read or is never due, or the time zone is not known.

    Notes
    -----
    When clocks go forward, a skipped time is due at the next time that exists. When clocks go back, a repeated time is
    due once if the expression names its hours, and twice if it does not (``*`` or ``*/2``). This is the rule of Vixie's
    cron.
    """

    expression: str
    timezone: str = "UTC"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.expression, str) or not croniter.is_valid(self.expression):
            raise InvalidOption(f"cron={self.expression!r} is not a cron expression, such as '*/5 * * * *'.")
        if _BY_CHANCE.search(self.expression):
            raise InvalidOption(f"cron={self.expression!r}: H and R leave the time to chance; write numbers.")
        if len(self.expression.split()) > _MOST_FIELDS:
            raise InvalidOption(f"cron={self.expression!r} has more than {_MOST_FIELDS} fields.")
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
            message = f"timezone={self.timezone!r}: pass an IANA name, such as 'UTC' or 'Europe/Berlin'."
            raise InvalidOption(message) from error
        try:
            self.next(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        except ValueError as error:
            raise InvalidOption(f"cron={self.expression!r} is never due; no such date exists.") from error

    def next(self, after: datetime.datetime) -> datetime.datetime:
        """Return the first due time after the aware datetime ``after``, in UTC."""
        return _ticks(self.expression, self.timezone).next(after)

    def between(self, after: datetime.datetime, until: datetime.datetime) -> Iterator[datetime.datetime]:
        """Find the due times after ``after``, up to and including ``until``, in order and in UTC."""
        tick = self.next(after)
        while tick <= until:
            yield tick
            tick = self.next(tick)

    def latest(self, after: datetime.datetime, until: datetime.datetime) -> datetime.datetime | None:
        """Return the last of the times that `between` finds, without computing the others; None if there is none."""
        distance = datetime.timedelta(minutes=1)
        while True:
            since = max(after, until - distance)
            times = list(self.between(since, until))
            if times or since == after:
                return times[-1] if times else None
            distance = min(8 * distance, until - after)


class _Ticks:
    """The due times of an expression in a time zone. All schedules that have the same expression share what was found.

    Parameters
    ----------
    expression, timezone
        The schedule.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression = expression
        self._zone = zoneinfo.ZoneInfo(timezone)
        # Reading the expression takes longer than computing a time, so each computation begins with a copy.
        self._read = croniter(expression, 0)
        # The tick after a time, by that time.
        self._found: dict[datetime.datetime, datetime.datetime] = {}
        # The last of them.
        self._last = (datetime.datetime.max.replace(tzinfo=datetime.UTC),) * 2

    def next(self, after: datetime.datetime) -> datetime.datetime:
        """Return the first due time after ``after``, in UTC."""
        since, tick = self._last
        if since <= after < tick:
            return tick
        tick = self._found.get(after) or self._next(after)
        if len(self._found) >= _MOST_FOUND:
            self._found = {}
        self._found[after] = tick
        self._last = after, tick
        return tick

    def _next(self, after: datetime.datetime) -> datetime.datetime:
        times = copy.copy(self._read)
        times.set_current(after.astimezone(self._zone))
        while True:
            found: datetime.datetime = times.get_next(datetime.datetime)
            if not self._is_repeated(found):
                return found.astimezone(datetime.UTC)

    def _is_repeated(self, local: datetime.datetime) -> bool:
        """Return whether the clocks show this time for the second time although the expression means it once."""
        first = local.replace(fold=0)
        if first.utcoffset() == local.utcoffset():
            return False
        if self._expression.startswith("@"):
            return self._expression.lower() != "@hourly"
        return not self._expression.split()[_HOUR].startswith("*")


def next_tick(expression: str, timezone: str, after: datetime.datetime) -> datetime.datetime:
    """Return the first due time of a schedule after the aware datetime ``after``, in UTC. Both have been checked, as `Cron` does."""
    return _ticks(expression, timezone).next(after)


@functools.lru_cache(maxsize=10_000)
def _ticks(expression: str, timezone: str) -> _Ticks:
    return _Ticks(expression, timezone)
