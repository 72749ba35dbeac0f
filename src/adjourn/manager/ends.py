"""Hears of the ends of jobs that somebody in this process waits for, over one connection."""

from __future__ import annotations

import logging
import math
import threading
import time

from adjourn import sql
from adjourn._runtime import forks
from adjourn._runtime.ends import Ends
from adjourn._sync.connectors.contract import SyncSession
from adjourn.manager.source import ConnectorSource

logger: logging.Logger = logging.getLogger("adjourn.waits")

LINGER = 10.0
"""Seconds for which the connection is kept when nobody waits any more."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between the first two tries to connect, and the most between any two."""
LISTENING: tuple[float, ...] = (1.0, 2.0, 4.0, 5.0)
"""Seconds between looks, of a thread that hears notifications; the last goes on."""
POLLING: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
"""Seconds between looks, of one that does not."""
PAGE = 10_000
"""Of so many jobs one statement looks which have ended."""
UNWAKEABLE_WAIT = 0.25
"""Seconds of one wait for notifications on a session that nothing can wake."""


class EndsListener(Ends):
    """The waits of one app, and a thread that tells them of ends while there are any.

    The thread listens on a connection of its own. In case that a notification is lost, or cannot come, it looks now and
    then, with one statement for all jobs that somebody waits for.

    Parameters
    ----------
    connector
        Opens the connection.
    schema
        The database schema that holds adjourn's tables.
    """

    longest_turn: float = math.inf

    def __init__(self, connector: ConnectorSource, schema: str) -> None:
        super().__init__()
        self._connector = connector
        self._schema = schema
        self._net = Net()
        self._idle_since = -math.inf
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._session: SyncSession | None = None

    def attend(self) -> None:
        """Have a thread listen, and look soon."""
        with self.lock:
            self._idle_since = time.monotonic()
            self._net.spread(time.monotonic())
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="adjourn-waits", daemon=True)
                thread.start()  # this fails if the process can have no more threads now
                self._thread = thread
            else:
                self._wake_thread()

    def dismiss(self) -> bool:
        """Have the thread end as soon as nobody waits, and return whether it has ended."""
        with self.lock:
            self._idle_since = -math.inf
            self._wake_thread()
            return self._thread is None

    def renew_locks(self) -> None:
        """Forget the waits, the thread and the connection of the parent in a forked child."""
        super().renew_locks()
        self._woken = threading.Event()
        if self._session is not None:
            forks.keep_for_ever(self._session)
        self._thread = self._session = None

    def _wake_thread(self) -> None:
        self._woken.set()
        if self._session is not None:
            self._session.wake()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._has_ended():
            try:
                self._converse()
                pause = FIRST_PAUSE
            except Exception as error:  # a thread that ended here would leave its callers alone
                logger.warning(
                    "Cannot hear of jobs that end (%s: %s); trying again in %g seconds",
                    type(error).__name__,
                    error,
                    pause,
                    extra={"action": "wait_failed"},
                )
                self._woken.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _has_ended(self) -> bool:
        """End this thread if nobody wants it any more, and return whether it has ended."""
        with self.lock:
            if not self._is_wanted():
                self._thread = None
            return self._thread is None

    def _is_wanted(self) -> bool:
        """Return whether somebody waits, or may do so soon."""
        with self.lock:
            self._woken.clear()
            return bool(self._waits) or time.monotonic() < self._idle_since + LINGER

    def _converse(self) -> None:
        session = self._connector.get_sync_connector().session()
        try:
            with self.lock:
                self._session = session
            if session.can_listen:
                session.listen(sql.ends_channel(self._schema))
            # Jobs may have ended before this thread listened.
            self._look(session)
            while self._is_wanted():
                self._wait(session)
                if self._net.is_due(time.monotonic()):
                    self._look(session)
        finally:
            with self.lock:
                self._session = None
            session.close()

    def _wait(self, session: SyncSession) -> None:
        """Wait until it is time to look, and tell meanwhile of ends."""
        with self.lock:
            until = self._net.due_at if self._waits else self._idle_since + LINGER
        left = max(until - time.monotonic(), 0.0)
        if not session.can_listen:
            self._woken.wait(left)
        elif not self._woken.is_set():
            payloads = session.wait_for_notifications(left if session.is_wakeable else min(left, UNWAKEABLE_WAIT))
            self.tell(int(id_) for payload in payloads for id_ in payload.split())

    def _look(self, session: SyncSession) -> None:
        """Look which of the jobs that somebody waits for have ended, and mark those that are not marked yet."""
        expected, statement = self.expected(), sql.statements(self._schema)["watch_jobs"]
        for start in range(0, len(expected), PAGE):
            rows = session.execute(statement, {"ids": expected[start : start + PAGE]})
            self.tell(row["id"] for row in rows if row["has_ended"])
        self._net.cast(time.monotonic(), session.can_listen)


class Net:
    """Says when to look, in case that notifications are lost: soon after a wait has begun, then more and more rarely.

    Attributes
    ----------
    due_at
        When to look next, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.due_at: float = math.inf
        self._pauses = LISTENING
        self._step = 0

    def spread(self, now: float) -> None:
        """Begin anew: somebody waits for something else."""
        self._step = 0
        self.due_at = min(self.due_at, now + self._pauses[0])

    def cast(self, now: float, is_listening: bool) -> None:
        """Note that somebody has looked."""
        self._pauses = LISTENING if is_listening else POLLING
        self.due_at = now + self._pauses[min(self._step, len(self._pauses) - 1)]
        self._step += 1

    def is_due(self, now: float) -> bool:
        """Return whether it is time to look."""
        return now >= self.due_at
