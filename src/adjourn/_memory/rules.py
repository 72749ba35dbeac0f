"""Code that several statements share: waking workers, promoting a lock's next job, and storing JSON."""

from __future__ import annotations

import datetime
import decimal
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from adjourn import exceptions
from adjourn._memory.tables import Arrival, JobRow, StepRow, Tables, WorkerRow
from adjourn.sql.constants import APART_FROM, HEADS, MOST_WOKEN, Hold, RunIf

BEHIND_HEADS = (Hold.BEHIND, Hold.UNPLACED)
"""A job behind the head of a lock has one of these, whether or not it is claimed."""


def wake(tables: Tables, always: bool = False, besides: int | None = None) -> bool:
    """Notify the workers if one other than ``besides`` waits for jobs, or if ``always``; return whether it notified
    them."""
    is_wanted = always or bool(_hungry(tables, besides))
    if is_wanted:
        tables.payloads[""] = None
    return is_wanted


def _hungry(tables: Tables, besides: int | None) -> list[WorkerRow]:
    return [
        worker
        for worker in tables.workers.values()
        if worker.hungry and not worker.dead and worker.expires_at > tables.now and worker.id != besides
    ]


def wake_for(tables: Tables, queues: Iterable[str], besides: int | None = None) -> bool:
    """Notify as many hungry workers as there is work for, and one more: for each of these queues, which has a job as often
    as it is named. Return whether any was notified."""
    hungry, jobs = _hungry(tables, besides), Counter(queues)
    if hungry and jobs.total() > MOST_WOKEN:
        tables.payloads[""] = None
        return True
    chosen: dict[int, None] = {}
    for queue, number in jobs.items():
        serving = [worker for worker in hungry if worker.queues is None or queue in worker.queues]
        picked = random.sample(serving, min(number + 1, len(serving)))
        chosen |= dict.fromkeys(worker.id for worker in picked)
    if chosen:
        tables.payloads[" ".join(map(str, chosen))] = None
    return bool(chosen)


def pass_on(tables: Tables, worker_id: int, queues: Sequence[str] | None) -> None:
    """Notify another worker, because one that was notified cannot take more."""
    if not _hungry(tables, worker_id):
        return
    if any(tables.held(Hold.UNPLACED)):
        wake(tables, besides=worker_id)
        return
    ready = (
        job for job in tables.held(Hold.READY) if job.worker_id is None and (queues is None or job.queue in queues)
    )
    if best := min(ready, key=lambda job: job.order, default=None):
        wake_for(tables, [best.queue], worker_id)


def has_head(tables: Tables, lock: str) -> bool:
    """Return whether a job of the lock is ready, runs or is to run apart."""
    return any(job.lock == lock for job in tables.held(*HEADS))


def followers(tables: Tables, lock: str | None) -> list[JobRow]:
    """Return the jobs that were claimed with the head of a lock, and wait for their turn in the worker."""
    return [job for job in behind(tables, lock) if job.worker_id is not None]


def behind(tables: Tables, lock: str | None) -> list[JobRow]:
    """Return the jobs behind the head of a lock, best first."""
    waiting = (job for job in tables.held(*BEHIND_HEADS) if job.lock == lock)
    return sorted(waiting, key=lambda job: job.order)


def promote(tables: Tables, locks: Iterable[str]) -> list[JobRow]:
    """Make the best waiting job of each of these locks, which have no head, its head. A follower that is still claimed comes
    before others. Return the new heads that nobody has claimed."""
    heads = []
    for lock in sorted(set(locks)):
        if claimed := followers(tables, lock):
            tables.change(claimed[0], hold=Hold.READY)
        elif waiting := behind(tables, lock):
            (best, *_) = waiting
            hold = Hold.APART if best.doubts >= APART_FROM else Hold.READY
            heads.append(tables.change(best, hold=Hold.UNKNOWN if best.unknown_since else hold, ready_at=tables.now))
    return heads


