"""The connectors for SQLAlchemy, where programs that were written for Procrastinate import them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjourn.connectors.sqlalchemy import SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector

if TYPE_CHECKING:
    from adjourn.connectors.sqlalchemy import SQLAlchemyConnector

__all__ = ["SQLAlchemyConnector", "SQLAlchemyPsycopg2Connector", "SQLAlchemyPsycopgConnector"]


def __getattr__(name: str) -> Any:
    # This connector needs greenlet, which a blocking program does not need.
    if name != "SQLAlchemyConnector":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from adjourn.connectors import sqlalchemy

    return sqlalchemy.SQLAlchemyConnector
