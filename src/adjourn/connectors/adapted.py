"""Your own connector, from an asynchronous driver that serves blocking calls too.

Write a `Driver`, which makes pools, executes statements and opens sessions (`DriverSession`), and pass it to an
`AdaptedConnector`. As for adjourn's own connectors, that handles opening and closing at any time, waiting, forked
processes and dead event loops.

adjourn's own connectors have a generated synchronous half. For your driver, blocking calls use a second instance of it,
on an event loop in a thread, which costs each call a hop to that thread and back.
"""

from __future__ import annotations

import abc
import asyncio
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._dispatch.limits import DriversSession, has_closed, within
from adjourn._dispatch.looped import LoopedHalf, LoopedSession
from adjourn._drivers.numbered import has_several_commands, numbered
from adjourn._drivers.settings import check_encoding, greeting
from adjourn._drivers.watchdog import CANCELLATION, RESPONSE_TIMEOUT, Wait, check_response_timeout, seconds_for
from adjourn._runtime.aio import uninterrupted
from adjourn.connectors.base import AsyncSession, SyncSession
from adjourn.connectors.faces import AsynchronousConnector, SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = [
    "SETTINGS",
    "AdaptedConnector",
    "Driver",
    "DriverSession",
    "SyncAdaptedConnector",
    "has_several_commands",
    "numbered",
]

PoolT = TypeVar("PoolT")

SETTINGS: Statement = Statement("settings", greeting(None, sets=True, lasting=False))
"""A statement for a driver to execute once on each connection of a pool that it makes, without parameters.

It sets what adjourn's statements depend on, whatever the role or the database begins its sessions with. Sessions need
it not: adjourn sets what they need. A pool that resets connections when they come back takes the settings away: turn
that off, or execute it again. Do not execute it on a connection of the user's own, nor behind a connection pooler in
transaction mode. Besides, connect with ``client_encoding=UTF8``.
"""


class DriverSession(abc.ABC):
    """A database connection that belongs to its caller alone: it holds prepared statements, and can listen.

    It commits each statement by itself; ``begin`` and ``commit`` can be executed as statements. It is used by one task
    at a time. After a `ConnectorException` it may be broken: it is closed then, and another one taken. A worker has
    two.
    """

    @abc.abstractmethod
    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows as dictionaries, an empty list where it returns none.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``. None sends the text as it is: percent signs count for themselves. There may
            be several commands, as in a migration, and nobody reads their rows: an empty list will do.

        Raises
        ------
        UniqueViolation
            If a unique constraint was violated.
        ConnectorException
            For any other error of the database or of the connection to it. adjourn goes on using the connection if it
            still works.
        """

    @abc.abstractmethod
    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel.

        Parameters
        ----------
        channel
            The channel's name, not quoted.
        """

    @abc.abstractmethod
    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait until a notification arrives and return the payloads of those that are there.

        It also returns those that arrived while a statement was executed.

        Parameters
        ----------
        timeout
            Seconds to wait at most; an empty list is returned when nothing came.

        Raises
        ------
        ConnectorException
            If the connection is lost, before the wait or during it. A worker takes another session then.
        """

    can_listen: bool = True
    """Whether notifications arrive. If not, as behind a connection pooler in transaction mode, workers poll for jobs, and never
    listen or wait for notifications."""

    is_wakeable: bool = False
    """Whether `wake` ends a wait; False unless you write both."""

    def wake(self) -> None:  # noqa: B027 - a session need not be wakeable
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time.

        By default it does nothing. A worker whose session is not wakeable waits in turns of a quarter of a second, so it
        takes up to that long to end.
        """

    def abandon(self) -> None:  # noqa: B027 - a session need not know how
        """Close the connection at once, without talking to the server. From any thread, at any time.

        By default it does nothing. Whether you write it or not, adjourn cancels the calls that are under way, and does
        not wait for them. A driver on asyncio shuts down the socket of its transport here, as in `Driver.discard_pool`,
        so that the server does not keep the session.
        """

    @abc.abstractmethod
    async def close_async(self) -> None:
        """Close the connection. Never raises because the connection is broken; closing twice does nothing.

        A transaction that is open is rolled back.
        """


