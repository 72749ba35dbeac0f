"""Stores jobs that are more than plain: they have to pass limits, or have terms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adjourn._async.managers.batches import AsyncRunsStatements
from adjourn._domain.batches import COLUMNS, EncodedJob
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued
from adjourn._domain.jobs import Job, Status
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.exceptions import UniqueViolation

STEP = 8
"""After so many jobs, others may have a turn."""


async def store_special_async(run: AsyncRunsStatements, given: Sequence[EncodedJob], connection: Any) -> list[Job]:
    """Store jobs that are checked, all or none, and return them as they are stored, in the same order.

    Parameters
    ----------
    run
        Runs a statement by its name.
    given
        The jobs, with their arguments as JSON.
    connection
        The caller's own connection, or None.

    Raises
    ------
    AlreadyEnqueued
        If a queueing lock is taken. Nothing is stored.
    """
    pace, written = runtime.Pace(), []
    for number, each in enumerate(given):
        written.append(_written(each))
        if not number % STEP:
            await pace.keep()
    parameters = {"jobs": f"[{','.join(written)}]", "own_transaction": connection is not None}
    rows = await run("defer_special", parameters, connection)
    if (taken := rows[0]["taken"]) is not None:
        cause = UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=taken)
        raise already_enqueued(repr(taken)) from cause
    at, stored = time_of(rows[0]["enqueued_at"]), []
    for number, (each, row) in enumerate(zip(given, rows, strict=True)):
        stored.append(each.job.evolve(id=row["id"], status=Status.TODO.value, enqueued_at=at))
        if not number % STEP:
            await pace.keep()
    return stored


def _written(encoded: EncodedJob) -> str:
    """Return what the database gets of a job, as JSON."""
    job = encoded.job
    values: dict[str, Any] = {name: getattr(job, name) for name in COLUMNS}
    values["args"] = encoded.arguments
    if job.limit is not None:
        values |= job.limit.members()
    if job.terms is not None:
        values |= job.terms.members()
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, default=str)


def is_special(job: Any) -> bool:
    """Return whether a job, or what was passed for one, is more than plain."""
    return getattr(job, "limit", None) is not None or getattr(job, "terms", None) is not None
