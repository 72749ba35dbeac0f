"""Connectors that share an application's SQLAlchemy engine, and with it the engine's pool of connections.

==============================  =============================================  ======================
connector                       engine                                         drivers
==============================  =============================================  ======================
`SQLAlchemyConnector`           `sqlalchemy.ext.asyncio.AsyncEngine`           psycopg, asyncpg
`SQLAlchemyPsycopgConnector`    `sqlalchemy.Engine`                            psycopg
`SQLAlchemyPsycopg2Connector`   `sqlalchemy.Engine`                            psycopg2
==============================  =============================================  ======================

Pass the engine when you open the app: ``app.open(engine)``, ``await app.open_async(engine)``. The connector never
disposes of it. Without one, the connector makes its own engine from ``dsn``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from adjourn.connectors.sqlalchemy.blocking import SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
except ImportError as _error:
    if not (_error.name or "").startswith("sqlalchemy"):
        raise
    raise ImportError(
        f"adjourn.contrib.sqlalchemy needs SQLAlchemy 2.0 or later: pip install 'adjourn[sqlalchemy]' ({_error}).",
        name=_error.name,
    ) from None

if TYPE_CHECKING:
    from adjourn.connectors.sqlalchemy.asynchronous import SQLAlchemyConnector

__all__ = ["SQLAlchemyConnector", "SQLAlchemyPsycopg2Connector", "SQLAlchemyPsycopgConnector"]


def __getattr__(name: str) -> Any:
    # SQLAlchemy's asynchronous part needs greenlet, which a blocking program does not.
    if name != "SQLAlchemyConnector":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from adjourn.connectors.sqlalchemy.asynchronous import SQLAlchemyConnector
    except ImportError as _error:
        raise ImportError(
            f"SQLAlchemyConnector needs greenlet: pip install 'adjourn[sqlalchemy]' ({_error})."
        ) from None
    return SQLAlchemyConnector
