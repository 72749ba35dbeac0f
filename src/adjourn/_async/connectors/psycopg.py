"""The psycopg connector: statements on a pool's connections, and sessions on separate ones."""

from __future__ import annotations

import functools
import json
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._async.connectors.psycopg_session import (
    AsyncPsycopgSession,
    given_run_async,
    greeted_async,
    looked_at_async,
    run_on_async,
)
from adjourn._domain.callings import APP, connection_name
from adjourn._domain.checks import function_or
from adjourn._drivers.connections import is_of_sqlalchemy
from adjourn._drivers.libpq import LASTING, NAME
from adjourn._drivers.psycopg import options as driver
from adjourn._drivers.psycopg.private import kept_up
from adjourn._drivers.settings import ENCODING
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT, Wait, seconds_for, watchdog
from adjourn._drivers.wrappers import unwrapped
from adjourn._runtime import aio as runtime
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement


class AsyncPsycopgHalf(AsyncPooledHalf[AsyncConnectionPool[Any]]):
    """Works with a `psycopg_pool.AsyncConnectionPool`.

    Parameters
    ----------
    conninfo
        A connection string or URL, or a function that returns one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    pool_factory
        The class of the pool, or a function with the arguments of `psycopg_pool.AsyncConnectionPool`.
    response_timeout
        Seconds that the server may take to answer, None for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between; None finds out.
    **options
        The pool's options (``min_size``, ``max_size``, ``timeout`` in seconds, ``configure``, ``kwargs``, ...), and
        the parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...). Connections are in
        autocommit mode unless ``kwargs`` says otherwise.

    Raises
    ------
    InvalidOption
        If neither the pool nor libpq knows an option.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], Any] = "",
        *,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        pool_factory: Callable[..., AsyncConnectionPool[Any]] = AsyncConnectionPool,
        response_timeout: float | None = RESPONSE_TIMEOUT,
        pooler: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.response_timeout = response_timeout
        self.json_dumps: JSONDumps = function_or("json_dumps", json_dumps, json.dumps)
        self.json_loads: JSONLoads = function_or("json_loads", json_loads, json.loads)
        self.pool_factory = pool_factory
        self.options: driver.PsycopgOptions = driver.sorted_options(
            conninfo,
            options,
            pool_factory,
            response_timeout=response_timeout,
            pooler=pooler,
            is_blocking=runtime.IS_BLOCKING,
        )
        self._made: weakref.WeakSet[AsyncConnection[Any]] = weakref.WeakSet()
        # Whether the user's own pool goes through a pooler, as long as that is not known: None.
        self._is_pooled: bool | None = None

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for running calls."""
        opened = self._opened
        return opened.pool.timeout if opened is not None else self.options.timeout

    async def make_pool_async(self) -> AsyncConnectionPool[Any]:
        """Make a pool that is connected."""
        options = self.options
        # The pool retries in the background and does not report why it fails, so connect once first, to get the reason.
        connection = await self._connect_async(options, self._configure_async, **ENCODING, **{NAME: APP})
        await connection.close()
        arguments = self._arguments_async if callable(options.connection) else await self._arguments_async()
        conninfo = self._conninfo_async if callable(options.conninfo) else await self._conninfo_async()
        callbacks = {
            name: functools.partial(self._watched_async, options.pool[name])
            for name in ("check", "reset")
            if options.pool.get(name)
        }
        own = {"open": False, "kwargs": arguments, "configure": self._configure_async}
        pool: AsyncConnectionPool[Any] = kept_up(self.pool_factory)(conninfo, **{**options.pool, **callbacks, **own})
        try:
            await pool.open(wait=True, timeout=self.timeout)
        except PoolTimeout:
            place = driver.whereabouts(options.conninfo, options.connection)
            raise exceptions.ConnectorException(
                f"The pool did not get its {pool.min_size} connections (min_size) to PostgreSQL ({place}) within "
                f"{self.timeout:g} seconds, although one can be made. Check the limits of the server, the database "
                "and the user, and that `configure` works."
            ) from None
        except BaseException:
            await pool.close()
            raise
        return pool

    async def close_pool_async(self, pool: AsyncConnectionPool[Any]) -> None:
        """Close a pool that was made here."""
        await pool.close()

    def discard_pool(self, pool: AsyncConnectionPool[Any]) -> None:
        """Close the connections of a pool with libpq, without waiting."""
        self.discard_unfinished()

    def discard_unfinished(self) -> None:
        """Close the connections of a pool whose opening or closing was cut off."""
        for connection in list(self._made):
            connection.pgconn.finish()

    def renew_locks(self) -> None:
        """Replace the locks in a forked child, and forget the connections made so far, which belong to the parent."""
        super().renew_locks()
        self._made = weakref.WeakSet()

    def accept_pool(self, pool: Any) -> AsyncConnectionPool[Any]:
        """Check the user's own pool."""
        wanted = AsyncConnectionPool.__name__
        if not isinstance(pool, AsyncConnectionPool):
            raise exceptions.InvalidOption(
                f"This app is opened with a psycopg_pool.{wanted}, not with an instance of {type(pool).__name__}. "
                "Pass one, or nothing to have it made."
            )
        if pool.closed:
            raise exceptions.InvalidOption(f"The {wanted} is not open. Open it before the app, and close it after.")
        self._is_pooled = None
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
            The caller's own `psycopg.AsyncConnection`, or a connection or session of SQLAlchemy's on psycopg. The
            statement becomes part of the transaction that is open on it; a session is flushed first. As with any other
            statement, an error ends that transaction unless a savepoint was made before. The connector need not be open.

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
            if is_of_sqlalchemy(connection, is_blocking=runtime.IS_BLOCKING):
                from adjourn._drivers.sqlalchemy import joined

                given = joined.resolved(connection)
                return await runtime.guarded(joined.run_async, given, ("psycopg",), statement, parameters)
            given = checked_connection(connection)
            return await runtime.guarded(given_run_async, given, statement, parameters)
        return await runtime.guarded(self.execute_pooled_async, statement, parameters)

    async def session_async(self) -> AsyncSession:
        """Open another connection beside the pool, with its parameters, for the caller alone.

        The connector need not be open. The connection is in autocommit mode, and prepares every statement when it is
        used for the second time, unless ``kwargs`` has a ``prepare_threshold`` or there is a pooler in between.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """
        options = self.options
        if self.is_external:
            options = driver.options_of_pool(self.pool, options.response_timeout, options.pooler)
        connected: list[AsyncConnection[Any]] = []
        can_listen = True

        async def configure_async(connection: AsyncConnection[Any]) -> None:
            nonlocal can_listen
            can_listen = not await greeted_async(connection, options, lasting=True)
            if configure := options.pool.get("configure"):
                await configure(connection)

        async def connect_async() -> None:
            named = {NAME: connection_name()}
            connected.append(await self._connect_async(options, configure_async, **driver.SESSION_DEFAULTS, **named))

        try:
            await runtime.guarded(connect_async)
        except BaseException:
            # A cancellation may arrive just after the connection was made.
            for connection in connected:
                await runtime.uninterrupted(connection.close)
            raise
        return AsyncPsycopgSession(connected[0], can_listen, options.response_timeout)

    async def run_pooled_async(
        self, pool: AsyncConnectionPool[Any], wait: Wait, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute one statement on a connection of the pool, committed on return."""
        with driver.translating():
            connection = await checked_out_async(pool, wait)
            run_async = self._run_external_async if self.is_external else run_on_async
            try:
                if connection.autocommit:
                    return await run_async(connection, statement, parameters)
                async with connection:
                    return await run_async(connection, statement, parameters)
            except psycopg.Error as error:
                wait.judge(error.sqlstate)
                raise
            finally:
                await pool.putconn(connection)

    async def distrust_async(self, pool: AsyncConnectionPool[Any]) -> None:
        """Throw the pool's connections away, those in use when they come back."""
        # Before psycopg_pool 3.3 each goes when a call of its own has failed on it.
        if hasattr(pool, "drain"):
            await pool.drain()

    async def _run_external_async(
        self, connection: AsyncConnection[Any], statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute a statement on a connection of the user's own pool, which is looked at once."""
        if self._is_pooled is None:
            self._is_pooled = await looked_at_async(connection, self.options.pooler)
        return await run_on_async(connection, statement, parameters, may_prepare=not self._is_pooled)

    async def _arguments_async(self) -> dict[str, Any]:
        given = self.options.connection
        arguments = given if isinstance(given, Mapping) else await runtime.answer(given)
        return {"autocommit": True, **arguments}

    async def _conninfo_async(self) -> str:
        """Return the connection string for the pool, with what the user has not said."""
        options = self.options
        conninfo = options.conninfo if isinstance(options.conninfo, str) else await runtime.answer(options.conninfo)
        given = options.connection if isinstance(options.connection, Mapping) else {}
        return make_conninfo(
            conninfo, **driver.unsaid_parameters(conninfo, given, options, {**ENCODING, **LASTING, NAME: APP})
        )

    async def _configure_async(self, connection: AsyncConnection[Any]) -> None:
        # Weak references, in case the pool can no longer close them.
        self._made.add(connection)
        await self._watched_async(self._greet_async, connection)

    async def _greet_async(self, connection: AsyncConnection[Any]) -> None:
        await greeted_async(connection, self.options, lasting=False)
        if configure := self.options.pool.get("configure"):
            await configure(connection)

    async def _watched_async(
        self, callback: Callable[[AsyncConnection[Any]], Any], connection: AsyncConnection[Any]
    ) -> None:
        """Call one of the pool's callbacks with a connection, which is given up if the server does not answer."""
        wait = watchdog.begin(seconds_for(self.response_timeout), runtime.this_task())
        wait.on(connection)
        try:
            await callback(connection)
        except psycopg.Error as error:
            if wait.is_given_up:
                raise wait.error() from error
            raise
        finally:
            wait.end()

    async def _connect_async(
        self, options: driver.PsycopgOptions, configure: Callable[[AsyncConnection[Any]], Any], **defaults: Any
    ) -> AsyncConnection[Any]:
        """Connect once, in autocommit mode, within the pool's ``timeout`` in seconds."""
        with driver.translating():
            conninfo: str = (
                options.conninfo if isinstance(options.conninfo, str) else await runtime.answer(options.conninfo)
            )
            given = options.connection
            given = given if isinstance(given, Mapping) else await runtime.answer(given)
            unsaid = driver.unsaid_parameters(conninfo, given, options, {**LASTING, **defaults})
        arguments = {**unsaid, **given, "autocommit": True}
        connection_class = options.pool.get("connection_class", AsyncConnection)
        with driver.translating(driver.whereabouts(conninfo, given)):
            connection: AsyncConnection[Any] = await connection_class.connect(conninfo, **arguments)
        try:
            with driver.translating():
                await self._watched_async(configure, connection)
        except BaseException:
            await connection.close()
            raise
        return connection


async def checked_out_async(pool: AsyncConnectionPool[Any], wait: Wait) -> AsyncConnection[Any]:
    """Take a working connection out of the pool; the caller must put it back.

    Asking the server each time would double the cost of a statement. If the server is gone, the connection can read the
    end of the stream. So this asks the server only if there is something to read.
    """
    connection: AsyncConnection[Any] = await pool.getconn()
    wait.on(connection)
    if is_quiet(connection):
        return connection
    deadline = time.monotonic() + pool.timeout
    while True:
        try:
            await pool.check_connection(connection)
        except psycopg.Error:
            # The pool replaces a broken connection that comes back.
            await pool.putconn(connection)
        except BaseException:
            await pool.putconn(connection)
            raise
        else:
            return connection
        connection = await pool.getconn(timeout=deadline - time.monotonic())
        wait.on(connection)
        if is_quiet(connection):
            return connection


def is_quiet(connection: AsyncConnection[Any]) -> bool:
    """Return whether nothing has arrived at a connection since its last use."""
    try:
        return not driver.readable(connection.fileno())
    except psycopg.Error:
        return False


def checked_connection(connection: Any) -> AsyncConnection[Any]:
    """Check the connection that a caller has passed.

    Raises
    ------
    InvalidConnection
        If it is of another kind.
    """
    # A framework's connection belongs to one thread, so only calls from that thread can use it.
    if runtime.IS_BLOCKING:
        connection = unwrapped(connection)
    if isinstance(connection, AsyncConnection):
        return connection
    wanted, kind = AsyncConnection.__name__, type(connection)
    raise exceptions.InvalidConnection(
        f"This call takes a psycopg.{wanted} as `connection`, not an instance of "
        f"{kind.__module__}.{kind.__qualname__}. " + driver.other_colour(connection, is_blocking=runtime.IS_BLOCKING)
    )
