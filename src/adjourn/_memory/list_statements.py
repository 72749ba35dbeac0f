"""The statements that find jobs and count them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

from adjourn._memory.statements import ANSWERS, answers
from adjourn._memory.tables import JobRow, Tables
from adjourn.sql.constants import Hold
from adjourn.types import Row

STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")


@answers
def get_job_status(tables: Tables, *, job_id: int) -> list[Row]:
    """Return a job's status."""
    job = tables.jobs.get(job_id) or tables.finished.get(job_id)
    return [] if job is None else [{"status": job.status}]


@answers
def list_jobs(
    tables: Tables,
    *,
    id: int | None,  # noqa: A002 - the statement's parameter
    queue: str | None,
    task: str | None,
    status: str | None,
    lock: str | None,
    queueing_lock: str | None,
    worker_id: int | None,
    waits_for: str | None,
    workflow_id: int | None,
    error: str | None,
    finished_after: datetime.datetime | None,
    finished_before: datetime.datetime | None,
    after_id: int,
    limit: int | None,
) -> list[Row]:
    """List the jobs that match the filters."""
    found = [
        _with_worker(tables, job)
        for job in _matching(tables, queue, task, status, lock, waits_for=waits_for)
        if id in (None, job.id)
        and queueing_lock in (None, job.queueing_lock)
        and worker_id in (None, job.worker_id)
        and workflow_id in (None, job.workflow_id)
        and job.id > after_id
        and (error is None or error in last_error(job))
        and _has_ended(job, finished_after, finished_before)
    ]
    return found[:limit]


@answers
def list_due_jobs(
    tables: Tables,
    *,
    id: int | None,  # noqa: A002 - the statement's parameter
    queue: str | None,
    task: str | None,
    lock: str | None,
    queueing_lock: str | None,
    waits_for: str | None,
    workflow_id: int | None,
    error: str | None,
    after_at: datetime.datetime,
    after_id: int,
    limit: int | None,
) -> list[Row]:
    """List the jobs that wait for a time, the soonest due first."""
    found = [
        (job.scheduled_at, job.id)
        for job in _matching(tables, queue, task, "todo", lock, waits_for=waits_for)
        if job.hold is Hold.SCHEDULED
        and job.scheduled_at is not None
        and (job.scheduled_at, job.id) > (after_at, after_id)
        and id in (None, job.id)
        and queueing_lock in (None, job.queueing_lock)
        and workflow_id in (None, job.workflow_id)
        and (error is None or error in last_error(job))
    ]
    return [tables.jobs[number].columns(tables.now) for _, number in sorted(found)[:limit]]


@answers
def read_jobs(tables: Tables, *, ids: Sequence[int]) -> list[Row]:
    """Return these jobs."""
    return [job.columns(tables.now) for job in tables.all_jobs() if job.id in set(ids)]


@answers
def find_jobs(
    tables: Tables,
    *,
    statuses: Sequence[str],
    queue: str | None,
    task: str | None,
    error: str | None,
    finished_after: datetime.datetime | None,
    finished_before: datetime.datetime | None,
    after_id: int,
    limit: int | None,
) -> list[Row]:
    """Find the next jobs that match."""
    found = [
        {"id": job.id}
        for job in _matching(tables, queue, task, None, None)
        if job.id > after_id
        and job.status in statuses
        and (error is None or error in last_error(job))
        and _has_ended(job, finished_after, finished_before)
    ]
    return found[:limit]


def _has_ended(job: JobRow, after: datetime.datetime | None, before: datetime.datetime | None) -> bool:
    """Return whether a job has ended at a time or later, and before another."""
    at = job.finished_at
    return (after is None or (at is not None and at >= after)) and (before is None or (at is not None and at < before))


def last_error(job: JobRow) -> str:
    """Return the class and the message of the last error of a job."""
    last = json.loads(job.errors[-1]) if job.errors else {}
    return ": ".join(str(last[name]) for name in ("exception", "message") if last.get(name) is not None)


@answers
def count_jobs(
    tables: Tables,
    *,
    statuses: Sequence[str],
    queue: str | None,
    task: str | None,
    error: str | None,
    finished_after: datetime.datetime | None,
    finished_before: datetime.datetime | None,
) -> list[Row]:
    """Count the jobs that match."""
    times = {"finished_after": finished_after, "finished_before": finished_before}
    filters = {"statuses": statuses, "queue": queue, "task": task, "error": error, **times}
    found = ANSWERS["find_jobs"](tables, **filters, after_id=0, limit=None)
    return [{"jobs": len(found)}]


@answers
def list_queues(
    tables: Tables,
    *,
    queue: str | None,
    task: str | None,
    status: str | None,
    lock: str | None,
    live_only: bool,
    waits_for: str | None,
) -> list[Row]:
    """Count the jobs of each queue."""
    return _counted("queue", _matching(tables, queue, task, status, lock, live_only, waits_for))


@answers
def list_tasks(
    tables: Tables,
    *,
    queue: str | None,
    task: str | None,
    status: str | None,
    lock: str | None,
    live_only: bool,
    waits_for: str | None,
) -> list[Row]:
    """Count the jobs of each task."""
    return _counted("task_name", _matching(tables, queue, task, status, lock, live_only, waits_for))


@answers
def list_locks(
    tables: Tables,
    *,
    queue: str | None,
    task: str | None,
    status: str | None,
    lock: str | None,
    live_only: bool,
    waits_for: str | None,
) -> list[Row]:
    """Count the jobs of each lock."""
    return _counted("lock", _matching(tables, queue, task, status, lock, live_only, waits_for))


def _matching(
    tables: Tables,
    queue: str | None,
    task: str | None,
    status: str | None,
    lock: str | None,
    live_only: bool = False,
    waits_for: str | None = None,
) -> list[JobRow]:
    return [
        job
        for job in tables.all_jobs()
        if not (live_only and job.finished_as)
        and queue in (None, job.queue)
        and task in (None, job.task_name)
        and status in (None, job.status)
        and lock in (None, job.lock)
        and waits_for in (None, job.waits_for)
    ]


def _counted(column: str, jobs: list[JobRow]) -> list[Row]:
    rows = []
    for name in sorted({getattr(job, column) for job in jobs} - {None}):
        statuses = [job.status for job in jobs if getattr(job, column) == name]
        counts = {status: statuses.count(status) for status in STATUSES}
        rows.append({"name": name, "jobs_count": len(statuses), **counts})
    return rows


@answers
def get_stalled_jobs(tables: Tables, *, seconds: float, queue: str | None, task_name: str | None) -> list[Row]:
    """List running jobs whose worker has sent no heartbeat for ``seconds`` seconds."""
    silent = tables.now - datetime.timedelta(seconds=seconds)

    def is_stalled(job: JobRow) -> bool:
        worker = tables.workers.get(job.worker_id or 0)
        return worker is None or worker.dead or worker.last_heartbeat_at < silent

    running = [job for job in _matching(tables, queue, task_name, "doing", None) if is_stalled(job)]
    return [_with_worker(tables, job) for job in running]


def _with_worker(tables: Tables, job: JobRow) -> Row:
    columns = job.columns(tables.now)
    worker = tables.workers.get(job.worker_id or 0) if columns["status"] == "doing" else None
    is_overdue = worker is not None and job.id in worker.overdue
    return {**columns, "worker_name": worker and worker.name, "overdue": is_overdue}


# The schema, which is always applied and up to date
