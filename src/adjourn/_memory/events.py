"""Derive what happened to a job from the changes of its row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from adjourn._memory.tables import JobRow, Tables

Event = dict[str, Any]
"""A dictionary with ``type`` and ``at``."""


def events_between(before: Tables, after: Tables) -> Iterator[tuple[int, Event]]:
    """Find what happened to each job that a transaction has changed, with the job's id."""
    for id_ in sorted(after.touched):
        old = before.jobs.get(id_) or before.finished.get(id_)
        new = after.jobs.get(id_) or after.finished.get(id_)
        if new is not None:
            for kind, at in _events(old, new, after.now):
                yield id_, {"type": kind, "at": at}


def _events(old: JobRow | None, new: JobRow, now: datetime.datetime) -> Iterator[tuple[str, datetime.datetime]]:
    if new.scheduled_at is not None and (old is None or old.scheduled_at != new.scheduled_at):
        yield "scheduled", new.scheduled_at
    if old is None:
        yield "deferred", now
    elif old.finished_as is not None and new.finished_as is None:
        yield "retried", now
    elif old.worker_id is not None and new.finished_as is None and new.attempts > old.attempts:
        # An exchange may have claimed it again at once.
        yield "deferred_for_retry", now
    if old is not None and new.abort_requested and not old.abort_requested:
        yield "abort_requested", now
    if new.worker_id is not None and (old is None or new.claim > old.claim):
        yield "started", now
    if new.finished_as is not None and (old is None or old.finished_as is None):
        yield new.finished_as, now
