"""The SQLAlchemy connector: statements on the connections of an engine, which may be the application's own.

Statements are sent as text, with ``exec_driver_sql``. SQLAlchemy begins its transaction there, so that a statement on
the caller's own connection is part of that transaction with every driver. Sessions are psycopg connections beside the
engine's pool, made with the engine's address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from adjourn import exceptions
from adjourn._async.connectors import psycopg as psycopg_half
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._async.connectors.psycopg_session import given_run_async
from adjourn._domain.checks import function_or
from adjourn._drivers.connections import is_of_sqlalchemy
from adjourn._drivers.psycopg import options as libpq
from adjourn._drivers.settings import check_pooler
from adjourn._drivers.sqlalchemy import engines as driver
from adjourn._drivers.sqlalchemy import joined
from adjourn._drivers.sqlalchemy import names_async as names
from adjourn._drivers.sqlalchemy.connecting import Connecting
from adjourn._drivers.sqlalchemy.libpq import connection_arguments
from adjourn._drivers.sqlalchemy.names_async import AsyncConnection, AsyncEngine
from adjourn._drivers.sqlalchemy.private import invalidate_all
from adjourn._drivers.sqlalchemy.sessions import always_prepares, greets
from adjourn._drivers.watchdog import (
    CANCELLATION,
    DOUBTFUL,
    RESPONSE_TIMEOUT,
    Wait,
    check_response_timeout,
    seconds_for,
    watchdog,
)
from adjourn._runtime import aio as runtime
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement


class AsyncSQLAlchemyHalf(AsyncPooledHalf[AsyncEngine]):
    """Works with a SQLAlchemy `AsyncEngine`: the application's, or one that the connector makes.

    Parameters
    ----------
    name
        The connector's name, for messages.
    drivers
        The drivers that ``dsn`` may name; the first is the default.
    dsn
        The address for the engine that the connector makes if it is opened without one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer, None for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between; None finds out.
    **options
        The options of SQLAlchemy's function that makes such an engine (``pool_size``, ``max_overflow``,
        ``pool_timeout`` in seconds, ``connect_args``, ``echo``, ...).

    Raises
    ------
    InvalidOption
        If the address is for another driver, or SQLAlchemy does not know an option.
    """

    def __init__(
        self,
        name: str = "SQLAlchemyConnector",
        drivers: Sequence[str] = names.drivers_async,
        /,
        *,
        dsn: str | URL = "postgresql://",
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        response_timeout: float | None = RESPONSE_TIMEOUT,
        pooler: bool | None = None,
        **options: Any,
    ) -> None:
        self._made: driver.Made | None = None
        super().__init__()
        check_response_timeout(name, response_timeout)
        self.response_timeout = response_timeout
        self.json_dumps: JSONDumps = function_or("json_dumps", json_dumps, json.dumps)
        self.json_loads: JSONLoads = function_or("json_loads", json_loads, json.loads)
        self._name = name
        self.url: URL = driver.address(name, dsn, drivers)
        self.options = options
        check_pooler(name, pooler)
        self._pooler = pooler
        # Made now, so that SQLAlchemy refuses unknown options at once. It does not connect yet.
        self._make_engine()

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for running calls."""
        opened = self._opened
        return driver.timeout_of(opened.pool.pool) if opened is not None else driver.pool_timeout(self.options)

    def _make_engine(self, connecting: Connecting | None = None, *, may_prepare: bool = True) -> AsyncEngine:
        engine: AsyncEngine = driver.make_engine(
            self._name,
            names.create_engine_async,
            self.url,
            self.options,
            self.response_timeout,
            connecting,
            may_prepare=may_prepare,
        )
        greets(engine, self._pooler, self._place(), driver.pool_timeout(self.options))
        return engine

    async def make_pool_async(self) -> AsyncEngine:
        """Make an engine, and have it connect once."""
        may_prepare = self._pooler is not True
        is_to_probe = self._pooler is None and always_prepares(self.url.get_driver_name())
        engine, is_behind = await self._connected_engine_async(may_prepare=may_prepare and not is_to_probe)
        if is_to_probe and not is_behind:
            await self.close_pool_async(engine)
            engine, _ = await self._connected_engine_async(may_prepare=True)
        return engine

    async def _connected_engine_async(self, *, may_prepare: bool) -> tuple[AsyncEngine, bool]:
        """Return an engine that has connected once, and whether it goes through a pooler."""
        connecting = names.connecting_async(self.url)
        engine = self._make_engine(connecting, may_prepare=may_prepare)
        self._made = driver.Made(engine, connecting)
        wait = watchdog.begin(seconds_for(self.response_timeout), runtime.this_task())
        wait.lines = self._made.lines
        try:
            with driver.translating(place=self._place()):
                async with engine.connect() as connection:
                    return engine, await self._goes_through_pooler_async(connection)
        except BaseException as error:
            await self.close_pool_async(engine)
            if wait.is_given_up and isinstance(error, exceptions.ConnectorException):
                raise wait.error() from error
            raise
        finally:
            wait.end()

    async def _goes_through_pooler_async(self, connection: AsyncConnection) -> bool:
        return await names.goes_through_pooler_async(connection, self._pooler, self._place())

    async def close_pool_async(self, pool: AsyncEngine) -> None:
        """Dispose of an engine that was made here."""
        # Some drivers say goodbye to the server, and wait for its answer.
        lines = self._made.lines() if self._made is not None else []
        wait = watchdog.begin(CANCELLATION)
        wait.lines = lambda: lines
        try:
            await pool.dispose()
        finally:
            wait.end()

    def discard_pool(self, pool: AsyncEngine) -> None:
        """Close the connections of an engine without waiting."""
        self.discard_unfinished()

    def discard_unfinished(self) -> None:
        """Close the connections of an engine whose opening or closing was cut off."""
        if self._made is not None:
            self._made.finish()

    def renew_locks(self) -> None:
        """Replace the locks in a forked child, and forget the connections made so far, which belong to the parent."""
        super().renew_locks()
        if self._made is not None:
            self._made.keep_for_ever()
            self._made = None

    def accept_pool(self, pool: Any) -> AsyncEngine:
        """Check the user's own engine."""
        wanted, kind = AsyncEngine.__name__, type(pool)
        if not isinstance(pool, AsyncEngine):
            raise exceptions.InvalidOption(
                f"This call takes a SQLAlchemy {wanted}, not an instance of {kind.__module__}.{kind.__qualname__}. "
                + driver.other_engine(pool)
            )
        driver.check_dialect(pool.dialect, wanted)
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
            The values of its ``%(name)s``; None sends the text as it is. Text of several commands returns no rows if
            the driver returns none for it.
        connection
            A SQLAlchemy `AsyncConnection` or ORM session, which is flushed first: the statement becomes part of the
            transaction that is open on it, or begins one, as any other statement does. It may also be a connection of the driver itself, if the
            driver has one of this kind. The connector need not be open.

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
            # The guard runs the call in another task, where a scoped session may be another one.
            return await runtime.guarded(execute_given_async, joined.resolved(connection), statement, parameters)
        return await runtime.guarded(self.execute_pooled_async, statement, parameters)

    async def session_async(self) -> AsyncSession:
        """Open another connection beside the pool, for the caller alone.

        The connection is always psycopg's, with any driver of the engine. It uses the address of the engine in use, or
        else ``dsn``, and the ``connect_args`` of this connector, because SQLAlchemy does not reveal those of an engine
        that was made elsewhere. The connector need not be open.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        InvalidOption
            If a part of the address has no counterpart in libpq.
        """
        url = self.pool.url if self.is_external else self.url
        arguments = connection_arguments(url, self.options.get("connect_args"))
        half = psycopg_half.AsyncPsycopgHalf(
            kwargs=arguments, timeout=self.timeout, response_timeout=self.response_timeout, pooler=self._pooler
        )
        return await half.session_async()

    async def run_pooled_async(
        self, pool: AsyncEngine, wait: Wait, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute one statement on a connection of the engine's pool, committed on return."""
        with driver.translating():
            if self._made is not None:
                wait.lines = self._made.lines
            connection = await checked_out_async(pool, wait)
            try:
                is_behind = await self._goes_through_pooler_async(connection)
                if is_behind and always_prepares(connection.dialect.driver):
                    async with connection.begin():
                        return await names.run_async(connection, statement, parameters)
                connection = await names.committing_async(connection, is_own=not self.is_external)
                return await names.run_async(connection, statement, parameters, may_prepare=not is_behind)
            except Exception as error:
                if driver.sqlstate_of(driver.driver_error(error)) in DOUBTFUL:
                    await connection.invalidate()
                raise
            finally:
                await self._given_back_async(connection)

    async def distrust_async(self, pool: AsyncEngine) -> None:
        """Throw the pool's connections away, those in use when they come back."""
        invalidate_all(pool.pool)

    async def _given_back_async(self, connection: AsyncConnection) -> None:
        try:
            await runtime.uninterrupted(connection.close)
        except GeneratorExit:
            if self._made is not None:
                self._made.left_behind.append(connection)
            raise

    def _place(self) -> str:
        _, arguments = self.url.get_dialect()().create_connect_args(self.url)
        found = {**arguments, **(self.options.get("connect_args") or {})}
        return libpq.whereabouts("", {**found, "dbname": found.get("dbname", found.get("database"))})


async def execute_given_async(given: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute a statement on the caller's own connection."""
    if is_of_sqlalchemy(given, is_blocking=runtime.IS_BLOCKING):
        return await joined.run_async(given, joined.ALL_DRIVERS, statement, parameters)
    if isinstance(given, psycopg.AsyncConnection):
        return await given_run_async(given, statement, parameters)
    if names.is_drivers_own(given):
        return await names.run_on_drivers_own_async(given, statement, parameters)
    wanted, kind = AsyncConnection.__name__, type(given)
    raise exceptions.InvalidConnection(
        f"This call takes a SQLAlchemy {wanted} or ORM session as `connection`, not an instance of "
        f"{kind.__module__}.{kind.__qualname__}. " + driver.other_colour(given, is_blocking=runtime.IS_BLOCKING)
    )


async def checked_out_async(engine: AsyncEngine, wait: Wait) -> AsyncConnection:
    """Take a working connection out of the engine's pool.

    Asking the server each time (``pool_pre_ping``, which users may choose) would double the cost of a statement. If the
    server is gone, the connection can read the end of the stream. So this asks the server only if there is something to
    read. It never sends a statement twice.
    """
    connection = await engine.connect()
    wait.on(driver.line_of(connection))
    if driver.is_quiet(connection):
        return connection
    try:
        await connection.exec_driver_sql("SELECT 1")
        await connection.rollback()
    except DBAPIError:
        # SQLAlchemy then treats the whole pool as broken, and connects again.
        await connection.invalidate()
        await runtime.uninterrupted(connection.close)
        connection = await engine.connect()
        wait.on(driver.line_of(connection))
    except BaseException:
        await runtime.uninterrupted(connection.close)
        raise
    return connection
