"""How jobs are sent to the database of which some are unique: in one statement, so that all of them are stored or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from adjourn._async.managers.batches import LARGE, AsyncRunsStatements
from adjourn._domain.arguments import check_job, dump_arguments
from adjourn._domain.batches import COLUMNS, EncodedJob
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued, already_there
from adjourn._domain.jobs import Job, Status
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.exceptions import InvalidConnection, UniqueViolation
from adjourn.types import JSONDumps, Row
from adjourn.unique import Deferred

STEP = 8
"""After so many jobs, others may have a turn."""


async def store_unique_async(run: AsyncRunsStatements, given: Sequence[EncodedJob], connection: Any) -> list[Job]:
    """Store jobs that are checked, and return them with their ids, in the same order; `deferred_as` says what became of each.

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
        If a unique job is there already, and is not to be skipped or replaced, or a queueing lock is taken. Nothing is stored.
    InvalidConnection
        If the isolation is stricter than READ COMMITTED. Nothing is stored.
    """
    pace, written = runtime.Pace(), []
    for number, each in enumerate(given):
        written.append(_written(each.job, each.arguments))
        if not number % STEP:
            await pace.keep()
    parameters = {"jobs": f"[{','.join(written)}]", "own_transaction": connection is not None}
    rows = await run("defer_unique_batch" if len(given) > LARGE else "defer_unique", parameters, connection)
    if rows[0]["outcome"] not in ("stored", "exists", "replaced"):
        _refuse(rows)
    at = time_of(rows[0]["enqueued_at"])
    known: dict[str, dict[str, Any]] = {
        "stored": {"status": Status.TODO.value, "enqueued_at": at},
        "replaced": {"status": Status.TODO.value},
    }
    stored: list[Job] = []
    for number, (each, row) in enumerate(zip(given, rows, strict=True)):
        stored.append(each.job.evolve(id=row["id"], **known.get(row["outcome"], {})))
        if not number % STEP:
            await pace.keep()
    return stored


async def encoded_jobs_async(jobs: Sequence[Job], dumps: JSONDumps) -> list[EncodedJob]:
    """Check jobs, and turn their arguments into JSON."""
    pace, encoded = runtime.Pace(), []
    for number, job in enumerate(jobs):
        check_job(f"jobs[{number}]", job)
        encoded.append(EncodedJob(job, dump_arguments(job.task_name, job.task_kwargs, dumps)))
        if not number % STEP:
            await pace.keep()
    return encoded


def deferred_as(job: Job) -> Deferred:
    """Return what became of a job that was deferred. Only of a new one it is known when it was stored, and one that was there
    already may have any status, unless it was replaced."""
    assert job.id is not None
    return Deferred(job.id, "stored" if job.enqueued_at else "replaced" if job.status else "exists")


def _written(job: Job, arguments: str) -> str:
    """Return what the database gets of a job, as JSON."""
    values: dict[str, Any] = {name: getattr(job, name) for name in COLUMNS}
    values["args"] = arguments
    if job.terms is not None:
        values |= job.terms.members()
    if job.limit is not None:
        values |= job.limit.members()
    rule = job.unique
    if rule is not None:
        values["key"] = rule.stored_key(job.task_name, arguments)
        values["over"] = f"{{{','.join(rule.over)}}}"
        values["period"] = rule.period
        values["on_conflict"] = rule.on_conflict
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, default=str)


def _refuse(rows: Sequence[Row]) -> NoReturn:
    outcome = rows[0]["outcome"]
    if outcome == "strict":
        raise InvalidConnection(
            "A unique job is stored under READ COMMITTED alone: a stricter isolation does not see what others have just stored. "
            "Nothing was stored. Set the isolation of your transaction, or of the connections of the app's own pool."
        )
    if outcome == "locked":
        lock = rows[0]["queueing_lock"]
        cause = UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=lock)
        raise already_enqueued(repr(lock)) from cause
    raise already_there([row["id"] for row in rows if row["id"] is not None])