def tell_dependents(tables: Tables, is_callers: bool = False) -> list[JobRow]:
    """Tell of the ends of this transaction those that wait for these jobs; return the jobs that are ready because of it."""
    ends, tables.ends = tables.ends, []
    told: dict[int, Arrival] = {}
    flows: dict[int, Arrival] = {}

    def tell(id_: int, job: JobRow, status: str) -> None:
        before = told.get(id_, Arrival())
        failed, reason = before.failed, before.reason
        if status != "succeeded":
            failed, reason = failed + 1, min(filter(None, (told_end(job.id, status), reason)))
        needless = before.needless + (status == "needless")
        told[id_] = Arrival(before.ended + 1, failed, reason, before.in_run, needless=needless)

    for job, status in ends:
        if job.next_id is not None:
            tell(job.next_id, job, status)
        if job.has_dependents:
            for (parent_id, child_id), edge in tables.edges.items():
                if parent_id == job.id and edge.is_linked:
                    tell(child_id, job, status)
            for (parent_id, child_id), is_linked in tables.run_waits.items():
                if parent_id == job.id and is_linked:
                    before = told.get(child_id, Arrival())
                    told[child_id] = attrs.evolve(before, in_run=before.in_run + 1)
        if job.workflow_id is not None:
            failed, cancelled = status in ("failed", "aborted"), status in ("cancelled", "deleted")
            before = flows.get(job.workflow_id, Arrival())
            flows[job.workflow_id] = Arrival(
                before.ended + 1, before.failed + failed, cancelled=before.cancelled + cancelled
            )
    released = []
    for id_, each in sorted(told.items(), key=lambda item: item[0]):
        child = tables.jobs.get(id_)
        if not is_callers and child is not None and _is_released(child, each):
            hold = first_hold(tables, child.scheduled_at, child.lock)
            released.append(tables.change(child, pending=0, hold=hold, ready_at=tables.now))
        else:
            tables.arrive(id_, each)
    is_direct = not is_callers and len(released) == len(told)
    for id_, each in flows.items():
        flow = tables.workflows.get(id_)
        if is_direct and flow is not None and flow.remaining > each.ended and not flow.is_cancelled:
            tables.workflows[id_] = attrs.evolve(
                flow,
                remaining=flow.remaining - each.ended,
                failed=flow.failed + each.failed,
                cancelled=flow.cancelled + each.cancelled,
            )
        else:
            tables.arrive(id_, each)
    if is_callers and ends:
        wake(tables, always=True)
    return released


def told_end(job_id: int, status: str | None) -> str:
    """Return how a job that others have waited for has ended, as a text for people."""
    if status == "failed":
        return f"job {job_id} failed"
    if status is None:
        return f"job {job_id} is gone"
    # Whoever deletes a job that waits cancels it.
    return f"job {job_id} was {'cancelled' if status in ('deleted', 'needless') else status}"


def _is_released(child: JobRow, told: Arrival) -> bool:
    ended = told.in_run if child.has_begun else told.ended
    is_last = child.hold is Hold.PARENTS and (child.pending or 0) <= ended and not child.unlinked
    succeeds = child.run_if is None and not told.failed and not child.failed_parents
    return is_last and (child.has_begun or succeeds or child.run_if == RunIf.ALL_DONE)


def hold_again(job: JobRow) -> Hold:
    """Return the ``hold`` of a job that its worker no longer has, and that is to be run again at once."""
    if job.hold in BEHIND_HEADS:
        return job.hold
    return Hold.APART if job.doubts >= APART_FROM else Hold.READY


def due_at(tables: Tables, at: Any, seconds: float | None) -> datetime.datetime | None:
    """Return when a job is due: after its delay if it has one, else at its time (a datetime or ISO text)."""
    if seconds is not None:
        return tables.now + datetime.timedelta(seconds=seconds)
    at = datetime.datetime.fromisoformat(at) if isinstance(at, str) else at
    return None if at is None else at.astimezone(datetime.UTC)


def first_hold(tables: Tables, scheduled_at: Any, lock: str | None) -> Hold:
    """Return the ``hold`` of a job that is new or rescheduled."""
    if scheduled_at is not None and scheduled_at > tables.now:
        return Hold.SCHEDULED
    return Hold.READY if lock is None else Hold.UNPLACED


def is_queueing_lock_taken(tables: Tables, queueing_lock: str | None) -> bool:
    """Return whether a job with this queueing lock is waiting already."""
    return queueing_lock is not None and any(job.waiting_queueing_lock == queueing_lock for job in tables.jobs.values())


def taken_queueing_lock(tables: Tables, queueing_locks: Iterable[str | None]) -> str | None:
    """Return the queueing lock of a new job that is taken, or that another of the new jobs has; None if there is none."""
    asked: set[str] = set()
    for lock in queueing_locks:
        if lock is not None and (lock in asked or is_queueing_lock_taken(tables, lock)):
            return lock
        asked |= set() if lock is None else {lock}
    return None


