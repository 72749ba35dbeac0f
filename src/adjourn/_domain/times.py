"""Times, as statements return them.

Statements return times as text in ISO 8601. A driver could read a time of Postgres's own only in some of the forms that
the setting ``DateStyle`` can give it, and the connection may be a caller's own.
"""

from __future__ import annotations

import datetime
import functools


def time_of(value: str | datetime.datetime) -> datetime.datetime:
    """Return a time of a row, which is text from Postgres, and a datetime from the in-memory connector."""
    return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value


def time_or_none(value: str | datetime.datetime | None) -> datetime.datetime | None:
    """Return a time of a row that may have none."""
    # A worker calls this for each job, so it does not call time_of.
    return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value


@functools.lru_cache(maxsize=64)
def time_known(value: str | datetime.datetime | None) -> datetime.datetime | None:
    """Return a time of a row of an exchange: jobs that are claimed together have one in common, and those that were stored together
    another."""
    return time_or_none(value)
