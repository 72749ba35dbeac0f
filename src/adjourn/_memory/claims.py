"""Which jobs a worker claims."""

from __future__ import annotations

import datetime
import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from adjourn._memory.limits import is_paused, note_starts, startable
from adjourn._memory.rules import BEHIND_HEADS, behind, hold_again, is_silent, wake
from adjourn._memory.tables import JobRow, Tables
from adjourn._memory.terms import expire, has_expired
from adjourn.sql.constants import APART_FROM, MOST_FOLLOWERS, MOST_LOSSES, RESTING, Hold


@attrs.frozen
class ClaimRequest:
    """What a worker asks for."""

    worker_id: int
    limit: int
    queues: Sequence[str] | None
    busy: bool
    probe: bool
    concurrency: int
    running: int
    tasks: Sequence[str] | None
    patience: float
    listens: bool
    follow: int
    batches: Mapping[str, int] = attrs.field(factory=dict)

    def best(self, tables: Tables, hold: Hold, limit: int) -> list[JobRow]:
        """Return the best jobs of its queues with this ``hold`` that no worker has, best first."""
        waiting = (job for job in tables.held(hold) if job.worker_id is None)
        served = (job for job in waiting if self.queues is None or job.queue in self.queues)
        if not tables.limits and not tables.pauses:
            return heapq.nsmallest(limit, served, key=lambda job: job.order)
        best = sorted(served, key=lambda job: job.order)
        return list(itertools.islice(startable(tables, best), limit))


@attrs.define
class Claim:
    """What a worker gets: see `Exchanged`."""

    jobs: list[JobRow]
    """Those that were asked for, and followers."""
    is_alive: bool
    is_to_repeat: bool
    apart: int | None
    unknown: list[str] = attrs.field(factory=list)
    overdue: list[int] = attrs.field(factory=list)
    is_full: bool = False
    """Whether there are as many as were asked for."""


def claim_jobs(tables: Tables, asked: ClaimRequest, apart: int | None) -> Claim:
    """Claim jobs."""
    is_resting = apart == RESTING
    apart = None if is_resting else apart
    if asked.limit <= 0:
        return Claim([], True, False, apart)
    worker = tables.workers.get(asked.worker_id)
    if worker is None or worker.dead or worker.expires_at <= tables.now:
        return Claim([], False, False, apart)
    picked: list[JobRow] = []
    was_apart = apart is not None
    if apart is None and not is_resting and asked.probe and _is_turn_of_apart(tables, asked):
        apart = 0
    if apart is not None and (was_apart or not asked.running):
        picked, apart = _pick_apart(tables, asked, apart)
        if not picked and not asked.running:
            apart = None
    claim = Claim([], True, False, apart)
    is_hungry = worker.hungry
    if apart is None:
        picked = asked.best(tables, Hold.READY, asked.limit)
        if asked.probe or asked.tasks is not None:
            picked = _with_unknown(tables, asked, picked, claim)
        finds_too_little = len(picked) < asked.limit
        claim.is_to_repeat = not worker.hungry and asked.listens and finds_too_little
        if claim.is_to_repeat or (worker.hungry and ((asked.busy and not finds_too_little) or not asked.listens)):
            is_hungry = claim.is_to_repeat
    more = _of_batches(tables, asked, picked) if apart is None else []
    picked += more
    together = {job.id for job in more}
    if expired := [job for job in picked if has_expired(tables, job)]:
        expire(tables, expired)
        picked = [job for job in picked if job not in expired]
        claim.is_to_repeat = True
    tables.workers[worker.id] = attrs.evolve(worker, hungry=is_hungry, apart=apart is not None)
    slots = max(asked.concurrency - asked.running, 0)
    # A call that begins at once takes more jobs with it.
    calls = {job.task_name for job in picked[:slots] if job.is_batch}
    claim.is_full = len(picked) >= asked.limit
    picked += _followers(tables, asked, picked)
    claim.jobs = [
        tables.change(
            job,
            worker_id=worker.id,
            claim=job.claim + 1,
            started_at=tables.now,
            waiting_queueing_lock=None,
            claimed_ahead=(number >= slots and (job.id not in together or job.task_name not in calls))
            or job.hold in BEHIND_HEADS,
            hold=job.hold if job.hold in BEHIND_HEADS else Hold.READY,
            ready_at=tables.now if job.hold in BEHIND_HEADS else job.ready_at,
        )
        for number, job in enumerate(picked)
    ]
    note_starts(tables, claim.jobs)
    return claim


