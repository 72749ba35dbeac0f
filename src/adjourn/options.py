"""Which values the options of a job may have. Each check names the option and says what to pass instead."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from adjourn.exceptions import InvalidOption
from adjourn.types import TimeDeltaParams

MAX_NAME_LENGTH = 255
MAX_HOURS = 1000 * 366 * 24
_INTEGER_RANGE = range(-(2**31), 2**31)


def check_name(argument: str, value: Any, *, optional: bool = False) -> None:
    """Refuse what cannot name a queue, a lock or a task.

    Raises
    ------
    InvalidOption
        Naming the argument.
    """
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise InvalidOption(f"{argument}={value!r}: pass a string{' or None' if optional else ''}.")
    if not value or len(value) > MAX_NAME_LENGTH:
        shown = value if len(value) <= 40 else value[:40] + "..."
        raise InvalidOption(f"{argument}={shown!r} has {len(value)} characters: pass between 1 and {MAX_NAME_LENGTH}.")
    if not is_storable(value):
        raise InvalidOption(
            f"{argument}={value!r}: NUL characters and lone surrogates cannot be stored; leave them out."
        )


def check_priority(value: Any) -> None:
    """Refuse what is not a priority: an integer of 32 bits.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(f"priority={value!r}: pass an integer; higher ones go first.")
    if value not in _INTEGER_RANGE:
        raise InvalidOption(
            f"priority={value!r}: pass an integer between {_INTEGER_RANGE[0]} and {_INTEGER_RANGE[-1]}."
        )


def check_timeout(value: Any) -> None:
    """Refuse what is not a time-out: a number of seconds above zero, or None.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise InvalidOption(f"timeout={value!r}: pass a number of seconds above zero, or None for no limit.")


def scheduled_time(
    schedule_at: datetime.datetime | None, schedule_in: TimeDeltaParams | None, now: datetime.datetime
) -> datetime.datetime | None:
    """Return when a job is due, given its two options, at most one of which may be set.

    Parameters
    ----------
    schedule_at
        An aware datetime.
    schedule_in
        Keywords of `datetime.timedelta`, counted from ``now``.
    now
        The time that ``schedule_in`` counts from.

    Raises
    ------
    InvalidOption
        If both are given, the datetime is naive, or the time cannot be represented.
    """
    if schedule_at is not None and schedule_in is not None:
        raise InvalidOption("schedule_at and schedule_in exclude each other: pass one of them.")
    if schedule_in is not None:
        return later("schedule_in", now, time_delta("schedule_in", schedule_in))
    if schedule_at is not None:
        check_aware("schedule_at", schedule_at)
    return schedule_at


def time_delta(argument: str, keywords: Any) -> datetime.timedelta:
    """Make a timedelta of its keywords.

    Raises
    ------
    InvalidOption
        Naming the argument, if the keywords are not timedelta's or their values too large.
    """
    if not isinstance(keywords, Mapping):
        message = f"{argument}={keywords!r}: pass a dictionary of timedelta's keywords, such as {{'minutes': 5}}."
        raise InvalidOption(message)
    try:
        return datetime.timedelta(**keywords)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{argument}={dict(keywords)!r}: {error}. Pass timedelta's keywords, such as {{'minutes': 5}}."
        raise InvalidOption(message) from error


def later(argument: str, now: datetime.datetime, delta: datetime.timedelta) -> datetime.datetime:
    """Add the two.

    Raises
    ------
    InvalidOption
        Naming the argument, if the sum is outside the calendar.
    """
    try:
        return now + delta
    except OverflowError as error:
        raise InvalidOption(f"{argument}: {delta} from now is outside the calendar; pass less.") from error


def check_aware(argument: str, value: Any) -> None:
    """Refuse a datetime that does not say which instant it means.

    Raises
    ------
    InvalidOption
        If the value is not a datetime, or has no time zone.
    """
    if not isinstance(value, datetime.datetime):
        raise InvalidOption(f"{argument}={value!r}: pass a datetime with a time zone.")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{argument}={value!r} has no time zone: pass an aware datetime, such as datetime.now(timezone.utc)."
        )


def is_storable(text: str) -> bool:
    """Tell whether Postgres can store a text: not NUL, nor half of a surrogate pair."""
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def check_count(argument: str, value: Any) -> None:
    """Refuse what is not a whole number of things, zero or more.

    Raises
    ------
    InvalidOption
        Naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidOption(f"{argument}={value!r}: pass an integer, zero or more.")


def check_hours(argument: str, value: Any) -> None:
    """Refuse what is not an age in hours: zero or more, and within the calendar.

    Raises
    ------
    InvalidOption
        Naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_HOURS:
        raise InvalidOption(f"{argument}={value!r}: pass a number of hours between 0 and {MAX_HOURS:,}.")
