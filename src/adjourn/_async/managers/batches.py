"""How a batch of jobs is sent to the database: in one statement, so that all jobs are stored or none."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued
from adjourn._domain.headers import dump_headers
from adjourn._domain.jobs import Job, Status
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.exceptions import UniqueViolation
from adjourn.types import Parameters, Row

LARGE = 1000
"""Of more jobs than these, a driver would keep everybody else waiting for long."""

STEP = 8
"""After so many jobs, others may have a turn."""
SLICE = 1000
"""Of so many jobs, a column is written without a pause."""


class AsyncRuns(Protocol):
    """Runs a statement by its name."""

    async def __call__(self, name: str, parameters: Parameters, connection: Any = None) -> list[Row]: ...


async def store_batch_async(
    run: AsyncRuns, jobs: Sequence[Job], arguments: Sequence[str], connection: Any
) -> list[Job]:
    """Store jobs, and return them as they are stored, in the same order.

    Parameters
    ----------
    run
        Runs a statement by its name.
    jobs
        The jobs, checked.
    arguments
        Their arguments, as JSON.
    connection
        The caller's own connection, or None.

    Raises
    ------
    AlreadyEnqueued
        If a queueing lock is taken. Nothing is stored.
    """
    # psycopg sends no list that holds both int and float.
    delays = [None if job.schedule_in is None else float(job.schedule_in) for job in jobs]
    parameters = {
        "queues": [job.queue for job in jobs],
        "task_names": [job.task_name for job in jobs],
        "priorities": [job.priority for job in jobs],
        "locks": [job.lock for job in jobs],
        "queueing_locks": [job.queueing_lock for job in jobs],
        "args": arguments,
        "headers": _headers(jobs),
        "scheduled_at": [job.scheduled_at for job in jobs],
        "schedule_in": delays if any(delay is not None for delay in delays) else None,
        "own_transaction": connection is not None,
    }
    rows = await run("defer_jobs", parameters, connection)
    _check_not_taken(rows[0]["taken"])
    return await _stored_async(jobs, [row["id"] for row in rows], rows[0]["enqueued_at"])


async def store_large_batch_async(
    run: AsyncRuns, jobs: Sequence[Job], arguments: Sequence[str], connection: Any
) -> list[Job]:
    """Store jobs as `store_batch_async` does, and let others have their turns meanwhile."""
    pace = runtime.Pace()
    written: list[str] = []
    for number, text in enumerate(arguments):
        written.append(json.dumps(text, ensure_ascii=False))
        if not number % STEP:
            await pace.keep()
    parameters = {
        "queues": await _column_async(jobs, lambda job: job.queue),
        "task_names": await _column_async(jobs, lambda job: job.task_name),
        "priorities": await _column_async(jobs, lambda job: job.priority),
        "locks": await _column_async(jobs, lambda job: job.lock),
        "queueing_locks": await _column_async(jobs, lambda job: job.queueing_lock),
        "args": f"[{','.join(written)}]",
        "headers": await _column_async(jobs, lambda job: None if job.headers is None else dump_headers(job.headers)),
        "scheduled_at": await _column_async(jobs, lambda job: job.scheduled_at),
        "schedule_in": await _column_async(jobs, lambda job: job.schedule_in),
        "own_transaction": connection is not None,
    }
    (row,) = await run("defer_batch", parameters, connection)
    _check_not_taken(row["taken"])
    return await _stored_async(jobs, json.loads(row["ids"]), row["enqueued_at"])


async def _stored_async(jobs: Sequence[Job], ids: Sequence[int], enqueued_at: str | datetime.datetime) -> list[Job]:
    """Return jobs of one transaction with what they have since they are stored."""
    pace = runtime.Pace()
    at, stored = time_of(enqueued_at), []
    for number, (job, job_id) in enumerate(zip(jobs, ids, strict=True)):
        stored.append(job.evolve(id=job_id, status=Status.TODO.value, enqueued_at=at))
        if not number % STEP:
            await pace.keep()
    return stored


def _headers(jobs: Sequence[Job]) -> list[str | None] | None:
    written = [None if job.headers is None else dump_headers(job.headers) for job in jobs]
    return written if any(written) else None


def _check_not_taken(queueing_lock: str | None) -> None:
    if queueing_lock is not None:
        cause = UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=queueing_lock)
        raise already_enqueued(repr(queueing_lock)) from cause


async def _column_async(jobs: Sequence[Job], value_of: Callable[[Job], Any]) -> str | None:
    """Return one value of each job, as the text of a JSON array; None if all are None."""
    pace = runtime.Pace()
    written: list[str] = []
    is_empty = True
    for start in range(0, len(jobs), SLICE):
        values = [value_of(job) for job in jobs[start : start + SLICE]]
        is_empty = is_empty and not any(value is not None for value in values)
        written.append(json.dumps(values, ensure_ascii=False, default=str)[1:-1])
        await pace.keep()
    return None if is_empty else f"[{','.join(written)}]"
