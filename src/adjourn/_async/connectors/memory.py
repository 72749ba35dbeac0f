"""The in-memory connector: no Postgres and no driver, for tests."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._domain.checks import function_or
from adjourn._memory.store import MemoryConnection, MemoryStore
from adjourn._runtime.waiting import done_async, give_way_async
from adjourn.sql.templates import is_ends_channel
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement


class AsyncInMemoryHalf(AsyncPooledHalf[MemoryStore]):
    """Works with a store in memory. It connects to nothing, so a closed connector serves calls too, and closing leaves
    the store as it is.

    Parameters
    ----------
    store
        The store, which several connectors may share; by default a new one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    """

    def __init__(
        self,
        *,
        store: MemoryStore | None = None,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
    ) -> None:
        super().__init__()
        self.json_dumps: JSONDumps = function_or("json_dumps", json_dumps, json.dumps)
        self.json_loads: JSONLoads = function_or("json_loads", json_loads, json.loads)
        self.store: MemoryStore = store or MemoryStore()

    @property
    def timeout(self) -> float:
        """Seconds that closing waits for running calls."""
        return 10.0

    async def make_pool_async(self) -> MemoryStore:
        """Return the store: there is nothing to connect to."""
        return self.store

    async def close_pool_async(self, pool: MemoryStore) -> None:
        """Leave the store as it is."""

    def accept_pool(self, pool: Any) -> MemoryStore:
        """Refuse a pool: this connector has none."""
        raise exceptions.InvalidOption(
            "The in-memory connector has no pool, so it cannot be opened with an instance of "
            f"{type(pool).__name__}. Open it without one."
        )

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, and return its rows as dictionaries.

        Parameters
        ----------
        statement
            One of adjourn's own statements; only its name is used.
        parameters
            The values of its ``%(name)s``.
        connection
            Must be None: a store in memory has no transactions.

        Raises
        ------
        InvalidConnection
            If a ``connection`` was given.
        UniqueViolation
            If a unique index of adjourn's schema would be violated.
        ConnectorException
            If the statement is not one of adjourn's own.
        """
        if connection is not None:
            kind = type(connection)
            raise exceptions.InvalidConnection(
                f"The in-memory connector cannot use an instance of {kind.__module__}.{kind.__qualname__}: it "
                "has no database to have a transaction in. Leave `connection` out, or test this on Postgres: with pytest, "
                'mark the test with @pytest.mark.adjourn(isolation="delete"), and connect to the fixture `adjourn_dsn`.'
            )
        gate = None
        with contextlib.suppress(exceptions.AppNotOpen):
            gate = (await self.enter_async()).gate
        try:
            await give_way_async()
            return self.store.execute(statement, parameters)
        finally:
            if gate is not None:
                gate.leave()

    async def session_async(self) -> AsyncSession:
        """Return a session for the caller alone. The connector need not be open."""
        await give_way_async()
        return AsyncInMemorySession(self.store.connect())


class AsyncInMemorySession(AsyncSession):
    """A session with a store in memory."""

    is_wakeable = True

    def __init__(self, connection: MemoryConnection) -> None:
        self.connection = connection

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        await give_way_async()
        return self.connection.execute(statement, parameters)

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel: the one of the ends of jobs, or that of workers."""
        await give_way_async()
        self.connection.listen(ends=is_ends_channel(channel))

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait until a notification arrives and return the payloads of those that are there.

        Parameters
        ----------
        timeout
            Seconds to wait at most; if nothing arrives, an empty list is returned.
        """
        mailbox = self.connection.mailbox
        await done_async(mailbox.arrival(), timeout)
        self.connection.check_open()
        return mailbox.take()

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self.connection.wake()

    def abandon(self) -> None:
        """Give the session up at once. From any thread, at any time."""
        self.connection.abandon()

    async def close_async(self) -> None:
        """Close the session. Closing twice does nothing."""
        await give_way_async()
        self.connection.close()
