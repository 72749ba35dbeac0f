"""A connector of your own: a driver that is written once, in async, and serves blocking calls too.

Write a `Driver`, which makes pools, executes statements and opens sessions (`DriverSession`), and hand it to an
`AdaptedConnector`. Who may open and close it when, who waits for whom, and what becomes of it in a forked process or
when an event loop dies, is seen to here, as for adjourn's own connectors.

The connectors of this package have a synchronous half that is generated. Whoever writes a driver elsewhere has no
generator: blocking calls run another one of the driver on an event loop in a thread. Such a call costs a hop to that
thread and back.
"""

from __future__ import annotations

import abc
import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._dispatch import bridge
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._sync.connectors.lifecycle import SyncPooledHalf
from adjourn.connectors.base import AsyncSession, SyncSession
from adjourn.connectors.faces import AsynchronousConnector, SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = ["AdaptedConnector", "Driver", "DriverSession", "SyncAdaptedConnector"]

T = TypeVar("T")
PoolT = TypeVar("PoolT")

STOP_TIMEOUT = 5.0
"""Seconds that a thread has to end in once its event loop was stopped."""


class DriverSession(abc.ABC):
    """A database connection that belongs to its caller alone: it holds prepared statements, and can listen.

    It commits each statement by itself; ``begin`` and ``commit`` can be executed as statements. It is used by one task
    at a time. After a `ConnectorException` it may be broken: it is closed then, and another one taken.
    """

    @abc.abstractmethod
    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows as dictionaries, an empty list where it returns none.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``. None sends the text as it is: it may hold several commands, and percent
            signs count for themselves.

        Raises
        ------
        UniqueViolation
            If a unique constraint refused.
        ConnectorException
            For whatever else the database or the way to it had to say. The connection is used again after it, if it
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

        Those that arrived while a statement was executed are not lost.

        Parameters
        ----------
        timeout
            Seconds to wait at most; an empty list is returned when nothing came.
        """

    @property
    def is_wakeable(self) -> bool:
        """Whether `wake` ends a wait; False unless you write both."""
        return False

    def wake(self) -> None:  # noqa: B027 - a session need not be wakeable
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time.

        By default it does nothing. A worker whose session is not wakeable waits in turns of a quarter of a second, so it
        takes up to that long to end.
        """

    @abc.abstractmethod
    async def close_async(self) -> None:
        """Close the connection. Never raises because the connection is broken; closing twice does nothing."""


