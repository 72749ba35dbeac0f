"""A thread that sends heartbeats, and listens for new jobs and for jobs to abort.

It has its own thread and connection, so that a live worker does not look dead while a task blocks the event loop. It
decides nothing about jobs; it wakes the roles that do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from adjourn import sql, telemetry
from adjourn._domain.callings import connecting_as
from adjourn._domain.heartbeats import Heartbeat
from adjourn._domain.protocols import AppLike, SyncSessionLike
from adjourn._domain.upkeep import timetable_of
from adjourn._sync.managers.caretaker import SyncCaretaker
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.worker import lease
from adjourn.worker.advances import PACE, Advances
from adjourn.worker.connection import silent
from adjourn.worker.details import SelfReport
from adjourn.worker.options import Options
from adjourn.worker.outage import Outage
from adjourn.worker.tally import RunTally
from adjourn.worker.watch import RoundTrips, WatchedSyncSession

logger: logging.Logger = logging.getLogger("adjourn.worker")

ONE_SHOT_DELAY = 0.25
"""Seconds before a worker that does not wait opens a second connection, for its heartbeat."""
_UNWAKEABLE_WAIT = 0.25
"""Seconds of one wait for notifications on a session that a stop cannot wake."""


class HeartbeatThread(threading.Thread):
    """Sends the heartbeats of one worker.

    Parameters
    ----------
    app
        The app, for its connector and schema.
    options
        The worker's options.
    worker_lease
        How long the worker's jobs are its own: each heartbeat extends it.
    worker_id
        Returns the worker's present id; 0 while it is not registered.
    silence
        Returns for how many seconds the worker has tried in vain to claim jobs and to store outcomes.
    report
        Returns what the worker says of itself.
    advances
        What its tasks say of their progress, which is stored here.
    tally
        What has become of its jobs, which is stored here, too.
    on_begin, on_beat, on_notified, on_listening, on_failure, on_end
        Called in this thread: when it begins, which of a worker that does not wait is a moment later; with each heartbeat's answer; when there may be new jobs, with whether this worker was notified by its id; with whether it hears notifications; with the error of a failed
        heartbeat and the outage that it belongs to; and when this thread is about to end.
    is_over
        Returns whether the worker's event loop has been closed.
    """

    def __init__(
        self,
        app: AppLike,
        options: Options,
        worker_lease: lease.Lease,
        worker_id: Callable[[], int],
        silence: Callable[[], float],
        report: Callable[[], SelfReport],
        advances: Advances,
        tally: RunTally | None,
        on_begin: Callable[[], Any],
        on_beat: Callable[[int, Heartbeat], Any],
        on_notified: Callable[[bool], Any],
        on_listening: Callable[[bool], Any],
        on_failure: Callable[[BaseException, Outage], Any],
        on_end: Callable[[], Any],
        is_over: Callable[[], bool],
    ) -> None:
        super().__init__(name=f"adjourn-heartbeat-{options.name}", daemon=True)
        self._app = app
        self._options = options
        self._lease = worker_lease
        self._worker_id = worker_id
        self._silence = silence
        self._report = report
        self._advances = advances
        self._tally = tally
        advances.on_news = self._hear
        self._on_begin = on_begin
        self._on_beat = on_beat
        self._on_notified = on_notified
        self._on_listening = on_listening
        self._on_failure = on_failure
        self._on_end = on_end
        self._is_over = is_over
        self._stop_asked = False
        self._woken = threading.Event()
        self._session: SyncSessionLike | None = None
        self._is_listening = False
        self._trips = RoundTrips(options.longest_round_trip, self.give_up)
        self._is_given_up = False
        self._outage = Outage()
        # A heartbeat also asks which jobs are to be aborted.
        self._interval = min(options.update_heartbeat_interval, options.abort_job_polling_interval)

    def stop(self) -> None:
        """End at once or, during a statement, when the database has answered, or `give_up` is called."""
        self._stop_asked = True
        self.beat()

    def beat(self) -> None:
        """Send a heartbeat now, because the worker has registered again."""
        self._woken.set()
        if session := self._session:
            session.wake()

    def pass_time(self, seconds: float) -> None:
        """Let time pass: give up a round trip that takes too long. Called on the event loop."""
        self._trips.pass_time(seconds)

    def give_up(self) -> None:
        """Give up the round trip that is under way, if there is one. May be called from any thread."""
        session = self._session
        if session is not None and self._trips.is_under_way:
            self._is_given_up = True
            session.abandon()

    def run(self) -> None:
        """Send heartbeats until stopped, whatever fails meanwhile."""
        try:
            with telemetry.around_worker():
                self._run()
        finally:
            self._on_end()

    def _run(self) -> None:
        if not self._options.wait:
            # Registering counted as a heartbeat, and the jobs may be done by then.
            self._pause(min(ONE_SHOT_DELAY, self._interval / 2))
        if not self._stop_asked:
            self._on_begin()
        while not self._has_to_stop():
            try:
                self._converse()
            except BaseException as error:  # of a subscriber, too: a thread that ends here would end in silence
                if self._is_over() or self._stop_asked:
                    return
                self._pause(self._failed(error))

    def _failed(self, error: BaseException) -> float:
        """Report a failure, and return the seconds after which to try again."""
        if self._is_given_up:
            self._is_given_up = False
            error, cause = silent(self._trips.limit), error
            error.__cause__ = cause
        delay = self._outage.fail(error)
        try:
            self._on_failure(error, self._outage)
        except BaseException:  # of a subscriber that wants to end the program, which a thread cannot do
            logger.exception("A subscriber to HeartbeatFailed has failed", extra={"action": "heartbeat_failed"})
        return delay

    def _converse(self) -> None:
        connector = self._app.connector
        with connecting_as("worker", self._options.name):
            session = connector.session()
        try:
            self._session = session
            if self._stop_asked:
                return  # it took long to connect
            watched = WatchedSyncSession(session, self._trips)
            manager = SyncWorkerManager(watched, connector.json_loads, self._app.job_manager.schema)
            timetable, timeout = timetable_of(self._app.job_manager), self._options.stalled_worker_timeout
            audit_days, ageing, queues = self._options.audit_days, self._options.priority_ageing, self._options.queues
            name, events = self._options.name, self._app.events
            caretaker = SyncCaretaker(manager, name, timetable, timeout, audit_days, events, ageing, queues)
            self._is_listening = self._options.listen_notify and session.can_listen
            if self._is_listening:
                with self._trips:
                    session.listen(sql.channel(self._app.job_manager.schema))
                self._on_listening(True)
                self._on_notified(False)  # jobs may have come before this thread listened
            while not self._has_to_stop():
                if worker_id := self._worker_id():
                    self._beat(manager, caretaker, worker_id)
                self._wait(session, manager)
        finally:
            self._session = None
            self._on_listening(False)
            session.close()

    def _beat(self, manager: SyncWorkerManager, caretaker: SyncCaretaker, worker_id: int) -> None:
        # A worker that cannot claim and finish does not count as alive, so that others rescue its jobs.
        seconds = self._options.stalled_worker_timeout - self._silence()
        if seconds <= 0:
            return
        asked_at = lease.now()
        report = self._report()
        heartbeat = manager.heartbeat(worker_id, seconds, report.overdue, report.running, report.details)
        self._outage.end()
        if heartbeat.alive:
            self._lease.confirm(asked_at, seconds)
        elif worker_id == self._worker_id():
            self._lease.revoke()
        self._on_beat(worker_id, heartbeat)
        if heartbeat.expired and caretaker.rescue():
            self._on_notified(False)
        if self._tally is not None and self._tally.is_due:
            self._tally.store(manager.store_statistics)
        caretaker.keep_up()

    def _wait(self, session: SyncSessionLike, manager: SyncWorkerManager) -> None:
        """Wait until the next heartbeat, and meanwhile pass on notifications, and store what tasks say of their progress."""
        deadline = time.monotonic() + self._interval
        longest = self._interval if session.is_wakeable else _UNWAKEABLE_WAIT
        while not self._woken.is_set() and (remaining := deadline - time.monotonic()) > 0:
            remaining = min(remaining, self._advances.due_in())
            if remaining <= 0:
                self._store_progress(manager)
            elif not self._is_listening:
                self._pause(min(remaining, PACE))
            else:
                payloads = session.wait_for_notifications(min(remaining, longest))
                self._pass_on(payloads)
                if "abort" in payloads:
                    return  # the next heartbeat returns which jobs

    def _store_progress(self, manager: SyncWorkerManager) -> None:
        said = self._advances.take()
        try:
            manager.store_progress(self._worker_id(), said)
        except BaseException:
            self._advances.give_back(said)
            raise

    def _hear(self) -> None:
        """Learn that a task has said something of its progress, while this thread may wait for something else."""
        session = self._session
        if session is not None and self._is_listening:
            session.wake()

    def _pass_on(self, payloads: Sequence[str]) -> None:
        """Wake the worker if it is meant: by its id, or with all others."""
        if any(str(self._worker_id()) in payload.split() for payload in payloads):
            self._on_notified(True)
        elif "" in payloads:
            self._on_notified(False)

    def _has_to_stop(self) -> bool:
        # Keep this order: callers set their flag first, and wake this thread then.
        self._woken.clear()
        return self._stop_asked

    def _pause(self, seconds: float) -> None:
        self._woken.wait(seconds)
