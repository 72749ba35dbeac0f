"""A worker as lists show it: plain data."""

from __future__ import annotations

import datetime

import attrs

from adjourn._domain.times import time_of
from adjourn.types import Row


@attrs.frozen(kw_only=True)
class RegisteredWorker:
    """A worker that the database knows.

    Attributes
    ----------
    id
        Its number, which running jobs have as ``worker_id``.
    name
        Its name; several may have the same.
    queues
        The queues that it serves; None for all.
    started_at
        When it registered, by the database's clock.
    last_heartbeat_at
        When it last gave a sign of life, by the database's clock.
    alive
        Whether that is recent enough. The jobs of a worker that is not alive are about to be taken over.
    running
        How many jobs it has: those that run, and those that it has claimed to run next.
    overdue
        How many of them were asked to end, because they are past their ``timeout`` or somebody has asked to abort them, and
        had not ended at its last sign of life.
    """

    id: int
    name: str
    queues: tuple[str, ...] | None
    started_at: datetime.datetime
    last_heartbeat_at: datetime.datetime
    alive: bool
    running: int
    overdue: int

    @classmethod
    def from_row(cls, row: Row) -> RegisteredWorker:
        """Make a worker from a row that a statement returned."""
        queues = row["queues"]
        return cls(
            id=row["id"],
            name=row["name"],
            queues=None if queues is None else tuple(queues),
            started_at=time_of(row["started_at"]),
            last_heartbeat_at=time_of(row["last_heartbeat_at"]),
            alive=row["alive"],
            running=row["running"],
            overdue=row["overdue"],
        )
