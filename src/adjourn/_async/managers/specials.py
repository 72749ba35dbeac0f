"""Stores jobs that are more than plain, such as those with a limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adjourn._async.managers.batches import AsyncRuns
from adjourn._domain.arguments import check_job, dump_arguments
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued
from adjourn._domain.jobs import Job
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.exceptions import UniqueViolation
from adjourn.types import JSONDict, JSONDumps

STEP = 8
"""After so many jobs, others may have a turn."""


async def store_special_async(run: AsyncRuns, jobs: Sequence[Job], dumps: JSONDumps, connection: Any) -> list[Job]:
    """Store jobs, all or none, and return them as they are stored, in the same order.

    Parameters
    ----------
    run
        Runs a statement by its name.
    jobs
        The jobs.
    dumps
        Writes their arguments as JSON.
    connection
        The caller's own connection, or None.

    Raises
    ------
    AlreadyEnqueued
        If a queueing lock is taken. Nothing is stored.
    """
    pace = runtime.Pace()
    written: list[str] = []
    for number, job in enumerate(jobs):
        if len(jobs) > 1:
            check_job(f"jobs[{number}]", job)
        written.append(json.dumps(_members(job, dumps), ensure_ascii=False))
        if not number % STEP:
            await pace.keep()
    parameters = {"jobs": f"[{','.join(written)}]", "own_transaction": connection is not None}
    rows = await run("defer_special", parameters, connection)
    if (taken := rows[0]["taken"]) is not None:
        cause = UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=taken)
        raise already_enqueued(repr(taken)) from cause
    at = time_of(rows[0]["enqueued_at"])
    return [job.as_stored(row["id"], at) for job, row in zip(jobs, rows, strict=True)]


def _members(job: Job, dumps: JSONDumps) -> JSONDict:
    members = {
        "queue": job.queue,
        "task_name": job.task_name,
        "priority": job.priority,
        "lock": job.lock,
        "queueing_lock": job.queueing_lock,
        "args": dump_arguments(job.task_name, job.task_kwargs, dumps),
        "scheduled_at": None if job.scheduled_at is None else job.scheduled_at.isoformat(),
        "schedule_in": job.schedule_in,
    }
    return members if job.limit is None else members | job.limit.members()
