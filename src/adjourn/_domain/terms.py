"""The terms of a job: until when it may begin, and how often it is run again."""

from __future__ import annotations

import datetime
from typing import Any

import attrs

from adjourn._domain.checks import check_count
from adjourn._domain.time_checks import check_aware, check_seconds, delay_seconds
from adjourn._domain.times import time_or_none
from adjourn.exceptions import InvalidOption
from adjourn.types import JSONDict, Row, TimeDeltaParams

MOST_ATTEMPTS = 2**31 - 1
"""The largest number of runs again that can be stored."""


@attrs.frozen(kw_only=True)
class JobTerms:
    """The terms of a job that has some.

    Attributes
    ----------
    expires_at
        If it has not begun by then, it does not: an aware datetime; None for no such time, or one that is not known yet.
    expires_in
        Of a new job: the seconds from when it is due until it expires; None for ``expires_at``.
    max_attempts
        How often it is run again at most; None for what its task says.
    is_batch
        Of a new job: whether its task takes several jobs in a call.
    """

    expires_at: datetime.datetime | None = None
    expires_in: float | None = None
    max_attempts: int | None = None
    is_batch: bool = False

    @classmethod
    def of_row(cls, row: Row) -> JobTerms | None:
        """Return the terms of a stored job; None if it has none."""
        expires_at, max_attempts = row.get("expires_at"), row.get("max_attempts")
        if expires_at is None and max_attempts is None:
            return None
        return cls(expires_at=time_or_none(expires_at), max_attempts=max_attempts)

    def members(self) -> JSONDict:
        """Return what the statement that stores a job takes of them."""
        values = {
            # In UTC, because Postgres reads no offset with a fraction of a second.
            "expires_at": None if self.expires_at is None else self.expires_at.astimezone(datetime.UTC).isoformat(),
            "expires_in": self.expires_in,
            "max_attempts": self.max_attempts,
            "is_batch": self.is_batch or None,
        }
        return {name: value for name, value in values.items() if value is not None}


def checked_terms(
    expires_at: datetime.datetime | None,
    expires_in: float | TimeDeltaParams | None,
    max_attempts: int | None,
    schedule_at: datetime.datetime | None,
    schedule_in: float | None,
) -> JobTerms | None:
    """Check the options of a job that are its terms, and return these; None for none.

    Parameters
    ----------
    expires_at, expires_in, max_attempts
        The options, as `Task.configure` takes them.
    schedule_at, schedule_in
        When the job is due, checked; ``schedule_in`` in seconds.

    Raises
    ------
    InvalidOption
        If a value is refused, or the job would expire before it is due.
    """
    if max_attempts is not None:
        check_count("max_attempts", max_attempts)
        if max_attempts > MOST_ATTEMPTS:
            raise InvalidOption(f"max_attempts={max_attempts}: pass {MOST_ATTEMPTS:,} at most.")
    if expires_at is not None:
        if expires_in is not None:
            raise InvalidOption("expires_at and expires_in exclude each other: pass one of them.")
        _check_expires_at(expires_at, schedule_at, schedule_in)
    seconds = None if expires_in is None else checked_expires_in(expires_in)
    if seconds is not None and schedule_at is not None:
        try:
            schedule_at + datetime.timedelta(seconds=seconds)
        except OverflowError as error:
            raise InvalidOption(f"expires_in={expires_in!r}: the job would expire after the year 9999.") from error
    if expires_at is None and seconds is None and max_attempts is None:
        return None
    return JobTerms(expires_at=expires_at, expires_in=seconds, max_attempts=max_attempts)


def checked_expires_in(expires_in: Any) -> float:
    """Return the seconds from when a job is due until it expires.

    Raises
    ------
    InvalidOption
        If it is neither a number of seconds nor keywords of `datetime.timedelta`, or not above zero.
    """
    if isinstance(expires_in, dict):
        seconds = delay_seconds("expires_in", expires_in)
        if seconds <= 0:
            raise InvalidOption(f"expires_in={expires_in!r}: pass a duration above zero.")
        return seconds
    check_seconds("expires_in", expires_in, above_zero=True)
    return float(expires_in)


def _check_expires_at(
    expires_at: datetime.datetime, schedule_at: datetime.datetime | None, schedule_in: float | None
) -> None:
    check_aware("expires_at", expires_at)
    now = datetime.datetime.now(datetime.UTC)
    if expires_at <= now:
        raise InvalidOption(f"expires_at={expires_at.isoformat()} is past: the job would never run.")
    due = schedule_at if schedule_in is None else now + datetime.timedelta(seconds=schedule_in)
    if due is not None and expires_at <= due:
        raise InvalidOption(
            f"expires_at={expires_at.isoformat()}: the job would expire before it is due, at {due.isoformat()}. Pass "
            "expires_in, which counts from when it is due, or a later time."
        )
