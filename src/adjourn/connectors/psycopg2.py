"""Connectors for psycopg2, for programs that use it already. They need the extra ``adjourn[psycopg2]``."""

from __future__ import annotations

from typing import Any

from adjourn._async.connectors.psycopg2 import AsyncPsycopg2Half
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._drivers.psycopg2.options import ThreadedConnectionPool, options_of_pool
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg2 import SyncPsycopg2Half, connected_session
from adjourn.connectors.faces import AsynchronousConnector, SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["AsyncPsycopg2Connector", "Psycopg2Connector"]


class Psycopg2Connector(SynchronousConnector):
    """A synchronous connector, on a `psycopg2.pool.ThreadedConnectionPool`.

    When all connections are in use, threads wait for one in the order in which they came. Every operation that ends in
    ``_async`` raises `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        A connection string or URL.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        ``minconn`` (1 by default) and ``maxconn`` (10 by default), the numbers of connections; ``timeout``, the
        seconds to wait for one (30 by default); ``connection_factory`` and ``cursor_factory`` of psycopg2; and the
        parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

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
        super().__init__(
            SyncPsycopg2Half(
                dsn,
                json_dumps=json_dumps,
                json_loads=json_loads,
                response_timeout=response_timeout,
                pooler=pooler,
                **options,
            )
        )


class AsyncPsycopg2Connector(AsynchronousConnector):
    """An asynchronous connector, on a `psycopg2.pool.ThreadedConnectionPool`, that serves synchronous calls as well.

    psycopg2 does not support event loops, so awaited calls run in threads, at most one for each connection. Cancelling
    a call makes the server cancel its statement. For a new program, choose `PsycopgConnector`.

    Parameters
    ----------
    dsn
        A connection string or URL.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        ``minconn`` (1 by default) and ``maxconn`` (10 by default), the numbers of connections; ``timeout``, the
        seconds to wait for one (30 by default); ``connection_factory`` and ``cursor_factory`` of psycopg2; and the
        parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

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
        half = AsyncPsycopg2Half(
            dsn,
            json_dumps=json_dumps,
            json_loads=json_loads,
            response_timeout=response_timeout,
            pooler=pooler,
            **options,
        )

        def make_sync_half() -> SyncPsycopg2Half:
            made = SyncPsycopg2Half(
                json_dumps=half.json_dumps, json_loads=half.json_loads, response_timeout=response_timeout
            )
            made.options = half.options
            return made

        def connect(pool: ThreadedConnectionPool | None) -> SyncSession:
            return connected_session(
                half.options if pool is None else options_of_pool(pool, half.timeout, response_timeout, pooler)
            )

        dispatcher = Dispatcher(half, make_sync_half, connect, make_plain_half=SyncPsycopg2Half)
        super().__init__(dispatcher, Psycopg2Connector.twin_of(dispatcher))