def stored_json(text: str) -> str:
    """Return a JSON text as a column of type jsonb stores it.

    Raises
    ------
    ConnectorException
        If the text is not JSON.
    """
    return _written(_loaded(text))


def stored_elements(text: str) -> list[str]:
    """Return the elements of a JSON array, objects or texts of some, as a column of type jsonb stores them."""
    return [stored_json(each) if isinstance(each, str) else _written(each) for each in _loaded(text)]


def values_of(column: Any, count: int) -> list[Any]:
    """Return a column of a batch as one value for each job."""
    return column if isinstance(column, list) else [column] * count


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_float=decimal.Decimal, parse_constant=_refuse)
    except ValueError as error:
        message = f"invalid input syntax for type json: {error}"
        raise exceptions.ConnectorException(message, sqlstate="22P02") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _written(value: Any) -> str:
    if isinstance(value, dict):
        # Shorter keys come first, and equally long ones in the order of their bytes.
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_written(key)}: {_written(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, decimal.Decimal):
        # jsonb has no negative zero, and no exponent.
        return format(abs(value) if value.is_zero() else value, "f")
    return json.dumps(value, ensure_ascii=False)


def held_by(tables: Tables, worker_id: int, id_: int, claim: int) -> JobRow | None:
    """Return the job if the worker still holds it by this claim."""
    job = tables.jobs.get(id_)
    return job if job is not None and (job.worker_id, job.claim) == (worker_id, claim) else None


def is_silent(worker: WorkerRow, tables: Tables) -> bool:
    """Return whether a worker is dead, or has not been heard of for too long."""
    return worker.dead or worker.expires_at < tables.now


def wake_awaiting(tables: Tables) -> None:
    """Wake the jobs that wait for events which have been noted, and were sent."""
    names, tables.event_notes = tables.event_notes, set()
    woken = False
    for job in sorted(tables.held(Hold.SCHEDULED), key=lambda job: job.id):
        event = tables.sent_events.get(job.awaited_event or "") if job.awaited_event in names else None
        if event is None or event.expires_at <= tables.now or job.awaited_event is None:
            continue
        key = (job.id, "event", job.awaited_event)
        step = tables.steps.get(key) or StepRow(claim=job.claim, at=tables.now)
        if not step.is_done:
            tables.steps[key] = attrs.evolve(step, value=event.payload, is_done=True, at=tables.now)
        hold = Hold.READY if job.lock is None else Hold.UNPLACED
        tables.change(job, awaited_event=None, scheduled_at=None, hold=hold, ready_at=tables.now)
        woken = True
    if woken:
        wake(tables)


def cancel_waiting(
    tables: Tables,
    ids: Iterable[int],
    *,
    delete: bool = False,
    cause: str | None = None,
    reasons: dict[int, str] | None = None,
) -> list[int]:
    """Cancel those of these jobs that wait, or delete them, and return their ids.

    Without a cause, somebody does so by hand. Without a reason, it is the end of the job's workflow.
    """
    waiting = [job for id_ in sorted(set(ids)) if (job := tables.jobs.get(id_)) and job.worker_id is None]
    if delete:
        release_keys(tables, [job.id for job in waiting])
    for job in waiting:
        reason = None
        if cause is not None:
            reason = (reasons or {}).get(job.id, f"workflow {job.workflow_id} was cancelled")
        tables.finish(job, None if delete else "cancelled", cause=cause, reason=reason)
        if job.lock is not None and job.hold in HEADS:
            tables.headless.add(job.lock)
            wake(tables, always=True)
    tell_dependents(tables, is_callers=True)
    return [job.id for job in waiting]


def release_keys(tables: Tables, job_ids: Iterable[int]) -> None:
    """Jobs are deleted by hand: they do not count for their unique keys any more."""
    gone = set(job_ids)
    for key, found in tables.unique_keys.items():
        if found.job_id in gone:
            tables.unique_keys[key] = attrs.evolve(found, keep_until=None)


def counts_unless_succeeded(tables: Tables, job: JobRow) -> bool:
    """Return whether a job that has ended counts for its unique key, which remembers only that jobs have succeeded."""
    return job.status != "succeeded" and any(
        found.job_id == job.id and found.keep_until is not None and found.keep_until > tables.now
        for found in tables.unique_keys.values()
    )
