"""How schedules of periodic tasks stand: one rule for all who tell it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import attrs

from adjourn._domain.cron import Cron
from adjourn._domain.ticks import OVERDUE
from adjourn.exceptions import InvalidOption
from adjourn.monitor.waits import WAITS_FOR

LONGEST_WAIT = 600.0
"""Seconds that the job of a tick may wait however long it is until the next one."""
MANY_INTERVALS = 5
"""After so many intervals, and so long, an overdue tick is critical."""


@attrs.frozen(kw_only=True)
class Standing:
    """How a schedule stands.

    Attributes
    ----------
    overdue
        For how many seconds a tick has been due that nobody has deferred; None if none is, or the schedule is paused.
    is_critical
        Whether that is many times its interval.
    waits
        For how many seconds the job of the last tick has waited, if that is for too long; else None.
    waits_for
        What it waits for then, in words; empty otherwise.
    """

    overdue: float | None = None
    is_critical: bool = False
    waits: float | None = None
    waits_for: str = ""


def standing_of(row: Mapping[str, Any]) -> Standing:
    """Return how a schedule stands, from a row of ``sql/monitor/schedules``.

    Raises
    ------
    InvalidOption
        If its cron expression or its time zone cannot be read here.
    """
    cron = Cron(row["cron"], row["timezone"])
    now = datetime.datetime.fromtimestamp(row["now"], datetime.UTC)
    last = datetime.datetime.fromtimestamp(row["last_tick"], datetime.UTC)
    try:
        first = cron.next(last)
        interval = (cron.next(first) - first).total_seconds()
    except ValueError as error:
        raise InvalidOption(f"cron={row['cron']!r}: {error}") from error
    late = 0.0 if row["paused_at"] is not None else (now - first).total_seconds()
    is_late = late > OVERDUE
    # A job should have begun before the next one comes.
    has_waited = (row["job_waits"] or 0.0) > max(min(interval, LONGEST_WAIT), OVERDUE)
    return Standing(
        overdue=late if is_late else None,
        is_critical=is_late and late > max(MANY_INTERVALS * interval, LONGEST_WAIT),
        waits=row["job_waits"] if has_waited else None,
        waits_for=WAITS_FOR.get(row["waits_for"] or "", "") if has_waited else "",
    )
