"""The contract between adjourn and a database driver.

adjourn reaches a database in three ways: one statement (`execute_async`), a separate connection (`session_async`), and
open and close. These are protocols; the public classes to inherit are in `adjourn.connectors.base` and
`adjourn.connectors.adapted`.

A statement has a name, and text with parameters in psycopg's style, ``%(name)s``. A connector to Postgres sends the
text; the in-memory one finds its answer by the name.
"""

from __future__ import annotations

import abc
from typing import Any, Protocol

from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement


class AsyncSession(Protocol):
    """A database connection that belongs to its caller alone: it holds prepared statements, and can listen.

    It commits each statement by itself; ``begin`` and ``commit`` can be executed as statements. Only one task or thread
    may use it at a time. After a `ConnectorException` it may be broken: close it and take another.
    """

    can_listen: bool = True
    """Whether notifications arrive. They do not through a connection pooler in transaction mode, so workers poll."""

    is_wakeable: bool = False
    """Whether `wake` ends a wait. If it does not, a worker waits in short turns."""

    @abc.abstractmethod
    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            Its parameters, by name. None sends the text as it is: it may hold several commands, and percent signs are
            literal.
        """

    @abc.abstractmethod
    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""

    @abc.abstractmethod
    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait until a notification arrives and return the payloads of those that are there.

        Parameters
        ----------
        timeout
            Seconds to wait at most; if nothing arrives, an empty list is returned.
        """

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time.

        A session that implements it says so with ``is_wakeable = True``. Then a worker ends at once; otherwise it
        takes up to a quarter of a second.
        """

    @abc.abstractmethod
    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time.

        Whatever waits for the server on this connection raises `ConnectorException`, and so does each later call.
        Closing it is still the caller's duty, and does not wait for the server then.
        """

    @abc.abstractmethod
    async def close_async(self) -> None:
        """Close the connection. Does not raise if the connection is broken; closing twice does nothing."""


class AsyncConnector(Protocol):
    """A database driver behind adjourn's contract. Each method may be called by many tasks at once.

    Attributes
    ----------
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back.
    """

    json_dumps: JSONDumps
    json_loads: JSONLoads

    @abc.abstractmethod
    async def open_async(self, pool: Any = None) -> None:
        """Connect: make the pool, or use the given one, which the connector never closes.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then still closed.
        """

    @abc.abstractmethod
    async def close_async(self) -> None:
        """Wait until running calls have ended, then close the connector's own pool. The user's own pool stays open."""

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
            that is open on it, and is committed or rolled back with it. The connector need not be open.

        Raises
        ------
        AppNotOpen
            If the connector is not open and no ``connection`` was given.
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
        """


class AsyncConnectorSource(Protocol):
    """An object that managers hold, and that returns the connector for asynchronous calls."""

    json_dumps: JSONDumps
    json_loads: JSONLoads
    applies_schema: str

    def get_async_connector(self) -> AsyncConnector:
        """Return the connector that serves asynchronous calls."""
