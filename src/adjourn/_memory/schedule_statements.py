"""The statements about the schedules of periodic tasks."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

import attrs

from adjourn._memory.limits import NOT_PAUSED, end_of_pause, end_pauses
from adjourn._memory.rules import is_queueing_lock_taken, stored_json, wake
from adjourn._memory.statements import add_job, answers
from adjourn._memory.tables import ScheduleRow, Tables
from adjourn._memory.terms import terms_of
from adjourn.sql.constants import CLOCK_TOLERANCE
from adjourn.types import Row


@answers
def defer_ticks(
    tables: Tables,
    *,
    task_names: Sequence[str],
    periodic_ids: Sequence[str],
    crons: Sequence[str],
    timezones: Sequence[str],
    ticks: Sequence[datetime.datetime],
    queues: Sequence[str | None],
    priorities: Sequence[int | None],
    locks: Sequence[str | None],
    queueing_locks: Sequence[str | None],
    args: Sequence[str | None],
    headers: Sequence[str | None] | None,
    terms: Sequence[str | None] | None,
    next_ticks: Sequence[datetime.datetime | None],
) -> list[Row]:
    """Record ticks and store their jobs, unless those ticks or later ones were recorded already."""
    stored = [None if text is None else stored_json(text) for text in args]
    end_pauses(tables)
    known = dict(tables.schedules)
    too_late = tables.now + datetime.timedelta(seconds=CLOCK_TOLERANCE)
    rows: list[Row] = []
    for task_name, periodic_id, cron, timezone, tick, *columns, text in zip(
        task_names,
        periodic_ids,
        crons,
        timezones,
        ticks,
        queues,
        priorities,
        locks,
        queueing_locks,
        headers or [None] * len(stored),
        terms or [None] * len(stored),
        stored,
        strict=True,
    ):
        before = known.get((task_name, periodic_id))
        if tick > tables.now:
            outcome, job_id = "early", None
        elif before is not None and tick <= before.last_tick <= too_late:
            outcome, job_id = "known", None
        elif before is not None and before.paused_at is not None:
            outcome, job_id = "paused", None
        else:
            outcome, job_id = _defer(tables, task_name, columns, text)
            last = tables.schedules.get((task_name, periodic_id))
            tables.schedules[task_name, periodic_id] = ScheduleRow(
                cron=cron,
                timezone=timezone,
                last_tick=tick.astimezone(datetime.UTC),
                last_job_id=job_id if job_id is not None or last is None else last.last_job_id,
                seen_at=tables.now,
            )
        rows.append({"outcome": outcome, "job_id": job_id})
    if any(row["outcome"] == "stored" for row in rows):
        wake(tables)
    return rows


def _defer(tables: Tables, task_name: str, columns: Sequence[Any], args: str | None) -> tuple[str, int | None]:
    if args is None:
        return "skipped", None
    queue, priority, lock, queueing_lock, headers, terms = columns
    if is_queueing_lock_taken(tables, queueing_lock):
        return "taken", None
    id_ = add_job(tables, queue, task_name, priority, lock, queueing_lock, args, None, headers)
    tables.jobs[id_] = attrs.evolve(tables.jobs[id_], **terms_of(tables, json.loads(terms or "{}"), None))
    return "stored", id_


@answers
def keep_schedules(
    tables: Tables, *, task_names: Sequence[str], periodic_ids: Sequence[str], seconds: float
) -> list[Row]:
    """Record which schedules are still in use, and forget those that were not used for ``seconds`` seconds."""
    for key in zip(task_names, periodic_ids, strict=True):
        if key in tables.schedules:
            tables.schedules[key] = attrs.evolve(tables.schedules[key], seen_at=tables.now)
    before = tables.now - datetime.timedelta(seconds=seconds)
    gone = [key for key, row in tables.schedules.items() if row.seen_at < before and row.paused_at is None]
    for key in gone:
        del tables.schedules[key]
    return [{"task_name": task_name, "periodic_id": periodic_id} for task_name, periodic_id in gone]


@answers
def pause_schedule(
    tables: Tables,
    *,
    task_name: str,
    periodic_id: str,
    cron: str | None,
    timezone: str,
    pause: bool,
    seconds: float | None,
    until: datetime.datetime | None,
    by: str | None,
    reason: str | None,
) -> list[Row]:
    """Pause a schedule, or resume it."""
    end_pauses(tables)
    found = tables.schedules.get((task_name, periodic_id))
    if found is None and (cron is None or not pause):
        return [{"outcome": "unknown" if cron is None else "same"}]
    if found is None:
        found = ScheduleRow(
            cron=cron or "", timezone=timezone, last_tick=tables.now, last_job_id=None, seen_at=tables.now
        )
    ends_at = end_of_pause(tables, seconds, until)
    if not pause:
        new = attrs.evolve(found, **NOT_PAUSED)
    elif found.paused_at is None or found.pause_ends_at != ends_at or reason not in (None, found.pause_reason):
        since = found.paused_at or tables.now
        new = attrs.evolve(found, paused_at=since, pause_ends_at=ends_at, paused_by=by, pause_reason=reason)
    else:
        new = found
    tables.schedules[task_name, periodic_id] = new
    return [{"outcome": "same" if new == found else "changed"}]


@answers
def get_time(tables: Tables) -> list[Row]:
    """Return the time that decides what is due."""
    return [{"now": tables.now}]


@answers
def list_schedules(tables: Tables) -> list[Row]:
    """List the known schedules."""
    end_pauses(tables)
    return [
        {"task_name": task_name, "periodic_id": periodic_id, **_shown(schedule), "now": tables.now}
        for (task_name, periodic_id), schedule in sorted(tables.schedules.items())
    ]


def _shown(schedule: ScheduleRow) -> Row:
    hidden = ("pause_ends_at", "paused_by", "pause_reason")  # list_pauses has them
    return {name: value for name, value in attrs.asdict(schedule).items() if name not in hidden}
