"""The asynchronous connector on a SQLAlchemy engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import sqlalchemy.pool
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from adjourn import exceptions
from adjourn._async.connectors.sqlalchemy import AsyncSQLAlchemyHalf
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._drivers.psycopg.twin import counterpart
from adjourn._drivers.sqlalchemy.libpq import connection_arguments
from adjourn._drivers.sqlalchemy.private import is_for_event_loops
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg import SyncPsycopgHalf
from adjourn._sync.connectors.sqlalchemy import SyncSQLAlchemyHalf
from adjourn.connectors.faces import AsynchronousConnector
from adjourn.connectors.sqlalchemy.blocking import SQLAlchemyPsycopgConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["SQLAlchemyConnector"]

TWIN = ("SQLAlchemyPsycopgConnector", ("psycopg",))


class SQLAlchemyConnector(AsynchronousConnector):
    """An asynchronous connector on a SQLAlchemy `AsyncEngine`, that serves synchronous calls as well.

    ``await app.open_async(engine)`` shares the application's engine and its pool, and never disposes of it; ``await
    app.open_async()`` makes an engine from ``dsn``, and ``await app.close_async()`` disposes of that one. If you open
    the app with ``app.open()`` instead, the connector works as a `SQLAlchemyPsycopgConnector` with the same address.

    A worker can run on it. The worker's own connections are psycopg's, beside the engine's pool, with the engine's
    address. If that engine was made with ``connect_args``, pass them to the connector as well.

    Parameters
    ----------
    dsn
        The address for the connector's own engine, ``postgresql+psycopg://...`` (psycopg is also used where no driver is
        named) or ``postgresql+asyncpg://...``.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        The options of `sqlalchemy.ext.asyncio.create_async_engine` for the connector's own engine (``pool_size``,
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
        response_timeout: float | None = RESPONSE_TIMEOUT,
        pooler: bool | None = None,
        **options: Any,
    ) -> None:
        half = AsyncSQLAlchemyHalf(
            dsn=dsn,
            json_dumps=json_dumps,
            json_loads=json_loads,
            response_timeout=response_timeout,
            pooler=pooler,
            **options,
        )

        def make_sync_half() -> SyncSQLAlchemyHalf:
            url, same = twin_options(half.url, options)
            return SyncSQLAlchemyHalf(
                *TWIN,
                dsn=url,
                json_dumps=half.json_dumps,
                json_loads=half.json_loads,
                response_timeout=response_timeout,
                pooler=pooler,
                **same,
            )

        def make_plain_half() -> SyncSQLAlchemyHalf:
            return SyncSQLAlchemyHalf(*TWIN)

        def connect(engine: AsyncEngine | None) -> SyncSession:
            url = half.url if engine is None else engine.url
            arguments = connection_arguments(url, options.get("connect_args"))
            return SyncPsycopgHalf(
                kwargs=arguments, timeout=half.timeout, response_timeout=response_timeout, pooler=pooler
            ).session()

        dispatcher = Dispatcher(half, make_sync_half, connect, make_plain_half=make_plain_half)
        super().__init__(dispatcher, SQLAlchemyPsycopgConnector.twin_of(dispatcher))

    @property
    def engine(self) -> Any:
        """The engine that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self.pool


def twin_options(url: URL, options: Mapping[str, Any]) -> tuple[URL, dict[str, Any]]:
    """Return the address and the options of a blocking engine that corresponds to an asynchronous one.

    Raises
    ------
    InvalidOption
        If an option has no synchronous counterpart.
    """
    twin = dict(options)
    for name in ("async_creator", "creator", "pool"):
        if twin.get(name) is not None:
            raise _without_counterpart(name, twin[name])
    if poolclass := twin.get("poolclass"):
        twin["poolclass"] = _poolclass(poolclass)
    arguments = dict(twin.get("connect_args") or {})
    if url.get_driver_name() == "asyncpg":
        # The whole address, translated into libpq's parameters.
        return URL.create("postgresql+psycopg"), {**twin, "connect_args": connection_arguments(url, arguments)}
    if factory := arguments.get("cursor_factory"):
        arguments["cursor_factory"] = counterpart("cursor_factory", factory, psycopg)
    return url, {**twin, "connect_args": arguments}


def _poolclass(given: Any) -> Any:
    if given is sqlalchemy.pool.AsyncAdaptedQueuePool:
        return sqlalchemy.pool.QueuePool
    if is_for_event_loops(given):
        raise _without_counterpart("poolclass", given)
    return given


def _without_counterpart(name: str, given: Any) -> exceptions.InvalidOption:
    return exceptions.InvalidOption(
        f"{name}={given!r} has no synchronous counterpart, so this connector cannot be opened for synchronous calls. "
        "Open it with `await app.open_async()`, or give synchronous code an app of its own: "
        "`app.with_connector(SQLAlchemyPsycopgConnector(...))`."
    )
