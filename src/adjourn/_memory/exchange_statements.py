"""The exchange of a worker, and the placing of jobs."""

from __future__ import annotations

import datetime
import heapq
import itertools
import json
from collections.abc import Sequence
from typing import Any

import attrs

from adjourn._domain.outcomes import DELETED
from adjourn._memory.claims import ClaimRequest, claim_jobs
from adjourn._memory.limits import end_pauses, next_room
from adjourn._memory.rules import (
    BEHIND_HEADS,
    due_at,
    first_hold,
    followers,
    has_head,
    held_by,
    hold_again,
    pass_on,
    promote,
    stored_json,
    tell_dependents,
    wake,
    wake_awaiting,
    wake_for,
)
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables, with_error
from adjourn._memory.workflow_statements import place_workflows
from adjourn.sql.constants import DUE_LIMIT, Hold
from adjourn.types import Row

CLAIMED = (
    *("id", "queue", "task_name", "priority", "lock", "queueing_lock", "args", "scheduled_at", "attempts", "claim"),
    *("abort_requested", "enqueued_at", "started_at", "headers", "ready_at"),
)
"""The columns of a claimed job that are returned to the worker."""
OUTCOME: tuple[str, ...] = ("id", "claim", "status", "error", "result", "ttl")
"""The columns of an outcome that a worker sends."""


@answers
def exchange(
    tables: Tables,
    *,
    worker_id: int,
    ids: str | None,
    claims: str | None,
    statuses: str | None,
    errors: str | None,
    results: str | None,
    ttls: str | None,
    back: str | None,
    limit: int,
    queues: str | None,
    busy: bool,
    probe: bool,
    concurrency: int,
    running: int,
    apart: int | None,
    tasks: Sequence[str] | None,
    patience: float,
    listens: bool,
    called: bool,
    follow: int,
    floors: str | None,
    batches: str | None,
) -> list[Row]:
    """Store the outcomes of jobs, and claim the next jobs."""
    columns = map(_elements, (ids, claims, statuses, errors, results, ttls))
    rows = [dict(zip(OUTCOME, row, strict=True)) for row in itertools.zip_longest(*columns)]
    ended = [_read(row) for row in rows]
    returned = [_read(row) for row in json.loads(back or "[]")]
    stored, freed = set(), []
    for row in ended:
        if job := held_by(tables, worker_id, row["id"], row["claim"]):
            is_deleted = row["status"].startswith(DELETED) and not job.is_wanted
            status = None if is_deleted else row["status"].removeprefix(DELETED)
            lapses = None if row["ttl"] is None else tables.now + datetime.timedelta(seconds=row["ttl"])
            tables.finish(
                job,
                status,
                row["error"],
                attempts=job.attempts + 1,
                result=row["result"],
                result_expires_at=lapses,
            )
            stored.add(job.id)
            freed += [job.lock] if job.lock is not None and job.hold not in BEHIND_HEADS else []
    promoted = promote(tables, freed)
    put_back, freed = _put_back(tables, worker_id, returned)
    stored |= set(put_back)
    promoted += promote(tables, freed)
    ready = {*put_back, *(job.id for job in (*promoted, *tell_dependents(tables)))}
    if probe:
        wake_awaiting(tables)
    pause_end = end_pauses(tables)
    next_at = _next(_make_due(tables), next_room(tables), pause_end) if probe else None
    is_to_place = any(tables.held(Hold.UNPLACED)) or bool(tables.headless) or bool(tables.arrivals)
    named = None if queues is None else _elements(queues)
    sizes = json.loads(batches or "{}")
    asked = ClaimRequest(
        worker_id, limit, named, busy, probe, concurrency, running, tasks, patience, listens, follow, sizes
    )
    claim = claim_jobs(tables, asked, apart)
    claimed = claim.jobs
    if not ready <= {job.id for job in claimed}:
        jobs = (tables.jobs[id_] for id_ in ready if id_ in tables.jobs)  # one may have expired
        left = [job for job in jobs if job.worker_id is None and job.hold != Hold.BEHIND]
        if any(job.hold != Hold.READY for job in left):
            wake(tables, besides=worker_id)
        else:
            wake_for(tables, (job.queue for job in left), worker_id)
    if called and (limit == 0 or claim.apart is not None or claim.is_full):
        if limit == 0 and (worker := tables.workers.get(worker_id)):
            tables.workers[worker_id] = attrs.evolve(worker, hungry=False)
        pass_on(tables, worker_id, named)
    report = {
        "refused": [id_ for id_ in (row["id"] for row in (*ended, *returned)) if id_ not in stored] or None,
        "held": None,  # no transaction locks a row in memory
        "alive": claim.is_alive,
        "repeat": claim.is_to_repeat,
        "place": is_to_place if probe else None,
        "apart": claim.apart,
        "unknown": claim.unknown or None,
        "overdue": claim.overdue or None,
        "told": {job.id: _told(job) for job in claimed if job.expires_at or job.max_attempts is not None} or None,
        "floors": None,  # there are no dead rows
        "due_in": None if next_at is None else (next_at - tables.now).total_seconds(),
    }
    answer: list[Row] = [{column: getattr(job, column) for column in CLAIMED} for job in claimed]
    return [*answer, {**dict.fromkeys(CLAIMED), "args": json.dumps(report)}]


