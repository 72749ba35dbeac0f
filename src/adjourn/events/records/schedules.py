"""Records of periodic tasks."""

from __future__ import annotations

import logging
from typing import Any

from adjourn._domain.jobs import Job
from adjourn._domain.schedules import SkipReason
from adjourn.events import schedules
from adjourn.events.records.shared import WORKER, Writers, brief


def _periodic_deferred(event: schedules.PeriodicJobDeferred) -> None:
    (job,) = event.jobs
    extra = _tick(event, job, "periodic_task_deferred")
    WORKER.info("Periodic task %s is deferred, for %s", job.task_name, event.tick, extra=extra)


def _skipped(event: schedules.PeriodicJobSkipped) -> None:
    if event.error is not None:
        extra = _tick(event, event.job, "skip_periodic_task_queueing_lock")
        WORKER.info("Periodic task %s is not deferred: %s", event.job.task_name, event.error, extra=extra)
        return
    extra = _tick(event, event.job, "skip_periodic_task_late") | {"delay": event.delay, "reason": event.reason}
    WORKER.log(
        logging.INFO if event.reason == SkipReason.MISSED else logging.WARNING,
        "Periodic task %s is not deferred for %s: that is %.0f s ago, and %g s at most are allowed (%s)",
        event.job.task_name,
        event.tick,
        event.delay,
        event.max_delay,
        "missed='skip'" if event.reason == SkipReason.MISSED else "max_delay",
        extra=extra,
    )


def _held_up(event: schedules.PeriodicJobHeldUp) -> None:
    lock = event.job.queueing_lock
    WORKER.warning(
        "Periodic task %s is due, but a transaction that is still open holds its %s. It is tried again until that "
        "transaction ends",
        event.job.task_name,
        "schedule" if lock is None else f"queueing lock {lock!r} or its schedule",
        extra=_tick(event, event.job, "periodic_task_held_up"),
    )


def _already_deferred(event: schedules.PeriodicJobAlreadyDeferred) -> None:
    extra = _tick(event, event.job, "periodic_task_already_deferred")
    WORKER.debug("Periodic task %s was deferred already", event.job.task_name, extra=extra)


def _tick(event: Any, job: Job, action: str) -> dict[str, Any]:
    return {
        "action": action,
        "task_name": job.task_name,
        "periodic_id": event.periodic_id,
        "defer_timestamp": int(event.tick.timestamp()),
        "job": job.log_context(),
    }


def _forgotten(event: schedules.ScheduleForgotten) -> None:
    WORKER.info(
        "Schedule %r of periodic task %s is forgotten: no program has it any more",
        event.periodic_id,
        event.task_name,
        extra={"action": "schedule_forgotten"},
    )


def _scheduling_failed(event: schedules.SchedulingFailed) -> None:
    extra: dict[str, Any] = {"action": "side_task_failed"}
    if event.task_name is None:
        message = "Periodic tasks could not be deferred (%s); trying again in %.1f s"
        level = logging.WARNING if event.is_news else logging.DEBUG
        WORKER.log(level, message, brief(event.error), event.retry_in, extra=extra)
    else:
        extra["task_name"] = event.task_name
        WORKER.error("Periodic task %s cannot be deferred", event.task_name, exc_info=event.error, extra=extra)


WRITERS: Writers = {
    schedules.PeriodicJobDeferred: (WORKER, logging.INFO, _periodic_deferred),
    schedules.PeriodicJobHeldUp: (WORKER, logging.WARNING, _held_up),
    schedules.PeriodicJobSkipped: (WORKER, logging.WARNING, _skipped),
    schedules.PeriodicJobAlreadyDeferred: (WORKER, logging.DEBUG, _already_deferred),
    schedules.ScheduleForgotten: (WORKER, logging.INFO, _forgotten),
    schedules.SchedulingFailed: (WORKER, logging.ERROR, _scheduling_failed),
}
