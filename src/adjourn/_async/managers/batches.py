"""How a batch of jobs is sent to the database: in one statement, so that all jobs are stored or none."""

from __future__ import annotations

import datetime
import json
import operator
from collections.abc import Sequence
from typing import Any, Protocol

from adjourn._domain.batches import COLUMNS, Batch, EncodedJob, check_jobs, encoded, encoded_columns, encoded_values
from adjourn._domain.checks import checked_list
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued
from adjourn._domain.jobs import Job
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.exceptions import InvalidOption, UniqueViolation
from adjourn.types import JSONDict, JSONDumps, Parameters, Row

LARGE = 1000
"""More jobs than these may take the server long."""
SLICE = 32
"""So many jobs are encoded without a pause: their arguments may be large."""
VALUES = 1000
"""So many values of a column are written without a pause."""


class AsyncRunsStatements(Protocol):
    """Runs a statement by its name."""

    async def __call__(self, name: str, parameters: Parameters, connection: Any = None) -> list[Row]: ...


async def batch_of_alike_async(job: Job, arguments: Sequence[JSONDict], dumps: JSONDumps) -> Batch:
    """Prepare jobs that have the options of a checked job, and arguments of their own.

    Raises
    ------
    InvalidTaskArguments
        If arguments cannot be stored.
    InvalidOption
        If one of the arguments is not a dictionary.
    """
    pace, written = runtime.Pace(), []
    for start in range(0, len(arguments), SLICE):
        some = arguments[start : start + SLICE]
        for number, each in enumerate(some, start):
            if not isinstance(each, dict):
                raise InvalidOption(f"arguments[{number}]={each!r}: pass a dictionary of arguments.")
        merged = [{**job.task_kwargs, **each} for each in some]
        written.append(encoded([job.task_name] * len(merged), merged, dumps))
        await pace.keep()
    values = {name: getattr(job, name) for name in COLUMNS}
    columns = {name: encoded_values(value) for name, value in values.items() if value is not None}
    return Batch(len(arguments), f"[{','.join(written)}]", encoded_columns(columns))


async def batch_of_jobs_async(jobs: Sequence[Job], dumps: JSONDumps) -> Batch:
    """Check jobs, and prepare them.

    Raises
    ------
    InvalidTaskArguments
        If arguments cannot be stored.
    InvalidOption
        If one is not a job, or has a value that a task's job cannot have.
    """
    pace, written = runtime.Pace(), []
    for start in range(0, len(jobs), SLICE):
        some = jobs[start : start + SLICE]
        check_jobs(some, start)
        written.append(encoded([job.task_name for job in some], [job.task_kwargs for job in some], dumps))
        await pace.keep()
    return Batch(len(jobs), f"[{','.join(written)}]", await _columns_async(jobs))


async def _columns_async(jobs: Sequence[Job]) -> str:
    pace = runtime.Pace()
    columns = {name: text for name in COLUMNS if (text := await _column_async(jobs, name, pace)) is not None}
    return encoded_columns(columns)


async def _column_async(jobs: Sequence[Job], name: str, pace: runtime.Pace) -> str | None:
    """Return what jobs have in a column: a JSON array, or the one value that all of them have; None for nothing."""
    value_of = operator.attrgetter(name)
    first, written = value_of(jobs[0]), []
    objects: set[int] = set()  # equal values need not be written the same
    for start in range(0, len(jobs), VALUES):
        objects.update(map(id, map(value_of, jobs[start : start + VALUES])))
        await pace.keep()
        if len(objects) > 1:
            break
    else:
        return None if first is None else encoded_values(first)
    for start in range(0, len(jobs), VALUES):
        written.append(encoded_values(list(map(value_of, jobs[start : start + VALUES])))[1:-1])
        await pace.keep()
    return f"[{','.join(written)}]"


async def store_async(run: AsyncRunsStatements, batch: Batch, connection: Any) -> tuple[list[int], datetime.datetime]:
    """Store a batch, and return the ids in its order, and when the jobs were stored.

    Parameters
    ----------
    run
        Runs a statement by its name.
    batch
        The jobs, checked.
    connection
        The caller's own connection, or None.

    Raises
    ------
    AlreadyEnqueued
        If a queueing lock is taken. Nothing is stored.
    """
    parameters = {"args": batch.args, "columns": batch.columns, "own_transaction": connection is not None}
    (row,) = await run("defer_batch" if batch.count > LARGE else "defer_jobs", parameters, connection)
    if (taken := row["taken"]) is not None:
        cause = UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=taken)
        raise already_enqueued(repr(taken)) from cause
    return json.loads(row["ids"]), time_of(row["enqueued_at"])


async def store_jobs_async(
    run: AsyncRunsStatements, jobs: Sequence[Job], dumps: JSONDumps, connection: Any
) -> list[Job]:
    """Check and store jobs, and return them as they are stored, in the same order."""
    jobs = checked_list("jobs", jobs, "jobs")
    if not jobs:
        return []
    ids, at = await store_async(run, await batch_of_jobs_async(jobs, dumps), connection)
    return await _stored_async(jobs, ids, at)


async def store_encoded_async(run: AsyncRunsStatements, given: Sequence[EncodedJob], connection: Any) -> list[Job]:
    """Store some jobs that are checked and encoded, and return them as they are stored, in the same order."""
    jobs = [each.job for each in given]
    args = encoded_values([each.arguments for each in given])
    ids, at = await store_async(run, Batch(len(jobs), args, await _columns_async(jobs)), connection)
    return await _stored_async(jobs, ids, at)


async def _stored_async(jobs: Sequence[Job], ids: Sequence[int], at: datetime.datetime) -> list[Job]:
    pace, stored = runtime.Pace(), []
    for start in range(0, len(jobs), SLICE):
        some = zip(jobs[start : start + SLICE], ids[start : start + SLICE], strict=True)
        stored += [job.evolve(id=job_id, status="todo", enqueued_at=at) for job, job_id in some]
        await pace.keep()
    return stored
