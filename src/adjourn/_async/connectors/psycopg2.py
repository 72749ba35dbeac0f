"""The psycopg2 connector. psycopg2 blocks, so it is only called where blocking is allowed."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._domain.callings import connection_name
from adjourn._domain.checks import function_or
from adjourn._drivers.connections import is_of_sqlalchemy
from adjourn._drivers.psycopg2 import options as driver
from adjourn._drivers.psycopg2 import pools
from adjourn._drivers.psycopg2.calls import Call
from adjourn._drivers.psycopg2.options import ThreadedConnectionPool
from adjourn._drivers.settings import check_can_listen
from adjourn._drivers.sockets import hang_up
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT, Wait, answered, seconds_for, watchdog
from adjourn._drivers.wrappers import unwrapped
from adjourn._runtime import aio as runtime
from adjourn._runtime import forks
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

T = TypeVar("T")


class AsyncPsycopg2Half(AsyncPooledHalf[ThreadedConnectionPool]):
    """Works with a `psycopg2.pool.ThreadedConnectionPool`. When all connections are in use, calls wait in order.

    Parameters
    ----------
    dsn
        A connection string or URL.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer, None for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between; None finds out.
    **options
        ``minconn`` (1 by default) and ``maxconn`` (10 by default), the numbers of connections; ``timeout``, the
        seconds to wait for one (30 by default); ``connection_factory`` and ``cursor_factory`` of psycopg2; and the
        parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...). Connections are in
        autocommit mode.

    Raises
    ------
    InvalidOption
        If an option is unknown.
    """

    def __init__(
        self,
        dsn: str = "",
        *,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        response_timeout: float | None = RESPONSE_TIMEOUT,
        pooler: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.response_timeout = response_timeout
        self.json_dumps: JSONDumps = function_or("json_dumps", json_dumps, json.dumps)
        self.json_loads: JSONLoads = function_or("json_loads", json_loads, json.loads)
        self.options: driver.Psycopg2Options = driver.sorted_options(
            dsn, options, response_timeout=response_timeout, pooler=pooler, is_blocking=runtime.IS_BLOCKING
        )
        self._turns = runtime.Turns(self.options.maxconn)

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for running calls."""
        return self.options.timeout

    async def make_pool_async(self) -> ThreadedConnectionPool:
        """Make a pool that is connected."""
        call = Call[ThreadedConnectionPool](lambda _: pools.opened(self.options), undo=pools.close)
        pool = await made_async(call)
        self._turns = runtime.Turns(pool.maxconn)
        return pool

    async def close_pool_async(self, pool: ThreadedConnectionPool) -> None:
        """Close a pool that was made here."""
        await runtime.run_sync(pool.closeall)

    def discard_pool(self, pool: ThreadedConnectionPool) -> None:
        """Close the unused connections of a pool; the others are closed when they are given back."""
        pool.closeall()

    def accept_pool(self, pool: Any) -> ThreadedConnectionPool:
        """Check the user's own pool."""
        if not isinstance(pool, ThreadedConnectionPool):
            raise exceptions.InvalidOption(
                f"This app is opened with a psycopg2.pool.ThreadedConnectionPool, not with an instance of "
                f"{type(pool).__name__}. Pass one, or nothing to have it made."
            )
        if pool.closed:
            raise exceptions.InvalidOption(
                "The ThreadedConnectionPool is closed. Make a new one, and close it after the app."
            )
        self._turns = runtime.Turns(pool.maxconn)
        return pool

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``; None sends the text as it is.
        connection
            The caller's own psycopg2 connection, or a connection or session of SQLAlchemy's on psycopg2, which blocks.
            The statement becomes part of the transaction that is open on it; a session is flushed first. As with any
            other statement, an error ends that transaction unless a savepoint was made before. The connector need not be
            open.

        Raises
        ------
        AppNotOpen
            If the connector is not open and no ``connection`` was given.
        InvalidConnection
            If ``connection`` is of another kind.
        UniqueViolation
            If a unique constraint was violated.
        ConnectorException
            For any other error of the database or of the connection to it.
        """
        if connection is not None:
            if is_of_sqlalchemy(connection, is_blocking=True):
                from adjourn._drivers.sqlalchemy import joined

                run = functools.partial(joined.run, joined.resolved(connection), ("psycopg2",), statement, parameters)
                return await runtime.guarded(runtime.run_sync, run)
            # A framework's connection belongs to one thread, so only calls from that thread can use it.
            is_blocking = runtime.IS_BLOCKING
            given = driver.checked_connection(
                unwrapped(connection) if is_blocking else connection, is_blocking=is_blocking
            )
            with answered(given, statement, runtime.this_task()):
                return await on_async(given, driver.run, statement, parameters, is_owner=False)
        return await runtime.guarded(self.execute_pooled_async, statement, parameters)

    async def session_async(self) -> AsyncSession:
        """Open another connection beside the pool, with its parameters, for the caller alone.

        The connector need not be open. The connection is in autocommit mode.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """
        options = self.options
        if self.is_external:
            options = driver.options_of_pool(self.pool, self.timeout, self.response_timeout, self.options.pooler)
        return await connected_session_async(options)

    async def run_pooled_async(
        self, pool: ThreadedConnectionPool, wait: Wait, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute one statement on a connection of the pool, committed on return."""
        body = functools.partial(driver.run_committed, statement=statement, parameters=parameters)
        deadline = time.monotonic() + self.timeout
        turns = self._turns
        if not await turns.take(self.timeout):
            raise pools.exhausted(pool, self.timeout)
        try:
            left = deadline - time.monotonic()
            call = Call[list[Row]](lambda call: pools.on_connection(call, pool, left, wait, body))
            return await made_async(call)
        finally:
            turns.give()

    async def distrust_async(self, pool: ThreadedConnectionPool) -> None:
        """Throw the pool's connections away, those in use when they come back."""
        pools.distrust(pool)


