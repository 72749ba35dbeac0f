"""The statements with which runs work on their own jobs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import attrs

from adjourn._domain.outcomes import DELETED
from adjourn._domain.runs import Completion
from adjourn._memory.rules import BEHIND_HEADS, stored_json, tell_dependents, wake
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, SentEventRow, StepRow, Tables
from adjourn.sql.constants import Hold
from adjourn.types import Row

TRANSACTION = "memory"
"""The name of every transaction."""


@answers
def begin_completion(tables: Tables) -> list[Row]:
    """Return what a transaction is, before a job is completed in it."""
    return [
        {"transaction": TRANSACTION, "isolation": "read committed", "database": TRANSACTION, "has_schema": True},
    ]


@answers
def complete(
    tables: Tables,
    *,
    transaction: str,
    worker_id: int,
    job_id: int,
    claim: int,
    enqueued_at: datetime.datetime,
    status: str,
    result: str | None,
    ttl: float | None,
) -> list[Row]:
    """End a running job, and leave a note of its lock."""
    job = tables.jobs.get(job_id)
    if job is None or (job.claim, job.worker_id, job.enqueued_at) != (claim, worker_id, enqueued_at):
        return [{"outcome": "lost"}]
    tables.finish(
        job,
        None if status.startswith(DELETED) and not job.is_wanted else status.removeprefix(DELETED),
        attempts=job.attempts + 1,
        result=None if result is None else stored_json(result),
        result_expires_at=None if ttl is None else tables.now + datetime.timedelta(seconds=ttl),
    )
    if job.lock is not None and job.hold not in BEHIND_HEADS:
        tables.headless.add(job.lock)
    tell_dependents(tables, is_callers=True)
    if job.lock is not None or job.has_steps or job.is_special:
        wake(tables, True)
    return [{"outcome": "completed"}]


@answers
def ask_completion(tables: Tables, *, job_id: int, claim: int, worker_id: int) -> list[Row]:
    """Return what became of a job that a run has completed."""
    job = tables.jobs.get(job_id)
    if job is None:
        return [{"outcome": Completion.STORED.value}]
    is_mine = (job.claim, job.worker_id) == (claim, worker_id)
    return [{"outcome": Completion.ROLLED_BACK.value if is_mine else Completion.LOST.value}]


# Steps


def _run(tables: Tables, job_id: int, claim: int, worker_id: int) -> JobRow | None:
    """Return the job of a run that has it still, which has steps from then on."""
    job = tables.jobs.get(job_id)
    if job is None or (job.claim, job.worker_id) != (claim, worker_id):
        return None
    return job if job.has_steps else tables.change(job, has_steps=True)


def _later(tables: Tables, seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else tables.now + datetime.timedelta(seconds=seconds)


def _left(tables: Tables, until: datetime.datetime | None) -> float | None:
    return None if until is None else (until - tables.now).total_seconds()


@answers
def list_steps(tables: Tables, *, job_id: int) -> list[Row]:
    """Return what earlier runs of a job have done."""
    return [
        {"kind": kind, "name": name, "value": step.value, "seconds": _left(tables, step.until)}
        for (id_, kind, name), step in sorted(tables.steps.items(), key=lambda item: item[0])
        if id_ == job_id
    ]


@answers
def store_step(
    tables: Tables,
    *,
    job_id: int,
    claim: int,
    worker_id: int,
    kind: str,
    name: str,
    value: str | None,
    seconds: float | None,
) -> list[Row]:
    """Remember what a run has done."""
    if _run(tables, job_id, claim, worker_id) is None:
        return [{"outcome": "lost", "seconds": None}]
    old = tables.steps.get((job_id, kind, name))
    until = _later(tables, seconds) if old is None or old.until is None else old.until
    stored = None if value is None else stored_json(value)
    step = StepRow(claim=claim, value=stored, until=until, is_done=value is not None, at=tables.now)
    tables.steps[job_id, kind, name] = step
    return [{"outcome": "stored", "seconds": _left(tables, until)}]


@answers
def clear_steps(tables: Tables, *, after_id: int, limit: int) -> list[Row]:
    """Delete events whose time is over, and steps of jobs that are gone or have succeeded."""
    if not after_id:
        for name in [name for name, event in tables.sent_events.items() if event.expires_at <= tables.now]:
            del tables.sent_events[name]
    ids = sorted({job_id for job_id, _, _ in tables.steps if job_id > after_id})[:limit]
    old = tables.now - datetime.timedelta(hours=1)
    for key, step in list(tables.steps.items()):
        finished = tables.finished.get(key[0])
        is_kept = key[0] in tables.jobs or (finished is not None and finished.finished_as != "succeeded")
        if key[0] in ids and step.at < old and not is_kept:
            del tables.steps[key]
    return [{"last_id": ids[-1] if len(ids) == limit else None}]


# Other jobs


@answers
def wait_for_jobs(tables: Tables, *, job_id: int, claim: int, worker_id: int, ids: Sequence[int]) -> list[Row]:
    """Note which jobs a run's job waits for."""
    job = tables.jobs.get(job_id)
    if job is None or (job.claim, job.worker_id) != (claim, worker_id):
        return [{"outcome": "lost", "culprit": None}]
    later, looked = [job_id], set[int]()
    while later:
        looked.add(id_ := later.pop())
        if id_ in ids:
            return [{"outcome": "circle", "culprit": id_}]
        later += [child for child in _waiting_for(tables, id_) if child not in looked]
    tables.forget_run_waits([job_id])
    live = [id_ for id_ in ids if id_ in tables.jobs]
    tables.run_waits |= dict.fromkeys(((id_, job_id) for id_ in live), False)
    return [{"outcome": "waits" if live else "ended", "culprit": None}]


