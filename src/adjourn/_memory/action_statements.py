"""The statements of what people do with jobs. Notes of it are kept in databases alone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NoReturn

from adjourn import exceptions
from adjourn._memory.rules import due_at, wake
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables
from adjourn.sql.constants import APART_FROM, HEADS, Hold
from adjourn.types import Row


@answers
def change_jobs(
    tables: Tables,
    *,
    ids: Sequence[int],
    priority: int | None,
    queue: str | None,
    reschedule: bool,
    at: datetime.datetime | None,
) -> list[Row]:
    """Change those of these jobs that wait."""
    changed = []
    for id_ in sorted(set(ids)):
        job = tables.jobs.get(id_)
        if job is None or job.worker_id is not None or job.hold is Hold.HELD:
            continue
        if reschedule and (job.hold is Hold.PARENTS or job.awaited_event is not None):
            continue
        if job.lock is not None and job.hold in HEADS:
            tables.headless.add(job.lock)
        new_time = due_at(tables, at, None) if reschedule else job.scheduled_at
        tables.change(
            job,
            priority=job.priority if priority is None else priority,
            queue=job.queue if queue is None else queue,
            scheduled_at=new_time,
            hold=_hold(tables, job, reschedule, new_time),
        )
        changed.append(id_)
    if changed:
        wake(tables, always=True)
    return [{"id": id_} for id_ in changed]


def _hold(tables: Tables, job: JobRow, reschedule: bool, at: datetime.datetime | None) -> Hold:
    if job.hold is Hold.PARENTS:
        return job.hold
    if (at is not None and at > tables.now) if reschedule else job.hold is Hold.SCHEDULED:
        return Hold.SCHEDULED
    if job.lock is not None:
        return Hold.UNPLACED
    if job.unknown_since is not None:
        return Hold.UNKNOWN
    return Hold.APART if job.doubts >= APART_FROM else Hold.READY


def _refuse() -> NoReturn:
    raise exceptions.ConnectorException(
        "The in-memory connector keeps no notes of what people do, and holds no job for them: use a connector to Postgres.",
        sqlstate="0A000",
    )


@answers
def hold_job(tables: Tables, *, job_id: int) -> list[Row]:
    """Refuse."""
    _refuse()


@answers
def add_audit(
    tables: Tables,
    *,
    actor: str,
    how: str,
    action: str,
    target: str | None,
    filter: Any,  # noqa: A002 - the statement's parameter
    jobs: int,
    outcome: str,
    address: str | None,
    request_id: str | None,
) -> list[Row]:
    """Refuse."""
    _refuse()


@answers
def forget_audit(tables: Tables, *, days: int, limit: int) -> list[Row]:
    """Delete no notes, because there are none."""
    return [{"forgotten": 0}]


@answers
def list_audit(tables: Tables, *, target: str | None, before_id: int | None, limit: int) -> list[Row]:
    """Refuse."""
    _refuse()