class Driver(abc.ABC, Generic[PoolT]):
    """A database driver, as adjourn needs it. Each method may be called by many tasks at once, of one event loop.

    Opening and closing are not: one pool is made, used by many, and closed when nobody uses it any more.

    Attributes
    ----------
    timeout
        Seconds: how long a call waits for a connection at most, and closing for calls in flight; 30 unless set.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless set.
    """

    timeout: float = 30.0
    json_dumps: JSONDumps = staticmethod(json.dumps)
    json_loads: JSONLoads = staticmethod(json.loads)

    @abc.abstractmethod
    async def make_pool_async(self) -> PoolT:
        """Make a pool that is connected. Leave nothing behind when that fails.

        A pool is whatever the other methods need to execute statements: a single connection may do.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """

    @abc.abstractmethod
    async def close_pool_async(self, pool: PoolT) -> None:
        """Close a pool that was made here, which nobody uses any more."""

    @abc.abstractmethod
    async def execute_async(self, pool: PoolT, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries.

        A call that is cancelled takes no connection away from the others. More calls than connections wait.

        Parameters
        ----------
        pool
            The pool that is open.
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``. None sends the text as it is: it may hold several commands, and percent
            signs count for themselves.

        Raises
        ------
        UniqueViolation
            If a unique constraint refused.
        ConnectorException
            For whatever else the database or the way to it had to say. The next call works.
        """

    @abc.abstractmethod
    async def session_async(self, pool: PoolT | None) -> DriverSession:
        """Connect once more, for the caller alone. It must work on any event loop, open or not.

        Parameters
        ----------
        pool
            The user's own pool while one is in use: connect to where it does. None otherwise.

        Raises
        ------
        ConnectorException
            If the database cannot be reached.
        """

    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement on a connection of the caller's, and return its rows. By default none is taken.

        The statement becomes part of whatever transaction is open on it; nothing is committed.

        Raises
        ------
        InvalidConnection
            If it is of another kind; the message says which are taken.
        """
        kind = type(connection)
        raise exceptions.InvalidConnection(
            f"{type(self).__name__} cannot use a {kind.__module__}.{kind.__qualname__}: it takes no connection of the "
            "caller's. Leave `connection` out."
        )

    def accept_pool(self, pool: Any) -> PoolT:
        """Check a pool that a user opens the app with, and return it as the other methods take it. By default none is.

        Raises
        ------
        InvalidOption
            If it is of another kind, or not open; the message says what can be used.
        """
        raise exceptions.InvalidOption(
            f"{type(self).__name__} takes no pool of the user's, so the app cannot be opened with a "
            f"{type(pool).__name__}. Open it without one."
        )

    def discard_pool(self, pool: PoolT) -> None:
        """Give back the connections of a pool that was made here and whose event loop has ended. By default nothing.

        Nothing can be awaited any more. Close the sockets without, for instance on the side of the C library; otherwise
        the server keeps the sessions for as long as this process lives.
        """

    def discard_unfinished(self) -> None:
        """Give back the connections of a pool whose event loop ended while it was made or closed. By default nothing.

        These are connections that are made but not in a pool yet, or not any more.
        """


class DriverHalf(AsyncPooledHalf[Any]):
    """The asynchronous half: a driver, with the life of its pool.

    Parameters
    ----------
    driver
        The driver.
    """

    def __init__(self, driver: Driver[Any]) -> None:
        super().__init__()
        self._driver = driver
        self.json_dumps: JSONDumps = driver.json_dumps
        self.json_loads: JSONLoads = driver.json_loads

    @property
    def timeout(self) -> float:
        """Seconds: how long a call waits for a connection at most, and closing for calls in flight."""
        return self._driver.timeout

    async def make_pool_async(self) -> Any:
        """Make a pool."""
        return await self._driver.make_pool_async()

    async def close_pool_async(self, pool: Any) -> None:
        """Close a pool."""
        await self._driver.close_pool_async(pool)

    def accept_pool(self, pool: Any) -> Any:
        """Check the user's own pool."""
        return self._driver.accept_pool(pool)

    def discard_pool(self, pool: Any) -> None:
        """Give back the connections of a pool."""
        self._driver.discard_pool(pool)

    def discard_unfinished(self) -> None:
        """Give back the connections of a pool that is not finished."""
        self._driver.discard_unfinished()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, on the pool or on a connection of the caller's."""
        if connection is not None:
            return await self._driver.execute_on_async(connection, statement, parameters)
        opened = await self.enter_async()
        try:
            return await self._driver.execute_async(opened.pool, statement, parameters)
        finally:
            opened.gate.leave()

    async def session_async(self) -> AsyncSession:
        """Connect once more, for the caller alone."""
        return await self._driver.session_async(self.pool if self.is_external else None)


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        # A program that has not closed it ends all the same.
        self._thread = threading.Thread(target=self._run, name="adjourn connector", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._stop_asked = asyncio.Event()
        self._started.set()
        await self._stop_asked.wait()

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, timeout: float) -> T:
        """Run a coroutine function on the loop, and wait for it. See `adjourn._dispatch.bridge.run`."""
        return bridge.run(self._loop, function, *arguments, timeout=timeout)

    def close(self) -> None:
        """Cancel what still runs, and end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_asked.set)
            self._thread.join(STOP_TIMEOUT)


class LoopedPool:
    """An open asynchronous half, and the thread that it lives in."""

    def __init__(self, half: AsyncPooledHalf[Any]) -> None:
        self.half = half
        self._thread = LoopThread()
        try:
            self.run(half.open_async)
        except BaseException:
            self._thread.close()
            raise

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run a method of the half, and wait for it."""
        return self._thread.run(function, *arguments, timeout=self.half.timeout)

    def close(self) -> None:
        """Close the half, and end the thread."""
        try:
            self.run(self.half.close_async)
        finally:
            self._thread.close()

    def discard(self) -> None:
        """End the thread without waiting for the half."""
        self.half.forget()
        self._thread.close()


class LoopedSession:
    """A session whose connection lives on an event loop in a thread.

    Parameters
    ----------
    connect
        The coroutine function that connects.
    timeout
        Seconds that the loop may keep a call waiting.
    """

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, AsyncSession]], timeout: float) -> None:
        self._timeout = timeout
        self._thread = LoopThread()
        try:
            self._session = self._run(connect)
        except BaseException:
            self._thread.close()
            raise
        self._is_closed = False

    def _run(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return self._thread.run(function, *arguments, timeout=self._timeout)

    def execute(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        return self._run(self._session.execute_async, statement, parameters)

    def listen(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""
        self._run(self._session.listen_async, channel)

    def wait_for_notifications(self, timeout: float) -> list[str]:
        """Wait until a notification arrives, at most so many seconds, and return the payloads of those there are."""
        return self._run(self._session.wait_for_notifications_async, timeout)

    @property
    def is_wakeable(self) -> bool:
        """Whether the session on the loop is."""
        return self._session.is_wakeable

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self._session.wake()

    def close(self) -> None:
        """Close the connection, and end the thread. Closing twice does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._run(self._session.close_async)
        finally:
            self._thread.close()


class LoopedHalf(SyncPooledHalf[LoopedPool]):
    """The synchronous half: an asynchronous one on an event loop in a thread.

    Parameters
    ----------
    make_half
        Makes the asynchronous half.
    """

    def __init__(self, make_half: Callable[[], AsyncPooledHalf[Any]]) -> None:
        super().__init__()
        self._make_half = make_half
        # Never opened: it connects sessions.
        self._half = make_half()
        self.json_dumps: JSONDumps = self._half.json_dumps
        self.json_loads: JSONLoads = self._half.json_loads

    @property
    def timeout(self) -> float:
        """Seconds: how long a call waits for a connection at most, and closing for calls in flight."""
        return self._half.timeout

    def make_pool(self) -> LoopedPool:
        """Open an asynchronous half."""
        return LoopedPool(self._make_half())

    def close_pool(self, pool: LoopedPool) -> None:
        """Close the asynchronous half."""
        pool.close()

    def discard_pool(self, pool: LoopedPool) -> None:
        """End its thread."""
        pool.discard()

    def accept_pool(self, pool: Any) -> NoReturn:
        """Refuse a pool: the driver is asynchronous, and so is its pool."""
        raise exceptions.InvalidOption(
            f"This connector's driver is asynchronous, so a pool of yours (a {type(pool).__name__}) can only be used on "
            "its event loop: `await app.open_async(pool)`. For blocking calls open the app without one."
        )

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows."""
        if connection is not None:
            kind = type(connection)
            raise exceptions.InvalidConnection(
                f"This connector's driver is asynchronous, so a blocking call cannot use a {kind.__module__}."
                f"{kind.__qualname__}. Await the form of the call that ends in `_async`, with a connection of the driver."
            )
        opened = self.enter()
        try:
            return opened.pool.run(opened.pool.half.execute_async, statement, parameters)
        finally:
            opened.gate.leave()

    def session(self) -> SyncSession:
        """Connect once more, for the caller alone. The connector need not be open."""
        return LoopedSession(self._half.session_async, self.timeout)


class SyncAdaptedConnector(SynchronousConnector):
    """The synchronous twin of an `AdaptedConnector`, which is nothing to make or inherit."""


class AdaptedConnector(AsynchronousConnector):
    """A connector made of a driver; blocking calls run the driver on an event loop in a thread.

    Open on an event loop (``await app.open_async()``), that loop serves blocking calls too; opened with ``app.open()``,
    an event loop in a thread of its own does.

    Parameters
    ----------
    make_driver
        Makes the driver: a new one each time, for each event loop has one of its own.

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
            # The half knows whether it is open on the user's own pool.
            return LoopedSession(half.session_async, half.timeout)

        half = make_half()
        dispatcher = Dispatcher(half, lambda: LoopedHalf(make_half), connect)
        super().__init__(dispatcher, SyncAdaptedConnector.twin_of(dispatcher))
