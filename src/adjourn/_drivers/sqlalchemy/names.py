"""SQLAlchemy's names for blocking code: the counterpart of `adjourn._drivers.sqlalchemy.names_async`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL

from adjourn._drivers.sqlalchemy.connecting import Connecting
from adjourn._drivers.sqlalchemy.engines import run
from adjourn._drivers.sqlalchemy.sessions import goes_through_pooler
from adjourn.types import Parameters, Row, Statement

__all__ = [
    "Connection",
    "Engine",
    "committing",
    "connecting",
    "create_engine",
    "drivers",
    "goes_through_pooler",
    "is_drivers_own",
    "run",
    "run_on_drivers_own",
]

drivers = ("psycopg", "psycopg2")
"""The drivers that can be used; the first is the default."""


def connecting(url: URL) -> Connecting | None:
    """Return None: a call that connects ends in its own thread, so there is nothing to give up."""
    return None


def committing(connection: Connection, *, is_own: bool) -> Connection:
    """Return a connection on which each statement commits by itself, until it goes back to its pool."""
    if is_own and connection.dialect.driver == "psycopg2":
        # By SQLAlchemy's way psycopg2 would reset the isolation that was set when the connection was made.
        raw: Any = connection.connection.driver_connection
        raw.autocommit = True
        return connection
    return connection.execution_options(isolation_level="AUTOCOMMIT")


def is_drivers_own(connection: Any) -> bool:
    """Return False: of drivers' own connections only asyncpg's are accepted here, and those do not block."""
    return False


def run_on_drivers_own(connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Do nothing: no driver's own connection gets here."""
    raise AssertionError
