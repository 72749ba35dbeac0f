"""The synchronous connectors on a SQLAlchemy engine."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL

from adjourn._drivers.watchdog import RESPONSE_TIMEOUT
from adjourn._sync.connectors.sqlalchemy import SyncSQLAlchemyHalf
from adjourn.connectors.faces import SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["SQLAlchemyPsycopg2Connector", "SQLAlchemyPsycopgConnector"]


class EngineConnector(SynchronousConnector):
    """The common code of the synchronous connectors on an engine."""

    @property
    def engine(self) -> Any:
        """The engine that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self.pool


class SQLAlchemyPsycopgConnector(EngineConnector):
    """A synchronous connector on a SQLAlchemy engine with psycopg 3.

    ``app.open(engine)`` shares the application's engine and its pool, and never disposes of it. ``app.open()`` makes an
    engine from ``dsn``, and ``app.close()`` disposes of that one. Every operation that ends in ``_async`` raises
    `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        The address for the connector's own engine; libpq's environment variables supply its missing parts.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        The options of `sqlalchemy.create_engine` for the connector's own engine (``pool_size``, ``max_overflow``,
        ``pool_timeout`` in seconds, 30 by default, ``connect_args``, ``echo``, ...).

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
        super().__init__(
            SyncSQLAlchemyHalf(
                "SQLAlchemyPsycopgConnector",
                ("psycopg",),
                dsn=dsn,
                json_dumps=json_dumps,
                json_loads=json_loads,
                response_timeout=response_timeout,
                pooler=pooler,
                **options,
            )
        )


class SQLAlchemyPsycopg2Connector(EngineConnector):
    """A synchronous connector on a SQLAlchemy engine with psycopg2.

    ``app.open(engine)`` shares the application's engine and its pool, and never disposes of it. ``app.open()`` makes an
    engine from ``dsn``, and ``app.close()`` disposes of that one. Every operation that ends in ``_async`` raises
    `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        The address for the connector's own engine; libpq's environment variables supply its missing parts.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    response_timeout
        Seconds that the server may take to answer a call, 60 by default. After that its connection is given up, and the
        call raises `ConnectorException`. None waits for any time.
    pooler
        Whether there is a connection pooler in transaction mode in between, such as PgBouncer. By default adjourn finds
        out.
    **options
        The options of `sqlalchemy.create_engine` for the connector's own engine (``pool_size``, ``max_overflow``,
        ``pool_timeout`` in seconds, 30 by default, ``connect_args``, ``echo``, ...).

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
        super().__init__(
            SyncSQLAlchemyHalf(
                "SQLAlchemyPsycopg2Connector",
                ("psycopg2",),
                dsn=dsn,
                json_dumps=json_dumps,
                json_loads=json_loads,
                response_timeout=response_timeout,
                pooler=pooler,
                **options,
            )
        )

    def open(self, pool: Any = None, *, engine: Any = None) -> None:
        """Use the engine that is passed as ``open(engine)`` or ``open(engine=engine)``, or make one.

        Parameters
        ----------
        pool, engine
            The engine, which is used and never disposed of; pass one of the two, or none.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then still closed.
        InvalidOption
            If the engine given cannot be used.
        """
        super().open(engine if pool is None else pool)
