"""Jobs that have ended are run again: who comes back with them, and who waits for them once more."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adjourn._memory.rules import cancel_waiting, first_hold, wake
from adjourn._memory.tables import JobRow, Tables
from adjourn.sql.constants import Hold, RunIf


def revive(
    tables: Tables,
    seeds: Iterable[int],
    forced: Iterable[int],
    at: datetime.datetime | None = None,
    *,
    flow_id: int | None = None,
    **changes: Any,
) -> list[int]:
    """Run these jobs again, of which some come back whatever became of the jobs that they have waited for.

    Parameters
    ----------
    seeds, forced
        The jobs, which have ended, and those of them that come back in any case.
    at, **changes
        When the latter are due, and their new columns.
    flow_id
        The workflow that is run again. If another one was cancelled, then its other jobs stay so.

    Returns
    -------
    list of int
        All jobs that come back, in order: with these, those that were cancelled because of them.
    """
    forced = set(forced)
    again = _family(tables, set(seeds), forced)
    pending = {id_: _pending(tables, id_, again) for id_ in again}
    failures = {id_: _failures(tables, id_, again) for id_ in again}
    flows = {
        named for id_ in again if (named := tables.finished[id_].workflow_id) in tables.workflows and named != flow_id
    }
    stopped = [id_ for id_, job in tables.jobs.items() if job.workflow_id in flows and job.worker_id is None]
    cancel_waiting(tables, [id_ for id_ in stopped if _is_cancelled(tables, id_)], cause="workflow")
    # They begin anew, and so does what they wait for in their runs.
    tables.forget_run_waits(again)
    _wait_again(tables, again)
    for id_, parents in failures.items():
        if id_ in forced and tables.finished[id_].run_if is None:
            tables.forgiven |= {(parent, id_) for parent in parents}
            failures[id_] = set()
        elif tables.finished[id_].run_if is not None:
            failures[id_] = {parent for parent in parents if not _is_needless(tables, parent)}
    failed = {id_ for id_ in again if tables.finished[id_].status in ("failed", "aborted")}
    cancelled = {
        id_ for id_ in again if (job := tables.finished[id_]).status == "cancelled" and job.cause != "needless"
    }
    grown = Counter(tables.finished[id_].workflow_id for id_ in again)
    for flow_id, count in grown.items():
        if flow_id is not None and (flow := tables.workflows.get(flow_id)) is not None:
            lost = sum(tables.finished[id_].workflow_id == flow_id for id_ in failed)
            remaining = flow.remaining + count
            tables.workflows[flow_id] = attrs.evolve(
                flow,
                remaining=remaining,
                failed=flow.failed - lost,
                cancelled=flow.cancelled - sum(tables.finished[id_].workflow_id == flow_id for id_ in cancelled),
                is_cancelled=False,
                finished_at=flow.finished_at if remaining <= 0 else None,
            )
    for id_ in sorted(again):
        tables.arrivals.pop(id_, None)
        is_forced = id_ in forced
        job = tables.finished.pop(id_)
        new = attrs.evolve(job, scheduled_at=at, expires_at=None, **changes) if is_forced else job
        tables.touched.add(id_)
        tables.jobs[id_] = _renewed(tables, new, pending[id_], len(failures[id_]))
        if tables.jobs[id_].unlinked:
            tables.arrive(id_)
    wake(tables, always=True)
    return sorted(again)


def _is_cancelled(tables: Tables, id_: int) -> bool:
    return tables.workflows[tables.jobs[id_].workflow_id or 0].is_cancelled


def parents_of(tables: Tables, child_id: int) -> Iterator[int]:
    """Find the jobs that a job waits for, or has waited for."""
    for parent_id, child in tables.edges:
        if child == child_id:
            yield parent_id
    yield from (job.id for job in (*tables.jobs.values(), *tables.finished.values()) if job.next_id == child_id)


def _children(tables: Tables, parent_id: int) -> Iterator[int]:
    for parent, child_id in tables.edges:
        if parent == parent_id:
            yield child_id
    job = tables.finished.get(parent_id)
    if job is not None and job.next_id is not None:
        yield job.next_id


def _family(tables: Tables, seeds: set[int], forced: set[int]) -> set[int]:
    """Return who comes back: one that would have to be cancelled again because of others does not."""
    reach, new = set[int](), seeds & tables.finished.keys()
    while new:
        reach |= new
        near = {child for id_ in new for child in _children(tables, id_)} - reach
        new = {
            id_ for id_ in near if (job := tables.finished.get(id_)) is not None and job.cause in ("jobs", "needless")
        }
    while True:
        out = {id_ for id_ in reach - forced if _is_refused(tables, id_, reach)}
        if not out:
            return reach
        reach -= out


def _is_refused(tables: Tables, id_: int, again: set[int]) -> bool:
    rule, failures = tables.finished[id_].run_if, _failures(tables, id_, again)
    has_failed, is_pending = any(not _is_needless(tables, each) for each in failures), _pending(tables, id_, again) > 0
    if rule is None:
        return has_failed or (bool(failures) and not is_pending)
    return rule == RunIf.ANY_FAILED and not has_failed and not is_pending


def _is_needless(tables: Tables, id_: int) -> bool:
    """Return whether a job that has ended was not needed, which is no failure."""
    return tables.finished[id_].cause == "needless"


def _waits(tables: Tables, parent_id: int, child_id: int, again: set[int]) -> bool:
    edge = tables.edges.get((parent_id, child_id))
    return parent_id in again or parent_id in tables.jobs or (edge is not None and not edge.is_linked)


def _pending(tables: Tables, id_: int, again: set[int]) -> int:
    return sum(_waits(tables, parent, id_, again) for parent in parents_of(tables, id_))


def _failures(tables: Tables, id_: int, again: set[int]) -> set[int]:
    """Return which of the jobs that it has waited for have failed, and count."""
    return {
        parent
        for parent in parents_of(tables, id_)
        if not _waits(tables, parent, id_, again)
        and (parent, id_) not in tables.forgiven
        and (job := tables.finished.get(parent)) is not None
        and job.status != "succeeded"
    }


def _wait_again(tables: Tables, again: set[int]) -> None:
    """Have those that wait still wait for these jobs again."""
    for parent_id in again:
        failed, is_needless = tables.finished[parent_id].status != "succeeded", _is_needless(tables, parent_id)
        for child_id in _children(tables, parent_id):
            edge = tables.edges.get((parent_id, child_id))
            child = tables.jobs.get(child_id)
            is_forgiven = (parent_id, child_id) in tables.forgiven
            is_told = edge is None or edge.is_linked
            if child is not None and child.hold is Hold.PARENTS and not child.has_begun and is_told:
                counts = failed and (child.run_if is None or not is_needless)
                # Nobody sees these columns, so this is no change that is told of.
                tables.jobs[child_id] = attrs.evolve(
                    child,
                    pending=None if child.pending is None else child.pending + 1,
                    failed_parents=child.failed_parents - int(counts and not is_forgiven),
                )
        for child_id in [child for (id_, child), is_told in tables.run_waits.items() if id_ == parent_id and is_told]:
            child = tables.jobs.get(child_id)
            if child is not None and child.hold is Hold.PARENTS:
                tables.jobs[child_id] = attrs.evolve(child, pending=(child.pending or 0) + 1)
    tables.forgiven = {edge for edge in tables.forgiven if edge[0] not in again}


def _renewed(tables: Tables, job: JobRow, pending: int, failed: int) -> JobRow:
    has_steps = any(key[0] == job.id for key in tables.steps)
    has_expired = job.expires_at is not None and job.expires_at <= tables.now
    return attrs.evolve(
        job,
        worker_id=None,
        started_at=None,
        queueing_lock=None,
        waiting_queueing_lock=None,
        losses=0,
        doubts=0,
        unknown_since=None,
        ready_at=tables.now,
        abort_requested=False,
        awaited_event=None,
        claimed_ahead=False,
        finished_as=None,
        finished_at=None,
        result=None,
        result_expires_at=None,
        waited=False,
        progress=None,
        cause=None,
        reason=None,
        aged=0,
        expires_at=None if has_expired else job.expires_at,
        has_steps=has_steps,
        has_dependents=any(parent == job.id for parent, _ in (*tables.edges, *tables.run_waits)),
        has_begun=False,
        unlinked=any(child == job.id and not edge.is_linked for (_, child), edge in tables.edges.items()),
        pending=pending or None,
        failed_parents=failed,
        special=job.max_attempts is not None or job.is_batch,
        hold=Hold.PARENTS if pending else first_hold(tables, job.scheduled_at, job.lock),
    )
