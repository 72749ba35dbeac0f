"""The statements with which runs work on their own jobs."""

from __future__ import annotations

import datetime

from adjourn._domain.outcomes import DELETED
from adjourn._domain.runs import Completion
from adjourn._memory.rules import stored_json, wake
from adjourn._memory.statements import answers
from adjourn._memory.tables import Tables
from adjourn.types import Row

TRANSACTION = "memory"
"""The name of every transaction."""


@answers
def begin_completion(tables: Tables) -> list[Row]:
    """Return what a transaction is, before a job is completed in it."""
    return [
        {"transaction": TRANSACTION, "isolation": "read committed", "database": TRANSACTION, "has_schema": True},
    ]


@answers
def complete(
    tables: Tables,
    *,
    transaction: str,
    worker_id: int,
    job_id: int,
    claim: int,
    enqueued_at: datetime.datetime,
    status: str,
    result: str | None,
    ttl: float | None,
) -> list[Row]:
    """End a running job, and leave a note of its lock."""
    job = tables.jobs.get(job_id)
    if job is None or (job.claim, job.worker_id, job.enqueued_at) != (claim, worker_id, enqueued_at):
        return [{"outcome": "lost"}]
    tables.finish(
        job,
        None if status == DELETED else status,
        attempts=job.attempts + 1,
        result=None if result is None else stored_json(result),
        result_expires_at=None if ttl is None else tables.now + datetime.timedelta(seconds=ttl),
    )
    if job.lock is not None:
        tables.headless.add(job.lock)
        wake(tables, True)
    return [{"outcome": "completed"}]


@answers
def ask_completion(tables: Tables, *, job_id: int, claim: int, worker_id: int) -> list[Row]:
    """Return what became of a job that a run has completed."""
    job = tables.jobs.get(job_id)
    if job is None:
        return [{"outcome": Completion.STORED.value}]
    is_mine = (job.claim, job.worker_id) == (claim, worker_id)
    return [{"outcome": Completion.ROLLED_BACK.value if is_mine else Completion.LOST.value}]
