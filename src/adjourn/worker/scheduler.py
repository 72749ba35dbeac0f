"""Defers periodic tasks when they are due. Every worker tries; the database lets only one succeed."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Iterable
from typing import Any

from adjourn._domain.protocols import AppLike, PeriodicTaskLike
from adjourn._domain.schedules import DEFAULT_MAX_DELAY
from adjourn._domain.upkeep import timetable_of
from adjourn.events import (
    Event,
    PeriodicJobAlreadyDeferred,
    PeriodicJobDeferred,
    PeriodicJobSkipped,
    ScheduleForgotten,
    SchedulingFailed,
)
from adjourn.exceptions import AlreadyEnqueued, AppNotOpen, ConnectorException

logger: logging.Logger = logging.getLogger("adjourn.worker")

LONGEST_SLEEP = 60.0
"""Seconds after which the clock is read again, in case it was changed."""
LONGEST_BACK_OFF = 5.0
FORGET_AFTER = 7 * 24 * 3600.0
"""Seconds after which an unused schedule is forgotten."""


class Scheduler:
    """Defers the jobs of an app's periodic tasks.

    Parameters
    ----------
    app
        The app, for its periodic tasks and its job manager.
    """

    def __init__(self, app: AppLike) -> None:
        self._app = app
        self._seen: dict[tuple[str, str], datetime.datetime] = {}
        self._timetable = timetable_of(app.job_manager)
        # The database's time when it was last read, and the monotonic clock's seconds at that moment.
        self._looked: tuple[datetime.datetime, float] | None = None

    async def run(self) -> None:
        """Defer until cancelled."""
        if not self._app.periodic_registry.periodic_tasks:
            logger.debug("There are no periodic tasks", extra={"action": "ignore_periodic_task"})
        failures = 0
        while True:
            try:
                await self.defer_now()
                await self._keep()
                failures = 0
            except Exception as error:  # whatever it is, nobody would hear that the clock has stopped
                failures += 1
                delay = min(0.1 * 2**failures, LONGEST_BACK_OFF)
                self._tell(SchedulingFailed, error=error, retry_in=delay)
                await asyncio.sleep(delay)
            else:
                await self._sleep()

    async def defer_now(self) -> None:
        """Defer every tick that is due by the database's clock, which is the same for all workers."""
        self._looked = None
        if self._app.periodic_registry.periodic_tasks:
            now = await self._app.job_manager.get_time_async()
            self._looked = now, time.monotonic()
            await self.defer_due(now)

    async def defer_due(self, now: datetime.datetime) -> None:
        """Defer every tick that is due and was not handled yet. An error in one task does not affect the others."""
        new = [each for each in self._app.periodic_registry.periodic_tasks.values() if _key(each) not in self._seen]
        rows = await self._app.job_manager.list_schedules_async() if new else []
        known = {(row["task_name"], row["periodic_id"]): row["last_tick"] for row in rows}
        for periodic_task in list(self._app.periodic_registry.periodic_tasks.values()):
            max_delay = self._app.periodic_defaults.get("max_delay", DEFAULT_MAX_DELAY)
            key = _key(periodic_task)
            try:
                if key in self._seen:
                    ticks: Iterable[datetime.datetime] = periodic_task.due(self._seen[key], now, max_delay)
                else:
                    ticks = periodic_task.overdue(known.get(key), now, max_delay)
                for tick in ticks:
                    await self._defer(periodic_task, tick)
                    self._seen[key] = tick
            except (ConnectorException, AppNotOpen):
                raise
            except Exception as error:
                self._tell(SchedulingFailed, error=error, task_name=periodic_task.task.name)
            self._seen[key] = max(self._seen.get(key, now), now)

    async def _defer(self, periodic_task: PeriodicTaskLike, tick: datetime.datetime) -> None:
        timestamp = int(tick.timestamp())
        task, cron = periodic_task.task, periodic_task.cron
        job = task.make_job(**periodic_task.configure_kwargs)
        job = job.evolve(task_kwargs={**job.task_kwargs, "timestamp": timestamp})
        facts: dict[str, Any] = {"periodic_id": periodic_task.periodic_id, "tick": tick}
        try:
            job_id = await self._app.job_manager.defer_periodic_job_async(
                job, periodic_task.periodic_id, timestamp, cron=cron.expression, timezone=cron.timezone
            )
        except AlreadyEnqueued as error:
            self._tell(PeriodicJobSkipped, job=job, error=error, **facts)
            return
        if job_id is None:
            self._tell(PeriodicJobAlreadyDeferred, job=job, **facts)
        else:
            self._tell(PeriodicJobDeferred, jobs=[job.evolve(id=job_id)], **facts)

    async def _keep(self) -> None:
        now = time.monotonic()
        if now < self._timetable.keep_at:
            return
        known = [_key(each) for each in self._app.periodic_registry.periodic_tasks.values()]
        for task_name, periodic_id in await self._app.job_manager.keep_schedules_async(known, FORGET_AFTER):
            self._tell(ScheduleForgotten, task_name=task_name, periodic_id=periodic_id)
        self._timetable.keeps_schedules(now)

    def _tell(self, kind: type[Event], **facts: Any) -> None:
        if self._app.events.wants(kind):
            self._app.events.emit(kind(**facts))

    async def _sleep(self) -> None:
        """Wait for the first tick after the last look at the database's time; it may be in the past by now."""
        delay = LONGEST_SLEEP
        if self._looked is not None:
            now, looked_at = self._looked
            tick = min(each.cron.next(now) for each in self._app.periodic_registry.periodic_tasks.values())
            passed = time.monotonic() - looked_at
            delay = min(max((tick - now).total_seconds() - passed, 0.0), delay)
            logger.debug("Next periodic task in %.1f s", delay, extra={"action": "wait_next_tick", "next_tick": delay})
        await asyncio.sleep(delay)


def _key(periodic_task: PeriodicTaskLike) -> tuple[str, str]:
    return periodic_task.task.name, periodic_task.periodic_id
