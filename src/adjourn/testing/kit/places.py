"""Where the statements of a drain, and of the jobs that it runs, are executed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from adjourn import exceptions
from adjourn._drivers.wrappers import is_wrapper
from adjourn.app import App
from adjourn.connectors.base import AsyncSession, BaseConnector, Notify, SyncSession
from adjourn.testing.kit.loops import Loop
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement


class Place(BaseConnector):
    """A connector that serves the calls of both colours through another one, on the caller's connection if there is one.

    Parameters
    ----------
    connector
        The other connector.
    connection
        The caller's connection; None for those of the connector.
    """

    needs_opening: bool = False

    def __init__(self, connector: BaseConnector, connection: Any) -> None:
        self._inner = connector
        self.connection: Any = connection
        self.is_shared: bool = connector.is_shared
        self.json_dumps: JSONDumps = connector.json_dumps
        self.json_loads: JSONLoads = connector.json_loads

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def get_async_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def open(self, pool: Any = None) -> None:
        """Do nothing: the other connector, or the connection, is open."""

    def close(self) -> None:
        """Do nothing: the other connector stays as it is."""

    async def open_async(self, pool: Any = None) -> None:
        """Do nothing: the other connector, or the connection, is open."""

    async def close_async(self) -> None:
        """Do nothing: the other connector stays as it is."""

    def session(self) -> SyncSession:
        """Open another connection."""
        return self._inner.session()

    async def session_async(self) -> AsyncSession:
        """Open another connection."""
        return await self._inner.session_async()

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Receive notifications."""
        await self._inner.listen_notify(on_notification, channels)


class BlockingPlace(Place):
    """The place of a drain that blocks. Async tasks, which run meanwhile, are served by blocking calls as well."""

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement."""
        given = self.connection if connection is None else connection
        return self._inner.get_sync_connector().execute(statement, parameters, connection=given)

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement."""
        if connection is not None:
            return await self._inner.execute_async(statement, parameters, connection=connection)
        # On the thread that drains: a connection of Django's serves no other.
        rows: list[Row] = await Loop.call_back(functools.partial(self.execute, statement, parameters))
        return rows


class OwnPlace(BlockingPlace):
    """The place of a test's jobs. A connection to anywhere else is refused, because the test would not see those jobs.

    Parameters
    ----------
    connector, connection
        As for `Place`.
    remedy
        What to do instead, for the message.
    """

    def __init__(self, connector: BaseConnector, connection: Any, remedy: str) -> None:
        super().__init__(connector, connection)
        self._remedy = remedy
        self._own: Row | None = None

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement.

        Raises
        ------
        InvalidConnection
            If the connection is to somewhere else.
        """
        if connection is not None and connection is not self.connection:
            (found,) = super().execute(_WHERE, connection=connection)
            self._check(found)
        return super().execute(statement, parameters, connection=connection)

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement. See `execute`."""
        if connection is not None and connection is not self.connection:
            (found,) = await super().execute_async(_WHERE, connection=connection)
            self._check(found)
        return await super().execute_async(statement, parameters, connection=connection)

    def _check(self, found: Row) -> None:
        if self.connection is not None:
            raise exceptions.InvalidConnection(
                f"The jobs of this test are in a transaction, and this is another connection. {self._remedy}"
            )
        if self._own is None:
            (self._own,) = self._inner.get_sync_connector().execute(_WHERE)
        if found != self._own:
            raise exceptions.InvalidConnection(
                f"This connection is to the database {found['name']!r}{_address(found)}, and the jobs of this test are in "
                f"{self._own['name']!r}{_address(self._own)}. {self._remedy}"
            )


_WHERE = Statement(
    "query",
    "select current_database()::text as name, (select oid::bigint from pg_database where datname = current_database()) as oid, "
    "pg_postmaster_start_time()::text as started, current_setting('port') as port",
)
"""Which database of which server a connection is to, however its address is written."""


def _address(where: Row) -> str:
    return f" of the server at port {where['port']}"


class AwaitedPlace(Place):
    """The place of a drain that is awaited, on the caller's connection. Synchronous tasks run in threads meanwhile."""

    def __init__(self, connector: BaseConnector, connection: Any) -> None:
        super().__init__(connector, connection)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, from a thread of a synchronous task."""
        if connection is not None:
            return self._inner.get_sync_connector().execute(statement, parameters, connection=connection)
        if threading.get_ident() == self._thread:
            raise exceptions.WrongCaller(
                "A blocking call was made on the thread of the event loop: await its `_async` form."
            )
        call = self.execute_async(statement, parameters)
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement."""
        given = self.connection if connection is None else connection
        return await self._inner.execute_async(statement, parameters, connection=given)


@contextlib.contextmanager
def blocking_place(app: App, connection: Any) -> Iterator[None]:
    """Have everything that is done with an app executed by blocking calls, on a connection if one is given."""
    if _serves_itself(app.connector, connection):
        yield
        return
    with app.swapped_connector(BlockingPlace(app.connector, connection)):
        yield


@contextlib.contextmanager
def awaited_place(app: App, connection: Any) -> Iterator[None]:
    """Have everything that is done with an app executed on a connection, if one is given."""
    if connection is None or _serves_itself(app.connector, connection):
        yield
        return
    with app.swapped_connector(AwaitedPlace(app.connector, connection)):
        yield


def connection_of(connector: BaseConnector) -> Any:
    """Return the connection that a connector has for all calls of this thread: the caller's, or Django's; or None."""
    return getattr(connector, "connection", None)


def _serves_itself(connector: BaseConnector, connection: Any) -> bool:
    """Return whether a connector serves calls of both colours as it is, and on this connection: one in memory without a
    connection, and Django's."""
    if connector.needs_opening:
        return False
    return connection is None or (
        is_wrapper(connection) and getattr(connector, "alias", None) == getattr(connection, "alias", "")
    )
