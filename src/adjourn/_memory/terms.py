"""The terms of jobs: until when they may begin, and how often they are run again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adjourn._memory.rules import cancel_waiting, due_at, stored_json, wake
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables, with_error
from adjourn.types import Row


def terms_of(tables: Tables, given: Mapping[str, Any], at: datetime.datetime | None) -> dict[str, Any]:
    """Return the columns of a new job that are its terms.

    Parameters
    ----------
    given
        What the database gets of it.
    at
        When it is due; None for now.
    """
    expires_at, seconds = due_at(tables, given.get("expires_at"), None), given.get("expires_in")
    if expires_at is None and seconds is not None:
        expires_at = max(at or tables.now, tables.now) + datetime.timedelta(seconds=seconds)
    max_attempts = given.get("max_attempts")
    is_batch = bool(given.get("is_batch"))
    terms: dict[str, Any] = {"expires_at": expires_at, "max_attempts": max_attempts, "is_batch": is_batch}
    has_terms = expires_at is not None or max_attempts is not None or is_batch
    return {**terms, "special": True} if has_terms else terms


def has_expired(tables: Tables, job: JobRow) -> bool:
    """Return whether a job that has not begun is not to begin any more."""
    return job.expires_at is not None and job.expires_at <= tables.now


def expire(tables: Tables, jobs: Iterable[JobRow]) -> None:
    """End jobs that have expired and that nobody runs."""
    reasons = {}
    for job in jobs:
        assert job.expires_at is not None
        entry = {
            "exception": "adjourn.exceptions.JobExpired",
            "message": f"the job had not begun by {job.expires_at.isoformat()}",
            "attempt": job.attempts + 1,
            "worker_id": None,
            "worker_name": None,
            "started_at": None,
            "ended_at": tables.now.isoformat(),
        }
        tables.change(job, errors=with_error(job.errors, stored_json(json.dumps(entry))))
        reasons[job.id] = f"it had not begun by {job.expires_at.isoformat()}"
    cancel_waiting(tables, reasons, cause="expiry", reasons=reasons)


@answers
def expire_due(tables: Tables, *, until: datetime.datetime | None, limit: int) -> list[Row]:
    """End jobs that have expired and that nobody runs."""
    until = until or tables.now
    expired = [job for job in tables.jobs.values() if job.expires_at is not None and job.expires_at <= until]
    waiting = sorted((job for job in expired if job.worker_id is None), key=lambda job: (job.expires_at, job.id))[
        :limit
    ]
    expire(tables, waiting)
    return [{"expired": len(waiting)}]


@answers
def age(tables: Tables, *, seconds: float, queues: Sequence[str] | None, limit: int) -> list[Row]:
    """Raise the priority of ready jobs that have waited for long."""
    raised = 0
    for queue in [None] if queues is None else queues:
        levels: dict[int, list[JobRow]] = {}
        for job in tables.ready():
            if queue is None or job.queue == queue:
                levels.setdefault(job.priority, []).append(job)
        top, *lower = levels or [0]
        for job in [job for level in lower for job in levels[level][:limit]]:
            could_run = max(at for at in (job.enqueued_at, job.scheduled_at, job.ready_at) if at is not None)
            waited = (tables.now - could_run).total_seconds()
            steps = min(top - job.priority, int(waited / seconds) - job.aged)
            if steps > 0:
                tables.change(job, priority=job.priority + steps, aged=job.aged + steps)
                raised += 1
    if raised:
        wake(tables)
    return [{"raised": raised}]
