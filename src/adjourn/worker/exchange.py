"""Claims jobs and stores outcomes, both in one round trip; there is one round trip at a time.

Jobs that end during a round trip are the next batch. So batches grow with the load, and an idle worker does not wait to
fill one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

import attrs

from adjourn._async.managers.caretaker import AsyncCaretaker
from adjourn._async.managers.exchange import PLACE_LIMIT, AsyncWorkerManager
from adjourn._domain.heartbeats import Heartbeat
from adjourn._domain.outcomes import Claim, Exchanged, HandedBack, Outcome
from adjourn._domain.protocols import WorkerLike
from adjourn._domain.runs import AbortReason
from adjourn._domain.upkeep import timetable_of
from adjourn.events import (
    UnregisteringFailed,
    WorkerDeclaredDead,
    WorkerIdentity,
)
from adjourn.exceptions import ConnectorException
from adjourn.worker import lease
from adjourn.worker.apart import CLEARING_INTERVAL
from adjourn.worker.buffer import STALE_BUFFER, Flight
from adjourn.worker.contact import Contact
from adjourn.worker.details import Details, SelfReport
from adjourn.worker.doubt import Doubt
from adjourn.worker.executor import Executor
from adjourn.worker.floors import Floors
from adjourn.worker.leaving import leave_within
from adjourn.worker.options import Options
from adjourn.worker.outbox import Outbox
from adjourn.worker.pace import SHORTEST_WAIT, ExchangePace
from adjourn.worker.reports import Reports
from adjourn.worker.slots import Room, Slots
from adjourn.worker.traffic import Traffic

HELD_PATIENCE = 4.0
"""Seconds for which a stopping worker goes on trying to store outcomes that were set aside; less than `LEAVE_TIMEOUT`, so that it
can try once more, and unregister."""


class Exchange:
    """The worker's conversation with the database.

    Parameters
    ----------
    worker
        The worker, for its app and options.
    worker_lease
        How long the worker's jobs are its own.
    on_registered
        Called when the worker has registered again.
    on_stuck
        Called when all slots have been lost for too long, with the seconds.
    """

    def __init__(
        self,
        worker: WorkerLike[Options],
        worker_lease: lease.Lease,
        on_registered: Callable[[], object],
        on_stuck: Callable[[float], object],
    ) -> None:
        self._app = worker.app
        self._options = worker.options
        self._events = worker.app.events
        self._lease = worker_lease
        self._on_registered = on_registered
        self._wake = asyncio.Event()
        self._outbox = Outbox(worker.app.events)
        self._pace = ExchangePace()
        self._floors = Floors()
        self._reports = Reports(worker.app.events, lambda: self.identity)
        self._doubt = Doubt(worker.options.stalled_worker_timeout)
        self._contact = Contact(
            worker.app, worker.options.longest_round_trip, worker.options.name, self._doubt, self._reports
        )
        self._details = Details(worker.options.concurrency)
        self._is_listening = False
        self._is_called = False
        # Tasks that this worker knows, and whose jobs wait for a worker that does.
        self._awaited: tuple[str, ...] = ()
        # Until when to wait for outcomes that were set aside, once nothing else is left to do.
        self._leave_at: float | None = None
        # A worker that does not wait may end before its first heartbeat, and there may be no other workers.
        self._keeps_house = not worker.options.wait
        self._finds_expired = False
        self._has_added_up = False
        self.traffic: Traffic = Traffic()
        """What its round trips carry."""
        self.flight: Flight | None = None
        """The round trip that claims jobs, while one is under way."""
        self.unstored: int = 0
        """How many jobs have ended here whose outcomes could not be stored when the worker ended."""
        self.slots: Slots = Slots(worker, worker_lease, self._outbox.add, on_room=self._wake.set, on_stuck=on_stuck)
        self.executor: Executor = self.slots.executor
        self.worker_id: int = 0
        self._registered_at: int | None = None

    # Called by the loop's watch, from its thread

    @property
    def concurrency(self) -> int:
        """How many jobs it runs at once."""
        return self._options.concurrency

    @property
    def is_busy(self) -> bool:
        """Whether it has jobs, or may have claimed some."""
        return bool(len(self.slots) or self.flight)

    @property
    def known(self) -> set[Claim]:
        """The claims that this worker knows to be its own."""
        return self.slots.claims | self._outbox.claims

    # Called by the heartbeat's thread, and by the one that watches its health

    @property
    def report(self) -> SelfReport:
        """What a heartbeat says of this worker. May be called from any thread."""
        return self._details.report(
            self.executor.overdue,
            self.executor.claims,
            buffered=len(self.slots.buffer),
            outbox=len(self._outbox),
            listens=self._is_listening,
            silence=time.monotonic() - self.served_at,
            is_ending=self.slots.is_ending,
        )

    @property
    def waiting_claims(self) -> set[Claim]:
        """The claims of the outcomes that are not stored yet."""
        return self._outbox.claims

    @property
    def served_at(self) -> float:
        """When the last round trip has succeeded, by the monotonic clock."""
        return self._contact.served_at

    @property
    def has_reason(self) -> bool:
        """Whether it has a reason for a round trip: room for a job, or an outcome to store."""
        return bool(len(self._outbox)) or (
            not self.slots.is_ending and self.executor.slots_held < self._options.concurrency
        )

    # Called by the other roles, on the loop's thread

    def hand_back(self, jobs: Iterable[HandedBack]) -> None:
        """Hand back jobs that were taken."""
        self._outbox.outcomes.extend(jobs)
        self._wake.set()

    def listens(self, is_listening: bool) -> None:
        """Take note of whether this worker hears notifications. May be called from any thread."""
        self._is_listening = is_listening

    def notify(self, is_called: bool = False) -> None:
        """Look for jobs now.

        Parameters
        ----------
        is_called
            Whether this worker was notified by its id, so that it has to notify another one if it has no room.
        """
        self._is_called = self._is_called or is_called
        self._pace.probe_next()
        self._wake.set()

    def start_no_more(self) -> None:
        """Start no further job, even if it has been claimed. May be called from any thread."""
        self.slots.start_no_more()

    def stop(self) -> None:
        """Claim no more; end when running jobs have ended and are stored."""
        self.slots.stop()
        self._wake.set()

    def beaten(self, worker_id: int, heartbeat: Heartbeat) -> None:
        """Do what the answer to a heartbeat asks for."""
        if worker_id != self.worker_id:
            return  # it has registered again meanwhile
        if not heartbeat.alive:
            self.declared_dead()
        for job_id in heartbeat.aborts:
            self.executor.abort(job_id, AbortReason.USER_REQUEST)
            self.slots.buffer.abort(job_id)

    def declared_dead(self) -> None:
        """Give up all jobs: this worker was declared dead, and others take them over."""
        if not self.worker_id:
            return
        self._lease.revoke()
        self._doubt.forget()
        self._reports.tell(
            WorkerDeclaredDead, silence=self._options.stalled_worker_timeout, given_up=len(self.executor)
        )
        self.slots.give_up()
        self._outbox.clear()
        self.worker_id = 0
        self._wake.set()

    def pass_time(self, seconds: float) -> None:
        """Let time pass: give up a round trip that takes too long, and send a heartbeat if nobody else does."""
        self._contact.pass_time(seconds)
        if self.worker_id and self._lease.is_due:
            self._wake.set()

    def give_up(self) -> None:
        """Give up the round trip that is under way, if there is one, and go on with another connection."""
        self._contact.connection.give_up()

    @property
    def silence(self) -> float:
        """Seconds that have passed in vain attempts to exchange, since the last one that succeeded."""
        return self._contact.silence

    @property
    def last_error(self) -> BaseException | None:
        """Why the database does not serve this worker, if it does not."""
        return self._contact.error

    @property
    def identity(self) -> WorkerIdentity:
        """The identity of this worker, for events."""
        return WorkerIdentity(name=self._options.name, id=self.worker_id, queues=self._options.queues)

    # The loop

    async def register(self) -> None:
        """Connect, and register this worker.

        Raises
        ------
        ConnectorException
            If the database cannot be reached, or does not answer.
        """
        options = self._options
        manager = await self._connected()
        asked_at = lease.now()
        try:
            registration = await manager.register_async(options.name, options.queues, options.stalled_worker_timeout)
        except ConnectorException as error:
            if (reason := self._contact.explained(error)) is error:
                raise
            raise reason from error
        self.worker_id, self._registered_at = registration.id, registration.at
        self._finds_expired = registration.expired
        self._lease.confirm(asked_at)

    async def run(self) -> None:
        """Exchange until stopped and idle, until its last job is stored, or, for a worker that does not wait, until no job is left.

        Whatever a round trip raises is an outage: it is reported, and tried again.
        """
        task = asyncio.current_task()
        while True:
            self._wake.clear()
            try:
                if await self._round():
                    return
            except (Exception, asyncio.CancelledError) as error:
                if task is not None and task.cancelling():
                    raise
                await self._contact.back_off(error, len(self._outbox), is_stopping=self.slots.is_stopping)

    async def _round(self) -> bool:
        """Do one round trip, or wait for a reason to do one. Return whether there is no more to do."""
        manager = await self._connected()
        if not await self._may_exchange(manager):
            return False
        now = time.monotonic()
        if self._doubt.look_at is not None and now >= self._doubt.look_at:
            await self._disown(manager)
        if waiting := self.slots.not_begun(now):
            self.hand_back(waiting)
        room = self.slots.room(now)
        limit = room.limit
        if not limit and not self._outbox.is_due and not self._is_called:
            return await self._rest(now)
        probing = limit > 0 and self._pace.is_to_probe(now)
        stores = self._outbox.is_due
        exchanged = await self._exchange(manager, room, probing, now)
        self._contact.serves()
        if not exchanged.alive:
            # Its last heartbeat is too old. If nobody has declared it dead, it keeps its jobs.
            await self._beat(manager)
            return False
        placed = await self._place(manager, exchanged, now, probing=probing, stores=stores)
        if self._has_more(exchanged, limit, placed=placed):
            # Let the tasks that were just started run before the next round trip. If it has outcomes to store, they run meanwhile.
            if len(exchanged.claimed) < limit or not self._outbox.outcomes or self.slots.buffer.has_locks:
                await asyncio.sleep(0)
            return False
        if limit and not probing:
            self._pace.probe_next()
            if exchanged.claimed:  # the next round trip stores the outcomes of those that end at once
                await asyncio.sleep(0)
            return False
        if not self._options.wait and self._is_drained(exchanged, now):
            return True
        if not self.slots.is_ending:
            await self._sleep(None if self._pace.is_to_place_later else exchanged.due_in)
        return False

    async def _may_exchange(self, manager: AsyncWorkerManager) -> bool:
        """Register, keep house and send a heartbeat where that is due. Return whether this worker counts as alive."""
        if not self.worker_id:
            await self.register()
            self._on_registered()
        if self._keeps_house:
            await self._keep_house(manager)
        if self._lease.is_due:
            await self._beat(manager)
        return bool(self.worker_id)

    async def _rest(self, now: float) -> bool:
        """Wait for room, or for an outcome: there is no reason for a round trip. Return whether a worker that ends has nothing left to do."""
        self._contact.serves()
        if self.slots.is_ending and not len(self.executor) and self._has_to_leave(now):
            return True
        await self._sleep(None, has_room=False)
        return False

    def _has_more(self, exchanged: Exchanged, limit: int, *, placed: bool) -> bool:
        """Tell whether there is a reason for another round trip at once: there may be more jobs, or there are outcomes to store."""
        if placed or exchanged.repeat:
            self._pace.probe_next()
            if exchanged.repeat:
                self._pace.confirm()
            return True
        return len(exchanged.claimed) >= limit > 0 or self._outbox.is_due

    def _is_drained(self, exchanged: Exchanged, now: float) -> bool:
        """Tell whether a worker that does not wait has found no job, and has none."""
        return (
            not exchanged.claimed
            and self._floors.is_whole
            and (not exchanged.place or self._pace.has_placed_in_vain(now))
            and not len(self.slots)
            and not len(self._outbox)
        )

    async def _place(
        self, manager: AsyncWorkerManager, exchanged: Exchanged, now: float, *, probing: bool, stores: bool
    ) -> bool:
        """Place the jobs that have to be placed, if there are any. Return whether to look for jobs again at once."""
        had_added_up, self._has_added_up = self._has_added_up, False
        if not exchanged.place:
            if probing:
                self._pace.has_nothing_to_place()
            return False
        if not self._pace.may_place(now):
            return False
        attempt = await manager.place_async(PLACE_LIMIT)
        looks_again, is_to_repeat = attempt.moved, attempt.is_to_repeat
        self._has_added_up = not attempt.moved and not attempt.is_to_repeat
        if self._has_added_up and not self._options.wait:
            # It may have nothing left to do now. If that was in vain before, others hold what there is, or note more.
            looks_again = stores or not had_added_up
            is_to_repeat = not looks_again
        self._pace.has_placed(attempt.moved, is_to_repeat, now)
        return looks_again

    def _has_to_leave(self, now: float) -> bool:
        """Tell whether not to wait any longer for outcomes that were set aside, when a worker that ends has nothing else. One that
        has run as many jobs as it may is in no hurry."""
        if not self.slots.is_stopping:
            return not len(self._outbox)
        if self._leave_at is None:
            self._leave_at = now + HELD_PATIENCE
        return not len(self._outbox) or now >= self._leave_at

    async def _exchange(self, manager: AsyncWorkerManager, room: Room, probing: bool, now: float) -> Exchanged:
        while True:
            batch, worker_id = self._outbox.next_batch(), self.worker_id
            try:
                return await self._exchange_batch(manager, batch, room, probing, now)
            except Exception as error:
                # A worker that was declared dead meanwhile has forgotten its outcomes.
                if worker_id == self.worker_id:
                    if self._outbox.not_stored(batch, error):
                        self._contact.silence = (
                            0.0  # the database has answered, and the others are stored without that outcome
                        )
                        continue
                    self._doubt.sent(each.id for each in batch)
                raise

    async def _exchange_batch(
        self, manager: AsyncWorkerManager, batch: list[Outcome], room: Room, probing: bool, now: float
    ) -> Exchanged:
        worker_id, limit = self.worker_id, room.limit
        running = len(self.slots)
        if probing:
            self._pace.probed(now)
        self._doubt.is_present = True
        is_called, self._is_called = self._is_called, False
        floors = self._floors.asked(now)
        flight = self.flight = Flight() if limit else None
        began = time.perf_counter()
        try:
            exchanged = await manager.exchange_async(
                worker_id,
                batch,
                limit=limit,
                queues=self._options.queues,
                busy=self._pace.is_saturated(now),
                probe=probing,
                concurrency=room.slots,
                running=running,
                apart=self.slots.apart.asked(now),
                tasks=self._awaited or None,
                patience=self.executor.lookup.patience,
                listens=self._is_listening,
                called=is_called,
                follow=self.slots.most_followers,
                floors=floors,
                batches=room.batches,
            )
        except BaseException:
            self._is_called = self._is_called or is_called  # it may have been called meanwhile
            raise
        finally:
            self.flight = None
        self.traffic.add(time.perf_counter() - began, len(exchanged.claimed), len(batch))
        if worker_id != self.worker_id:
            # This worker was declared dead meanwhile, so other workers rescue the jobs just claimed. They must not run
            # here.
            return attrs.evolve(exchanged, claimed=[], alive=True)
        self.slots.apart.told(exchanged.apart, running=running, now=now)
        self.executor.lookup.too_long |= exchanged.overdue
        if probing:
            awaited = tuple(name for name in exchanged.unknown or () if self._app.may_know(name))
            if awaited and awaited != self._awaited:
                exchanged = attrs.evolve(exchanged, repeat=True)
            self._awaited = awaited
        self._outbox.stored(batch, exchanged.held)
        if flight is not None and not flight.take():
            self.hand_back(map(HandedBack.of, exchanged.claimed))
            exchanged = attrs.evolve(exchanged, claimed=[])
        self.slots.take(exchanged.claimed, now)
        self._doubt.is_present = False
        self._reports.stored(batch, self._doubt.without_sent(exchanged.refused), exchanged.held)
        if limit:
            self._floors.told(floors, exchanged.look, time.monotonic())
            self._pace.claimed(len(exchanged.claimed), limit, now)
        return exchanged

    async def _beat(self, manager: AsyncWorkerManager) -> None:
        """Send a heartbeat, because the heartbeat's thread has not sent one for long."""
        seconds = self._lease.seconds - self._contact.silence
        if seconds <= 0:
            return  # it cannot claim and finish, so it does not count as alive
        worker_id, asked_at = self.worker_id, lease.now()
        report = self.report
        heartbeat = await manager.heartbeat_async(worker_id, seconds, report.overdue, report.running, report.details)
        if heartbeat.alive:
            self._lease.confirm(asked_at, seconds)
        self.beaten(worker_id, heartbeat)

    async def _keep_house(self, manager: AsyncWorkerManager) -> None:
        timetable = timetable_of(self._app.job_manager)
        options, queues = self._options, self._options.queues
        timeout, audit_days, ageing = options.stalled_worker_timeout, options.audit_days, options.priority_ageing
        caretaker = AsyncCaretaker(manager, options.name, timetable, timeout, audit_days, self._events, ageing, queues)
        if self._finds_expired:
            await caretaker.rescue_async()
        await caretaker.keep_up_async()
        self._keeps_house = False

    # Time, and the connection

    async def _sleep(self, due_in: float | None, *, has_room: bool = True) -> None:
        """Wait until woken, until the next job is due, or for the polling interval. A worker without room places no jobs."""
        longest = self._options.fetch_job_polling_interval
        if due_in is not None:
            longest = min(longest, max(due_in, SHORTEST_WAIT))
        if self.slots.buffer or self.slots.buffer.followers:
            longest = min(longest, STALE_BUFFER)
        if self.slots.apart.is_clearing:
            longest = min(longest, CLEARING_INTERVAL)
        deadlines = (self._outbox.due_at, self._doubt.look_at, self._leave_at, self._floors.due_at)
        timeout = self._pace.wait(longest, deadlines, places=has_room)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
                return
        self._pace.probe_next()

    async def _connected(self) -> AsyncWorkerManager:
        manager, is_new = await self._contact.manager_async()
        if is_new and self.worker_id:
            if await manager.registered_at_async(self.worker_id) != self._registered_at:
                # The database was restored, or has lost it in a failover: this id is nobody's now, or another worker's.
                self.declared_dead()
            else:
                # The answer to a claim may have been lost with the old connection.
                await self._disown(manager)
        return manager

    async def _disown(self, manager: AsyncWorkerManager) -> None:
        """Put back the jobs that were claimed for this worker without its knowledge."""
        await manager.disown_async(self.worker_id, self.known)
        self._doubt.looked()

    async def close(self, seconds: float) -> None:
        """Hand back all remaining jobs and unregister, within so many seconds. Never raises because of the database."""
        self.hand_back(self.slots.close())
        try:
            if self.worker_id:
                await leave_within(
                    seconds,
                    self._contact.connection,
                    self._outbox,
                    self.executor.tally,
                    self.worker_id,
                    self._registered_at,
                    is_in_doubt=self._doubt.is_present,
                    knows_all=self._doubt.is_none and self._outbox.claims.issuperset(self.known),
                )
                self.unstored = self._reports.lost(self._outbox.waiting)
        except (Exception, asyncio.CancelledError) as error:
            self._contact.fail(error)
            self.unstored = self._reports.lost(self._outbox.waiting)
            self._reports.tell(
                UnregisteringFailed, error=self.last_error, waiting=len(self._outbox), unstored=self.unstored
            )
        finally:
            self.worker_id = 0
            await self._contact.connection.close()

    def cut_short(self) -> None:
        """Ask all running jobs to end, because the worker is stopping."""
        for job_id in list(self.executor.running):
            self.executor.abort(job_id, AbortReason.SHUTDOWN)