class AsyncPsycopg2Session(AsyncSession):
    """A psycopg2 connection that belongs to its caller alone."""

    is_wakeable = True

    def __init__(
        self,
        connection: driver.Connection,
        can_listen: bool = True,
        response_timeout: float | None = RESPONSE_TIMEOUT,
    ) -> None:
        self.connection = connection
        self.can_listen = can_listen
        self.response_timeout = response_timeout
        self._waker = runtime.Waker()
        self._process = os.getpid()
        self._waiting = runtime.Lock()

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        wait = watchdog.begin(seconds_for(self.response_timeout, statement), runtime.this_task())
        run = functools.partial(driver.run_watched, wait)
        try:
            return await on_async(self.connection, run, statement, parameters, is_owner=True)
        except exceptions.ConnectorException as error:
            if wait.is_given_up:
                raise wait.error() from error
            wait.judge(error.sqlstate)
            raise
        finally:
            wait.end()

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""
        check_can_listen(self.can_listen)
        with driver.translating():
            text = f"LISTEN {driver.quote_ident(channel, self.connection)}"
        await self.execute_async(Statement("listen", text))

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait until a notification arrives and return the payloads of those that are there.

        Those that arrived while a statement was executed are not lost: psycopg2 keeps them for the next wait.

        Parameters
        ----------
        timeout
            Seconds to wait at most; if nothing arrives, an empty list is returned.
        """
        return await runtime.guarded(self._wait_async, timeout)

    async def _wait_async(self, timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        async with self._waiting:
            while not (arrived := driver.notifications(self.connection)):
                left = deadline - time.monotonic()
                if left <= 0 or not await self._waker.readable(self.connection.fileno(), left):
                    break
            return arrived

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self._waker.set()

    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time."""
        if self._process == os.getpid():  # a forked child shares the parent's socket
            hang_up(self.connection)

    async def close_async(self) -> None:
        """Close the connection. Closing twice does nothing."""
        if self._process != os.getpid():
            # The parent uses the same socket, and closing would end its session.
            forks.keep(self.connection)
            return
        if self._waiting.locked():
            hang_up(self.connection)
        await runtime.uninterrupted(self._close_async)

    async def _close_async(self) -> None:
        # Closing a socket does not wake a call that waits for it, so let that call end first.
        async with self._waiting:
            self._waker.close()
            await runtime.run_sync(self.connection.close)


async def connected_session_async(options: driver.Psycopg2Options) -> AsyncPsycopg2Session:
    """Connect for one caller alone."""
    name = connection_name()  # here, because a thread of its own connects
    call = Call[tuple[driver.Connection, bool]](
        lambda _: driver.connected_for_session(options, name), undo=lambda made: made[0].close()
    )
    connection, can_listen = await runtime.guarded(made_async, call)
    return AsyncPsycopg2Session(connection, can_listen, options.response_timeout)


async def on_async(connection: driver.Connection, run: Callable[..., T], *arguments: Any, is_owner: bool) -> T:
    """Call ``run`` with a connection; its errors become adjourn's.

    Parameters
    ----------
    is_owner
        Whether the connection may be broken if the call is cancelled and the server does not answer: it is not the caller's.
    """

    def body(call: Call[T]) -> T:
        with driver.translating(is_callers=not is_owner), call.holding(connection):
            return run(connection, *arguments)

    return await runtime.guarded(made_async, Call(body, is_owner=is_owner))


async def made_async(call: Call[T]) -> T:
    """Make a call that blocks, and abandon it if this one is cancelled."""
    try:
        return await runtime.run_sync(call.run)
    except GeneratorExit:
        # Nothing will run this any more, so it is being destroyed and cannot wait for anything.
        call.let_go()
        raise
    except BaseException:
        if not call.has_ended:
            await runtime.uninterrupted(given_up_async, call)
        raise


async def given_up_async(call: Call[Any]) -> None:
    """End a call that no caller waits for any more."""
    await runtime.run_sync(call.give_up)
