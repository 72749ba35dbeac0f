"""When a cron expression is due: a pure rule on top of croniter."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator

import attrs
from croniter import croniter

from adjourn.exceptions import InvalidOption

_MOST_FIELDS = 6
_HOUR = 1
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
        zone = zoneinfo.ZoneInfo(self.timezone)
        times = croniter(self.expression, after.astimezone(zone))
        while True:
            found: datetime.datetime = times.get_next(datetime.datetime)
            if not self._is_repeated(found):
                return found.astimezone(datetime.UTC)

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

    def _is_repeated(self, local: datetime.datetime) -> bool:
        """Return whether the clocks show this time for the second time although the expression means it once."""
        first = local.replace(fold=0)
        if first.utcoffset() == local.utcoffset():
            return False
        if self.expression.startswith("@"):
            return self.expression.lower() != "@hourly"
        return not self.expression.split()[_HOUR].startswith("*")
