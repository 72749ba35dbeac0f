"""The statements that a worker's manager uses."""

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
from adjourn._memory.limits import next_room
from adjourn._memory.rules import (
    BEHIND_HEADS,
    due_at,
    first_hold,
    followers,
    has_head,
    hold_again,
    is_silent,
    pass_on,
    promote,
    stored_json,
    tell_dependents,
    wake,
    wake_awaiting,
    wake_for,
)
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables, WorkerRow, with_error
from adjourn._memory.workflow_statements import place_workflows
from adjourn.sql.constants import DUE_LIMIT, Hold, RunIf
from adjourn.types import Row

CLAIMED = (
    *("id", "queue", "task_name", "priority", "lock", "queueing_lock", "args", "scheduled_at", "attempts", "claim"),
    *("abort_requested", "enqueued_at", "started_at", "headers", "ready_at"),
)
"""The columns of a claimed job that are returned to the worker."""
OUTCOME: tuple[str, ...] = ("id", "claim", "status", "error", "result", "ttl")
"""The columns of an outcome that a worker sends."""


@answers
def register_worker(
    tables: Tables, *, name: str, queues: Sequence[str] | None, timeout: float, needed_version: int
) -> list[Row]:
    """Register a worker."""
    tables.last_worker_id += 1
    tables.workers[tables.last_worker_id] = WorkerRow(
        id=tables.last_worker_id,
        name=name,
        queues=None if queues is None else tuple(queues),
        started_at=tables.now,
        last_heartbeat_at=tables.now,
        expires_at=tables.now + datetime.timedelta(seconds=timeout),
    )
    return [{"id": tables.last_worker_id, "version": needed_version}]


@answers
def get_registration(tables: Tables, *, worker_id: int) -> list[Row]:
    """Return when a worker has registered, in microseconds."""
    worker = tables.workers.get(worker_id)
    return [] if worker is None else [{"registered_at": int(worker.started_at.timestamp() * 1_000_000)}]


@answers
def unregister_worker(tables: Tables, *, worker_id: int) -> list[Row]:
    """Remove a worker; if it still has jobs, mark it as dead until they are rescued."""
    if worker := tables.workers.get(worker_id):
        pass_on(tables, worker_id, worker.queues)
    if tables.of_worker([worker_id]) and worker_id in tables.workers:
        tables.workers[worker_id] = attrs.evolve(tables.workers[worker_id], dead=True)
    else:
        tables.workers.pop(worker_id, None)
    return []


@answers
def declare_dead(tables: Tables, *, seconds: float) -> list[Row]:
    """Declare workers dead that have sent no heartbeat for ``seconds`` seconds."""
    oldest = tables.now - datetime.timedelta(seconds=seconds)
    silent = [worker for worker in tables.workers.values() if worker.last_heartbeat_at < oldest]
    for worker in silent:
        tables.workers[worker.id] = attrs.evolve(worker, dead=True)
    return [{"id": worker.id} for worker in silent]


@answers
def list_workers(tables: Tables) -> list[Row]:
    """List the workers, with the number of their jobs."""
    columns = ("id", "name", "queues", "started_at", "last_heartbeat_at")
    return [
        {name: getattr(worker, name) for name in columns}
        | {
            "alive": not worker.dead and worker.expires_at > tables.now,
            "running": len(tables.of_worker([worker.id])),
            "overdue": len(worker.overdue),
            "running_jobs": json.dumps(worker.running),
            "details": worker.details,
        }
        for _, worker in sorted(tables.workers.items())
    ]


@answers
def list_jobs_to_abort(tables: Tables, *, queue: str | None) -> list[Row]:
    """Return the running jobs that were asked to end."""
    running = tables.of_worker(list(tables.workers))
    found = [job.id for job in running if job.abort_requested and queue in (None, job.queue)]
    return [{"id": job_id} for job_id in sorted(found)]


@answers
def heartbeat(
    tables: Tables,
    *,
    worker_id: int,
    timeout: float,
    overdue: Sequence[int],
    running: Sequence[int],
    details: str | None,
) -> list[Row]:
    """Record a worker's heartbeat, and return the answer for the worker."""
    worker = tables.workers.get(worker_id)
    is_alive = worker is not None and not worker.dead
    # After an outage of all, the first one that is back or new leaves the others the time of a heartbeat to come back.
    is_steady = worker is not None and worker.expires_at >= tables.now and worker.last_heartbeat_at > worker.started_at
    if worker is not None and is_alive:
        expires_at = tables.now + datetime.timedelta(seconds=timeout)
        tables.workers[worker_id] = attrs.evolve(
            worker,
            last_heartbeat_at=tables.now,
            expires_at=expires_at,
            overdue=tuple(overdue),
            running=tuple(running),
            details=worker.details if details is None else stored_json(details),
        )
    return [
        {
            "alive": is_alive,
            "aborts": [job.id for job in tables.of_worker([worker_id]) if job.abort_requested],
            "expired": any(
                other.dead or (is_steady and is_silent(other, tables))
                for other in tables.workers.values()
                if other.id != worker_id
            ),
        }
    ]


@answers
def store_progress(
    tables: Tables, *, worker_id: int, ids: Sequence[int], claims: Sequence[int], progress: Sequence[str]
) -> list[Row]:
    """Store what runs have said of their progress."""
    stored = []
    for id_, claim, text in zip(ids, claims, progress, strict=True):
        if job := _held(tables, worker_id, id_, claim):
            at = {"at": tables.now.isoformat()}
            tables.jobs[id_] = attrs.evolve(job, progress=stored_json(json.dumps(json.loads(text) | at)))
            stored.append({"id": id_})
    return stored


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
        if job := _held(tables, worker_id, row["id"], row["claim"]):
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
    next_at = _next(_make_due(tables), next_room(tables)) if probe else None
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


