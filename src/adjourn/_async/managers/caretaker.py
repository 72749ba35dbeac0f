"""The caretaker: upkeep that any worker does for all workers, besides running jobs.

It frees the jobs of workers that fell silent, promotes those that wait behind a lock whose holder is gone, makes
the partitions of the weeks ahead, deletes unique keys whose jobs do not count any more and old notes of what people did, ends jobs that have
expired, and adds up statistics.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from adjourn import sql
from adjourn._async.managers.exchange import PLACE_LIMIT, AsyncWorkerManager
from adjourn._async.managers.partitions import CONTESTED
from adjourn._domain.protocols import EventsLike
from adjourn._domain.upkeep import LONGEST_VISIT, Timetable
from adjourn.events.jobs import JobsRescued
from adjourn.events.workers import OthersDeclaredDead, PartitionsNotMade
from adjourn.exceptions import ConnectorException
from adjourn.sql.constants import MOST_LOSSES, WEEKS_AHEAD

HEALED = 2_000
"""At how many locks, and limits, one transaction looks whether they have lost what they need."""
KEYS = 5_000
"""How many unique keys one transaction looks at."""
ROWS = 5_000
"""How many rows of statistics of a kind one transaction adds up."""
MOST_PAGES = 40
"""How many transactions of one kind there are before other upkeep has its turn."""
NOTES = 5_000
"""How many notes of what people did one transaction looks at."""
AGE_INTERVAL = 10.0
"""Seconds, at most, between two times that the priority of jobs which have waited for long is raised."""
AGED = 1_000
"""At how many jobs of a priority one transaction looks whether they have waited for long."""
EXPIRED = 1_000
"""How many expired jobs one transaction ends."""


class AsyncCaretaker:
    """Does the upkeep of one database.

    Parameters
    ----------
    manager
        The operations on that database.
    name
        The name of the worker that does it, for notes.
    timetable
        When each part of the upkeep is due.
    timeout
        Seconds of silence after which workers count as dead.
    audit_days
        How many days notes of what people did are kept.
    events
        Where it reports what it has done.
    ageing
        After how many seconds a ready job gains in priority; None for never.
    queues
        In which queues; None for all.
    """

    def __init__(
        self,
        manager: AsyncWorkerManager,
        name: str,
        timetable: Timetable,
        timeout: float,
        audit_days: int,
        events: EventsLike,
        ageing: float | None = None,
        queues: Sequence[str] | None = None,
    ) -> None:
        self._manager = manager
        self._name = name
        self._timetable = timetable
        self._timeout = timeout
        self._audit_days = audit_days
        self._events = events
        self._ageing = ageing
        self._queues = queues
        self._age_at = 0.0

    async def rescue_async(self) -> bool:
        """Free the jobs of workers that fell silent, and return whether there were any."""
        rescue = await self._manager.rescue_async(MOST_LOSSES, self._timeout, self._name, "worker")
        if rescue.died and self._events.wants(OthersDeclaredDead):
            self._events.emit(OthersDeclaredDead(died=rescue.died, workers=rescue.deaths))
        if not rescue.rescued and not rescue.failed:
            return False
        if self._events.wants(JobsRescued):
            self._events.emit(
                JobsRescued(
                    rescued=rescue.rescued,
                    failed=rescue.failed,
                    max_losses=MOST_LOSSES,
                    dead_workers=rescue.dead_workers,
                    worker_names=rescue.worker_names,
                    rescued_ids=rescue.rescued_ids,
                    failed_ids=rescue.failed_ids,
                )
            )
        return True

    async def keep_up_async(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now >= self._timetable.heal_at:
            # Before it as well: if that takes too long, the connection is given up, and the next one does other things first.
            self._timetable.has_healed(now, now)
            await self._heal_async(now)
            self._timetable.has_healed(now, time.monotonic())
        if now >= self._timetable.partition_at:
            self._timetable.makes_partitions(now)
            await self._make_partitions_async()
        if self._ageing is not None and now >= self._age_at:
            # The worker's own, because others may serve other queues.
            self._age_at = now + min(self._ageing, AGE_INTERVAL)
            await self._manager.age_async(self._ageing, self._queues, AGED)
        if now >= self._timetable.forget_at:
            self._timetable.forgets_keys(now)
            await self._forget_keys_async()
        if now >= self._timetable.expire_at:
            self._timetable.expires_jobs(now)
            if not await self._exhaust_async(self._manager.expire_async, EXPIRED):
                self._timetable.expire_at = 0.0
        if now >= self._timetable.add_up_at:
            self._timetable.adds_up(now)
            if not await self._exhaust_async(self._manager.add_up_statistics_async, ROWS):
                self._timetable.add_up_at = 0.0
        if now >= self._timetable.forget_audit_at:
            self._timetable.forgets_audit(now)
            if not await self._exhaust_async(self._forget_audit_async, NOTES):
                self._timetable.forget_audit_at = 0.0

    async def _heal_async(self, began: float) -> None:
        """Look for locks that have lost their head, and have a worker that places jobs see to them; as far as one visit gets."""
        while True:
            before = self._timetable.healed_to
            noted, self._timetable.healed_to = await self._manager.heal_async(before, HEALED)
            if noted:
                await self._manager.place_async(PLACE_LIMIT)
            # It is the same if another worker looks just now. This one keeps its place, as that one may not come so far.
            if self._timetable.healed_to in (None, before) or time.monotonic() - began > LONGEST_VISIT:
                return

    async def _forget_audit_async(self, most: int) -> int:
        return await self._manager.forget_audit_async(self._audit_days, most)

    async def _exhaust_async(self, take: Callable[[int], Awaitable[int]], most: int) -> bool:
        """Take what there is, at most so many in one transaction. Return whether nothing is left: other upkeep has its turn first."""
        pages = 1
        while await take(most) >= most:
            if pages == MOST_PAGES:
                return False
            pages += 1
        return True

    async def _forget_keys_async(self) -> None:
        """Delete unique keys whose jobs do not count any more. Where few of many do, look at some of them each time."""
        for _ in range(MOST_PAGES):
            forgotten, last = await self._manager.forget_keys_async(self._timetable.forgotten_to, KEYS)
            self._timetable.forgotten_to = last or ""
            if last is None or forgotten < KEYS / 4:
                return

    async def _make_partitions_async(self) -> None:
        try:
            await self._manager.make_partitions_async(WEEKS_AHEAD)
        except ConnectorException as error:
            # Another session has locked the table. Until the next try, finished jobs go to the default partition.
            if error.sqlstate is None:
                raise
            if self._events.wants(PartitionsNotMade):
                waits_for = await self._manager.blockers_async(CONTESTED) if sql.found_locked(error) else ()
                self._events.emit(PartitionsNotMade(error=error, waits_for=tuple(waits_for)))
