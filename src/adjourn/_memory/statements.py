"""The statements that the managers of jobs and of the schema use."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from adjourn import exceptions, sql
from adjourn._domain.batches import COLUMNS
from adjourn._memory.revival import revive
from adjourn._memory.rules import (
    cancel_waiting,
    counts_unless_succeeded,
    due_at,
    first_hold,
    release_keys,
    stored_elements,
    stored_json,
    taken_queueing_lock,
    values_of,
    wake,
    wake_for,
)
from adjourn._memory.tables import JobRow, Tables
from adjourn.sql.constants import HEADS, Hold
from adjourn.types import Row

Answer = Callable[..., list[Row]]

ANSWERS: dict[str, Answer] = {}
"""The function for each statement, by the statement's name. Its keywords are the statement's parameters."""


def answers(function: Answer) -> Answer:
    """Register a function for the statement that it is named after."""
    ANSWERS[function.__name__] = function
    return function


# Storing jobs


@answers
def defer_job(
    tables: Tables,
    *,
    queue: str,
    task_name: str,
    priority: int,
    lock: str | None,
    args: str,
    headers: str | None,
    scheduled_at: datetime.datetime | None,
    schedule_in: float | None,
    own_transaction: bool,
) -> list[Row]:
    """Store a new job without a queueing lock."""
    at = due_at(tables, scheduled_at, schedule_in)
    id_ = add_job(tables, queue, task_name, priority, lock, None, stored_json(args), at, headers)
    woken = "" if _announce(tables, [queue], [at], own_transaction) else None
    return [{"id": id_, "enqueued_at": tables.now, "woken": woken}]


def add_job(
    tables: Tables,
    queue: str,
    task_name: str,
    priority: int,
    lock: str | None,
    queueing_lock: str | None,
    args: str,
    at: datetime.datetime | None,
    headers: str | None,
) -> int:
    """Store a job that has been checked, and return its id."""
    tables.last_job_id += 1
    tables.touched.add(tables.last_job_id)
    tables.jobs[tables.last_job_id] = JobRow(
        id=tables.last_job_id,
        queue=queue,
        task_name=task_name,
        priority=priority,
        lock=lock,
        queueing_lock=queueing_lock,
        waiting_queueing_lock=queueing_lock,
        args=args,
        scheduled_at=at,
        hold=first_hold(tables, at, lock),
        enqueued_at=tables.now,
        headers=None if headers is None else stored_json(headers),
    )
    return tables.last_job_id


@answers
def defer_jobs(tables: Tables, *, args: str, columns: str, own_transaction: bool) -> list[Row]:
    """Store new jobs, all or none; if a queueing lock is taken, name it."""
    stored = stored_elements(args)
    given = json.loads(columns)
    column = {name: values_of(given.get(name), len(stored)) for name in COLUMNS}
    if (taken := taken_queueing_lock(tables, column["queueing_lock"])) is not None:
        return [{"ids": None, "taken": taken, "enqueued_at": tables.now}]
    due = [due_at(tables, *times) for times in zip(column["scheduled_at"], column["schedule_in"], strict=True)]
    headers = [None if each is None else json.dumps(each) for each in column["headers"]]
    options = [column[name] for name in ("queue", "task_name", "priority", "lock", "queueing_lock")]
    ids = [add_job(tables, *values) for values in zip(*options, stored, due, headers, strict=True)]
    _announce(tables, column["queue"], due, own_transaction)
    return [{"ids": json.dumps(ids), "taken": None, "enqueued_at": tables.now}]


ANSWERS["defer_batch"] = defer_jobs


def _announce(
    tables: Tables, queues: Sequence[str], due: Sequence[datetime.datetime | None], own_transaction: bool
) -> bool:
    """Notify workers of new jobs; return whether any was notified."""
    if own_transaction or any(at is not None and at > tables.now for at in due):
        return wake(tables, own_transaction)
    return wake_for(tables, queues)


# Changing jobs


@answers
def cancel_jobs(tables: Tables, *, ids: Sequence[int], delete: bool) -> list[Row]:
    """Cancel waiting jobs."""
    return [{"id": id_} for id_ in cancel_waiting(tables, ids, delete=delete)]


@answers
def watch_jobs(tables: Tables, *, ids: Sequence[int]) -> list[Row]:
    """Mark jobs whose ends are to be told, and return those that have ended or were deleted."""
    ready: list[str] = []
    for id_ in ids:
        if (job := tables.jobs.get(id_)) and not job.waited:
            tables.jobs[id_] = attrs.evolve(job, waited=True)
            if job.hold is Hold.READY and job.worker_id is None:
                ready.append(job.queue)
    wake_for(tables, ready)
    for id_ in ids:
        if (flow := tables.workflows.get(id_)) and flow.finished_at is None:
            tables.workflows[id_] = attrs.evolve(flow, waited=True)
    live = tables.jobs.keys() | {id_ for id_, flow in tables.workflows.items() if flow.finished_at is None}
    return [{"id": id_, "has_ended": True} for id_ in sorted(set(ids) - live)]


@answers
def request_abort(tables: Tables, *, ids: Sequence[int]) -> list[Row]:
    """Ask running jobs to end."""
    running = [job for id_ in sorted(set(ids)) if (job := tables.jobs.get(id_)) and job.worker_id is not None]
    for job in running:
        tables.change(job, abort_requested=True)
        tables.payloads["abort"] = None
    return [{"id": job.id} for job in running]


@answers
def retry_job_by_id(
    tables: Tables,
    *,
    job_id: int,
    retry_at: datetime.datetime | None,
    priority: int | None,
    queue: str | None,
    relock: bool,
    lock: str | None,
) -> list[Row]:
    """Run a job again, whether it has ended, is running or is waiting."""
    at = due_at(tables, retry_at, None)
    if (ended := tables.finished.get(job_id)) is not None:
        changes: dict[str, Any] = {
            "priority": ended.priority if priority is None else priority,
            "queue": ended.queue if queue is None else queue,
            "lock": lock if relock else ended.lock,
        }
        revive(tables, [job_id], [job_id], at, **changes)
        return [{"found": True}]
    if (old := tables.jobs.get(job_id)) is None:
        return [{"found": False}]
    if old.hold is Hold.PARENTS:
        why = (
            "waits in its run for other jobs, and goes on when they have ended: cancel those, or it"
            if old.has_begun
            else "waits for other jobs of its workflow: retry those, or the workflow"
        )
        raise exceptions.ConnectorException(f"job {job_id} {why}", sqlstate="ADJ02")
    new_lock = lock if relock else old.lock
    was_running = old.worker_id is not None
    tables.change(
        old,
        worker_id=None,
        started_at=None,
        ready_at=tables.now,
        scheduled_at=at,
        priority=old.priority if priority is None else priority,
        queue=old.queue if queue is None else queue,
        lock=new_lock,
        hold=first_hold(tables, at, new_lock),
        awaited_event=None,
        expires_at=None,
        has_steps=any(key[0] == job_id for key in tables.steps),
        attempts=old.attempts + was_running,
        abort_requested=False,
        losses=0,
        doubts=0,
        unknown_since=None,
        queueing_lock=None if was_running else old.queueing_lock,
    )
    if old.lock is not None and old.hold in HEADS:
        tables.headless.add(old.lock)
    wake(tables, always=True)
    return [{"found": True}]


@answers
def retry_jobs(
    tables: Tables, *, ids: Sequence[int], statuses: Sequence[str], delay: float, at: datetime.datetime | None
) -> list[Row]:
    """Run those of these jobs again that have one of these statuses."""
    if at is None and delay:
        at = tables.now + datetime.timedelta(seconds=delay)
    live, ended = [], []
    for id_ in sorted(set(ids)):
        if (job := tables.finished.get(id_)) is not None and job.status in statuses:
            ended.append(id_)
        job = tables.jobs.get(id_)
        if job is not None and job.status in statuses and (job.status != "todo" or _is_early(tables, job)):
            live.append(id_)
    for id_ in live:
        retry_job_by_id(tables, job_id=id_, retry_at=at, priority=None, queue=None, relock=False, lock=None)
    if ended:
        revive(tables, ended, ended, at)
    return [{"id": id_} for id_ in sorted([*live, *ended])]


def _is_early(tables: Tables, job: JobRow) -> bool:
    return job.hold == Hold.SCHEDULED and job.scheduled_at is not None and job.scheduled_at > tables.now


@answers
def delete_finished(tables: Tables, *, ids: Sequence[int], statuses: Sequence[str] | None) -> list[Row]:
    """Delete those of these jobs that have ended."""
    gone = [
        id_
        for id_ in sorted(set(ids))
        if (job := tables.finished.get(id_)) and (not statuses or job.status in statuses)
    ]
    release_keys(tables, gone)
    for id_ in gone:
        del tables.finished[id_]
    return [{"id": id_} for id_ in gone]


@answers
def list_old_partitions(tables: Tables, *, seconds: float) -> list[Row]:
    """List nothing: there are no partitions in memory."""
    return []


@answers
def drop_partition(
    tables: Tables, *, name: str, seconds: float, statuses: Sequence[str], queue: str | None
) -> list[Row]:
    """Report that there is no such partition."""
    return [{"outcome": "missing", "jobs": 0}]


@answers
def delete_old_jobs(
    tables: Tables, *, seconds: float, statuses: Sequence[str], queue: str | None, after_id: int, limit: int
) -> list[Row]:
    """Check ``limit`` jobs that ended more than ``seconds`` ago, and delete those with one of the statuses."""
    before = tables.now - datetime.timedelta(seconds=seconds)
    old = [
        id_
        for id_, job in sorted(tables.finished.items())
        if id_ > after_id and job.finished_at is not None and job.finished_at < before
    ][:limit]
    gone = [
        id_
        for id_ in old
        if (job := tables.finished[id_]).status in statuses
        and queue in (None, job.queue)
        and (job.result_expires_at is None or job.result_expires_at <= tables.now)
        and not counts_unless_succeeded(tables, job)
    ]
    for id_ in gone:
        del tables.finished[id_]
    return [{"deleted": len(gone), "last_id": old[-1] if len(old) == limit else None}]


@answers
def clear_results(tables: Tables, *, limit: int) -> list[Row]:
    """Clear ``limit`` results that have lapsed."""
    lapsed = [job for job in tables.finished.values() if job.result is not None and job.has_lapsed(tables.now)][:limit]
    for job in lapsed:
        tables.finished[job.id] = attrs.evolve(job, result=None)
    return [{"cleared": len(lapsed)}]


# Reading jobs


@answers
def check_connection(tables: Tables) -> list[Row]:
    """Report that there are tables."""
    return [{"exists": True}]


@answers
def schema_exists(tables: Tables) -> list[Row]:
    """Report that there is a schema."""
    return [{"exists": True}]


@answers
def get_schema_version(tables: Tables) -> list[Row]:
    """Report that the schema is the latest."""
    return [{"version": sql.latest_version()}]


def _nothing(tables: Tables, **parameters: Any) -> list[Row]:
    return []


for _name in (
    *("lock_migrations", "try_lock_indexes", "make_partitions", "list_blockers"),
    *("list_misplaced_functions", "list_unbuilt_indexes", "limit_waits"),
):
    ANSWERS[_name] = _nothing
for _version in sql.versions():
    ANSWERS[_version.statement.name] = _nothing
