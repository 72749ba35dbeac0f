"""Tools for waiting on an asyncio event loop. `adjourn._runtime.threads` has the same names."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from adjourn._runtime.private import may_be_in_cancel_scope, running_loop

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_STEP = 0.005
"""Seconds for which a long computation keeps the event loop."""

IS_BLOCKING: bool = False
"""Whether calls of this colour block the calling thread."""

Lock = asyncio.Lock
sleep = asyncio.sleep


def this_task() -> asyncio.Task[Any] | None:
    """Return the task that runs now, which may be cancelled."""
    return asyncio.current_task()


class Gate:
    """Admits calls while it is open; closing it waits for the calls inside.

    It belongs to one event loop, so counting needs no lock.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._empty = asyncio.Event()

    def enter(self) -> bool:
        """Enter, and return whether the gate was open."""
        if self._closed:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Leave."""
        self._inside -= 1
        if self._closed and not self._inside:
            self._empty.set()

    async def close(self, timeout: float) -> bool:
        """Refuse new calls, wait at most ``timeout`` seconds, and return whether all calls have left."""
        self._closed = True
        if self._inside:
            try:
                await asyncio.wait_for(self._empty.wait(), timeout)
            except TimeoutError:
                return False
        return True


class Turns:
    """Lets ``number`` callers proceed at a time; the others follow in the order in which they came."""

    def __init__(self, number: int) -> None:
        self._semaphore = asyncio.Semaphore(number)

    async def take(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a turn, and return whether it came. If so, `give` it back later."""
        try:
            async with asyncio.timeout(timeout):
                await self._semaphore.acquire()
        except TimeoutError:
            return False
        return True

    def give(self) -> None:
        """Give a turn back; the caller that has waited longest gets it."""
        # An event loop that was closed too early leaves waiting tasks that it cannot wake any more.
        with contextlib.suppress(RuntimeError):
            self._semaphore.release()


async def guarded(call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function so that a cancellation reaches it exactly once, and wait until it has cleaned up.

    An anyio cancel scope cancels the task inside it again and again until it ends, which breaks a driver whose clean-up
    waits for the server. So the call runs in a task of its own, outside the scope.
    """
    _require_asyncio()
    # The task costs two turns of the event loop. Whoever else cancels twice breaks one connection, which the pool replaces.
    if not may_be_in_cancel_scope():
        return await call(*args, **kwargs)
    task = asyncio.ensure_future(call(*args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await _ended(task)
        raise


async def uninterrupted(call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function to its end, and raise a cancellation only then. The call must limit its own time.

    A coroutine that is being destroyed because its event loop has died cannot wait, so the call is skipped there.
    """
    error = sys.exception()
    if isinstance(error, GeneratorExit) or (error is not None and running_loop() is None):
        raise error
    _require_asyncio()
    task = asyncio.ensure_future(call(*args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _ended(task)
        raise


async def _ended(task: asyncio.Future[Any]) -> None:
    # Imported here, since few programs come here.
    import anyio

    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
    if not task.cancelled():
        task.exception()  # retrieve it, so that asyncio does not log an exception that was never retrieved


async def pause(seconds: float) -> None:
    """Wait for some seconds."""
    await asyncio.sleep(seconds)


class Pace:
    """Lets the event loop turn now and then during a long computation, which calls `keep` in each of its steps."""

    def __init__(self) -> None:
        self._until = time.monotonic() + LONGEST_STEP

    async def keep(self) -> None:
        """Let others have a turn, if this one has lasted for long enough."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + LONGEST_STEP


async def run_sync(call: Callable[[], T]) -> T:
    """Call a blocking function in a new thread, and wait for it without blocking the event loop.

    Unlike `asyncio.to_thread`, this never waits for a free thread, however many of the program's threads are busy.
    """
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="adjourn", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "adjourn's asynchronous operations run on asyncio, and no asyncio event loop is running here. Trio is not "
            "supported: run the program with asyncio, or call the synchronous form of the operation."
        ) from None


async def answer(question: Callable[[], T | Awaitable[T]]) -> T:
    """Call the user's function, and await its result if that is awaitable."""
    result = question()
    if inspect.isawaitable(result):
        return await result
    return result


class Waker:
    """Ends a wait for a socket, from any thread: the one under way, or else the next."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._is_set = False
        self._waiting: tuple[asyncio.AbstractEventLoop, Callable[[], None]] | None = None

    def set(self) -> None:
        """End the wait."""
        with self._changing:
            self._is_set = True
            if self._waiting is not None:
                loop, end = self._waiting
                with contextlib.suppress(RuntimeError):  # the loop is closed, which has ended the wait
                    loop.call_soon_threadsafe(end)

    async def readable(self, descriptor: int, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until something arrives at a socket, and return whether it did."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[bool] = loop.create_future()

        def end(has_arrived: bool = False) -> None:
            if not ended.done():
                ended.set_result(has_arrived)

        with self._changing:
            self._waiting = loop, end
            if self._is_set:
                end()
        loop.add_reader(descriptor, end, True)
        try:
            async with asyncio.timeout(timeout):
                return await ended
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(descriptor)
            with self._changing:
                self._is_set = False
                self._waiting = None

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
