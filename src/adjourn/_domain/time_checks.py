"""Which times, delays and durations options may have. Each check names the option and says what to pass instead."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption
from adjourn.types import TimeDeltaParams

MAX_HOURS = 1000 * 366 * 24
MAX_SECONDS = 100 * 366 * 24 * 3600
"""The longest duration: now plus this is a valid datetime, and every clock and lock can wait that long."""
LONGEST_DELAY = datetime.timedelta(days=1000 * 365)
"""A delay is a thousand years at most, in either direction, so that adding it gives a valid datetime."""
TIMEDELTA = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")
"""The keywords of `datetime.timedelta`."""
# Times at least a day from the ends of the calendar exist in every time zone.
_FIRST_TIME = datetime.datetime(1, 1, 2, tzinfo=datetime.UTC)
_LAST_TIME = datetime.datetime(9999, 12, 30, tzinfo=datetime.UTC)


def check_timeout(value: Any) -> None:
    """Refuse anything that is not a timeout: a number of seconds above zero, or None.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    check_seconds("timeout", value, above_zero=True, optional=True)


def check_seconds(argument: str, value: Any, *, above_zero: bool = False, optional: bool = False) -> None:
    """Refuse anything that is not a duration in seconds: a number from zero to a hundred years.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if value is None and optional:
        return
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MAX_SECONDS
        or (above_zero and not value)
    ):
        least = "above zero" if above_zero else "from zero"
        takes = f"a number of seconds {least} to {MAX_SECONDS:,}{', or None' if optional else ''}"
        raise InvalidOption.no_seconds(argument, value, takes)


def check_schedule(schedule_at: datetime.datetime | None, schedule_in: TimeDeltaParams | None) -> float | None:
    """Check the two options that say when a job is due; at most one may be set.

    Parameters
    ----------
    schedule_at
        An aware datetime.
    schedule_in
        Keywords of `datetime.timedelta`.

    Returns
    -------
    float or None
        ``schedule_in`` in seconds. The database adds them to its own time when it stores the job: the clocks of programs
        differ.

    Raises
    ------
    InvalidOption
        If both are given, the datetime is naive, or a value cannot be represented.
    """
    if schedule_at is not None and schedule_in is not None:
        raise InvalidOption("schedule_at and schedule_in exclude each other: pass one of them.")
    if schedule_at is not None:
        check_aware("schedule_at", schedule_at)
    return None if schedule_in is None else delay_seconds("schedule_in", schedule_in)


def check_delay(argument: str, value: Any) -> None:
    """Refuse what is not a delay: a number of seconds, within `LONGEST_DELAY`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= LONGEST_DELAY.total_seconds():
        raise InvalidOption.no_seconds(argument, value, "a number of seconds, a thousand years at most")


def delay_seconds(argument: str, keywords: Any) -> float:
    """Convert keywords of `datetime.timedelta` to seconds.

    Raises
    ------
    InvalidOption
        If the keywords are not timedelta's or their values too large; the message names the argument.
    """
    if not isinstance(keywords, Mapping):
        message = f"{argument}={keywords!r}: pass a dictionary of timedelta's keywords, such as {{'minutes': 5}}."
        if isinstance(keywords, datetime.timedelta):
            message += " Of a timedelta: {'seconds': value.total_seconds()}."
        raise InvalidOption(message)
    for name in keywords:
        if name not in TIMEDELTA:
            raise InvalidOption(
                f"{argument}={dict(keywords)!r}: there is no {name!r}{hint(str(name), TIMEDELTA)} Pass timedelta's keywords: "
                f"{', '.join(TIMEDELTA)}."
            )
    try:
        delay = datetime.timedelta(**keywords)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{argument}={dict(keywords)!r}: {error}. Pass timedelta's keywords, such as {{'minutes': 5}}."
        raise InvalidOption(message) from error
    if abs(delay) > LONGEST_DELAY:
        raise InvalidOption(f"{argument}={dict(keywords)!r}: pass a thousand years at most.")
    return delay.total_seconds()


def check_aware(argument: str, value: Any) -> None:
    """Refuse a datetime without a time zone, or one that does not exist in every time zone.

    Raises
    ------
    InvalidOption
        If the value is not a datetime, has no time zone, or is at an end of the calendar.
    """
    if not isinstance(value, datetime.datetime):
        raise InvalidOption(f"{argument}={value!r}: pass a datetime with a time zone.")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{argument}={value!r} has no time zone: pass an aware datetime, such as datetime.now(timezone.utc)."
        )
    # Comparing does not overflow where converting would.
    if not _FIRST_TIME <= value <= _LAST_TIME:
        raise InvalidOption(
            f"{argument}={value!r}: pass a time between {_FIRST_TIME.date()} and {_LAST_TIME.date()} in UTC."
        )


def check_hours(argument: str, value: Any) -> None:
    """Refuse anything that is not an age in hours: zero or more, and within the calendar.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_HOURS:
        raise InvalidOption(f"{argument}={value!r}: pass a number of hours between 0 and {MAX_HOURS:,}.")
