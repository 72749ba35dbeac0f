"""Jobs that wait for other jobs, and the statements of workflows."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

import attrs

from adjourn._domain.workflows import WorkflowState
from adjourn._memory.limits import limit_of
from adjourn._memory.revival import revive
from adjourn._memory.rules import cancel_waiting, first_hold, stored_json, told_end, wake, wake_for
from adjourn._memory.statements import ANSWERS, answers
from adjourn._memory.tables import Arrival, EdgeRow, JobRow, Tables, WorkflowRow
from adjourn._memory.terms import terms_of
from adjourn.exceptions import UniqueViolation
from adjourn.sql.constants import Hold, RunIf
from adjourn.types import Row

NONE_FAILED = "none of the jobs that it waited for has failed"
NOT_NEEDED = "a job that it waited for was not needed"
_NODE = (
    *(
        "id",
        "queue",
        "task_name",
        "priority",
        "lock",
        "args",
        "headers",
        "scheduled_at",
        "schedule_in",
        "terms",
        "pending",
        "run_if",
    ),
    *("unlinked", "next_id", "has_dependents"),
)


def place_workflows(tables: Tables) -> int:
    """Add up the ends of jobs that others wait for; return how many jobs were released or cancelled."""
    moved = 0
    while tables.arrivals:
        taken, tables.arrivals = tables.arrivals, {}
        unlinked = [id_ for id_ in sorted(taken) if (job := tables.jobs.get(id_)) is not None and job.unlinked]
        _link(tables, unlinked)
        release, cancel, drop = _judge(tables, taken)
        for id_ in release:
            job = tables.jobs[id_]
            tables.change(job, hold=first_hold(tables, job.scheduled_at, job.lock), ready_at=tables.now)
        wake_for(tables, [tables.jobs[id_].queue for id_ in release if tables.jobs[id_].hold is Hold.READY])
        cancelled = _count(tables, taken)
        if cancel:
            cancel_waiting(tables, cancel, cause="jobs", reasons=cancel)
        if drop:
            cancel_waiting(tables, drop, cause="needless", reasons=drop)
        others = [job.id for job in tables.jobs.values() if job.workflow_id in cancelled and job.worker_id is None]
        if others:
            cancel_waiting(tables, others, cause="workflow")
        moved += len(release) + len(cancel) + len(drop) + len(others)
        if not cancel and not drop and not others and not unlinked:
            break
    return moved


Taken = dict[int, Arrival]


def _judge(tables: Tables, taken: Taken) -> tuple[list[int], dict[int, str], dict[int, str]]:
    """Count what has arrived at jobs; return which of them are ready, and which are not to run, and why: because others have not
    succeeded, or because none has failed."""
    release: list[int] = []
    cancel: dict[int, str] = {}
    drop: dict[int, str] = {}
    for id_, told in sorted(taken.items(), key=lambda item: item[0]):
        job = tables.jobs.get(id_)
        if job is None or job.pending is None:
            continue
        # Nobody sees these columns, so this is no change that is told of.
        job = attrs.evolve(
            job,
            pending=job.pending - (told.in_run if job.has_begun else told.ended),
            # With a rule, those that were not needed do not count.
            failed_parents=job.failed_parents + told.failed - (0 if job.run_if is None else told.needless),
        )
        tables.jobs[id_] = job
        if job.hold is not Hold.PARENTS:
            continue
        if not job.has_begun and job.run_if is None and told.failed > told.needless:
            cancel[id_] = told.reason or NOT_NEEDED
        elif (job.pending or 0) > 0 or job.unlinked:
            continue
        elif not job.has_begun and job.run_if is None and job.failed_parents > 0:
            drop[id_] = told.reason or NOT_NEEDED
        elif not job.has_begun and job.run_if == RunIf.ANY_FAILED and job.failed_parents == 0:
            drop[id_] = NONE_FAILED
        else:
            release.append(id_)
    return release, cancel, drop


def _count(tables: Tables, taken: Taken) -> set[int]:
    """Count what has arrived at workflows; return those that are cancelled and have jobs left."""
    cancelled = set()
    for id_, told in taken.items():
        if (flow := tables.workflows.get(id_)) is None:
            continue
        remaining = flow.remaining - told.ended
        finished_at = (flow.finished_at or tables.now) if remaining <= 0 and not flow.is_open else None
        flow = attrs.evolve(
            flow,
            remaining=remaining,
            failed=flow.failed + told.failed,
            cancelled=flow.cancelled + told.cancelled,
            finished_at=finished_at,
        )
        if finished_at is not None and flow.waited:
            tables.told.add(id_)
            flow = attrs.evolve(flow, waited=False)
        tables.workflows[id_] = flow
        if remaining > 0 and flow.is_cancelled:
            cancelled.add(id_)
    return cancelled


def _link(tables: Tables, ids: Sequence[int]) -> None:
    """Tell jobs that live already which of these jobs wait for them."""
    for (parent_id, child_id), edge in sorted(tables.edges.items()):
        if child_id not in ids or edge.is_linked:
            continue
        tables.edges[parent_id, child_id] = attrs.evolve(edge, is_linked=True)
        if (parent := tables.jobs.get(parent_id)) is not None:
            tables.jobs[parent_id] = attrs.evolve(parent, has_dependents=True)
        else:
            ended = tables.finished.get(parent_id)
            status = None if ended is None else "needless" if ended.cause == "needless" else ended.status
            if status == "succeeded":
                tables.arrive(child_id, Arrival(1))
            else:
                tables.arrive(child_id, Arrival(1, 1, told_end(parent_id, status), needless=int(status == "needless")))
    for (parent_id, child_id), is_linked in sorted(tables.run_waits.items()):
        if child_id not in ids or is_linked:
            continue
        tables.run_waits[parent_id, child_id] = True
        if (parent := tables.jobs.get(parent_id)) is not None:
            tables.jobs[parent_id] = attrs.evolve(parent, has_dependents=True)
        else:
            tables.arrive(child_id, Arrival(in_run=1))
    for id_ in ids:
        tables.jobs[id_] = attrs.evolve(tables.jobs[id_], unlinked=False)


@answers
def reserve_ids(tables: Tables, *, count: int) -> list[Row]:
    """Reserve ids for jobs."""
    first = tables.last_job_id + 1
    tables.last_job_id += count
    return [{"ids": "{" + ",".join(map(str, range(first, first + count))) + "}"}]


@answers
def store_nodes(
    tables: Tables,
    *,
    workflow_id: int,
    jobs: int | None,
    is_new: bool,
    is_open: bool,
    name: str | None,
    last_id: int,
    ids: str,
    queues: str,
    task_names: str,
    priorities: str,
    locks: str | None,
    args: str,
    headers: str | None,
    scheduled_at: str | None,
    schedule_in: str | None,
    terms: str | None,
    pending: str,
    run_ifs: str,
    unlinked: str,
    nexts: str,
    has_dependents: str,
    parents: str | None,
    children: str | None,
    names: str | None,
    places: str | None,
    linked: str | None,
    own_transaction: bool,
) -> list[Row]:
    """Store jobs of a workflow, and who waits for whom."""
    if jobs is not None and not _grow(tables, workflow_id, jobs, is_new, is_open, name):
        return [{"stored": False}]
    columns = (
        ids,
        queues,
        task_names,
        priorities,
        locks,
        args,
        headers,
        scheduled_at,
        schedule_in,
        terms,
        pending,
        run_ifs,
        unlinked,
    )
    rows = _rows(_NODE, (*columns, nexts, has_dependents))
    is_cancelled = tables.workflows[workflow_id].is_cancelled
    for row in rows:
        _store_node(tables, workflow_id, row, is_cancelled)
    for row in _rows(
        ("parent_id", "child_id", "name", "place", "is_linked"), (parents, children, names, places, linked)
    ):
        edge = EdgeRow(name=row["name"], place=row["place"], is_linked=row["is_linked"])
        if (row["parent_id"], row["child_id"]) in tables.edges:
            raise UniqueViolation("duplicate key value", constraint_name="adjourn_dependencies_pkey")
        tables.edges[row["parent_id"], row["child_id"]] = edge
    if is_cancelled:
        tables.arrive(workflow_id)
    if own_transaction or is_cancelled or any(row["unlinked"] for row in rows):
        wake(tables, own_transaction)
    else:
        wake_for(tables, [row["queue"] for row in rows if row["pending"] is None])
    return [{"stored": True}]


def _grow(tables: Tables, workflow_id: int, jobs: int, is_new: bool, is_open: bool, name: str | None) -> bool:
    """Make a workflow, or have it grow; return whether it can."""
    if is_new:
        tables.workflows[workflow_id] = WorkflowRow(
            name=name,
            jobs=jobs,
            remaining=jobs,
            is_open=is_open,
            created_at=tables.now,
            finished_at=None if jobs or is_open else tables.now,
        )
        return True
    flow = tables.workflows.get(workflow_id)
    if flow is None or flow.finished_at is not None:
        return False
    tables.workflows[workflow_id] = attrs.evolve(flow, jobs=flow.jobs + jobs, remaining=flow.remaining + jobs)
    return True


def _store_node(tables: Tables, workflow_id: int, row: Row, is_cancelled: bool) -> None:
    at = row["scheduled_at"] and datetime.datetime.fromisoformat(row["scheduled_at"])
    if row["schedule_in"] is not None:
        at = tables.now + datetime.timedelta(seconds=row["schedule_in"])
    terms = json.loads(row["terms"] or "{}")
    waits = is_cancelled or (row["pending"] or 0) > 0
    tables.touched.add(row["id"])
    tables.jobs[row["id"]] = JobRow(
        id=row["id"],
        queue=row["queue"],
        task_name=row["task_name"],
        priority=row["priority"],
        lock=row["lock"],
        queueing_lock=None,
        waiting_queueing_lock=None,
        args=stored_json(row["args"]),
        headers=None if row["headers"] is None else stored_json(row["headers"]),
        scheduled_at=at,
        hold=Hold.PARENTS if waits else first_hold(tables, at, row["lock"]),
        enqueued_at=tables.now,
        workflow_id=workflow_id,
        pending=row["pending"],
        run_if=row["run_if"],
        unlinked=bool(row["unlinked"]),
        next_id=row["next_id"],
        has_dependents=bool(row["has_dependents"]),
        **{**terms_of(tables, terms, at), **limit_of(tables, terms)},
    )
    if row["unlinked"]:
        tables.arrive(row["id"])


def _rows(names: Sequence[str], columns: Sequence[str | None]) -> list[Row]:
    """Return the rows of columns that are the texts of arrays."""
    values = [None if column is None else json.loads(f"[{column[1:-1]}]", strict=False) for column in columns]
    count = max((len(each) for each in values if each is not None), default=0)
    full = [[None] * count if each is None else each for each in values]
    return [dict(zip(names, row, strict=True)) for row in zip(*full, strict=True)]


@answers
def list_workflows(tables: Tables, *, from_id: int, to_id: int, status: str | None, limit: int) -> list[Row]:
    """List the latest workflows of a range of ids."""
    rows = [_seen(tables, id_) for id_ in sorted(tables.workflows, reverse=True) if from_id <= id_ <= to_id]
    return [row for row in rows if status in (None, WorkflowState.from_row(row).status)][:limit]


def _seen(tables: Tables, id_: int) -> Row:
    flow, told = tables.workflows[id_], tables.arrivals.get(id_, Arrival())
    return {
        "id": id_,
        "name": flow.name,
        "jobs": flow.jobs,
        "remaining": flow.remaining - told.ended,
        "failed": flow.failed + told.failed,
        "cancelled": flow.cancelled + told.cancelled,
        "is_cancelled": flow.is_cancelled,
        "is_open": flow.is_open,
        "created_at": flow.created_at,
        "finished_at": flow.finished_at,
    }


@answers
def get_workflow_of(tables: Tables, *, job_id: int) -> list[Row]:
    """Return the workflow of a job."""
    job = tables.jobs.get(job_id) or tables.finished.get(job_id)
    return [{"workflow_id": None if job is None else job.workflow_id}]


@answers
def get_parent_results(tables: Tables, *, job_id: int) -> list[Row]:
    """Return the results of the jobs that a job has names for."""
    rows: list[Row] = []
    for (parent_id, child_id), edge in tables.edges.items():
        if child_id == job_id and edge.name is not None:
            parent = tables.finished.get(parent_id)
            result = None if parent is None or parent.has_lapsed(tables.now) else parent.result
            status = None if parent is None else parent.status
            named = {"parent_id": parent_id, "name": edge.name, "place": edge.place}
            rows.append({**named, "status": status, "result": result})
    return sorted(rows, key=lambda row: (row["name"], -1 if row["place"] is None else row["place"]))


@answers
def cancel_workflow(tables: Tables, *, id: int, limit: int) -> list[Row]:  # noqa: A002 - the statement's parameter
    """Cancel the jobs of a workflow that wait."""
    if (flow := tables.workflows.get(id)) is None:
        return [{"cancelled": None}]
    if flow.finished_at is None:
        flow = tables.workflows[id] = attrs.evolve(flow, is_cancelled=True, is_open=False)
    if not flow.is_cancelled:
        return [{"cancelled": 0}]
    waiting = sorted(job.id for job in tables.jobs.values() if job.workflow_id == id and job.worker_id is None)[:limit]
    cancel_waiting(tables, waiting, cause="workflow")
    tables.arrive(id)
    wake(tables, always=True)
    return [{"cancelled": len(waiting)}]


@answers
def close_workflow(tables: Tables, *, id: int) -> list[Row]:  # noqa: A002 - the statement's parameter
    """Have a workflow end with its last job."""
    if (flow := tables.workflows.get(id)) is None or not flow.is_open:
        return [{"closed": None if flow is None else False}]
    tables.workflows[id] = attrs.evolve(flow, is_open=False)
    tables.arrive(id)
    wake(tables, always=True)
    return [{"closed": True}]


@answers
def abort_workflow(tables: Tables, *, id: int) -> list[Row]:  # noqa: A002 - the statement's parameter
    """Ask the running jobs of a workflow to end."""
    running = [job.id for job in tables.jobs.values() if job.workflow_id == id and job.worker_id is not None]
    return ANSWERS["request_abort"](tables, ids=running)


@answers
def retry_workflow(tables: Tables, *, id: int) -> list[Row]:  # noqa: A002 - the statement's parameter
    """Run the jobs of a workflow again that have failed, and those that were cancelled because of it."""
    if id not in tables.workflows:
        return [{"retried": None}]
    members = [job for job in tables.finished.values() if job.workflow_id == id]
    failed = [job.id for job in members if job.status in ("failed", "aborted")]
    others = [job.id for job in members if job.cause in ("workflow", "expiry")]
    again = revive(tables, [*failed, *others], failed, flow_id=id)
    # Jobs that were added since it was cancelled, and not cancelled yet.
    for job in [job for job in tables.jobs.values() if job.workflow_id == id and job.hold is Hold.PARENTS]:
        if job.pending is None:
            tables.change(job, pending=0)
            tables.arrive(job.id)
    tables.workflows[id] = attrs.evolve(tables.workflows[id], is_cancelled=False)
    return [{"retried": len(again)}]


@answers
def clean_workflows(tables: Tables, *, seconds: float, after_id: int, limit: int) -> list[Row]:
    """Delete workflows that have ended long ago and have no jobs left, and forget who waited for jobs that are gone."""
    before = tables.now - datetime.timedelta(seconds=seconds)
    used = {job.workflow_id for job in tables.all_jobs()}
    for id_, flow in list(tables.workflows.items()):
        if id_ not in used and flow.finished_at is not None and flow.finished_at < before:
            del tables.workflows[id_]
    for waits in (tables.edges, tables.run_waits):
        for parent_id, child_id in list(waits):
            if child_id not in tables.jobs and child_id not in tables.finished:
                del waits[parent_id, child_id]
    tables.forgiven = {edge for edge in tables.forgiven if edge[1] in tables.jobs or edge[1] in tables.finished}
    return [{"last_id": None}]
