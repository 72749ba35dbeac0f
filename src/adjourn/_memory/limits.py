"""Limits and pauses: which jobs may start now.

In memory nothing happens between a claim and the next statement, so the claim alone decides. A job that may not start stays among the
ready ones, and keeps its place.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from adjourn._memory.rules import due_at, stored_json, taken_queueing_lock, wake
from adjourn._memory.statements import add_job, answers
from adjourn._memory.tables import JobRow, LimitRow, PauseRow, StartRow, Tables
from adjourn._memory.terms import terms_of
from adjourn.types import Row

NOT_PAUSED: dict[str, Any] = dict.fromkeys(("paused_at", "pause_ends_at", "paused_by", "pause_reason"))
"""The columns of a schedule that is not paused."""


def is_paused(tables: Tables, job: JobRow) -> bool:
    """Return whether the job's queue or task is paused."""
    return ("queue", job.queue) in tables.pauses or ("task", job.task_name) in tables.pauses


def end_pauses(tables: Tables) -> datetime.datetime | None:
    """End the pauses whose time has come, and return when the next one ends."""
    left = []
    for key, row in list(tables.pauses.items()):
        if row.ends_at is not None and row.ends_at <= tables.now:
            del tables.pauses[key]
        elif row.ends_at is not None:
            left.append(row.ends_at)
    for schedule_key, schedule in tables.schedules.items():
        if schedule.pause_ends_at is not None and schedule.pause_ends_at <= tables.now:
            tables.schedules[schedule_key] = attrs.evolve(schedule, **NOT_PAUSED)
    return min(left, default=None)


def limits_of(tables: Tables, job: JobRow) -> Iterator[tuple[LimitRow, str]]:
    """Find the limits that count the job, each with its key there."""
    names = (("key", job.limit_name), ("task", job.task_name), ("queue", job.queue))
    for scope, name in names:
        limit = None if name is None else tables.limits.get((scope, name))
        if limit is not None and limit.has_numbers:
            yield limit, (job.limit_key or "") if scope == "key" else ""


def startable(tables: Tables, jobs: Iterable[JobRow]) -> Iterator[JobRow]:
    """Choose those of these jobs that may start now, one after the other, if all that are chosen before start too."""
    running: dict[tuple[LimitRow, str], int] = {}
    for job in tables.jobs.values():
        if job.worker_id is not None:
            for place in limits_of(tables, job):
                running[place] = running.get(place, 0) + 1
    new: dict[tuple[LimitRow, str], int] = {}
    for job in jobs:
        places = list(limits_of(tables, job))
        if is_paused(tables, job) or not all(_has_room(tables, place, running, new) for place in places):
            continue
        for place in places:
            running[place] = running.get(place, 0) + 1
            new[place] = new.get(place, 0) + 1
        yield job


def _has_room(
    tables: Tables,
    place: tuple[LimitRow, str],
    running: dict[tuple[LimitRow, str], int],
    new: dict[tuple[LimitRow, str], int],
) -> bool:
    limit, key = place
    if limit.concurrency is not None and running.get(place, 0) >= limit.concurrency:
        return False
    return all(_started(tables, limit, key, seconds) + new.get(place, 0) < number for number, seconds in limit.rates)


def _started(tables: Tables, limit: LimitRow, key: str, seconds: float) -> int:
    since = tables.now - datetime.timedelta(seconds=seconds)
    return sum(
        start.at > since for start in tables.starts if (start.scope, start.name) == limit.place and start.key == key
    )


def note_starts(tables: Tables, jobs: Iterable[JobRow]) -> None:
    """Take note of jobs that start under a rate, and forget starts that no rate asks for any more."""
    for job in jobs:
        for limit, key in limits_of(tables, job):
            if limit.rates:
                tables.starts.append(StartRow(scope=limit.scope, name=limit.name, key=key, at=tables.now))
    if tables.starts:
        tables.starts = [start for start in tables.starts if start.at > tables.now - _longest(tables, start)]


def _longest(tables: Tables, start: StartRow) -> datetime.timedelta:
    limit = tables.limits.get((start.scope, start.name))
    periods = [seconds for _, seconds in limit.rates] if limit is not None else []
    return datetime.timedelta(seconds=max(periods, default=0))


def next_room(tables: Tables) -> datetime.datetime | None:
    """Return when the first start under a rate is so old that another job may start; None if there is none."""
    ends = [
        start.at + datetime.timedelta(seconds=seconds)
        for start in tables.starts
        if (limit := tables.limits.get((start.scope, start.name))) is not None
        for _, seconds in limit.rates
    ]
    return min((end for end in ends if end > tables.now), default=None)


# The statements


