"""All uses of private parts of psycopg2, as seen in 2.9.13.

* ``_pool``, ``_used``, ``_rused``, ``_lock``, ``_getconn`` and ``_getkey`` of a pool, with which `Pool` keeps connections
  that come back. Without these adjourn needs its own pool class.
* ``_pool`` and ``_lock`` of a user's pool, for its unused connections. Without these each connection to a server that
  does not answer, or takes no writes any more, costs a call of its own.
* ``_args`` and ``_kwargs`` of a user's pool: where it connects to. Without these a user's pool cannot be used, because
  a worker needs other connections to the same database.

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_UNKNOWN
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.pool import PoolError, ThreadedConnectionPool

LONGEST_IDLE = 60.0
"""Seconds for which an unused connection beyond `minconn` is kept."""


class Pool(ThreadedConnectionPool):
    """A pool whose connections commit each statement, and are kept for a while after use.

    psycopg2's own pool closes each connection beyond ``minconn`` after use, only to connect again a moment later, and
    admits no other caller while it connects.

    Parameters
    ----------
    connect
        Makes a connection.
    arguments
        The arguments of `psycopg2.connect`, kept to show where the pool connects to.
    minconn
        The number of connections that are kept even if they are not needed.
    maxconn
        The most connections.
    """

    _pool: list[Connection]
    _used: dict[Hashable, Connection | None]
    _rused: dict[int, Hashable]
    _lock: Any

    def __init__(
        self, connect: Callable[[], Connection], arguments: Mapping[str, Any], minconn: int, maxconn: int
    ) -> None:
        super().__init__(0, maxconn, **arguments)
        self.minconn = minconn
        self._connect_one = connect
        self._idle_since: dict[int, float] = {}
        self._trusted: weakref.WeakSet[Connection] = weakref.WeakSet()
        try:
            # Make at least one, to find out now whether the database can be reached.
            for _ in range(max(minconn, 1)):
                connection = connect()
                self._trusted.add(connection)
                self._keep(connection)
        except BaseException:
            self.closeall()
            raise

    def getconn(self, key: Hashable | None = None) -> Connection:
        """Take a connection out of the pool; make a new one if none is free and the pool may grow.

        Raises
        ------
        psycopg2.pool.PoolError
            If all are in use.
        """
        with self._lock:
            if self.closed or self._pool or key in self._used or len(self._used) >= self.maxconn:
                taken: Connection = self._getconn(key)  # type: ignore[attr-defined]  # private
                return taken
            if key is None:
                key = self._getkey()  # type: ignore[attr-defined]  # private
            self._used[key] = None  # reserve the place while the connection is made
        try:
            connection = self._connect_one()
        except BaseException:
            with self._lock:
                self._used.pop(key, None)
            raise
        with self._lock:
            self._used[key] = connection
            self._rused[id(connection)] = key
            self._trusted.add(connection)
        return connection

    def putconn(self, conn: Connection | None = None, key: Hashable | None = None, close: bool = False) -> None:
        """Give a connection back. If the pool has been closed in the meantime, close the connection."""
        if conn is None:
            raise PoolError("no connection given")
        is_sound = not close and _settled(conn)
        with self._lock:
            known = self._rused.pop(id(conn), key)
            if self._used.pop(known, None) is None and not self.closed:
                raise PoolError("this connection is not of this pool")
            is_kept = is_sound and not self.closed and conn in self._trusted
            if is_kept:
                self._keep(conn)
            surplus = self._take_surplus()
        for each in surplus if is_kept else [*surplus, conn]:
            each.close()

    def distrust(self) -> None:
        """Close every connection made so far: the unused ones now, the others when they are given back."""
        with self._lock:
            idle, self._pool = self._pool, []
            self._trusted.clear()
        for connection in idle:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def closeall(self) -> None:
        """Close every unused connection; the others are closed when they are given back."""
        with self._lock:
            self.closed = True
            idle, self._pool = self._pool, []
        for connection in idle:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    def _keep(self, connection: Connection) -> None:
        self._pool.append(connection)
        self._idle_since[id(connection)] = time.monotonic()

    def _take_surplus(self) -> list[Connection]:
        """Take out connections that were not needed for a while; the last one given back is the first used again."""
        surplus: list[Connection] = []
        too_long_ago = time.monotonic() - LONGEST_IDLE
        while self._pool and len(self._pool) + len(self._used) > self.minconn:
            if self._idle_since[id(self._pool[0])] > too_long_ago:
                break
            surplus.append(self._pool.pop(0))
        return surplus


def _settled(connection: Connection) -> bool:
    """End a transaction that was left open on a connection, and return whether the connection can be used again."""
    try:
        if connection.closed or connection.info.transaction_status == TRANSACTION_STATUS_UNKNOWN:
            return False
        if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
            connection.rollback()
            if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                # In autocommit mode psycopg2 does not notice a transaction that was begun with a statement.
                with connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
    except psycopg2.Error:
        return False
    return True


def unused_connections(pool: Any) -> list[Connection]:
    """Return the connections of a pool that nobody uses."""
    with pool._lock:
        return list(pool._pool)


def arguments_of(pool: Any) -> dict[str, Any]:
    """Return the arguments with which a pool makes its connections."""
    positional = dict(zip(("dsn", "connection_factory", "cursor_factory"), pool._args, strict=False))
    return {**positional, **pool._kwargs}
