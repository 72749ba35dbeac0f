"""The synchronous connectors on a SQLAlchemy engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adjourn._sync.connectors.sqlalchemy import SyncSQLAlchemyConnector
from adjourn.connectors.base import BaseSyncConnector

__all__ = ["SQLAlchemyPsycopg2Connector", "SQLAlchemyPsycopgConnector"]


class SQLAlchemyPsycopgConnector(BaseSyncConnector, SyncSQLAlchemyConnector):
    """A synchronous connector on a SQLAlchemy engine with psycopg 3.

    ``app.open(engine)`` shares the application's engine and its pool, and never disposes of it. ``app.open()`` makes an
    engine from ``dsn``, and ``app.close()`` disposes of that one. Every operation that is to be awaited raises
    `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        The address for an engine of its own; what it does not say, libpq's environment variables do.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        The options of `sqlalchemy.create_engine` for an engine of its own (``pool_size``, ``max_overflow``,
        ``pool_timeout`` in seconds, 30 by default, ``connect_args``, ``echo``, ...).

    Raises
    ------
    InvalidOption
        If ``dsn`` is for another driver, or SQLAlchemy does not know an option.
    """

    drivers: Sequence[str] = ("psycopg",)


class SQLAlchemyPsycopg2Connector(BaseSyncConnector, SyncSQLAlchemyConnector):
    """A synchronous connector on a SQLAlchemy engine with psycopg2.

    ``app.open(engine)`` shares the application's engine and its pool, and never disposes of it. ``app.open()`` makes an
    engine from ``dsn``, and ``app.close()`` disposes of that one. Every operation that is to be awaited raises
    `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        The address for an engine of its own; what it does not say, libpq's environment variables do.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        The options of `sqlalchemy.create_engine` for an engine of its own (``pool_size``, ``max_overflow``,
        ``pool_timeout`` in seconds, 30 by default, ``connect_args``, ``echo``, ...).

    Raises
    ------
    InvalidOption
        If ``dsn`` is for another driver, or SQLAlchemy does not know an option.
    """

    drivers: Sequence[str] = ("psycopg2",)

    def open(self, pool: Any = None, *, engine: Any = None) -> None:
        """Make an engine, or use the one given, as ``open(engine)`` or ``open(engine=engine)``; it is never disposed of.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then as closed as before.
        InvalidOption
            If the engine given cannot be used.
        """
        super().open(engine if pool is None else pool)
