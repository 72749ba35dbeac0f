"""The public connectors for psycopg, the recommended driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from adjourn._async.connectors.psycopg import AsyncPsycopgHalf
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._drivers.psycopg.options import options_of_pool
from adjourn._drivers.psycopg.twin import connecting_options, twin_options
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg import SyncPsycopgHalf
from adjourn.connectors.base import BaseAsyncConnector, BaseConnector, BaseSyncConnector
from adjourn.connectors.faces import AsynchronousConnector, SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["BaseAsyncConnector", "BaseConnector", "BaseSyncConnector", "PsycopgConnector", "SyncPsycopgConnector"]


class SyncPsycopgConnector(SynchronousConnector):
    """A synchronous connector, on a `psycopg_pool.ConnectionPool`.

    Every operation that ends in ``_async`` raises `SyncConnectorConfigurationError`.

    Parameters
    ----------
    conninfo
        A connection string or URL, or a function that returns one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    pool_factory
        The class of the pool, or a function with the arguments of `psycopg_pool.ConnectionPool`.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        The pool's options (``min_size``, 1 by default, ``max_size``, 10 by default, ``timeout`` in seconds, 30 by
        default, ``configure``, ``kwargs``, ...), and
        the parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

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
        pool_factory: Callable[..., ConnectionPool[Any]] = ConnectionPool,
        response_timeout: float | None = RESPONSE_TIMEOUT,
        pooler: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            SyncPsycopgHalf(
                conninfo,
                json_dumps=json_dumps,
                json_loads=json_loads,
                pool_factory=pool_factory,
                response_timeout=response_timeout,
                pooler=pooler,
                **options,
            )
        )


class PsycopgConnector(AsynchronousConnector):
    """An asynchronous connector, on a `psycopg_pool.AsyncConnectionPool`, that serves synchronous calls as well.

    Parameters
    ----------
    conninfo
        A connection string or URL, or a function that returns one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    pool_factory
        The class of the pool, or a function with the arguments of `psycopg_pool.AsyncConnectionPool`.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        The pool's options (``min_size``, 1 by default, ``max_size``, 10 by default, ``timeout`` in seconds, 30 by
        default, ``configure``, ``kwargs``, ...), and
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
        half = AsyncPsycopgHalf(
            conninfo,
            json_dumps=json_dumps,
            json_loads=json_loads,
            pool_factory=pool_factory,
            response_timeout=response_timeout,
            pooler=pooler,
            **options,
        )

        def make_sync_half() -> SyncPsycopgHalf:
            return SyncPsycopgHalf(
                json_dumps=half.json_dumps, json_loads=half.json_loads, **twin_options(half.options, pool_factory)
            )

        def connect(pool: AsyncConnectionPool[Any] | None) -> SyncSession:
            # The options of the connector's own pool do not matter here.
            found = half.options if pool is None else options_of_pool(pool, response_timeout, pooler)
            return SyncPsycopgHalf(**connecting_options(found)).session()

        dispatcher = Dispatcher(half, make_sync_half, connect, make_plain_half=SyncPsycopgHalf)
        super().__init__(dispatcher, SyncPsycopgConnector.twin_of(dispatcher))