def _of_batches(tables: Tables, asked: ClaimRequest, picked: list[JobRow]) -> list[JobRow]:
    """Choose more jobs for a call of each batch task that some of these are of."""
    more: list[JobRow] = []
    for name, number in Counter(
        job.task_name for job in picked if job.is_batch and job.task_name in asked.batches
    ).items():
        ready = [
            job for job in asked.best(tables, Hold.READY, len(tables.jobs)) if job.is_batch and job.task_name == name
        ]
        chosen = {job.id for job in picked}
        more += [job for job in ready if job.id not in chosen][: max(asked.batches[name] - number, 0)]
    return more


def _followers(tables: Tables, asked: ClaimRequest, picked: list[JobRow]) -> list[JobRow]:
    """Choose the jobs behind the heads of locks that are claimed with them."""
    heads = [job for job in picked if job.lock is not None and job.hold == Hold.READY and not job.doubts]
    most = min(asked.follow, max(1, MOST_FOLLOWERS // max(len(heads), 1)))
    found = []
    for head in heads:
        for job in behind(tables, head.lock)[:most]:
            is_served = asked.queues is None or job.queue in asked.queues
            is_special = job.doubts or job.unknown_since or job.is_special
            if job.order < head.order or job.worker_id or is_special or not is_served:
                break
            found.append(job)
    return found


def _with_unknown(tables: Tables, asked: ClaimRequest, picked: list[JobRow], claim: Claim) -> list[JobRow]:
    """Add the jobs that wait for a worker that knows their task, and that this worker knows or that have waited too
    long."""
    waiting = [job for job in tables.held(Hold.UNKNOWN) if not is_paused(tables, job)]
    claim.unknown = sorted({job.task_name for job in waiting}, key=str.encode)
    before = tables.now - datetime.timedelta(seconds=asked.patience)
    served = [job for job in waiting if asked.queues is None or job.queue in asked.queues]
    overdue = [job for job in served if job.unknown_since is not None and job.unknown_since <= before]
    known = [job for job in served if job.task_name in (asked.tasks or ())]
    best = heapq.nsmallest(asked.limit, {job.id: job for job in (*overdue, *known)}.values(), key=lambda job: job.order)
    suspects = [job for job in best if job in known and hold_again(job) == Hold.APART]
    for job in suspects:
        tables.change(job, hold=Hold.APART)
        wake(tables)
    chosen = [*picked, *(job for job in best if job not in suspects)]
    best = heapq.nsmallest(asked.limit, chosen, key=lambda job: job.order)
    claim.overdue = [job.id for job in best if job in overdue]
    return best


def _is_turn_of_apart(tables: Tables, asked: ClaimRequest) -> bool:
    """Return whether it is the turn of a job that is to run apart, and this worker may stop running others for it."""
    jobs = asked.best(tables, Hold.APART, 1)
    if not jobs:
        return False
    job = jobs[0]
    if asked.running and any(
        worker.apart
        and worker.id != asked.worker_id
        and not is_silent(worker, tables)
        and (worker.queues is None or job.queue in worker.queues)
        for worker in tables.workers.values()
    ):
        return False
    return all(job.order < other.order for other in asked.best(tables, Hold.READY, 1))


def _pick_apart(tables: Tables, asked: ClaimRequest, worst: int) -> tuple[list[JobRow], int]:
    """Choose jobs that are to run apart from others, in company of each other; return them, and the most deaths of
    workers that one of them has seen."""
    picked: list[JobRow] = []
    for job in asked.best(tables, Hold.APART, asked.concurrency):
        doubts = max(worst, job.doubts)
        exponent = max(MOST_LOSSES - 1 - doubts, 0) / (MOST_LOSSES - APART_FROM)
        size = asked.running + len(picked) + 1
        if size > asked.concurrency or size > max(1, int(0.000001 + asked.concurrency**exponent)):
            break
        picked.append(job)
        worst = doubts
    return picked, worst
