"""The asynchronous connector on a SQLAlchemy engine, and the synchronous twin that it summons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import sqlalchemy.pool
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from adjourn import exceptions
from adjourn._async.connectors import sqlalchemy as half
from adjourn._dispatch.dispatcher import SelectingConnector, SummonedConnector
from adjourn._drivers.psycopg.twin import counterpart
from adjourn._drivers.sqlalchemy.libpq import connection_arguments
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg import SyncPsycopgConnector
from adjourn.connectors.sqlalchemy import asyncpg
from adjourn.connectors.sqlalchemy.blocking import SQLAlchemyPsycopgConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = ["SQLAlchemyConnector"]


class AsyncSQLAlchemyConnector(half.AsyncSQLAlchemyConnector):
    """The asynchronous half, which knows asyncpg's own connections too: those have no blocking counterpart."""

    async def execute_on_driver_async(
        self, connection: Any, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute a statement on a connection that is not SQLAlchemy's but a driver's."""
        if asyncpg.is_connection(connection):
            return await asyncpg.execute_async(connection, statement, parameters)
        return await super().execute_on_driver_async(connection, statement, parameters)


class SummonedSQLAlchemyConnector(SummonedConnector, SQLAlchemyPsycopgConnector):
    """The synchronous twin of a `SQLAlchemyConnector`."""

    def __init__(self, principal: SQLAlchemyConnector, url: URL, options: Mapping[str, Any]) -> None:
        super().__init__(dsn=url, json_dumps=principal.json_dumps, json_loads=principal.json_loads, **options)
        self.principal: SQLAlchemyConnector = principal


class SQLAlchemyConnector(SelectingConnector):
    """An asynchronous connector on a SQLAlchemy `AsyncEngine`, that serves synchronous calls as well.

    ``await app.open_async(engine)`` shares the application's engine and its pool, and never disposes of it; ``await
    app.open_async()`` makes an engine from ``dsn``, and ``await app.close_async()`` disposes of that one. Opened with
    ``app.open()`` instead it works as a `SQLAlchemyPsycopgConnector` with the same address.

    A worker can run on it. The worker's own connections are psycopg's, beside the engine's pool, with the engine's
    address; of an engine that was made with ``connect_args`` the connector has to be told these as well.

    Parameters
    ----------
    dsn
        The address for an engine of its own, ``postgresql+psycopg://...`` (psycopg is also used where no driver is
        named) or ``postgresql+asyncpg://...``.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        The options of `sqlalchemy.ext.asyncio.create_async_engine` for an engine of its own (``pool_size``,
        ``max_overflow``, ``pool_timeout`` in seconds, 30 by default, ``connect_args``, ``echo``, ...).

    Raises
    ------
    InvalidOption
        If ``dsn`` is for another driver, or SQLAlchemy does not know an option.
    """

    def __init__(
        self,
        *,
        dsn: str | URL = "postgresql://",
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        **options: Any,
    ) -> None:
        asynchronous = AsyncSQLAlchemyConnector(dsn=dsn, json_dumps=json_dumps, json_loads=json_loads, **options)
        self._url, self._options = asynchronous.url, options
        super().__init__(asynchronous)

    @property
    def engine(self) -> Any:
        """The engine that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self.pool

    def summon(self) -> SummonedSQLAlchemyConnector:
        """Make the synchronous twin, with the address and the options of this connector."""
        return SummonedSQLAlchemyConnector(self, *twin_options(self._url, self._options))

    def summon_plain(self) -> SummonedSQLAlchemyConnector:
        """Make a twin that is never opened, for calls on connections of the callers' own."""
        return SummonedSQLAlchemyConnector(self, URL.create("postgresql+psycopg"), {})

    def session_beside(self, pool: AsyncEngine) -> SyncSession:
        """Connect, blocking, to where an asynchronous engine of the user's does."""
        arguments = connection_arguments(pool.url, self._options.get("connect_args"))
        return SyncPsycopgConnector(kwargs=arguments, timeout=self._half.timeout).session()


def twin_options(url: URL, options: Mapping[str, Any]) -> tuple[URL, dict[str, Any]]:
    """Return the address and the options of the engine that does, blocking, what an asynchronous one would.

    Raises
    ------
    InvalidOption
        If something has no synchronous counterpart.
    """
    twin = dict(options)
    for name in ("async_creator", "creator", "pool"):
        if twin.get(name) is not None:
            raise _without_counterpart(name, twin[name])
    if poolclass := twin.get("poolclass"):
        twin["poolclass"] = _poolclass(poolclass)
    arguments = dict(twin.get("connect_args") or {})
    if url.get_driver_name() == "asyncpg":
        # Everything that the address says, in libpq's words.
        return URL.create("postgresql+psycopg"), {**twin, "connect_args": connection_arguments(url, arguments)}
    if factory := arguments.get("cursor_factory"):
        arguments["cursor_factory"] = counterpart("cursor_factory", factory, psycopg)
    return url, {**twin, "connect_args": arguments}


def _poolclass(given: Any) -> Any:
    if given is sqlalchemy.pool.AsyncAdaptedQueuePool:
        return sqlalchemy.pool.QueuePool
    if getattr(given, "_is_asyncio", False) is True:
        raise _without_counterpart("poolclass", given)
    return given


def _without_counterpart(name: str, given: Any) -> exceptions.InvalidOption:
    return exceptions.InvalidOption(
        f"{name}={given!r} has no synchronous counterpart, so this connector cannot be opened for synchronous calls. "
        "Open it with `await app.open_async()`, or give synchronous code an app of its own: "
        "`app.with_connector(SQLAlchemyPsycopgConnector(...))`."
    )
