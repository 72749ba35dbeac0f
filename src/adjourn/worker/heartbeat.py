"""A thread that says the worker lives, hears of new jobs, and keeps house.

A thread of its own, with a connection of its own: a task that blocks the event loop must not make a live worker look
dead. It decides nothing about jobs; it wakes those who do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adjourn import sql
from adjourn._domain.outcomes import Heartbeat
from adjourn._sync.managers.exchange import MAX_LOSSES, PLACE_LIMIT, SyncWorkerManager
from adjourn.exceptions import AdjournException, ConnectorException
from adjourn.sql.constants import WEEKS_AHEAD
from adjourn.worker.options import Options

if TYPE_CHECKING:
    from adjourn.app import App

logger: logging.Logger = logging.getLogger("adjourn.worker")

HEAL_INTERVAL = 60.0
PARTITION_INTERVAL = 24 * 3600.0
_SLICE = 0.25
_LONGEST_BACK_OFF = 2.0


class HeartbeatThread(threading.Thread):
    """Keeps one worker alive in the eyes of the others.

    Parameters
    ----------
    app
        Whose connector and schema to use.
    options
        The worker's.
    worker_id
        Called, tells under which id it is registered now; 0 while it is not.
    on_beat, on_notified
        Called with each heartbeat's answer, and whenever there may be new jobs; both in this thread.
    is_over
        Called, tells whether nobody is left to be told.
    """

    def __init__(
        self,
        app: App,
        options: Options,
        worker_id: Callable[[], int],
        on_beat: Callable[[int, Heartbeat], Any],
        on_notified: Callable[[], Any],
        is_over: Callable[[], bool],
    ) -> None:
        super().__init__(name=f"adjourn-heartbeat-{options.name}", daemon=True)
        self._app = app
        self._options = options
        self._worker_id = worker_id
        self._on_beat = on_beat
        self._on_notified = on_notified
        self._is_over = is_over
        self._stop_asked = threading.Event()
        # A heartbeat also asks which jobs are to be aborted.
        self._interval = min(options.update_heartbeat_interval, options.abort_job_polling_interval)
        self._heal_at = 0.0
        self._partition_at = 0.0

    def stop(self) -> None:
        """End soon, within a second unless the database hangs."""
        self._stop_asked.set()

    def run(self) -> None:
        """Beat until stopped, whatever happens to the database."""
        failures = 0
        while not self._stop_asked.is_set():
            try:
                self._converse()
            except Exception as error:
                if self._is_over():
                    return
                failures = 1 if self._beaten else failures + 1
                level = logging.DEBUG if failures > 1 else logging.WARNING
                expected = isinstance(error, AdjournException)
                logger.log(
                    level if expected else logging.ERROR,
                    "No heartbeat: %s",
                    error,
                    exc_info=not expected,
                    extra={"action": "heartbeat_failed", "failures": failures},
                )
                self._stop_asked.wait(min(0.1 * 2**failures, _LONGEST_BACK_OFF))

    def _converse(self) -> None:
        self._beaten = False
        session = self._app.connector.session()
        try:
            manager = SyncWorkerManager(session, self._app.connector.json_loads, self._app.job_manager.schema)
            if self._options.listen_notify:
                session.listen(sql.channel(self._app.job_manager.schema))
                self._on_notified()  # what came while nobody listened
            while not self._stop_asked.is_set():
                worker_id = self._worker_id()
                if worker_id:
                    self._beat(manager, worker_id)
                self._wait(session, self._interval if worker_id else _SLICE)
        finally:
            session.close()

    def _beat(self, manager: SyncWorkerManager, worker_id: int) -> None:
        timeout = self._options.stalled_worker_timeout
        heartbeat = manager.heartbeat(worker_id, timeout)
        self._beaten = True
        self._on_beat(worker_id, heartbeat)
        if heartbeat.expired:
            rescued, failed = manager.rescue(MAX_LOSSES, timeout)
            if rescued or failed:
                logger.warning(
                    "Rescued %d jobs of workers that fell silent; %d more failed, having lost %d workers each",
                    rescued,
                    failed,
                    MAX_LOSSES,
                    extra={"action": "rescued_jobs", "rescued": rescued, "failed": failed},
                )
                self._on_notified()
        now = time.monotonic()
        if now >= self._heal_at:
            manager.place(PLACE_LIMIT, heal=True)
            # Looking at every lock takes longer the more there are; it may cost a twentieth of the time at most.
            self._heal_at = now + max(HEAL_INTERVAL, 20 * (time.monotonic() - now))
        if now >= self._partition_at:
            self._partition_at = now + PARTITION_INTERVAL
            self._make_partitions(manager)

    def _make_partitions(self, manager: SyncWorkerManager) -> None:
        try:
            manager.make_partitions(WEEKS_AHEAD)
        except ConnectorException as error:
            # Somebody holds the table: finished jobs go to the default partition until the next try.
            logger.info("No partitions made: %s", error, extra={"action": "partitions_not_made"})
            if error.sqlstate is None:
                raise

    def _wait(self, session: Any, interval: float) -> None:
        deadline = time.monotonic() + interval
        while not self._stop_asked.is_set() and (remaining := deadline - time.monotonic()) > 0:
            if not self._options.listen_notify:
                self._stop_asked.wait(remaining)
                continue
            payloads = session.wait_for_notifications(min(remaining, _SLICE))
            if payloads:
                self._on_notified()
            if "abort" in payloads:
                return  # the next beat tells whose