def _told(job: JobRow) -> Row:
    """Return what the worker has to know of a job that has terms."""
    return {"expires_at": job.expires_at and job.expires_at.isoformat(), "max_attempts": job.max_attempts}


def _next(*times: datetime.datetime | None) -> datetime.datetime | None:
    return min((time for time in times if time is not None), default=None)


def _elements(array: str | None) -> list[Any]:
    """Return the elements of the text of an array, which are written as JSON would, but for control characters."""
    return [] if array is None else list(json.loads(f"[{array[1:-1]}]", strict=False))


def _read(row: Row) -> Row:
    """Return one outcome as columns, with its JSON as it is stored."""
    return row | {name: stored_json(row[name]) for name in ("error", "result") if row.get(name) is not None}


def _due_again(tables: Tables, job: JobRow, row: Row) -> datetime.datetime | None:
    """Return when a job is due again. One that was asked to end while its run ended runs at once, which ends it."""
    at = due_at(tables, row.get("retry_at"), row.get("retry_in"))
    is_late = (at is not None and at > tables.now) or row.get("event") is not None
    return tables.now if job.abort_requested and is_late else at


def _put_back(tables: Tables, worker_id: int, told: Sequence[Row]) -> tuple[list[int], list[str]]:
    """Put jobs back that are to be run again; return their ids, and the locks that they leave without a head."""
    freed = []
    ids = [row["id"] for row in told if held_by(tables, worker_id, row["id"], row["claim"])]
    for row in told:
        if row["id"] not in ids:
            continue
        job = tables.jobs[row["id"]]
        is_head = job.hold == Hold.READY
        for follower in followers(tables, job.lock) if is_head else ():
            if follower.id not in ids:
                tables.change(follower, worker_id=None, started_at=None)
        if row["outcome"] == "handed_back":
            tables.change(job, worker_id=None, started_at=None, unknown_since=None, hold=hold_again(job))
            continue
        if row["outcome"] == "suspended":
            tables.change(
                job,
                worker_id=None,
                started_at=None,
                scheduled_at=_due_again(tables, job, row),
                awaited_event=row.get("event"),
                losses=0,
                doubts=0,
                unknown_since=None,
                **(_waits_for_jobs(tables, job) if row.get("for_jobs") else {"hold": Hold.SCHEDULED}),
            )
            tables.event_notes |= {row["event"]} if "event" in row else set()
            freed += [] if job.lock is None or job.hold in BEHIND_HEADS else [job.lock]
            continue
        if row["outcome"] == "unknown":
            since = job.unknown_since or tables.now
            hold = Hold.UNKNOWN if is_head else job.hold
            tables.change(job, worker_id=None, started_at=None, hold=hold, unknown_since=since)
            continue
        scheduled_at = _due_again(tables, job, row)
        lock = row.get("lock", job.lock)
        hold = first_hold(tables, scheduled_at, lock)
        if hold == Hold.UNPLACED and lock == job.lock:
            hold = job.hold  # the job keeps its place
        tables.change(
            job,
            worker_id=None,
            attempts=job.attempts + 1,
            started_at=None,
            ready_at=tables.now,
            scheduled_at=scheduled_at,
            priority=row.get("priority", job.priority),
            aged=0 if "priority" in row else job.aged,
            queue=row.get("queue", job.queue),
            lock=lock,
            queueing_lock=None,
            waiting_queueing_lock=None,
            losses=0,
            doubts=0,
            unknown_since=None,
            hold=hold,
            errors=with_error(job.errors, row.get("error")),
        )
        if job.lock is not None and is_head and (hold != Hold.READY or lock != job.lock):
            freed.append(job.lock)
    return ids, freed