def _waiting_for(tables: Tables, parent_id: int) -> list[int]:
    """Return the jobs that wait for a job."""
    parent = tables.jobs.get(parent_id)
    children = [] if parent is None or parent.next_id is None else [parent.next_id]
    children += [child for id_, child in tables.edges if id_ == parent_id]
    # One that waits in its run does not wait any more for those for which it has waited before.
    waiting = [id_ for id_ in children if _is_held(tables, id_) and not tables.jobs[id_].has_begun]
    noted = [(child, is_linked) for (id_, child), is_linked in tables.run_waits.items() if id_ == parent_id]
    return waiting + [
        id_ for id_, is_linked in noted if id_ in tables.jobs and (_is_held(tables, id_) or not is_linked)
    ]


def _is_held(tables: Tables, id_: int) -> bool:
    return (job := tables.jobs.get(id_)) is not None and job.hold is Hold.PARENTS


# Events


@answers
def look_for_event(
    tables: Tables, *, job_id: int, claim: int, worker_id: int, name: str, seconds: float | None
) -> list[Row]:
    """Look whether an event has been sent for which a run waits."""
    if _run(tables, job_id, claim, worker_id) is None:
        return [{"outcome": "lost", "value": None, "seconds": None}]
    key = (job_id, "event", name)
    step = tables.steps.get(key) or StepRow(claim=claim, until=_later(tables, seconds), at=tables.now)
    if not step.is_done:
        payload = _payload(tables, name)
        is_over = step.until is not None and step.until <= tables.now
        if payload is not None or is_over:
            step = attrs.evolve(step, value=payload, is_done=True)
    tables.steps[key] = attrs.evolve(step, claim=max(step.claim, claim))
    outcome = "waits" if not step.is_done else "timed_out" if step.value is None else "received"
    return [{"outcome": outcome, "value": step.value, "seconds": _left(tables, step.until)}]


def _payload(tables: Tables, name: str) -> str | None:
    event = tables.sent_events.get(name)
    return None if event is None or event.expires_at <= tables.now else event.payload


@answers
def send_events(
    tables: Tables, *, names: Sequence[str], payloads: Sequence[str], seconds: Sequence[float]
) -> list[Row]:
    """Store events, and a note for whoever wakes the jobs that wait for them."""
    stored = [stored_json(payload) for payload in payloads]
    sent = []
    for name, payload, ttl in zip(names, stored, seconds, strict=True):
        is_first = _payload(tables, name) is None
        sent.append(is_first)
        if is_first:
            tables.sent_events[name] = SentEventRow(
                payload=payload, expires_at=tables.now + datetime.timedelta(seconds=ttl)
            )
            tables.event_notes.add(name)
    if any(sent):
        wake(tables, True)
    return [{"stored": sent}]


@answers
def get_event(tables: Tables, *, name: str) -> list[Row]:
    """Return the payload of an event that was sent."""
    payload = _payload(tables, name)
    return [] if payload is None else [{"payload": payload}]