@answers
def defer_special(tables: Tables, *, jobs: str, own_transaction: bool) -> list[Row]:
    """Store jobs that are more than plain, all or none; if a queueing lock is taken, name it."""
    given = json.loads(jobs)
    if (taken := taken_queueing_lock(tables, [job.get("queueing_lock") for job in given])) is not None:
        return [{"id": None, "taken": taken, "enqueued_at": tables.now}]
    rows: list[Row] = []
    for job in given:
        args = stored_json(job["args"])
        at = due_at(tables, job.get("scheduled_at"), job.get("schedule_in"))
        options = (job["queue"], job["task_name"], job["priority"], job.get("lock"), job.get("queueing_lock"))
        headers = job.get("headers")
        id_ = add_job(tables, *options, args, at, None if headers is None else stored_json(json.dumps(headers)))
        columns = {**terms_of(tables, job, at), **limit_of(tables, job), "special": True}
        tables.jobs[id_] = attrs.evolve(tables.jobs[id_], **columns)
        rows.append({"id": id_, "taken": None, "enqueued_at": tables.now})
    wake(tables, own_transaction)
    return rows


def limit_of(tables: Tables, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a new job that are the limit of its key, and store that limit if it is new."""
    if (name := given.get("limit_name")) is None:
        return {"limit_name": None, "limit_key": None}
    declared = _limit("key", name, given.get("concurrency"), given.get("rates"), declared=True)
    tables.limits.setdefault(("key", name), declared)
    return {"limit_name": name, "limit_key": given["limit_key"], "special": True}


def _limit(scope: str, name: str, concurrency: int | None, rates: Any, *, declared: bool) -> LimitRow:
    numbers = tuple((number, float(seconds)) for number, seconds in rates or ())
    said = (concurrency, numbers) if declared else None
    return LimitRow(scope=scope, name=name, concurrency=concurrency, rates=numbers, is_declared=declared, declared=said)


@answers
def set_limit(
    tables: Tables, *, scope: str, name: str, concurrency: int | None, rates: str | None, declared: bool
) -> list[Row]:
    """Give a queue, a task, or the keys of a name a limit; what programs declare does not change one that was set by hand."""
    new = _limit(scope, name, concurrency, None if rates is None else json.loads(rates), declared=declared)
    old = tables.limits.get((scope, name))
    if old is not None and declared and not old.is_declared:
        new = old.declaring(new.declared)
    elif old is not None and not declared:
        new = new.declaring(old.declared)
    tables.limits[scope, name] = new
    wake(tables, always=True)
    return [{"changed": old != new}]


@answers
def reset_limit(tables: Tables, *, scope: str, name: str) -> list[Row]:
    """Give a limit that was set by hand the numbers that programs have declared."""
    old = tables.limits.get((scope, name))
    if old is None or old.is_declared:
        return [{"changed": False}]
    concurrency, rates = old.declared or (None, ())
    tables.limits[scope, name] = _limit(scope, name, concurrency, rates, declared=True)
    wake(tables, always=True)
    return [{"changed": True}]


@answers
def list_limits(tables: Tables) -> list[Row]:
    """List the limits, with how many jobs run under each, and how many wait for a place."""
    rows: list[Row] = []
    for (scope, name), limit in sorted(tables.limits.items()):
        counted = [job for job in tables.jobs.values() if any(limit is each for each, _ in limits_of(tables, job))]
        ready = [job for job in tables.ready() if job in counted]
        starting = {job.id for job in startable(tables, ready)}
        rows.append(
            {
                "scope": scope,
                "name": name,
                "concurrency": limit.concurrency,
                "rates": json.dumps(limit.rates) if limit.rates else None,
                "declared": limit.is_declared,
                "waiting": sum(job.id not in starting for job in ready),
                "held": sum(job.worker_id is not None for job in counted),
            }
        )
    return rows


@answers
def pause(
    tables: Tables,
    *,
    scope: str,
    names: Sequence[str],
    pause: bool,
    seconds: float | None,
    until: datetime.datetime | None,
    by: str | None,
    reason: str | None,
) -> list[Row]:
    """Pause queues or tasks, or resume them; name those for which that changed something."""
    end_pauses(tables)
    ends_at = end_of_pause(tables, seconds, until)
    changed = []
    for name in dict.fromkeys(names):
        old = tables.pauses.get((scope, name))
        if not pause and old is not None:
            del tables.pauses[scope, name]
        elif pause and (old is None or old.ends_at != ends_at or reason not in (None, old.reason)):
            since = tables.now if old is None else old.paused_at
            tables.pauses[scope, name] = PauseRow(paused_at=since, ends_at=ends_at, paused_by=by, reason=reason)
        else:
            continue
        changed.append(name)
    wake(tables, always=True)
    return [{"name": name} for name in changed]


def end_of_pause(tables: Tables, seconds: float | None, until: datetime.datetime | None) -> datetime.datetime | None:
    """Return when a new pause ends."""
    return until if seconds is None else tables.now + datetime.timedelta(seconds=seconds)


@answers
def list_pauses(tables: Tables) -> list[Row]:
    """List what is paused."""
    end_pauses(tables)
    schedules = {
        ("schedule", *key): PauseRow(
            paused_at=row.paused_at, ends_at=row.pause_ends_at, paused_by=row.paused_by, reason=row.pause_reason
        )
        for key, row in tables.schedules.items()
        if row.paused_at is not None
    }
    paused = {(scope, name, ""): row for (scope, name), row in tables.pauses.items()} | schedules
    return [
        {"scope": scope, "name": name, "periodic_id": periodic_id, **attrs.asdict(row)}
        for (scope, name, periodic_id), row in sorted(paused.items(), key=lambda each: each[0])
    ]
