"""A synchronous half made of an asynchronous one, on an event loop in a thread.

A blocking call costs a hop to that thread and back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._dispatch import bridge
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.lifecycle import SyncPooledHalf
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

T = TypeVar("T")

STOP_TIMEOUT = 5.0
"""Seconds within which a thread must end after its event loop was stopped."""


class LoopThread:
    """An event loop in its own thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        # A daemon thread, so that a program can end without closing it.
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
        """Cancel the tasks that still run, and end the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_asked.set)
            self._thread.join(STOP_TIMEOUT)


class LoopedPool:
    """An open asynchronous half, and the thread of its loop."""

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
        self.is_wakeable: bool = self._session.is_wakeable
        self.can_listen: bool = self._session.can_listen
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
        """Wait at most ``timeout`` seconds for a notification, and return the payloads of those that have arrived."""
        return self._run(self._session.wait_for_notifications_async, timeout)

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self._session.wake()

    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time."""
        self._session.abandon()

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
        # Never opened: it only connects sessions.
        self._half = make_half()
        self.json_dumps: JSONDumps = self._half.json_dumps
        self.json_loads: JSONLoads = self._half.json_loads

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for calls in flight."""
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
            f"This connector's driver is asynchronous, so a pool of yours (here: {type(pool).__name__}) can only be "
            "used on its event loop: `await app.open_async(pool)`. For blocking calls open the app without one."
        )

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows."""
        if connection is not None:
            kind = type(connection)
            raise exceptions.InvalidConnection(
                "This connector's driver is asynchronous, so a blocking call cannot use an instance of "
                f"{kind.__module__}.{kind.__qualname__}. Await the form of the call that ends in `_async`, with a "
                "connection of the driver."
            )
        opened = self.enter()
        try:
            return opened.pool.run(opened.pool.half.execute_async, statement, parameters)
        finally:
            opened.gate.leave()

    def session(self) -> SyncSession:
        """Open another connection, for the caller alone. The connector need not be open."""
        return LoopedSession(self._half.session_async, self.timeout)
