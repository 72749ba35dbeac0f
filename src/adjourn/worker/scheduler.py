"""Defers periodic tasks when they are due. Any worker may; the database lets only one succeed.

The worker that has deferred something goes first at the next tick. The others look a moment later whether it is done, and
do it if it is not.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

from adjourn._domain.conflicts import already_enqueued
from adjourn._domain.protocols import AppLike
from adjourn._domain.schedules import SkipReason
from adjourn._domain.ticks import Tick, TickOutcome
from adjourn._domain.upkeep import timetable_of
from adjourn.events import (
    Event,
    PeriodicJobAlreadyDeferred,
    PeriodicJobDeferred,
    PeriodicJobHeldUp,
    PeriodicJobSkipped,
    ScheduleForgotten,
    SchedulingFailed,
)
from adjourn.exceptions import AppNotOpen, ConnectorException
from adjourn.worker.observation import defer_observed
from adjourn.worker.outage import Outage
from adjourn.worker.progress import Due, TickProgress

logger: logging.Logger = logging.getLogger("adjourn.worker")

LONGEST_SLEEP = 60.0
"""Seconds after which the clock is read again, in case it was changed."""
LONGEST_BACK_OFF = 5.0
BUSY_DELAY = 0.1
"""Seconds, on average, until ticks are looked at again that another worker was deferring."""
FOLLOW_DELAY = 0.3
"""Seconds, on average, that a worker leaves to the one that deferred the last ticks."""
MOST_BUSY = 20
"""How often a one-shot worker looks again for that reason."""
LONG_BUSY = 300
"""After so many looks in a row that found another worker at it, a worker says so."""
FORGET_AFTER = 7 * 24 * 3600.0
"""Seconds after which an unused schedule is forgotten."""
BATCH = 1000
"""After so many ticks, one statement defers no further schedule."""
TURN = 20
"""After so many schedules the event loop gets a turn."""

Result = tuple[TickOutcome, int | None]


class Scheduler:
    """Defers the jobs of an app's periodic tasks.

    Parameters
    ----------
    app
        The app, for its periodic tasks and its job manager.
    """

    def __init__(self, app: AppLike) -> None:
        self._app = app
        self._progress = TickProgress()
        self._timetable = timetable_of(app.job_manager)
        # The database's time when it was last read, and the monotonic clock's seconds at that moment.
        self._looked: tuple[datetime.datetime, float] | None = None
        # How many looks in a row left something because another transaction held it up, or another worker was at it.
        self._held = 0
        self._busy = 0
        # Which schedules were paused when they were last looked at.
        self._paused: set[tuple[str, str]] = set()
        # Whether another worker deferred the last ticks.
        self._follows = False

    async def run(self) -> None:
        """Defer until cancelled."""
        if not self._app.periodic_registry.periodic_tasks:
            logger.debug("There are no periodic tasks", extra={"action": "ignore_periodic_task"})
        task, outage = asyncio.current_task(), Outage()
        while True:
            try:
                await self.defer_now()
                await self._keep()
                outage.end()
            except (Exception, asyncio.CancelledError) as error:
                # Whatever it is: nobody would hear that the clock has stopped.
                if task is not None and task.cancelling():
                    raise
                outage.fail(error)
                delay = _back_off(outage.failures)
                self._tell(SchedulingFailed, error=error, retry_in=delay, is_news=outage.is_news)
                await asyncio.sleep(delay)
            else:
                await asyncio.sleep(self._delay())

    async def defer_once(self) -> None:
        """Defer every tick that is due, for a worker that may not look again."""
        for _ in range(MOST_BUSY):
            await self.defer_now()
            if not self._busy:
                break
            await asyncio.sleep(self._delay())

    async def defer_now(self) -> None:
        """Defer every tick that is due by the database's clock, which is the same for all workers."""
        self._looked = None
        if self._app.periodic_registry.periodic_tasks:
            now = await self._app.job_manager.get_time_async()
            self._looked = now, time.monotonic()
            await self.defer_due(now)

    async def defer_due(self, now: datetime.datetime) -> None:
        """Defer every tick that is due and was not handled yet.

        An error in one task does not affect the others, and a transaction that holds one tick up does not delay the
        others. What is held up is left for the next look.

        Parameters
        ----------
        now
            The database's time.
        """
        schedules = dict(self._app.periodic_registry.periodic_tasks)
        self._progress.correct(now, schedules)
        is_new = any(not self._progress.knows(key) for key in schedules)
        stored = await self._app.job_manager.ticks.last_ticks_async() if is_new or self._follows else {}
        max_delay = self._app.periodic_defaults.get("max_delay")
        outcomes: set[TickOutcome] = set()
        for batch in _batches(await self._progress.due(schedules, stored, now, max_delay)):
            for number, (due, results) in enumerate(await self._defer(batch)):
                if number % TURN == 0:
                    await asyncio.sleep(0)
                self._handle(due, results, now)
                outcomes.update(outcome for outcome, _ in results)
        if outcomes:
            self._follows = outcomes <= {TickOutcome.KNOWN, TickOutcome.BUSY}
        self._tell_pauses()
        self._held = self._held + 1 if TickOutcome.HELD in outcomes else 0
        self._busy = self._busy + 1 if TickOutcome.BUSY in outcomes else 0
        if self._busy == LONG_BUSY:
            error = ConnectorException(
                "Another session has been deferring periodic tasks all the time.", sqlstate="55P03"
            )
            self._tell(SchedulingFailed, error=error, retry_in=BUSY_DELAY)

    async def _defer(self, batch: list[Due]) -> list[tuple[Due, list[Result]]]:
        """Defer these in one commit. If the database refuses that, find out because of which of them."""
        ticks = [tick for due in batch for tick in due.ticks]
        try:
            results = iter(await defer_observed(self._app.job_manager.ticks.defer_ticks_async, ticks) if ticks else [])
        except AppNotOpen:
            raise
        except Exception as error:
            if isinstance(error, ConnectorException) and not _is_of_data(error):
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                return [*await self._defer(batch[:half]), *await self._defer(batch[half:])]
            self._tell(SchedulingFailed, error=error, task_name=batch[0].schedule.task.name)
            return [(batch[0], [])]
        return [(due, [next(results) for _ in due.ticks]) for due in batch]

    def _handle(self, due: Due, results: list[Result], now: datetime.datetime) -> None:
        """Tell what became of a schedule's ticks, and record how far it has come."""
        if due.error is not None:
            self._tell(SchedulingFailed, error=due.error, task_name=due.schedule.task.name)
        for number, (outcome, job_id) in enumerate(results):
            if not outcome.is_final:
                if outcome is TickOutcome.PAUSED:
                    self._progress.has_found_paused(due.key, due.schedule, now)
                elif outcome is not TickOutcome.EARLY:
                    self._progress.has_reached(due, due.ticks[number])
                if outcome is TickOutcome.HELD and self._progress.has_been_held(due) == 2:
                    # A commit that is under way holds a tick up for a moment, which is not worth a word.
                    self._tell_of(PeriodicJobHeldUp, due.ticks[number])
                return
            self._tell_outcome(due, due.ticks[number], outcome, job_id, now)
        self._progress.has_handled_all(due)

    def _tell_outcome(
        self, due: Due, tick: Tick, outcome: TickOutcome, job_id: int | None, now: datetime.datetime
    ) -> None:
        delay = (now - tick.at).total_seconds()
        if outcome is TickOutcome.STORED:
            self._tell(
                PeriodicJobDeferred, jobs=[tick.job.evolve(id=job_id)], periodic_id=tick.periodic_id, tick=tick.at
            )
        elif outcome is TickOutcome.TAKEN:
            error = already_enqueued(repr(tick.job.queueing_lock))
            self._tell_of(PeriodicJobSkipped, tick, reason=SkipReason.QUEUEING_LOCK, delay=delay, error=error)
        elif outcome is TickOutcome.SKIPPED:
            self._tell_of(PeriodicJobSkipped, tick, reason=due.reason, delay=delay, max_delay=due.max_delay)
        elif not tick.is_skipped:
            self._tell_of(PeriodicJobAlreadyDeferred, tick)

    def _tell_pauses(self) -> None:
        """Say once of each schedule that it is paused, and that it is resumed."""
        paused = self._progress.paused
        for task_name, periodic_id in sorted(paused ^ self._paused):
            word = "paused" if (task_name, periodic_id) in paused else "resumed"
            extra = {"action": f"schedule_{word}", "task_name": task_name, "periodic_id": periodic_id}
            logger.info("The schedule %r of periodic task %s is %s", periodic_id, task_name, word, extra=extra)
        self._paused = paused

    def _tell_of(self, kind: type[Event], tick: Tick, **facts: Any) -> None:
        self._tell(kind, job=tick.job, periodic_id=tick.periodic_id, tick=tick.at, **facts)

    def _tell(self, kind: type[Event], **facts: Any) -> None:
        if self._app.events.wants(kind):
            self._app.events.emit(kind(**facts))

    async def _keep(self) -> None:
        now = time.monotonic()
        if now < self._timetable.keep_at:
            return
        known = [(each.task.name, each.periodic_id) for each in self._app.periodic_registry.periodic_tasks.values()]
        for task_name, periodic_id in await self._app.job_manager.keep_schedules_async(known, FORGET_AFTER):
            self._tell(ScheduleForgotten, task_name=task_name, periodic_id=periodic_id)
        self._timetable.keeps_schedules(now)

    def _delay(self) -> float:
        """Return the seconds until the first tick after the last look at the database's time; it may have come by now."""
        if self._busy:
            return _about(BUSY_DELAY)
        delays = [LONGEST_SLEEP]
        if self._held:
            delays.append(_back_off(self._held))
        tick = self._progress.next_at()
        if self._looked is not None and tick is not None:
            now, looked_at = self._looked
            if self._follows:
                tick += datetime.timedelta(seconds=_about(FOLLOW_DELAY))
            passed = time.monotonic() - looked_at
            delays.append(max((tick - now).total_seconds() - passed, 0.0))
        delay = min(delays)
        logger.debug("Next periodic task in %.1f s", delay, extra={"action": "wait_next_tick", "next_tick": delay})
        return delay


def _batches(found: Iterable[Due]) -> Iterator[list[Due]]:
    """Divide what is due among statements: what was held up last time comes last and by itself, for it may take longer."""
    for is_held in (False, True):
        batch: list[Due] = []
        ticks = 0
        for due in found:
            if due.is_held is is_held:
                batch.append(due)
                ticks += len(due.ticks)
                if ticks >= BATCH:
                    yield batch
                    batch, ticks = [], 0
        if batch:
            yield batch


def _is_of_data(error: ConnectorException) -> bool:
    """Return whether the server refused this data, and may accept other data."""
    return error.sqlstate is not None and error.sqlstate[:2] in ("22", "23", "54")


def _about(seconds: float) -> float:
    return random.uniform(0.5, 1.5) * seconds  # noqa: S311 - no secret


def _back_off(failures: int) -> float:
    return float(min(0.1 * 2**failures, LONGEST_BACK_OFF))