def _waits_for_jobs(tables: Tables, job: JobRow) -> dict[str, Any]:
    """Return the columns of a job that waits for those that its run has noted."""
    tables.arrive(job.id)
    return {
        "hold": Hold.PARENTS,
        "pending": sum(child == job.id and not is_linked for (_, child), is_linked in tables.run_waits.items()),
        "unlinked": True,
        "has_begun": True,
    }


def _make_due(tables: Tables) -> datetime.datetime | None:
    """Release scheduled jobs that are due, and return the time of the next one."""
    scheduled = sorted(
        (job.scheduled_at, job.id) for job in tables.held(Hold.SCHEDULED) if job.scheduled_at is not None
    )
    due = [id_ for at, id_ in scheduled if at <= tables.now][:DUE_LIMIT]
    for id_ in due:
        job = tables.jobs[id_]
        tables.change(job, awaited_event=None, hold=Hold.READY if job.lock is None else Hold.UNPLACED)
    left = scheduled[len(due) :]
    return left[0][0] if left else None


@answers
def place(tables: Tables, *, limit: int) -> list[Row]:
    """Place jobs that have a lock, and give locks that lost their head a new one."""
    new = [job.id for job in heapq.nsmallest(limit, tables.held(Hold.UNPLACED), key=lambda job: job.id)]
    looked_at = [tables.jobs[id_].lock for id_ in new] + list(tables.headless)
    tables.headless.clear()
    promoted = promote(tables, [lock for lock in looked_at if lock is not None and not has_head(tables, lock)])

    # A better new job replaces a head that is not claimed yet.
    undecided = set()
    for better, head in _rivals(tables, new):
        tables.change(head, hold=Hold.BEHIND)
        promote(tables, [head.lock] if head.lock is not None else [])
        if tables.jobs[better.id].hold == Hold.UNPLACED:
            undecided.add(better.id)

    for id_ in new:
        if tables.jobs[id_].hold == Hold.UNPLACED and id_ not in undecided:
            tables.change(tables.jobs[id_], hold=Hold.BEHIND)
    if promoted:
        wake(tables)
    placed, waiting = len(new) - len(undecided), len(undecided)
    moved = len(promoted) + place_workflows(tables)
    return [{"elected": True, "placed": placed, "promoted": moved, "waiting": waiting, "is_left": waiting > 0}]


@answers
def heal(tables: Tables, *, rest: str | None, limit: int) -> list[Row]:
    """Note locks that have lost their head: all of them at once."""
    locks = {job.lock for job in tables.held(Hold.BEHIND, Hold.UNPLACED) if job.lock is not None}
    lost = {lock for lock in locks if not has_head(tables, lock)}
    tables.headless |= lost
    return [{"noted": len(lost), "rest": None}]


def _rivals(tables: Tables, new: Sequence[int]) -> list[tuple[JobRow, JobRow]]:
    """For each lock, find the best new job, if it is better than a head that is not claimed yet, and that head."""
    newcomers: dict[str | None, JobRow] = {}
    for job in sorted((tables.jobs[id_] for id_ in new), key=lambda job: job.order):
        if job.hold == Hold.UNPLACED:
            newcomers.setdefault(job.lock, job)
    return [
        (newcomers[head.lock], head)
        for head in tables.held(Hold.READY)
        if head.worker_id is None and head.lock in newcomers and newcomers[head.lock].order < head.order
    ]
