"""The statements about the schedules of periodic tasks."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import attrs

from adjourn._memory.rules import is_queueing_lock_taken, stored_json, wake
from adjourn._memory.statements import add_job, answers
from adjourn._memory.tables import ScheduleRow, Tables
from adjourn.types import Row


@answers
def defer_periodic_job(
    tables: Tables,
    *,
    periodic_id: str,
    cron: str,
    timezone: str,
    tick: datetime.datetime,
    queue: str,
    task_name: str,
    priority: int,
    lock: str | None,
    queueing_lock: str | None,
    args: str,
) -> list[Row]:
    """Store the job of one tick, unless that tick or a later one was deferred already."""
    stored = stored_json(args)
    key = (task_name, periodic_id)
    known = tables.schedules.get(key)
    if known is not None and known.last_tick >= tick:
        return [{"is_new": False, "job_id": None}]
    job_id = None
    if not is_queueing_lock_taken(tables, queueing_lock):
        job_id = add_job(tables, queue, task_name, priority, lock, queueing_lock, stored, None)
    last_job_id = job_id if job_id is not None or known is None else known.last_job_id
    tables.schedules[key] = ScheduleRow(
        cron=cron,
        timezone=timezone,
        last_tick=tick.astimezone(datetime.UTC),
        last_job_id=last_job_id,
        seen_at=tables.now,
    )
    wake(tables)
    return [{"is_new": True, "job_id": job_id}]


@answers
def keep_schedules(
    tables: Tables, *, task_names: Sequence[str], periodic_ids: Sequence[str], seconds: float
) -> list[Row]:
    """Record which schedules are still in use, and forget those that were not used for ``seconds`` seconds."""
    for key in zip(task_names, periodic_ids, strict=True):
        if key in tables.schedules:
            tables.schedules[key] = attrs.evolve(tables.schedules[key], seen_at=tables.now)
    before = tables.now - datetime.timedelta(seconds=seconds)
    gone = [key for key, schedule in tables.schedules.items() if schedule.seen_at < before]
    for key in gone:
        del tables.schedules[key]
    return [{"task_name": task_name, "periodic_id": periodic_id} for task_name, periodic_id in gone]


@answers
def get_time(tables: Tables) -> list[Row]:
    """Return the time that decides what is due."""
    return [{"now": tables.now}]


@answers
def list_schedules(tables: Tables) -> list[Row]:
    """List the known schedules."""
    return [
        {"task_name": task_name, "periodic_id": periodic_id, **attrs.asdict(schedule), "now": tables.now}
        for (task_name, periodic_id), schedule in sorted(tables.schedules.items())
    ]
