"""A pool of psycopg2 connections in which a caller waits for a free one; psycopg2's own pool fails at once."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg2
from psycopg2.pool import PoolError, ThreadedConnectionPool

from adjourn import exceptions
from adjourn._drivers.psycopg2 import options as driver
from adjourn._drivers.psycopg2.calls import Call
from adjourn._drivers.psycopg2.private import Pool, arguments_of, unused_connections
from adjourn._drivers.settings import check_encoding
from adjourn._drivers.sockets import hang_up
from adjourn._drivers.watchdog import Wait

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


def opened(options: driver.Psycopg2Options) -> Pool:
    """Make a pool that is connected.

    Raises
    ------
    ConnectorException
        If the database cannot be reached.
    """
    return Pool(functools.partial(driver.connected, options), options.connection, options.minconn, options.maxconn)


def on_connection(
    call: Call[T], pool: ThreadedConnectionPool, timeout: float, wait: Wait, body: Callable[[driver.Connection], T]
) -> T:
    """Call ``body`` with a connection of a pool, after waiting at most ``timeout`` seconds for one.

    Raises
    ------
    ConnectorException
        If no connection is free in time, or for any error of the database.
    """
    connection = checked_out(call, pool, timeout)
    wait.on(connection)
    try:
        with driver.translating(), call.holding(connection):
            return body(connection)
    except exceptions.ConnectorException as error:
        wait.judge(error.sqlstate)
        raise
    finally:
        put_back(pool, connection)


def checked_out(call: Call[Any], pool: ThreadedConnectionPool, timeout: float) -> driver.Connection:
    """Take a working connection out of a pool; the caller must put it back.

    The program may use its own pool elsewhere, and the pool does not announce returned connections. So this polls.
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
            raise driver.unreachable(error, arguments_of(pool)) from error
        if driver.is_alive(connection):
            try:
                check_encoding(connection.get_parameter_status("server_encoding") or "")
            except BaseException:
                put_back(pool, connection)
                raise
            return connection
        put_back(pool, connection, close=True)


def put_back(pool: ThreadedConnectionPool, connection: driver.Connection, close: bool = False) -> None:
    """Give a connection back to its pool; if the pool cannot use it any more, close it."""
    try:
        pool.putconn(connection, close=close)
    except psycopg2.Error:
        with contextlib.suppress(psycopg2.Error):
            connection.close()


def distrust(pool: ThreadedConnectionPool) -> None:
    """Throw a pool's connections away, those in use when they come back; of a user's pool only the unused ones."""
    if isinstance(pool, Pool):
        pool.distrust()
    else:
        for connection in unused_connections(pool):
            hang_up(connection)


def exhausted(pool: ThreadedConnectionPool, timeout: float) -> exceptions.ConnectorException:
    """Return the error for a pool in which no connection became free in time."""
    return exceptions.ConnectorException(
        f"All connections of the pool (maxconn={pool.maxconn}) were in use for {timeout:g} seconds. Raise maxconn or "
        "timeout, or hold connections for a shorter time."
    )


def close(pool: ThreadedConnectionPool) -> None:
    """Close a pool."""
    pool.closeall()
