"""Claims jobs and stores outcomes, both in one round trip; there is one round trip at a time.

Jobs that end during a round trip are the next batch. So batches grow with the load, and an idle worker does not wait to
fill one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

import attrs

from adjourn._async.managers.caretaker import AsyncCaretaker
from adjourn._async.managers.exchange import PLACE_LIMIT, AsyncWorkerManager
from adjourn._domain.jobs import Job
from adjourn._domain.outcomes import Ended, Exchanged, HandedBack, Outcome
from adjourn._domain.protocols import AsyncSessionLike, WorkerLike
from adjourn._domain.runs import AbortReason
from adjourn._domain.upkeep import timetable_of
from adjourn.events import (
    ConnectionLost,
    ConnectionRestored,
    OutcomeLost,
    OutcomeRefused,
    OutcomeStored,
    UnregisteringFailed,
    WorkerDeclaredDead,
    WorkerEvent,
    WorkerIdentity,
)
from adjourn.exceptions import ConnectorException
from adjourn.worker.executor import Executor
from adjourn.worker.options import Options
from adjourn.worker.outbox import Outbox

LONGEST_BUFFERED = 0.02
"""The most seconds of work to claim in advance: a job in the buffer waits while other workers may be idle."""
LARGEST_BUFFER = 100
STALE_BUFFER = 0.25
"""Seconds after which jobs that still wait in the buffer, behind a long one, are handed back."""
PROBE_INTERVAL = 0.05
"""Seconds between checks for jobs that are due or not placed yet, while there is enough to do."""
SATURATED = 1.0
"""Seconds after which a worker that always finds enough work need not be notified of more."""
PLACE_RETRY = 0.2
LONGEST_BACK_OFF = 2.0
LEAVE_TIMEOUT = 10.0
"""Seconds within which a stopping worker stores what is left; after that, other workers rescue its jobs."""


class Exchange:
    """The worker's conversation with the database.

    Parameters
    ----------
    worker
        The worker, for its app and options.
    on_registered
        Called when the worker has registered again.
    """

    def __init__(self, worker: WorkerLike[Options], on_registered: Callable[[], object]) -> None:
        self._app = worker.app
        self._options = worker.options
        self._events = worker.app.events
        self._on_registered = on_registered
        self._wake = asyncio.Event()
        self._session: AsyncSessionLike | None = None
        self._manager: AsyncWorkerManager | None = None
        self._buffer: deque[Job] = deque()
        self._buffered_at = 0.0
        self._outbox = Outbox(worker.app.events)
        self._probe_at = 0.0
        self._place_at: float | None = None
        self._saturated_since: float | None = None
        self._confirmations: deque[float] = deque()
        # Whether jobs may have been claimed without this worker knowing it.
        self._is_in_doubt = False
        self._failures = 0
        # Jobs that may kill their worker run apart from others: see `Exchanged.apart`.
        self._apart: int | None = None
        self._is_clearing = False
        self._stopping = False
        # A worker that does not wait may end before its first heartbeat, and there may be no other workers.
        self._keeps_house = not worker.options.wait
        self._leave_at = math.inf
        self.executor: Executor = Executor(worker, self._on_end)
        self.worker_id: int = 0

    # Called by the other roles, on the loop's thread

    def notify(self) -> None:
        """Look for jobs now."""
        self._probe_at = 0.0
        self._wake.set()

    def start_no_more(self) -> None:
        """Start no further job, even if it has been claimed. May be called from any thread."""
        self._stopping = self.executor.halt.is_set = True

    def stop(self) -> None:
        """Claim no more; end when running jobs have ended and are stored, or cannot be within `LEAVE_TIMEOUT`."""
        self.start_no_more()
        self._leave_at = time.monotonic() + LEAVE_TIMEOUT
        self._wake.set()

    def declared_dead(self) -> None:
        """Give up all jobs: this worker was declared dead, and others take them over."""
        if not self.worker_id:
            return
        self._tell(WorkerDeclaredDead, silence=self._options.stalled_worker_timeout, given_up=len(self.executor))
        self.executor.abandon()
        self._buffer.clear()
        self._outbox.clear()
        self._apart = None
        self.worker_id = 0
        self._wake.set()

    @property
    def identity(self) -> WorkerIdentity:
        """The identity of this worker, for events."""
        return WorkerIdentity(name=self._options.name, id=self.worker_id, queues=self._options.queues)

    def _tell(self, kind: type[WorkerEvent], **facts: Any) -> None:
        if self._events.wants(kind):
            self._events.emit(kind(worker=self.identity, **facts))

    def _tell_stored(self, batch: Iterable[Outcome], refused: Collection[int], held: Collection[int]) -> None:
        if refused and self._events.wants(OutcomeRefused):
            for job_id in refused:
                self._events.emit(OutcomeRefused(job_id=job_id))
        if self._events.wants(OutcomeStored):
            for each in batch:
                if isinstance(each, Ended) and each.id not in refused and each.id not in held:
                    self._events.emit(OutcomeStored(job_id=each.id, status=each.status))

    # The loop

    async def register(self) -> None:
        """Connect, and register this worker.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """
        options = self._options
        manager = await self._connected()
        self.worker_id = await manager.register_worker_async(
            options.name, options.queues, options.stalled_worker_timeout
        )

    async def run(self) -> None:
        """Exchange until stopped and idle, or, for a worker that does not wait, until no job is left."""
        while True:
            self._wake.clear()
            try:
                finished = await self._round()
            except ConnectorException as error:
                await self._back_off(error)
                if time.monotonic() > self._leave_at and not len(self.executor):
                    return
                continue
            if self._failures:
                self._tell(ConnectionRestored)
                self._failures = 0
            if finished:
                return

    async def _round(self) -> bool:
        """Do one round trip, or wait for a reason to do one. Return whether there is no more to do."""
        manager = await self._connected()
        if not self.worker_id:
            await self.register()
            self._on_registered()
        if self._keeps_house:
            await self._keep_house(manager)
        now = time.monotonic()
        if self._buffer and (self._stopping or now - self._buffered_at > STALE_BUFFER):
            self._hand_back_buffer()
            self.executor.forget_durations()
        limit = 0 if self._stopping else self._room()
        if not limit and not self._outbox.is_due:
            if self._stopping and not len(self.executor) and (not len(self._outbox) or now > self._leave_at):
                return True
            await self._sleep(None)
            return False
        probing = limit > 0 and now >= self._probe_at
        exchanged = await self._exchange(manager, limit, probing, now)
        if not exchanged.alive:
            self.declared_dead()
            return False
        placed = False
        if exchanged.place and now >= (self._place_at or 0.0):
            placed = await manager.place_async(PLACE_LIMIT)
            self._place_at = None if placed else now + PLACE_RETRY
        if placed or exchanged.repeat or exchanged.claimed == limit > 0 or self._outbox.is_due:
            if placed or exchanged.repeat:
                self._probe_at = 0.0
            if exchanged.repeat:
                # A transaction that is storing a job right now may not have seen the flag, so look again soon, twice.
                self._confirmations.extend((0.02, 0.1))
            # Let the tasks that were just started run before the next round trip.
            await asyncio.sleep(0)
            return False
        if limit and not probing:
            self._probe_at = 0.0
            return False
        if not self._options.wait and not exchanged.claimed and not exchanged.place and not self._has_work():
            return True
        if not self._stopping:
            await self._sleep(exchanged.due_in)
        return False

    async def _exchange(self, manager: AsyncWorkerManager, limit: int, probing: bool, now: float) -> Exchanged:
        while True:
            batch, worker_id = self._outbox.next_batch(), self.worker_id
            try:
                return await self._exchange_batch(manager, batch, limit, probing, now)
            except ConnectorException as error:
                # A worker that was declared dead meanwhile has forgotten its outcomes.
                if worker_id != self.worker_id or not self._outbox.not_stored(batch, error):
                    raise

    async def _exchange_batch(
        self, manager: AsyncWorkerManager, batch: list[Outcome], limit: int, probing: bool, now: float
    ) -> Exchanged:
        worker_id = self.worker_id
        running = len(self.executor) + len(self._buffer)
        if probing:
            self._probe_at = now + PROBE_INTERVAL
        self._is_in_doubt = True
        exchanged = await manager.exchange_async(
            worker_id,
            batch,
            limit=limit,
            queues=self._options.queues,
            busy=self._saturated_since is not None and now - self._saturated_since > SATURATED,
            probe=probing,
            concurrency=self._options.concurrency,
            running=running,
            apart=self._apart,
        )
        self._is_in_doubt = False
        if worker_id != self.worker_id:
            # This worker was declared dead meanwhile, so other workers rescue the jobs just claimed. They must not run
            # here.
            return attrs.evolve(exchanged, jobs=[], unreadable=[], alive=True)
        if self._apart is None and exchanged.apart is not None:
            self._is_clearing = running > 0
        self._apart = exchanged.apart
        self._outbox.stored(batch, exchanged.held)
        self._tell_stored(batch, exchanged.refused, exchanged.held)
        if limit:
            if exchanged.claimed < limit:
                self._saturated_since = None
            elif self._saturated_since is None:
                self._saturated_since = now
        for job in exchanged.jobs:
            self._take(job, now)
        for job, reason in exchanged.unreadable:
            self.executor.refuse(job, reason)
        return exchanged

    async def _keep_house(self, manager: AsyncWorkerManager) -> None:
        timetable = timetable_of(self._app.job_manager)
        caretaker = AsyncCaretaker(manager, timetable, self._options.stalled_worker_timeout, self._events)
        await caretaker.rescue_async()
        await caretaker.keep_up_async()
        self._keeps_house = False

    # Jobs in and out

    def _room(self) -> int:
        """Return how many jobs to claim: those that can run at once, and a few that can run soon after."""
        concurrency = self._options.concurrency
        if self._apart is not None:
            self._is_clearing = self._is_clearing and bool(len(self.executor) or self._buffer)
            return 0 if self._is_clearing else max(0, concurrency - len(self.executor) - len(self._buffer))
        ahead = min(int(LONGEST_BUFFERED * concurrency / max(self.executor.mean_duration, 1e-6)), LARGEST_BUFFER)
        if concurrency + ahead > LARGEST_BUFFER:
            ahead = max(0, LARGEST_BUFFER - concurrency)
        return max(0, concurrency + ahead - len(self.executor) - len(self._buffer))

    def _take(self, job: Job, now: float) -> None:
        if len(self.executor) < self._options.concurrency and not self._buffer and not self._stopping:
            self.executor.start(job)
        else:
            if not self._buffer:
                self._buffered_at = now
            self._buffer.append(job)

    def _on_end(self, outcome: Outcome) -> None:
        self._outbox.add(outcome)
        if self._buffer and not self._stopping and len(self.executor) < self._options.concurrency:
            self._buffered_at = time.monotonic()
            self.executor.start(self._buffer.popleft())
        self._wake.set()

    def _has_work(self) -> bool:
        return bool(len(self.executor) or self._buffer or len(self._outbox))

    def _hand_back_buffer(self) -> None:
        for job in self._buffer:
            self._outbox.add(HandedBack.of(job))
        self._buffer.clear()

    # Time, and the connection

    async def _sleep(self, due_in: float | None) -> None:
        """Wait until woken, until the next job is due, or for the polling interval."""
        timeout = min(self._options.fetch_job_polling_interval, max(self._outbox.due_at - time.monotonic(), 0.001))
        if due_in is not None:
            timeout = min(timeout, max(due_in, 0.001))
        if self._place_at is not None:
            timeout = min(timeout, max(self._place_at - time.monotonic(), 0.001))
        if self._confirmations:
            timeout = min(timeout, self._confirmations.popleft())
        if self._buffer:
            timeout = min(timeout, STALE_BUFFER)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
                return
        self._probe_at = 0.0

    async def _connected(self) -> AsyncWorkerManager:
        if self._manager is None:
            self._session = await self._app.connector.get_async_connector().session_async()
            manager = AsyncWorkerManager(self._session, self._app.connector.json_loads, self._app.job_manager.schema)
            self._manager = manager
            if self.worker_id:
                # The answer to a claim may have been lost with the old connection.
                held = {job.id or 0 for job in self._buffer}
                await manager.disown_async(self.worker_id, {*self.executor.running, *held, *self._outbox.job_ids})
        return self._manager

    async def _back_off(self, error: ConnectorException) -> None:
        self._failures += 1
        delay = min(0.05 * 2**self._failures, LONGEST_BACK_OFF)
        waiting = len(self._outbox)
        self._tell(ConnectionLost, error=error, failures=self._failures, retry_in=delay, waiting=waiting)
        await self._disconnect()
        await asyncio.sleep(delay)

    async def _disconnect(self) -> None:
        self._manager = None
        if self._session is not None:
            session, self._session = self._session, None
            await session.close_async()

    async def close(self) -> None:
        """Hand back all remaining jobs and unregister. Never raises because of the database, and ends within
        `LEAVE_TIMEOUT`.
        """
        for job in (*self.executor.abandon(), *self._buffer):
            self._outbox.add(HandedBack.of(job))
        self._buffer.clear()
        self.executor.close()
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                if self.worker_id:
                    await self._leave()
            if self._events.wants(OutcomeLost):
                for job_id in self._outbox.job_ids:
                    self._events.emit(OutcomeLost(job_id=job_id))
        except (ConnectorException, TimeoutError) as error:
            self._tell(UnregisteringFailed, error=error, waiting=len(self._outbox))
        finally:
            self.worker_id = 0
            await self._disconnect()

    async def _leave(self) -> None:
        is_fresh = self._manager is None
        try:
            manager = await self._connected()
            self._outbox.hurry()
            while self._outbox.is_due:
                await self._exchange(manager, 0, False, time.monotonic())
            if self._is_in_doubt:
                await manager.disown_async(self.worker_id, ())
            await manager.unregister_worker_async(self.worker_id)
        except ConnectorException:
            if is_fresh:
                raise
            # What has failed may be the connection alone: a cancellation in the middle of a statement ends it, too.
            await self._disconnect()
            await self._leave()

    def cut_short(self) -> None:
        """Ask all running jobs to end, because the worker is stopping."""
        for job_id in list(self.executor.running):
            self.executor.abort(job_id, AbortReason.SHUTDOWN)
