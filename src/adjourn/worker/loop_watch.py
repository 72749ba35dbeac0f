"""A thread that sees when a task blocks the worker's event loop, and hands back the jobs that wait behind it.

Such jobs are claimed, so no other worker runs them, and they have not begun. Either the loop begins a job, or this thread
hands it back: see `Run.take` and `Flight`. Once the loop turns again, it hands back the same jobs by the same claims, in
case the database has not served this thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

from adjourn import telemetry
from adjourn._domain.callings import connecting_as
from adjourn._domain.jobs import Job
from adjourn._domain.outcomes import HandedBack
from adjourn._domain.protocols import AppLike, SyncSessionLike
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.events import EventLoopBlocked
from adjourn.worker.exchange import Exchange
from adjourn.worker.watch import RoundTrips, WatchedSyncSession

logger: logging.Logger = logging.getLogger("adjourn.worker")

PERIOD = 1.0
"""Seconds between two looks at the event loop, while the worker has jobs."""
PATIENCE = 1.0
"""Seconds within which the event loop has to turn."""


class LoopWatch(threading.Thread):
    """Watches the event loop that it is made on.

    Parameters
    ----------
    app
        The app, for its connector and schema.
    limit
        Seconds that a round trip may take, counted while the loop turns.
    exchange
        The worker's exchange, which knows the jobs.
    on_end
        Called in this thread when it is about to end.
    """

    def __init__(self, app: AppLike, limit: float, exchange: Exchange, on_end: Callable[[], object]) -> None:
        super().__init__(name=f"adjourn-loop-watch-{exchange.identity.name}", daemon=True)
        self._app = app
        self._exchange = exchange
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._thread_of_loop = threading.get_ident()
        self._stop_asked = threading.Event()
        self._session: SyncSessionLike | None = None
        self._trips = RoundTrips(limit, self.give_up)

    def begin(self) -> None:
        """Start, if the process can have one more thread. May be called from any thread, and never raises."""
        try:
            self.start()
        except RuntimeError as error:
            logger.warning("Nobody watches the event loop (%s)", error, extra={"action": "loop_not_watched"})

    def stop(self) -> None:
        """End at once or, during a statement, when the database has answered, or `give_up` is called."""
        self._stop_asked.set()

    def pass_time(self, seconds: float) -> None:
        """Let time pass: give up a round trip that takes too long. Called on the event loop."""
        self._trips.pass_time(seconds)

    def give_up(self) -> None:
        """Give up the round trip that is under way, if there is one. May be called from any thread."""
        session = self._session
        if session is not None and self._trips.is_under_way:
            session.abandon()

    def run(self) -> None:
        """Look at the loop until stopped."""
        try:
            with telemetry.around_worker():
                while not self._stop_asked.wait(PERIOD):
                    if self._exchange.is_busy:
                        self._look()
        except RuntimeError:
            if not self._loop.is_closed():  # otherwise the worker has ended without stopping this thread
                raise
        finally:
            self._on_end()

    def _look(self) -> None:
        """See whether the loop turns; if not, do what has to be done until it does."""
        turned = threading.Event()
        self._loop.call_soon_threadsafe(turned.set)
        if turned.wait(PATIENCE):
            return
        exchange, worker_id = self._exchange, self._exchange.worker_id
        job, stack = self._found()
        waiting = [HandedBack.of(each) for each in exchange.executor.take_not_begun()]
        if buffered := [HandedBack.of(each) for each in exchange.slots.buffer.take_all()]:
            self._loop.call_soon_threadsafe(exchange.hand_back, buffered)
            waiting += buffered
        self._loop.call_soon_threadsafe(exchange.notify)
        self._tell(job, stack, waiting)
        while not turned.is_set():
            try:
                with self._conversing() as manager:
                    self._hand_back(manager, worker_id, waiting)
                    while not turned.wait(PERIOD):
                        self._hand_back_flight(manager, worker_id)
            except Exception as error:
                logger.warning(
                    "Jobs behind a task that blocks the event loop could not be handed back (%s)",
                    error,
                    extra={"action": "loop_blocked"},
                )
                turned.wait(PERIOD)

    @contextlib.contextmanager
    def _conversing(self) -> Iterator[SyncWorkerManager]:
        connector = self._app.connector
        with connecting_as("worker", self._exchange.identity.name):
            self._session = session = connector.session()
        try:
            watched = WatchedSyncSession(session, self._trips)
            yield SyncWorkerManager(watched, connector.json_loads, self._app.job_manager.schema)
        finally:
            self._session = None
            session.close()

    def _hand_back(self, manager: SyncWorkerManager, worker_id: int, jobs: list[HandedBack]) -> None:
        # Nor is this worker to be notified of new jobs until its loop turns: others are, also in its place if it was.
        queues = self._exchange.identity.queues
        manager.exchange(worker_id, jobs, limit=0, queues=queues, probe=False, called=True)
        self._hand_back_flight(manager, worker_id)

    def _hand_back_flight(self, manager: SyncWorkerManager, worker_id: int) -> None:
        """Hand back what was claimed by a round trip whose answer the loop does not read."""
        flight = self._exchange.flight
        if flight is None:
            return
        # Look first, and take then: if the loop has not read the answer until then, it has claimed nothing else since.
        claimed = manager.list_unknown_claims(worker_id, self._exchange.known)
        if claimed and flight.take():
            manager.exchange(worker_id, claimed, limit=0, queues=None, probe=False)

    def _found(self) -> tuple[Job | None, str]:
        """Return the job that blocks the loop, if it is one, and where it does so."""
        frame = sys._current_frames().get(self._thread_of_loop)
        task = asyncio.current_task(self._loop)
        frames = traceback.extract_stack(frame)
        loops = [
            n
            for n, each in enumerate(frames)
            if each.filename.endswith(("asyncio/events.py", "adjourn/worker/runners/loop.py"))
        ]
        stack = "".join(traceback.format_list(frames[loops[-1] + 1 if loops else 0 :]))
        return self._exchange.executor.job_of(task), stack

    def _tell(self, job: Job | None, stack: str, waiting: list[HandedBack]) -> None:
        harms_others = self._exchange.concurrency > 1 or waiting or len(self._exchange.executor) > (job is not None)
        events = self._app.events
        if (harms_others or self._exchange.flight) and events.wants(EventLoopBlocked):
            try:
                events.emit(
                    EventLoopBlocked(
                        worker=self._exchange.identity,
                        job=job,
                        patience=PATIENCE,
                        handed_back=len(waiting),
                        stack=stack,
                    )
                )
            except BaseException:  # of a subscriber that wants to end the program, which a thread cannot do
                logger.exception("A subscriber to EventLoopBlocked has failed", extra={"action": "loop_blocked"})
