"""SQLAlchemy's names for code on an event loop: the counterpart of `adjourn._drivers.sqlalchemy.names`.

They are in a separate module because they need greenlet, which blocking programs may lack.
"""

from __future__ import annotations

# Imported here because SQLAlchemy 2.0 does not notice a missing greenlet until it connects.
import greenlet  # type: ignore[import-untyped]  # noqa: F401
import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio import create_async_engine as create_engine_async

from adjourn._drivers.sqlalchemy import engines as driver
from adjourn._drivers.sqlalchemy.asyncpg import is_drivers_own, run_on_drivers_own_async
from adjourn._drivers.sqlalchemy.connecting import Connecting
from adjourn._drivers.sqlalchemy.sessions import goes_through_pooler
from adjourn.types import Parameters, Row, Statement

__all__ = [
    "AsyncConnection",
    "AsyncEngine",
    "committing_async",
    "connecting_async",
    "create_engine_async",
    "drivers_async",
    "goes_through_pooler_async",
    "is_drivers_own",
    "run_async",
    "run_on_drivers_own_async",
]

drivers_async = ("psycopg", "asyncpg")
"""The drivers that can be used; the first is the default."""


def connecting_async(url: URL) -> Connecting:
    """Return what connects for an engine with this address."""
    if url.get_driver_name() == "asyncpg":
        import asyncpg  # type: ignore[import-untyped]  # not installed for engines on psycopg

        return Connecting(asyncpg.connect)
    return Connecting(psycopg.AsyncConnection.connect)


async def committing_async(connection: AsyncConnection, *, is_own: bool) -> AsyncConnection:
    """Return a connection on which each statement commits by itself, until it goes back to its pool."""
    return await connection.execution_options(isolation_level="AUTOCOMMIT")


async def run_async(
    connection: AsyncConnection, statement: Statement, parameters: Parameters | None, may_prepare: bool = True
) -> list[Row]:
    """Execute a statement on a connection and return its rows."""
    return await connection.run_sync(driver.run, statement, parameters, may_prepare)


async def goes_through_pooler_async(connection: AsyncConnection, pooler: bool | None, place: str) -> bool:
    """Return whether a connection of an engine goes through a pooler in transaction mode; look once."""
    return await connection.run_sync(goes_through_pooler, pooler, place)
