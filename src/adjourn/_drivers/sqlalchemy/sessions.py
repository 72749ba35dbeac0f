"""What adjourn sets, and finds out, in the sessions of an engine's connections.

Each connection of the engine's pool keeps what was found out about it in its ``info``.
"""

from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.pool import ConnectionPoolEntry

from adjourn._drivers.settings import greeting, is_pooled
from adjourn._drivers.sockets import HasSocket
from adjourn._drivers.sqlalchemy.private import transport_of
from adjourn._drivers.watchdog import limited

_IS_POOLED = "adjourn: goes through a pooler"

UNPREPARED: dict[str, dict[str, Any]] = {
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        # The nameless statement is replaced each time. Others would stay in the server's session, which others use next.
        "prepared_statement_name_func": str,
    },
    "psycopg": {"prepare_threshold": None},
    "psycopg2": {},
}
"""The ``connect_args`` of each driver with which it prepares no statements."""


def always_prepares(driver: str) -> bool:
    """Return whether a driver prepares every statement, and executes it in a second step.

    Through a pooler both have to be in one transaction, so that they reach the same server process. And such a driver has to
    be told before it connects: what it prepares by name stays in a session that other clients use next.
    """
    return driver == "asyncpg"


def greets(engine: Any, pooler: bool | None, place: str, timeout: float) -> None:
    """Have each new connection of adjourn's own engine set what adjourn depends on, within some seconds."""

    def greet(connection: Any, entry: ConnectionPoolEntry) -> None:
        process = process_of(connection)
        text = greeting(process, sets=pooler is not True, lasting=False)
        try:
            with limited(socket_of(connection), timeout):
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute(text)
                    facts = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
                connection.commit()
            entry.info[_IS_POOLED] = is_pooled(facts, process, pooler, place)
        except BaseException:
            connection.close()
            raise

    event.listen(getattr(engine, "sync_engine", engine), "connect", greet)


def goes_through_pooler(connection: Connection, pooler: bool | None, place: str) -> bool:
    """Return whether a connection of an engine goes through a pooler in transaction mode; look once."""
    found: bool | None = connection.info.get(_IS_POOLED)
    if found is None:
        process = process_of(connection.connection.dbapi_connection)
        text = greeting(process, sets=False, lasting=False)
        facts = dict(connection.exec_driver_sql(text).mappings().one())
        connection.rollback()
        found = connection.info[_IS_POOLED] = is_pooled(facts, process, pooler, place)
    return found


def socket_of(connection: Any) -> HasSocket | None:
    """Return what has the descriptor of a connection's socket, or None if there is no socket any more."""
    raw = getattr(connection, "driver_connection", connection)
    if not hasattr(raw, "fileno"):  # asyncpg
        transport = transport_of(raw)
        raw = None if transport is None else transport.get_extra_info("socket")
    line: HasSocket | None = raw
    return line


def process_of(connection: Any) -> int:
    """Return the server process that a driver's connection believes to be connected to."""
    raw = getattr(connection, "driver_connection", connection)
    process: int = raw.get_server_pid() if hasattr(raw, "get_server_pid") else raw.info.backend_pid
    return process
