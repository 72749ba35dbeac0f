"""Who is connected to the database."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

import psycopg
from psycopg.pq import TransactionStatus

from support.waiting import until

OTHER_SESSIONS = "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
# In this database alone: the servers' `pg_locks` also has what other tests' processes wait for, in databases of their own.
BLOCKED = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
AT_WORK = f"FROM pg_stat_activity WHERE {OTHER_SESSIONS} AND state = 'active' AND query = %s"


def recover(connection: psycopg.Connection) -> None:
    """Have a connection serve the next test though a time limit has interrupted a test during a statement of its."""
    if connection.info.transaction_status is TransactionStatus.ACTIVE:
        connection.cancel_safe(timeout=10)
        while connection.pgconn.get_result() is not None:
            pass
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        connection.execute("ROLLBACK", prepare=False)


@dataclass
class Sessions:
    """Counts who is connected to this worker's database, the tests' own observer excepted."""

    observer: psycopg.Connection

    def count(self) -> int:
        """How many sessions there are now."""
        row = self.observer.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {OTHER_SESSIONS}").fetchone()
        assert row is not None
        return int(row[0])

    def steady(self, timeout: float = 5.0) -> int:
        """Wait until the number has not changed for a quarter of a second, at most ``timeout`` seconds, and return it.

        A session ends a moment after its client has closed it, and a pool may close what it does not keep.
        """
        deadline = time.monotonic() + timeout
        found, since = self.count(), time.monotonic()
        while time.monotonic() < min(since + 0.25, deadline):
            time.sleep(0.02)
            if (now := self.count()) != found:
                found, since = now, time.monotonic()
        return found

    def wait_for(self, query: str) -> None:
        """Wait until a session is at work on this query, to the letter."""
        until(lambda: self.observer.execute(f"SELECT 1 {AT_WORK}", [query]).fetchone())

    def cancel(self, query: str) -> None:
        """Cancel this query in every session that is at work on it."""
        self.observer.execute(f"SELECT pg_cancel_backend(pid) {AT_WORK}", [query])

    def settle(self, expected: int, timeout: float = 5.0) -> int:
        """Wait until there are as many as expected, at most so many seconds; how many there are then.

        A session ends a moment after its client has closed it, so tests say
        ``assert sessions.settle(2) == 2``.
        """
        deadline = time.monotonic() + timeout
        while (found := self.count()) != expected and time.monotonic() < deadline:
            # What an earlier test on purpose left to the garbage collector is not this one's.
            gc.collect()
            time.sleep(0.01)
        if found > expected:
            # Shown with the test that fails: whose they are, and since when they do nothing.
            left = "SELECT application_name, backend_start, state, state_change, query FROM pg_stat_activity"
            for row in self.observer.execute(f"{left} WHERE {OTHER_SESSIONS}").fetchall():
                print("still connected:", *row)
        return found