class Driver(abc.ABC, Generic[PoolT]):
    """A database driver for adjourn. Many tasks of one event loop may call each method at the same time.

    The exceptions are making and closing a pool: adjourn makes one pool, and closes it when it is no longer in use.

    Attributes
    ----------
    timeout
        Seconds: how long a call waits for a connection at most, and closing for calls in flight; 30 unless set. The
        driver keeps the former itself (`execute_async`); the latter is kept for it.
    response_timeout
        Seconds: how long the server may take to answer, None for any time; 60 unless set. adjourn cancels a call that
        takes longer, and does not wait for it any more. Do not use its connection again.
    pooler
        Whether there is a connection pooler in transaction mode in between; False unless set. Then adjourn sets nothing in
        sessions, and the driver must not prepare statements.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless set.
    """

    timeout: float = 30.0
    response_timeout: float | None = RESPONSE_TIMEOUT
    pooler: bool = False
    json_dumps: JSONDumps = staticmethod(json.dumps)
    json_loads: JSONLoads = staticmethod(json.loads)

    @abc.abstractmethod
    async def make_pool_async(self) -> PoolT:
        """Make a pool that is connected. Leave nothing behind when that fails.

        A pool is any object with which the other methods can execute statements, even a single connection.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """

    @abc.abstractmethod
    async def close_pool_async(self, pool: PoolT) -> None:
        """Close a pool that `make_pool_async` made. It is no longer in use."""

    @abc.abstractmethod
    async def execute_async(self, pool: PoolT, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries.

        A call that is cancelled takes no connection away from the others. More calls than connections wait, for
        ``timeout`` seconds at most.

        Parameters
        ----------
        pool
            The pool that is open.
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``. None sends the text as it is: percent signs count for themselves. One
            command returns its rows. There may be several, and nobody reads their rows: an empty list will do.

        Raises
        ------
        UniqueViolation
            If a unique constraint was violated.
        ConnectorException
            For any other error of the database or of the connection to it, and if no connection was free for
            ``timeout`` seconds. The next call works.
        """

    @abc.abstractmethod
    async def session_async(self, pool: PoolT | None) -> DriverSession:
        """Open another connection, for the caller alone. The driver need not have made a pool.

        This may run on another event loop than the pool's, in another thread, at the same time: touch nothing of the
        pool or of the driver that belongs to an event loop.

        Parameters
        ----------
        pool
            The user's own pool while one is in use: connect to where that pool connects. If the pool does not tell,
            connect to where `make_pool_async` does, and tell users to give both the same address. None otherwise.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """

    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement on the caller's own connection, and return its rows. By default this refuses every
        connection.

        The statement becomes part of the transaction that is open on it; nothing is committed.

        Parameters
        ----------
        connection
            The caller's connection.
        statement
            The statement to execute.
        parameters
            Its parameters, by name; None sends the text as it is.

        Raises
        ------
        InvalidConnection
            If it is of another kind, or belongs to another event loop than the running one; the message says which are
            taken.
        """
        kind = type(connection)
        raise exceptions.InvalidConnection(
            f"{type(self).__name__} cannot use an instance of {kind.__module__}.{kind.__qualname__}: it takes no "
            "connection of the caller's. Leave `connection` out."
        )

    def accept_pool(self, pool: Any) -> PoolT:
        """Check a user's pool, and return it as the other methods need it. By default this refuses every pool.

        This runs on the event loop that the app is opened on.

        Raises
        ------
        InvalidOption
            If it is of another kind, not open, or belongs to another event loop than the running one; the message says
            what can be used.
        """
        raise exceptions.InvalidOption(
            f"{type(self).__name__} takes no pool of the user's, so the app cannot be opened with an instance of "
            f"{type(pool).__name__}. Open it without one."
        )

    async def distrust_async(self, pool: PoolT) -> None:
        """Replace the pool's connections, those in use when they come back, without waiting for the server.

        adjourn calls it when a statement has failed because the server takes no writes any more (``sqlstate`` 25006),
        and then executes the statement once more, on a connection to the new primary. By default do nothing.
        """

    def discard_pool(self, pool: PoolT) -> None:
        """Close the connections of a pool of `make_pool_async` whose event loop has ended. By default do nothing.

        Nothing can be awaited any more. Close the connections on the side of the C library, or shut down the socket,
        which a driver on asyncio has in its transport: ``transport.get_extra_info("socket").shutdown(SHUT_RDWR)``.
        Otherwise the server keeps the sessions for as long as this process lives. In a forked child this is not called:
        there the connections are the parent's.
        """

    def discard_unfinished(self) -> None:
        """Close the connections of a pool whose event loop ended while making or closing it. By default do nothing.

        These connections are not in a pool yet, or no longer.
        """


class DriverHalf(AsyncPooledHalf[Any]):
    """The asynchronous half: a driver, and the life of its pool.

    Parameters
    ----------
    driver
        The driver.
    """

    def __init__(self, driver: Driver[Any]) -> None:
        super().__init__()
        self._driver = driver
        self._closing: set[asyncio.Task[bool]] = set()
        self.json_dumps: JSONDumps = driver.json_dumps
        self.json_loads: JSONLoads = driver.json_loads
        check_response_timeout(type(driver).__name__, driver.response_timeout)
        self.response_timeout: float | None = driver.response_timeout

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for running calls."""
        return self._driver.timeout

    async def make_pool_async(self) -> Any:
        """Make a pool."""
        seconds = seconds_for(self.response_timeout)
        return await within(seconds, self._driver.make_pool_async, discard=self._driver.discard_pool)

    async def close_pool_async(self, pool: Any) -> None:
        """Close a pool; a server that does not answer is waited for only briefly."""
        if not await has_closed(CANCELLATION, self._driver.close_pool_async, pool):
            self._driver.discard_pool(pool)

    async def distrust_async(self, pool: Any) -> None:
        """Have the driver throw the pool's connections away."""
        await self._driver.distrust_async(pool)

    def accept_pool(self, pool: Any) -> Any:
        """Check the user's own pool."""
        return self._driver.accept_pool(pool)

    def discard_pool(self, pool: Any) -> None:
        """Close the connections of a pool."""
        self._driver.discard_pool(pool)

    def discard_unfinished(self) -> None:
        """Close the connections of a pool whose making or closing was cut off."""
        self._driver.discard_unfinished()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, on the pool or on the caller's own connection."""
        if connection is not None:
            return await self._driver.execute_on_async(connection, statement, parameters)
        return await self.execute_pooled_async(statement, parameters)

    async def run_pooled_async(
        self, pool: Any, wait: Wait, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute one statement on a connection of the pool, committed on return."""
        # The driver may first wait for a connection.
        seconds = self.timeout + seconds_for(self.response_timeout, statement)
        return await within(seconds, self._driver.execute_async, pool, statement, parameters)

    def _discard_session(self, session: DriverSession) -> None:
        closing = asyncio.get_running_loop().create_task(has_closed(CANCELLATION, session.close_async))
        self._closing.add(closing)  # the loop itself does not keep it
        closing.add_done_callback(self._closing.discard)

    async def session_async(self) -> AsyncSession:
        """Open another connection, for the caller alone."""
        pool = self.pool if self.is_external else None
        seconds = seconds_for(self.response_timeout)
        made = await within(seconds, self._driver.session_async, pool, discard=self._discard_session)
        session = DriversSession(made, self.response_timeout)
        try:
            text = greeting(None, sets=not self._driver.pooler, lasting=True)
            async with asyncio.timeout(self.timeout):
                (facts,) = await session.execute_async(Statement("greeting", text), None)
            check_encoding(facts["encoding"])
        except TimeoutError as error:
            await uninterrupted(session.close_async)
            raise exceptions.ConnectorException("The server did not answer a session's first statement.") from error
        except BaseException:
            await uninterrupted(session.close_async)
            raise
        return session


class SyncAdaptedConnector(SynchronousConnector):
    """The synchronous twin of an `AdaptedConnector`. Do not make or inherit it."""


class AdaptedConnector(AsynchronousConnector):
    """A connector made from a driver. It also serves blocking calls.

    If the app is open on an event loop (``await app.open_async()``), that loop serves blocking calls. If it was opened
    with ``app.open()``, an event loop in a separate thread does.

    Parameters
    ----------
    make_driver
        Makes a new driver each time, because each event loop needs its own.

    Examples
    --------
    ::

        class MyConnector(AdaptedConnector):
            def __init__(self, dsn, **options):
                super().__init__(lambda: MyDriver(dsn, **options))
    """

    def __init__(self, make_driver: Callable[[], Driver[Any]]) -> None:
        def make_half() -> DriverHalf:
            return DriverHalf(make_driver())

        def connect(pool: Any) -> SyncSession:
            # The half knows whether the open pool is the user's own.
            return LoopedSession(half.session_async, half.timeout)

        half = make_half()
        dispatcher = Dispatcher(half, lambda: LoopedHalf(make_half), connect)
        super().__init__(dispatcher, SyncAdaptedConnector.twin_of(dispatcher))
