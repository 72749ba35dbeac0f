"""Workers that were declared dead in the last day, as their notes in the audit tell it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

import attrs

from adjourn._domain.times import time_of
from adjourn._domain.upkeep import DeadWorker
from adjourn.sql.reading import LISTED
from adjourn.types import Row

_KINDS: Mapping[str, type] = {
    "worker_id": int,
    "name": str,
    "last_heartbeat_at": str,
    "is_silent": bool,
    "freed": int,
    "failed": int,
    "freed_ids": list,
    "failed_ids": list,
}
"""What the details of a note must have; what a worker has said of itself may be missing."""


@attrs.frozen(kw_only=True)
class Death:
    """A worker that was declared dead: it was killed, or only silent for too long.

    Attributes
    ----------
    worker
        Which it was.
    at
        When somebody noticed.
    seconds
        How long ago that was.
    by, how
        Who it was, and how we know.
    target
        What its notes in the audit are about.
    freed, failed
        How many of its jobs run again, and how many have failed.
    has_ids
        Whether the notes say which.
    """

    worker: DeadWorker
    at: datetime.datetime
    seconds: float
    by: str
    how: str
    target: str
    freed: int
    failed: int
    has_ids: bool

    @property
    def silence(self) -> float:
        """For how many seconds nothing has been heard of it."""
        return self.seconds + (self.at - self.worker.last_heartbeat_at).total_seconds()


def deaths(rows: Sequence[Row]) -> tuple[list[Death], bool]:
    """Return the deaths, the latest first, and whether there may be more, from rows of ``sql/monitor/deaths``.

    A worker some of whose jobs were locked has a note for each time when others were freed. A note that no rescue has written is left
    out, as nobody knows what it says.
    """
    notes: dict[str, list[Row]] = {}
    for row in filter(_is_readable, rows):
        notes.setdefault(row["target"], []).append(row)
    return [_death(each) for each in notes.values()], len(rows) >= LISTED


def _is_readable(row: Row) -> bool:
    details = row["details"]
    if not isinstance(details, dict):
        return False
    for name, kind in _KINDS.items():
        value = details.get(name)
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            return False
    try:
        # A time without a zone cannot be told from when it was noticed.
        return time_of(details["last_heartbeat_at"]).tzinfo is not None
    except ValueError:
        return False


def _death(notes: Iterable[Row]) -> Death:
    *_, first = all_of = list(notes)
    told = [DeadWorker.of(each["details"]) for each in all_of]
    return Death(
        worker=told[-1],
        at=datetime.datetime.fromtimestamp(first["at"], datetime.UTC),
        seconds=first["seconds"],
        by=first["by"],
        how=first["how"],
        target=first["target"],
        freed=sum(each.freed for each in told),
        failed=sum(each.failed for each in told),
        has_ids=any(each["has_ids"] for each in all_of),
    )
