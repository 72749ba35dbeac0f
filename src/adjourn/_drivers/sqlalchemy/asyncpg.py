"""Statements on asyncpg's own connections, which an application may make itself or take from its engine."""

from __future__ import annotations

import sys
from typing import Any

from adjourn._drivers.numbered import has_several_commands, numbered
from adjourn._drivers.sqlalchemy import engines as driver
from adjourn.types import Parameters, Row, Statement


def is_drivers_own(connection: Any) -> bool:
    """Return whether this is an asyncpg connection, or one out of asyncpg's pool."""
    # A program with such a connection has imported asyncpg.
    if (asyncpg := sys.modules.get("asyncpg")) is None:
        return False
    return isinstance(connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy)


async def run_on_drivers_own_async(connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute a statement on a connection and return its rows; errors are adjourn's."""
    with driver.translating(is_callers=True):
        if parameters is not None:
            text, names = numbered(statement.text)
            return [dict(row) for row in await connection.fetch(text, *map(parameters.__getitem__, names))]
        if has_several_commands(statement.text):
            await connection.execute(statement.text)
            return []
        return [dict(row) for row in await connection.fetch(statement.text)]
