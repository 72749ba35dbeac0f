"""The statements that only the testing kit uses: its own clock decides what is due."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import attrs

from adjourn._memory.rules import wake, wake_awaiting
from adjourn._memory.statements import answers
from adjourn._memory.tables import ScheduleRow, Tables
from adjourn.sql.constants import HEADS, Hold
from adjourn.types import Row


@answers
def make_due(tables: Tables, *, until: datetime.datetime, everything: bool) -> list[Row]:
    """Decide by the caller's clock which waiting jobs are due. Returns the highest id of a job."""
    waiting = sorted((job for job in tables.jobs.values() if job.worker_id is None), key=lambda job: job.id)
    for job in waiting:
        is_due = everything or job.scheduled_at is None or job.scheduled_at <= until
        if job.awaited_event is not None and job.scheduled_at is None:
            continue  # for an event that has no time, it waits on
        if is_due and job.hold in (Hold.SCHEDULED, Hold.APART, Hold.UNKNOWN):
            tables.change(job, awaited_event=None, hold=Hold.READY if job.lock is None else Hold.UNPLACED)
            for key, step in tables.steps.items():
                if key[0] == job.id and not step.is_done and step.until is not None and step.until > tables.now:
                    tables.steps[key] = attrs.evolve(step, until=tables.now)
        elif not is_due and job.hold in (Hold.READY, Hold.BEHIND, Hold.UNPLACED):
            tables.change(job, hold=Hold.SCHEDULED)
            if job.lock is not None and job.hold in HEADS:
                tables.headless.add(job.lock)
    return [{"last": max(tables.jobs, default=0)}]


@answers
def deliver_events(tables: Tables, *, limit: int) -> list[Row]:
    """Wake the jobs that wait for events which have been sent."""
    wake_awaiting(tables)
    return [{"delivered": ""}]


@answers
def claim_next(
    tables: Tables, *, worker_id: int, last: int, besides: Sequence[int], queues: Sequence[str] | None
) -> list[Row]:
    """Claim the best ready job, of some queues and up to some id, except for these."""
    ready = (
        job
        for job in tables.held(Hold.READY)
        if job.worker_id is None
        and job.id <= last
        and job.id not in besides
        and (queues is None or job.queue in queues)
    )
    if (best := min(ready, key=lambda job: job.order, default=None)) is None:
        return []
    claimed = tables.change(
        best,
        worker_id=worker_id,
        claim=best.claim + 1,
        started_at=tables.now,
        waiting_queueing_lock=None,
        claimed_ahead=False,
    )
    return [{**claimed.columns(tables.now), "ready_at": claimed.ready_at}]


@answers
def travel(tables: Tables, *, seconds: float) -> list[Row]:
    """Move the times of waiting jobs and the last ticks of schedules back, as if these seconds had passed."""
    delta = datetime.timedelta(seconds=seconds)
    for job in list(tables.jobs.values()):
        if job.worker_id is None and (job.scheduled_at is not None or job.expires_at is not None):
            scheduled_at = None if job.scheduled_at is None else job.scheduled_at - delta
            expires_at = None if job.expires_at is None else job.expires_at - delta
            tables.change(job, scheduled_at=scheduled_at, expires_at=expires_at)
    for step_key, step in tables.steps.items():
        if not step.is_done and step.until is not None:
            tables.steps[step_key] = attrs.evolve(step, until=step.until - delta)
    for name, event in tables.sent_events.items():
        tables.sent_events[name] = attrs.evolve(event, expires_at=event.expires_at - delta)
    for key, schedule in tables.schedules.items():
        ends_at = None if schedule.pause_ends_at is None else schedule.pause_ends_at - delta
        tables.schedules[key] = attrs.evolve(schedule, last_tick=schedule.last_tick - delta, pause_ends_at=ends_at)
    for place, pause in tables.pauses.items():
        if pause.ends_at is not None:
            tables.pauses[place] = attrs.evolve(pause, ends_at=pause.ends_at - delta)
    wake(tables, always=True)
    return [{"woken": ""}]


@answers
def record_ticks(
    tables: Tables,
    *,
    task_names: Sequence[str],
    periodic_ids: Sequence[str],
    crons: Sequence[str],
    timezones: Sequence[str],
    ticks: Sequence[datetime.datetime],
    job_ids: Sequence[int | None],
) -> list[Row]:
    """Record the last ticks of schedules, by whatever clock they were due."""
    columns = zip(task_names, periodic_ids, crons, timezones, ticks, job_ids, strict=True)
    for task_name, periodic_id, cron, timezone, tick, job_id in columns:
        old = tables.schedules.get((task_name, periodic_id))
        tables.schedules[task_name, periodic_id] = ScheduleRow(
            cron=cron,
            timezone=timezone,
            last_tick=tick,
            last_job_id=old.last_job_id if job_id is None and old is not None else job_id,
            seen_at=tables.now,
        )
    return []


@answers
def delete_everything(tables: Tables) -> list[Row]:
    """Delete all jobs, workers and schedules."""
    tables.touched.update(tables.jobs)
    for each in (tables.jobs, tables.finished, tables.headless, tables.schedules, tables.workers):
        each.clear()
    for steps in (tables.steps, tables.sent_events, tables.event_notes):
        steps.clear()
    for waits in (tables.edges, tables.run_waits, tables.arrivals, tables.workflows):
        waits.clear()
    for more in (tables.limits, tables.starts, tables.pauses):
        more.clear()
    return []
