"""A thread that sends heartbeats, and listens for new jobs and for jobs to abort.

It has its own thread and connection, so that a live worker does not look dead while a task blocks the event loop. It
decides nothing about jobs; it wakes the roles that do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from adjourn import sql
from adjourn._domain.outcomes import Heartbeat
from adjourn._domain.protocols import AppLike, SyncSessionLike
from adjourn._domain.upkeep import timetable_of
from adjourn._sync.managers.caretaker import SyncCaretaker
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.worker.options import Options

ONE_SHOT_DELAY = 0.25
"""Seconds before a worker that does not wait opens a second connection, for its heartbeat."""
_UNWAKEABLE_WAIT = 0.25
"""Seconds of one wait for notifications on a session that a stop cannot wake."""
_LONGEST_BACK_OFF = 2.0


class HeartbeatThread(threading.Thread):
    """Sends the heartbeats of one worker.

    Parameters
    ----------
    app
        The app, for its connector and schema.
    options
        The worker's options.
    worker_id
        Returns the worker's present id; 0 while it is not registered.
    on_beat, on_notified, on_failure
        Called in this thread: with each heartbeat's answer; when there may be new jobs; and with the error of a failed
        heartbeat and the number of failures in a row.
    is_over
        Returns whether the worker's event loop has been closed.
    """

    def __init__(
        self,
        app: AppLike,
        options: Options,
        worker_id: Callable[[], int],
        on_beat: Callable[[int, Heartbeat], Any],
        on_notified: Callable[[], Any],
        on_failure: Callable[[Exception, int], Any],
        is_over: Callable[[], bool],
    ) -> None:
        super().__init__(name=f"adjourn-heartbeat-{options.name}", daemon=True)
        self._app = app
        self._options = options
        self._worker_id = worker_id
        self._on_beat = on_beat
        self._on_notified = on_notified
        self._on_failure = on_failure
        self._is_over = is_over
        self._stop_asked = False
        self._woken = threading.Event()
        self._session: SyncSessionLike | None = None
        self._is_listening = False
        # A heartbeat also asks which jobs are to be aborted.
        self._interval = min(options.update_heartbeat_interval, options.abort_job_polling_interval)

    def stop(self) -> None:
        """End at once or, during a statement, when the database has answered."""
        self._stop_asked = True
        self.beat()

    def beat(self) -> None:
        """Send a heartbeat now, because the worker has registered again."""
        self._woken.set()
        if session := self._session:
            session.wake()

    def run(self) -> None:
        """Send heartbeats until stopped, even if the database fails meanwhile."""
        if not self._options.wait:
            # Registering counted as a heartbeat, and the jobs may be done by then.
            self._pause(min(ONE_SHOT_DELAY, self._interval / 2))
        failures = 0
        while not self._has_to_stop():
            try:
                self._converse()
            except Exception as error:
                if self._is_over():
                    return
                failures = 1 if self._beaten else failures + 1
                self._on_failure(error, failures)
                self._pause(min(0.1 * 2**failures, _LONGEST_BACK_OFF))

    def _converse(self) -> None:
        self._beaten = False
        connector = self._app.connector
        session = connector.session()
        try:
            self._session = session
            manager = SyncWorkerManager(session, connector.json_loads, self._app.job_manager.schema)
            timetable, timeout = timetable_of(self._app.job_manager), self._options.stalled_worker_timeout
            caretaker = SyncCaretaker(manager, timetable, timeout, self._app.events)
            self._is_listening = self._options.listen_notify and session.can_listen
            if self._is_listening:
                session.listen(sql.channel(self._app.job_manager.schema))
                self._on_notified()  # jobs may have come before this thread listened
            while not self._has_to_stop():
                if worker_id := self._worker_id():
                    self._beat(manager, caretaker, worker_id)
                self._wait(session)
        finally:
            self._session = None
            session.close()

    def _beat(self, manager: SyncWorkerManager, caretaker: SyncCaretaker, worker_id: int) -> None:
        heartbeat = manager.heartbeat(worker_id, self._options.stalled_worker_timeout)
        self._beaten = True
        self._on_beat(worker_id, heartbeat)
        if heartbeat.expired and caretaker.rescue():
            self._on_notified()
        caretaker.keep_up()

    def _wait(self, session: SyncSessionLike) -> None:
        """Wait until the next heartbeat, and pass on notifications meanwhile."""
        if not self._is_listening:
            self._pause(self._interval)
            return
        deadline = time.monotonic() + self._interval
        longest = self._interval if session.is_wakeable else _UNWAKEABLE_WAIT
        while not self._woken.is_set() and (remaining := deadline - time.monotonic()) > 0:
            payloads = session.wait_for_notifications(min(remaining, longest))
            if payloads:
                self._on_notified()
            if "abort" in payloads:
                return  # the next heartbeat returns which jobs

    def _has_to_stop(self) -> bool:
        # Keep this order: callers set their flag first, and wake this thread then.
        self._woken.clear()
        return self._stop_asked

    def _pause(self, seconds: float) -> None:
        self._woken.wait(seconds)
