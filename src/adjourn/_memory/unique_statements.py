"""The statements for unique jobs."""

from __future__ import annotations

import datetime
import json
from typing import Any

import attrs

from adjourn._memory.limits import limit_of
from adjourn._memory.rules import due_at, first_hold, stored_json, taken_queueing_lock, wake, wake_for
from adjourn._memory.statements import ANSWERS, add_job, answers
from adjourn._memory.tables import JobRow, Tables, UniqueKeyRow
from adjourn._memory.terms import terms_of
from adjourn.sql.constants import HEADS
from adjourn.types import Row

FOREVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)
LONG_AGO = datetime.datetime.min.replace(tzinfo=datetime.UTC)
ENDED = frozenset({"succeeded", "failed", "cancelled", "aborted"})


@attrs.define
class UniqueBatch:
    """What becomes of the jobs of one call."""

    tables: Tables
    outcomes: list[Row] = attrs.field(factory=list)
    taken: list[int | None] = attrs.field(factory=list)
    new: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    """What the new jobs will be, by their ids."""
    renewed: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    """What becomes of jobs that waited, by their ids."""

    def status_of(self, found: UniqueKeyRow) -> str:
        """Return the status of the job that has a key."""
        job = self.tables.jobs.get(found.job_id) or self.tables.finished.get(found.job_id)
        if found.job_id in self.new:
            return "todo"
        if job is not None:
            return job.status
        return "succeeded" if found.keep_until is not None and found.keep_until > self.tables.now else "gone"

    def judge(self, given: dict[str, Any]) -> None:
        """Decide what becomes of a job."""
        tables, key, period = self.tables, given.get("key"), given.get("period")
        over = frozenset(given.get("over", "{}")[1:-1].split(","))
        found = None if key is None else tables.unique_keys.get(key)
        is_recent = (
            period is None or found is None or found.deferred_at > tables.now - datetime.timedelta(seconds=period)
        )
        if found is None or self.status_of(found) not in over or not is_recent:
            tables.last_job_id += 1
            self.new[tables.last_job_id] = given
            self.outcomes.append({"id": tables.last_job_id, "outcome": "stored"})
            if key is not None:
                tables.unique_keys[key] = UniqueKeyRow(tables.last_job_id, tables.now)
        else:
            is_replaced = given["on_conflict"] == "replace" and self.status_of(found) == "todo"
            self.outcomes.append({"id": found.job_id, "outcome": "replaced" if is_replaced else "exists"})
            if given["on_conflict"] == "raise":
                self.taken.append(None if found.job_id in self.new else found.job_id)
            elif is_replaced:
                (self.new if found.job_id in self.new else self.renewed)[found.job_id] = given
        if key is not None and over & ENDED:
            self._keep(key, period)

    def _keep(self, key: str, period: float | None) -> None:
        found = self.tables.unique_keys[key]
        until = FOREVER if period is None else found.deferred_at + datetime.timedelta(seconds=period)
        self.tables.unique_keys[key] = attrs.evolve(found, keep_until=max(found.keep_until or LONG_AGO, until))


@answers
def defer_unique(tables: Tables, *, jobs: str, own_transaction: bool) -> list[Row]:
    """Store jobs of which some are unique, all or none."""
    given: list[dict[str, Any]] = json.loads(jobs)
    before = dict(tables.unique_keys), tables.last_job_id
    are_locked = any(_is_locked(tables, values) for values in given)
    batch = UniqueBatch(tables)
    for each in given:
        batch.judge(each)
    refused = _refusal(tables, batch)
    if refused:
        tables.unique_keys, tables.last_job_id = before
        return [{"queueing_lock": None, "enqueued_at": tables.now, **row} for row in refused]
    for id_, values in batch.renewed.items():
        _renew(tables, tables.jobs[id_], values)
    for id_, values in batch.new.items():
        _store(tables, id_, values)
    if own_transaction or are_locked or any({"scheduled_at", "schedule_in"} & values.keys() for values in given):
        wake(tables, own_transaction)
    elif batch.new:
        wake_for(tables, [values["queue"] for values in batch.new.values()])
    return [{"queueing_lock": None, "enqueued_at": tables.now, **outcome} for outcome in batch.outcomes]


ANSWERS["defer_unique_batch"] = defer_unique


def _refusal(tables: Tables, batch: UniqueBatch) -> list[Row]:
    if batch.taken:
        there: list[int | None] = [*sorted({id_ for id_ in batch.taken if id_ is not None})]
        return [{"id": id_, "outcome": "taken"} for id_ in there or [None]]
    taken = taken_queueing_lock(tables, (values.get("queueing_lock") for values in batch.new.values()))
    return [] if taken is None else [{"id": None, "outcome": "locked", "queueing_lock": taken}]


def _renew(tables: Tables, job: JobRow, values: dict[str, Any]) -> None:
    """Give a job that waits the values of another."""
    if job.lock is not None and job.hold in HEADS:
        tables.headless.add(job.lock)
    # What was remembered came of the old arguments.
    tables.forget_steps(job.id)
    at = due_at(tables, values.get("scheduled_at"), values.get("schedule_in"))
    lock = values.get("lock")
    tables.change(
        job,
        queue=values["queue"],
        task_name=values["task_name"],
        priority=values["priority"],
        lock=lock,
        args=stored_json(values["args"]),
        headers=_headers(values),
        scheduled_at=at,
        hold=first_hold(tables, at, lock),
        losses=0,
        doubts=0,
        unknown_since=None,
        awaited_event=None,
        aged=0,
        **{**terms_of(tables, values, at), **limit_of(tables, values)},
    )


def _headers(values: dict[str, Any]) -> str | None:
    headers = values.get("headers")
    return None if headers is None else stored_json(json.dumps(headers))


def _store(tables: Tables, id_: int, values: dict[str, Any]) -> None:
    last = tables.last_job_id
    tables.last_job_id = id_ - 1
    at = due_at(tables, values.get("scheduled_at"), values.get("schedule_in"))
    add_job(
        tables,
        values["queue"],
        values["task_name"],
        values["priority"],
        values.get("lock"),
        values.get("queueing_lock"),
        stored_json(values["args"]),
        at,
        _headers(values),
    )
    columns = {**terms_of(tables, values, at), **limit_of(tables, values)}
    tables.jobs[id_] = attrs.evolve(tables.jobs[id_], **columns)
    tables.last_job_id = last


def _is_locked(tables: Tables, values: dict[str, Any]) -> bool:
    """Return whether Postgres locks a job that waits, for this one: then it notifies workers, which may have passed it over."""
    found = tables.unique_keys.get(values.get("key", ""))
    job = None if found is None else tables.jobs.get(found.job_id)
    if job is None or job.worker_id is not None:
        return False
    return values["on_conflict"] == "replace" or ("todo" in values["over"]) != ("doing" in values["over"])


@answers
def forget_keys(tables: Tables, *, after: str, limit: int) -> list[Row]:
    """Delete those of the next ``limit`` keys whose job does not count any more."""
    page = sorted((key for key in tables.unique_keys if key > after), key=str.encode)[:limit]
    over = [
        key
        for key in page
        if (found := tables.unique_keys[key]).job_id not in tables.jobs
        and (found.keep_until is None or found.keep_until <= tables.now)
    ]
    for key in over:
        del tables.unique_keys[key]
    return [{"forgotten": len(over), "last_key": page[-1] if len(page) == limit else None}]
