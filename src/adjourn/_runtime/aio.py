"""Waiting on an asyncio event loop. The same names as in `adjourn._runtime.threads`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from adjourn._runtime.private import running_loop

P = ParamSpec("P")
T = TypeVar("T")

IS_BLOCKING: bool = False
"""Whether a call of this colour blocks the thread that makes it."""

Lock = asyncio.Lock


class Gate:
    """Lets calls in while it is open, and waits for those inside when it is closed.

    It belongs to one event loop, so counting needs no lock.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._empty = asyncio.Event()

    def enter(self) -> bool:
        """Go in, and say whether the gate was open."""
        if self._closed:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Go out again."""
        self._inside -= 1
        if self._closed and not self._inside:
            self._empty.set()

    async def close(self, timeout: float) -> bool:
        """Let nobody in any more, wait at most so many seconds, and say whether all have left."""
        self._closed = True
        if self._inside:
            try:
                await asyncio.wait_for(self._empty.wait(), timeout)
            except TimeoutError:
                return False
        return True


class Turns:
    """Lets so many go ahead at a time, and the others after them, in the order in which they came."""

    def __init__(self, number: int) -> None:
        self._semaphore = asyncio.Semaphore(number)

    async def take(self, timeout: float) -> bool:
        """Wait for a turn, at most so many seconds, and say whether it has come. Whoever got one gives it back."""
        try:
            async with asyncio.timeout(timeout):
                await self._semaphore.acquire()
        except TimeoutError:
            return False
        return True

    def give(self) -> None:
        """Give a turn back, to whoever has waited longest."""
        # An event loop that was closed before its time has left tasks that wait, and cannot wake them any more.
        with contextlib.suppress(RuntimeError):
            self._semaphore.release()


async def guarded(call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function so that a cancellation reaches it exactly once, and wait until it has cleaned up.

    An anyio cancel scope cancels the task inside it again and again until it ends; a driver whose own clean-up waits
    for the server is broken by that. So the call runs in a task of its own, outside of the scope.
    """
    _require_asyncio()
    # Only anyio cancels more than once, so a program without it is spared the task.
    if "anyio" not in sys.modules:
        return await call(*args, **kwargs)
    task = asyncio.ensure_future(call(*args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await _ended(task)
        raise


async def uninterrupted(call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function to its end, and pass a cancellation on only then. The call must be bounded by itself.

    In a coroutine that is being destroyed, because its event loop has died, nothing can be waited for: there the call is
    left out.
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
    # Imported late: that it has been imported is how `guarded` knows that there may be cancel scopes.
    import anyio

    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
    if not task.cancelled():
        task.exception()  # fetched, so that asyncio does not report it as overlooked


async def run_sync(call: Callable[[], T]) -> T:
    """Call a blocking function in a thread of its own, and wait for it without blocking the event loop.

    Unlike those of `asyncio.to_thread`, the thread is there at once, however many of the program's are busy.
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
    """Call a function of the user's, and await what it returns if that can be awaited."""
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
                with contextlib.suppress(RuntimeError):  # the loop is closed, and the wait over with it
                    loop.call_soon_threadsafe(end)

    async def readable(self, descriptor: int, timeout: float) -> bool:
        """Wait until something arrives at a socket, at most so many seconds, and say whether it has."""
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
        """Do nothing: it took nothing."""
