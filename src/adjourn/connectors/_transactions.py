"""Transactions on a session of a connector, for the code of tasks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from adjourn._async.connectors.contract import AsyncSession
from adjourn._domain.lent import lent
from adjourn._sync.connectors.contract import SyncSession
from adjourn.exceptions import ConnectorException, InvalidConnection
from adjourn.types import Statement

BEGIN = Statement("begin", "begin isolation level read committed")
COMMIT = Statement("commit", "commit")
ROLLBACK = Statement("rollback", "rollback")


@contextlib.contextmanager
def transaction(connect: Callable[[], SyncSession]) -> Iterator[Any]:
    """Begin a transaction on a new session, and commit it at the end of the block, or roll it back.

    The block gets the driver's connection.
    """
    session = connect()
    try:
        connection = _connection_of(session)
        session.execute(BEGIN)
        try:
            with lent(connection, getattr(session, "response_timeout", None)):
                yield connection
        except BaseException:
            # A connection that is broken has rolled back already, and closing it does, too.
            with contextlib.suppress(ConnectorException):
                session.execute(ROLLBACK)
            raise
        session.execute(COMMIT)
    finally:
        session.close()


@contextlib.asynccontextmanager
async def transaction_async(connect: Callable[[], Awaitable[AsyncSession]]) -> AsyncIterator[Any]:
    """Do what `transaction` does, on an asynchronous session."""
    session = await connect()
    try:
        connection = _connection_of(session)
        await session.execute_async(BEGIN)
        try:
            with lent(connection, getattr(session, "response_timeout", None)):
                yield connection
        except BaseException:
            with contextlib.suppress(ConnectorException):
                await session.execute_async(ROLLBACK)
            raise
        await session.execute_async(COMMIT)
    finally:
        await session.close_async()


def refused(kind: str) -> InvalidConnection:
    """Return the error about a connector that has no transactions of this kind."""
    return InvalidConnection(
        f"{kind} has no connection of a database to begin a transaction on. Test tasks that call context.transaction() on Postgres: "
        'with pytest, mark the test with @pytest.mark.adjourn(isolation="delete").'
    )


def _connection_of(session: SyncSession | AsyncSession) -> Any:
    connection = getattr(session, "connection", None)
    if connection is None:
        raise InvalidConnection(
            f"{type(session).__name__} does not show its driver's connection, so context.transaction() has none to give. Begin a "
            "transaction on a connection of your own, and call context.complete(connection) in it."
        )
    return connection
