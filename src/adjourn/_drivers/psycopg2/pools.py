"""Pools of psycopg2 connections under load: whoever finds none waits, where psycopg2's own would fail at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN
from psycopg2.pool import PoolError, ThreadedConnectionPool

from adjourn import exceptions
from adjourn._drivers.psycopg2 import options as driver
from adjourn._drivers.psycopg2.calls import Call

T = TypeVar("T")

LONGEST_IDLE = 60.0
"""Seconds for which a connection beyond `minconn` is kept that nobody uses."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


class Pool(ThreadedConnectionPool):
    """A pool whose connections commit each statement, and stay for a while when they come back.

    psycopg2's own closes each one beyond ``minconn`` when it comes back, only to connect again a moment later, and
    lets nobody in while it connects.
    """

    # psycopg2 has no other names for these.
    _pool: list[driver.Connection]
    _used: dict[Hashable, driver.Connection | None]
    _rused: dict[int, Hashable]
    _lock: Any

    def __init__(self, options: driver.Psycopg2Options) -> None:
        super().__init__(0, options.maxconn, **options.connection)
        self.minconn = options.minconn
        self._options = options
        self._idle_since: dict[int, float] = {}
        try:
            # One in any case, for whether the database can be reached is to be known by now.
            for _ in range(max(options.minconn, 1)):
                self._keep(driver.connected(options))
        except BaseException:
            self.closeall()
            raise

    def getconn(self, key: Hashable | None = None) -> driver.Connection:
        """Take a connection out of the pool, a new one if none is left and there may be more.

        Raises
        ------
        psycopg2.pool.PoolError
            If all are in use.
        """
        with self._lock:
            if self.closed or self._pool or key in self._used or len(self._used) >= self.maxconn:
                taken: driver.Connection = self._getconn(key)  # type: ignore[attr-defined]
                return taken
            if key is None:
                key = self._getkey()  # type: ignore[attr-defined]
            self._used[key] = None  # the place is taken while the connection is made
        try:
            connection = driver.connected(self._options)
        except BaseException:
            with self._lock:
                self._used.pop(key, None)
            raise
        with self._lock:
            self._used[key] = connection
            self._rused[id(connection)] = key
        return connection

    def putconn(self, conn: driver.Connection | None = None, key: Hashable | None = None, close: bool = False) -> None:
        """Give a connection back. In a pool that is closed by now it is closed too."""
        if conn is None:
            raise PoolError("no connection given")
        is_sound = not close and _settled(conn)
        with self._lock:
            known = self._rused.pop(id(conn), key)
            if self._used.pop(known, None) is None and not self.closed:
                raise PoolError("this connection is not of this pool")
            is_kept = is_sound and not self.closed
            if is_kept:
                self._keep(conn)
            surplus = self._take_surplus()
        for each in surplus if is_kept else [*surplus, conn]:
            each.close()

    def closeall(self) -> None:
        """Close every connection that nobody uses; the others are closed when they come back."""
        with self._lock:
            self.closed = True
            idle, self._pool = self._pool, []
        for connection in idle:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def _keep(self, connection: driver.Connection) -> None:
        self._pool.append(connection)
        self._idle_since[id(connection)] = time.monotonic()

    def _take_surplus(self) -> list[driver.Connection]:
        """Take out those that nobody has needed for a while: the last to come back is the first to be used."""
        surplus: list[driver.Connection] = []
        too_long_ago = time.monotonic() - LONGEST_IDLE
        while self._pool and len(self._pool) + len(self._used) > self.minconn:
            if self._idle_since[id(self._pool[0])] > too_long_ago:
                break
            surplus.append(self._pool.pop(0))
        return surplus


def _settled(connection: driver.Connection) -> bool:
    """End the transaction that is left open on a connection, and say whether the connection can be used again."""
    try:
        if connection.closed or connection.info.transaction_status == TRANSACTION_STATUS_UNKNOWN:
            return False
        if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
            connection.rollback()
            if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                # In autocommit mode psycopg2 knows nothing of a transaction that was begun by text.
                with connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
    except psycopg2.Error:
        return False
    return True


def on_connection(
    call: Call[T], pool: ThreadedConnectionPool, timeout: float, body: Callable[[driver.Connection], T]
) -> T:
    """Do something on a connection of a pool, and wait for one at most so many seconds.

    Raises
    ------
    ConnectorException
        If there is none in time, or for whatever the database had to say.
    """
    connection = checked_out(call, pool, timeout)
    try:
        with driver.translating(), call.holding(connection):
            return body(connection)
    finally:
        put_back(pool, connection)


def checked_out(call: Call[Any], pool: ThreadedConnectionPool, timeout: float) -> driver.Connection:
    """Take a connection that works out of a pool, which wants it back.

    Others may use the user's own pool as well, and it does not tell when one of them has given a connection back. So
    it is asked now and then.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        try:
            connection = pool.getconn()
        except PoolError as error:
            if pool.closed:
                raise exceptions.ConnectorException(
                    "The pool of psycopg2 connections was closed while the app was open. Close the app first."
                ) from error
            if time.monotonic() >= deadline:
                raise exhausted(pool, timeout) from error
            call.check()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        except psycopg2.Error as error:
            raise driver.unreachable(error, driver.options_of_pool(pool, timeout).connection) from error
        if driver.is_alive(connection):
            return connection
        put_back(pool, connection, close=True)


def put_back(pool: ThreadedConnectionPool, connection: driver.Connection, close: bool = False) -> None:
    """Give a connection back to its pool; one that the pool cannot use any more is closed."""
    try:
        pool.putconn(connection, close=close)
    except psycopg2.Error:
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def exhausted(pool: ThreadedConnectionPool, timeout: float) -> exceptions.ConnectorException:
    """Return the error for a connection that has not come in time."""
    return exceptions.ConnectorException(
        f"All connections of the pool (maxconn={pool.maxconn}) were in use for {timeout:g} seconds. Raise maxconn or "
        "timeout, or hold connections for a shorter time."
    )


def close(pool: ThreadedConnectionPool) -> None:
    """Close a pool."""
    pool.closeall()
