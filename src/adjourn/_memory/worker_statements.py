"""The statements that a worker's manager uses."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

import attrs

from adjourn._memory.deaths import note_deaths
from adjourn._memory.rules import (
    BEHIND_HEADS,
    held_by,
    hold_again,
    is_silent,
    pass_on,
    promote,
    stored_json,
    tell_dependents,
    wake,
)
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables, WorkerRow, with_error
from adjourn.sql.constants import RESCUED_IDS, RESCUED_NAMES
from adjourn.types import Row


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
    expired = any(each.dead or each.expires_at < tables.now for each in tables.workers.values())
    return [
        {
            "id": tables.last_worker_id,
            "registered_at": _microseconds(tables.now),
            "version": needed_version,
            "is_renamed": False,
            "expired": expired,
        }
    ]


@answers
def get_registration(tables: Tables, *, worker_id: int) -> list[Row]:
    """Return when a worker has registered, in microseconds."""
    worker = tables.workers.get(worker_id)
    return [] if worker is None else [{"registered_at": _microseconds(worker.started_at)}]


def _microseconds(time: datetime.datetime) -> int:
    return int(time.timestamp() * 1_000_000)


@answers
def unregister_worker(tables: Tables, *, worker_id: int, is_done: bool) -> list[Row]:
    """Remove a worker; if it still has jobs, mark it as dead until they are rescued."""
    if worker := tables.workers.get(worker_id):
        pass_on(tables, worker_id, worker.queues)
    if not is_done and tables.of_worker([worker_id]) and worker_id in tables.workers:
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
    claims: Sequence[int],
    details: str | None,
) -> list[Row]:
    """Record a worker's heartbeat, and return the answer for the worker."""
    worker = tables.workers.get(worker_id)
    is_alive = worker is not None and not worker.dead
    # After an outage of all, the first one that is back or new leaves the others the time of a heartbeat to come back.
    is_steady = worker is not None and worker.expires_at >= tables.now and worker.last_heartbeat_at != worker.started_at
    if worker is not None and is_alive:
        expires_at = tables.now + datetime.timedelta(seconds=timeout)
        tables.workers[worker_id] = attrs.evolve(
            worker,
            last_heartbeat_at=tables.now,
            expires_at=expires_at,
            overdue=tuple(overdue),
            running=tuple(running),
            running_claims=tuple(claims),
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
        if job := held_by(tables, worker_id, id_, claim):
            at = {"at": tables.now.isoformat()}
            tables.jobs[id_] = attrs.evolve(job, progress=stored_json(json.dumps(json.loads(text) | at)))
            stored.append({"id": id_})
    return stored


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
def rescue(tables: Tables, *, max_losses: int, grace: float, by: str, how: str) -> list[Row]:
    """Declare workers dead that have stopped sending heartbeats, and free their jobs."""
    nothing: Row = {
        "rescued": 0,
        "failed": 0,
        "dead_workers": 0,
        "worker_names": [],
        "rescued_ids": [],
        "failed_ids": [],
    }
    nothing |= {"died": 0, "deaths": "[]"}
    if tables.now < tables.started_at + datetime.timedelta(seconds=grace):
        return [nothing]
    dead = [worker for worker in tables.workers.values() if is_silent(worker, tables)]
    if not dead:
        return [nothing]
    jobs = tables.of_worker([worker.id for worker in dead])
    owners = sorted({job.worker_id for job in jobs if job.worker_id is not None})
    names = [tables.workers[id_].name for id_ in owners[:RESCUED_NAMES]]
    begun = {job.id for job in jobs if _has_begun(job, tables)}
    failing = [
        job
        for job in jobs
        if job.id in begun
        and (job.losses + 1 >= max_losses or (job.max_attempts is not None and job.attempts >= job.max_attempts))
    ]
    for job in failing:
        lost = _worker_lost(job, tables)
        tables.finish(job, "failed", lost, attempts=job.attempts + 1, losses=job.losses + 1)
    promote(tables, [job.lock for job in failing if job.lock is not None])
    tell_dependents(tables)
    rescued = [tables.jobs[job.id] for job in jobs if job.id in tables.jobs]
    for job in rescued:
        changed = attrs.evolve(job, unknown_since=None, doubts=job.doubts + 1)
        if job.id in begun:
            errors = with_error(job.errors, _worker_lost(job, tables))
            changed = attrs.evolve(
                changed, errors=errors, ready_at=tables.now, attempts=job.attempts + 1, losses=job.losses + 1
            )
        tables.change(changed, worker_id=None, started_at=None, hold=hold_again(changed))
    deaths = note_deaths(tables, dead, jobs, {job.id for job in failing}, by, how)
    for worker in dead:
        del tables.workers[worker.id]
    if jobs:
        wake(tables)
    return [
        {
            "rescued": len(rescued),
            "failed": len(failing),
            "dead_workers": len(owners),
            "worker_names": names,
            "rescued_ids": sorted(job.id for job in rescued)[:RESCUED_IDS],
            "failed_ids": sorted(job.id for job in failing)[:RESCUED_IDS],
            "died": len(dead),
            "deaths": json.dumps(deaths[:RESCUED_NAMES]),
        }
    ]


def _has_begun(job: JobRow, tables: Tables) -> bool:
    """Return whether a job of a dead worker is known to have begun: it was in a slot when it was claimed, or was said to run."""
    worker = tables.workers[job.worker_id or 0]
    said = zip(worker.running, worker.running_claims, strict=True)
    return not job.claimed_ahead or (job.id, job.claim) in said


def _worker_lost(job: JobRow, tables: Tables) -> str:
    times = f"{job.losses + 1} times " if job.losses else ""
    worker = tables.workers[job.worker_id or 0]
    entry = {
        "exception": "adjourn.exceptions.WorkerLost",
        "message": f"the worker was lost {times}while it ran this job",
        "attempt": job.attempts + 1,
        "worker_id": worker.id,
        "worker_name": worker.name,
        "started_at": job.started_at and job.started_at.isoformat(),
        "ended_at": tables.now.isoformat(),
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
