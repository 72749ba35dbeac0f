"""The contract of connectors: what every connector can do, for any driver and in both colours.

The best way to your own connector is `adjourn.connectors.adapted`, which needs only an asynchronous driver.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from typing import Any, NoReturn, Protocol, TypeAlias

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._sync.connectors.contract import SyncSession
from adjourn.connectors import _transactions as transactions
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = [
    "LISTEN_TIMEOUT",
    "AsyncSession",
    "BaseAsyncConnector",
    "BaseConnector",
    "BaseSyncConnector",
    "Engine",
    "Notify",
    "Pool",
    "SyncSession",
]

Pool: TypeAlias = Any
"""A pool of connections of any driver."""
Engine: TypeAlias = Any
"""A SQLAlchemy engine."""
LISTEN_TIMEOUT = 30.0
"""Seconds between checks that a listening connection is still alive."""


class Notify(Protocol):
    """What `BaseConnector.listen_notify` calls."""

    def __call__(self, *, channel: str, payload: str) -> Awaitable[None]:
        """Receive one notification."""


class BaseConnector(abc.ABC):
    """A connector, through which an app reaches its database, in both colours.

    Each method may be called by many threads and tasks at once.

    Attributes
    ----------
    needs_opening
        Whether calls are refused while it is not open.
    is_shared
        Whether other programs may have its jobs as well. If not, a job whose task a worker does not know fails at once.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back.
    applies_schema
        What applies the schema to its database, for messages.
    """

    needs_opening: bool = True
    is_shared: bool = True
    applies_schema: str = "`adjourn --app=... schema --apply`, or app.schema_manager.apply_schema()"
    json_dumps: JSONDumps
    json_loads: JSONLoads

    @property
    def shares_commits(self) -> bool:
        """Whether one thread may carry out the blocking calls of others, so that they share a commit.

        Not where threads have connections of their own. It is False unless a connector says otherwise.
        """
        return False

    # Who serves a call

    @abc.abstractmethod
    def get_sync_connector(self) -> BaseConnector:
        """Return the connector that serves synchronous calls of this thread now."""

    @abc.abstractmethod
    def get_async_connector(self) -> BaseConnector:
        """Return the connector that serves asynchronous calls.

        Raises
        ------
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        """

    # Blocking

    @abc.abstractmethod
    def open(self, pool: Any = None) -> None:
        """Open for synchronous calls, from any thread.

        Opening an open connector does nothing. One that is open on an event loop stays as it is, and the next `close`
        leaves it open too.

        Parameters
        ----------
        pool
            The user's own open pool, which the connector never closes. None makes a pool.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then unchanged.
        InvalidOption
            If the pool given cannot be used, or an option has no synchronous counterpart.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Wait until running calls have ended, then close the connector's own pool. The user's own pool stays open.

        Closing a closed connector does nothing. One that is open on an event loop can be closed from any other thread.

        Raises
        ------
        WrongCaller
            If this is the thread of the event loop that the connector was opened on: await `close_async` there.
        """

    @abc.abstractmethod
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries. See `execute_async`."""

    @abc.abstractmethod
    def session(self) -> SyncSession:
        """Open another connection beside the pool, from this thread, for the caller alone.

        The connector need not be open.
        """

    def transaction(self) -> contextlib.AbstractContextManager[Any]:
        """Begin a transaction on a connection of the driver's: ``with connector.transaction() as connection:``.

        It is committed at the end of the block, or rolled back if the block raises. The connection is made for the block.

        Raises
        ------
        InvalidConnection
            If the connector has no transactions.
        """
        if not self.is_shared:
            raise transactions.refused(type(self).__name__)
        return transactions.transaction(self.session)

    def kept_open(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager for `App.run_worker`: what synchronous code has open before, it has open afterwards.

        Within it an event loop may take over, and close what it has taken over. By default that stays closed.
        """
        return contextlib.nullcontext()

    # Awaited

    @abc.abstractmethod
    async def open_async(self, pool: Any = None) -> None:
        """Open on this event loop, which owns the connections from then on.

        This loop also serves synchronous calls, from any thread but its own. If the connector was open for
        synchronous calls, those that are running end first.

        Parameters
        ----------
        pool
            The user's own open pool, which the connector never closes. None makes a pool.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then unchanged.
        WrongCaller
            If it is open on another event loop.
        InvalidOption
            If the pool given cannot be used.
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        """

    @abc.abstractmethod
    async def close_async(self) -> None:
        """Wait until running calls have ended, then close the connector's own pool. The user's own pool stays open.

        Closing a closed connector does nothing. One that was opened for synchronous calls is closed too.

        Raises
        ------
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        """

    @abc.abstractmethod
    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``; None sends the text as it is.
        connection
            The caller's own connection, of this driver and this colour. The statement becomes part of the transaction
            that is open on it. The connector need not be open.

        Raises
        ------
        AppNotOpen
            If the connector is not open and no ``connection`` was given.
        WrongCaller
            If the event loop that the app was opened on cannot serve the call.
        InvalidConnection
            If ``connection`` is of another driver or colour.
        UniqueViolation
            If a unique constraint was violated.
        ConnectorException
            For any other error of the database or of the connection to it.
        """

    @abc.abstractmethod
    async def session_async(self) -> AsyncSession:
        """Open another connection beside the pool, with its parameters, for the caller alone.

        The connector need not be open.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """

    def transaction_async(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """Begin a transaction on an asynchronous connection of the driver's. See `transaction`."""
        if not self.is_shared:
            raise transactions.refused(type(self).__name__)
        return transactions.transaction_async(self.session_async)

    @abc.abstractmethod
    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Receive notifications of PostgreSQL until cancelled, over a connection for each channel.

        Parameters
        ----------
        on_notification
            Called and awaited with ``channel`` and ``payload``, for one notification of a channel after the other.
        channels
            The channels to listen on.

        Raises
        ------
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        ConnectorException
            If the database cannot be reached, or a connection breaks: call it again.
        """

    # The user's own queries

    def execute_query(self, query: str, /, **arguments: Any) -> None:
        """Execute a query, blocking. See `execute_query_async`."""
        self.execute_query_all(query, **arguments)

    def execute_query_one(self, query: str, /, **arguments: Any) -> Row:
        """Execute a query, blocking, and return its first row. See `execute_query_one_async`."""
        return _first(self.execute_query_all(query, **arguments))

    def execute_query_all(self, query: str, /, **arguments: Any) -> list[Row]:
        """Execute a query, blocking, and return its rows. See `execute_query_all_async`."""
        return self.execute(Statement("query", query), self._json(arguments))

    def execute_query_one_with_connection(self, connection: Any, query: str, /, **arguments: Any) -> Row:
        """Execute a query, blocking, on the caller's own connection. See `execute_query_one_async`."""
        return _first(self.execute_query_all_with_connection(connection, query, **arguments))

    def execute_query_all_with_connection(self, connection: Any, query: str, /, **arguments: Any) -> list[Row]:
        """Execute a query, blocking, on the caller's own connection. See `execute_query_all_async`."""
        return self.execute(Statement("query", query), self._json(arguments), connection=connection)

    async def execute_query_async(self, query: str, /, **arguments: Any) -> None:
        """Execute a query on the connection that adjourn uses.

        Parameters
        ----------
        query
            SQL text with ``%(name)s`` where a value goes. If there are arguments, double all other percent signs.
        **arguments
            The values, by name. A dictionary is sent as JSON text: write ``%(name)s::jsonb`` where Postgres cannot know.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        ConnectorException
            For any error of the database.
        """
        await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(self, query: str, /, **arguments: Any) -> Row:
        """Execute a query and return its first row. See `execute_query_async`.

        Raises
        ------
        NoResult
            If there is no row.
        """
        return _first(await self.execute_query_all_async(query, **arguments))

    async def execute_query_all_async(self, query: str, /, **arguments: Any) -> list[Row]:
        """Execute a query and return its rows, an empty list where it returns none. See `execute_query_async`."""
        return await self.execute_async(Statement("query", query), self._json(arguments))

    async def execute_query_one_async_with_connection(self, connection: Any, query: str, /, **arguments: Any) -> Row:
        """Execute a query on the caller's own connection. See `execute_query_one_async`."""
        return _first(await self.execute_query_all_async_with_connection(connection, query, **arguments))

    async def execute_query_all_async_with_connection(
        self, connection: Any, query: str, /, **arguments: Any
    ) -> list[Row]:
        """Execute a query on the caller's own connection. See `execute_query_all_async`."""
        return await self.execute_async(Statement("query", query), self._json(arguments), connection=connection)

    def _json(self, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Return the values, with dictionaries as JSON text; None if there are none."""
        return {name: self._jsonified(value) for name, value in arguments.items()} or None

    def _jsonified(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.json_dumps(value)
        return type(value)(map(self._jsonified, value)) if type(value) in (list, tuple) else value


def _first(rows: list[Row]) -> Row:
    if not rows:
        raise exceptions.NoResult()
    return rows[0]


class BaseAsyncConnector(BaseConnector):
    """An asynchronous connector, which serves synchronous calls as well."""

    def get_async_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Receive notifications of PostgreSQL until cancelled, over a connection for each channel."""
        listening = [asyncio.create_task(self._listen(on_notification, channel)) for channel in channels]
        try:
            for ended in asyncio.as_completed(listening):
                await ended
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _listen(self, on_notification: Notify, channel: str) -> None:
        session = await self.session_async()
        try:
            await session.listen_async(channel)
            while True:
                for payload in await session.wait_for_notifications_async(LISTEN_TIMEOUT):
                    await on_notification(channel=channel, payload=payload)
        finally:
            await session.close_async()


class BaseSyncConnector(BaseConnector):
    """A synchronous connector: every method that ends in ``_async`` raises, whether it is open or not."""

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def get_async_connector(self) -> NoReturn:
        """Refuse: there is none."""
        raise self._refusal("An asynchronous operation was called, but")

    async def open_async(self, pool: Any = None) -> NoReturn:
        """Refuse: use `open`."""
        raise self._refusal("`open_async` was called, but")

    async def close_async(self) -> NoReturn:
        """Refuse: use `close`."""
        raise self._refusal("`close_async` was called, but")

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> NoReturn:
        """Refuse: use `execute`."""
        raise self._refusal("`execute_async` was called, but")

    async def session_async(self) -> NoReturn:
        """Refuse: use `session`."""
        raise self._refusal("`session_async` was called, but")

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> NoReturn:
        """Refuse: there is no asynchronous session."""
        raise self._refusal("`listen_notify` was called, but")

    def _refusal(self, what: str) -> exceptions.SyncConnectorConfigurationError:
        return exceptions.SyncConnectorConfigurationError(
            f"{what} the app's connector ({type(self).__name__}) is synchronous. Give the app an async connector, "
            "such as adjourn.PsycopgConnector, or call the blocking form of the operation, the one without `_async`."
        )