def _put_back(tables: Tables, worker_id: int, told: Sequence[Row]) -> tuple[list[int], list[str]]:
    """Put jobs back that are to be run again; return their ids, and the locks that they leave without a head."""
    freed = []
    ids = [row["id"] for row in told if _held(tables, worker_id, row["id"], row["claim"])]
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
                scheduled_at=due_at(tables, None, row.get("retry_in")),
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
        scheduled_at = due_at(tables, row.get("retry_at"), row.get("retry_in"))
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
    tables.arrive(job.id, 0, 0)
    return {
        "hold": Hold.PARENTS,
        "pending": sum(child == job.id and not edge.is_linked for (_, child), edge in tables.edges.items()),
        "unlinked": True,
        "run_if": RunIf.ALL_DONE if job.run_if == RunIf.ANY_FAILED else job.run_if,
    }


def _held(tables: Tables, worker_id: int, id_: int, claim: int) -> JobRow | None:
    """Return the job if the worker still holds it by this claim."""
    job = tables.jobs.get(id_)
    return job if job is not None and (job.worker_id, job.claim) == (worker_id, claim) else None


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
def place(tables: Tables, *, limit: int, heal: bool) -> list[Row]:
    """Place jobs that have a lock, and give locks that lost their head a new one."""
    new = [job.id for job in heapq.nsmallest(limit, tables.held(Hold.UNPLACED), key=lambda job: job.id)]
    looked_at = [tables.jobs[id_].lock for id_ in new] + list(tables.headless)
    tables.headless.clear()
    if heal:
        looked_at += [job.lock for job in tables.held(Hold.BEHIND, Hold.UNPLACED)]
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


@answers
def list_unknown_claims(tables: Tables, *, worker_id: int, known: Sequence[int], claims: Sequence[int]) -> list[Row]:
    """Return the jobs that were claimed for a worker but that the worker does not know."""
    pairs = set(zip(known, claims, strict=True))
    unknown = (job for job in tables.of_worker([worker_id]) if (job.id, job.claim) not in pairs)
    return [{"id": job.id, "claim": job.claim} for job in sorted(unknown, key=lambda job: job.id)]


@answers
def disown(tables: Tables, *, worker_id: int, known: Sequence[int], claims: Sequence[int]) -> list[Row]:
    """Put back jobs that were claimed for a worker but that the worker does not know."""
    pairs = set(zip(known, claims, strict=True))
    mine = tables.of_worker([worker_id])
    # A head goes back with all its followers.
    kept = {job.lock for job in mine if (job.id, job.claim) in pairs and job.hold in BEHIND_HEADS}
    lost = [
        job
        for job in mine
        if (job.id, job.claim) not in pairs and (job.hold in BEHIND_HEADS or job.lock is None or job.lock not in kept)
    ]
    for job in lost:
        tables.change(job, worker_id=None, started_at=None, unknown_since=None, hold=hold_again(job))
    return [{"id": job.id} for job in lost]


@answers
def rescue(tables: Tables, *, max_losses: int, grace: float) -> list[Row]:
    """Declare workers dead that have stopped sending heartbeats, and free their jobs."""
    nothing: list[Row] = [{"rescued": 0, "failed": 0}]
    if tables.now < tables.started_at + datetime.timedelta(seconds=grace):
        return nothing
    dead = [worker.id for worker in tables.workers.values() if is_silent(worker, tables)]
    if not dead:
        return nothing
    jobs = tables.of_worker(dead)
    failing = [
        job
        for job in jobs
        if not job.claimed_ahead
        and (job.losses + 1 >= max_losses or (job.max_attempts is not None and job.attempts >= job.max_attempts))
    ]
    for job in failing:
        lost = _worker_lost(job, tables.workers[job.worker_id or 0], tables.now)
        tables.finish(job, "failed", lost, attempts=job.attempts + 1, losses=job.losses + 1)
    promote(tables, [job.lock for job in failing if job.lock is not None])
    tell_dependents(tables)
    rescued = [tables.jobs[job.id] for job in jobs if job.id in tables.jobs]
    for job in rescued:
        begun = not job.claimed_ahead
        job = attrs.evolve(
            job, unknown_since=None, doubts=job.doubts + 1, attempts=job.attempts + begun, losses=job.losses + begun
        )
        tables.change(job, worker_id=None, started_at=None, hold=hold_again(job))
    for id_ in dead:
        del tables.workers[id_]
    if jobs:
        wake(tables)
    return [{"rescued": len(rescued), "failed": len(failing)}]


def _worker_lost(job: JobRow, worker: WorkerRow, now: datetime.datetime) -> str:
    entry = {
        "exception": "adjourn.exceptions.WorkerLost",
        "message": f"the worker was lost {job.losses + 1} times while it ran this job",
        "attempt": job.attempts + 1,
        "worker_id": worker.id,
        "worker_name": worker.name,
        "started_at": job.started_at and job.started_at.isoformat(),
        "ended_at": now.isoformat(),
    }
    return stored_json(json.dumps(entry))


@answers
def store_stats(tables: Tables, *, stats: str) -> list[Row]:
    """Store nothing: statistics are read in databases alone."""
    return []


@answers
def add_up_stats(tables: Tables, *, limit: int) -> list[Row]:
    """Add up nothing."""
    return [{"taken": 0}]
