"""Where a test's jobs run: on the caller's thread, and what is async on an event loop that nobody else has."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from adjourn import exceptions


class Loop:
    """An event loop for the async tasks that a blocking call runs. It is made when the first one comes.

    Where asgiref is loaded, as in a program with Django, it runs them: then what a task hands to ``sync_to_async`` comes
    back to the calling thread, and to its database connection.

    Parameters
    ----------
    name
        The name of the call, for the message on a thread whose loop it would block.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._runner: asyncio.Runner | None = None

    def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call a function, await what it returns, and return the result. Blocks.

        Raises
        ------
        WrongCaller
            On the thread of an event loop that runs.
        """
        refuse_on_loop(self._name)

        async def run() -> Any:
            _unfreeze(asyncio.get_running_loop())
            return await function()

        if asgiref := _asgiref():
            return asgiref.async_to_sync(run)()
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(run(), context=contextvars.copy_context())

    @staticmethod
    async def call_back(function: Callable[[], Any]) -> Any:
        """Call a function that blocks, from a coroutine, on the thread that has called `run`."""
        if asgiref := _asgiref():
            return await asgiref.sync_to_async(function, thread_sensitive=True)()
        return function()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            self._runner.close()


def _unfreeze(loop: asyncio.AbstractEventLoop) -> None:
    """Have what waits on a loop end, where a test has frozen Python's clocks."""
    if hasattr(time, "clock_gettime"):  # not on Windows
        # Tools that freeze clocks replace `time.monotonic`, and leave this one. uvloop asks neither, and cannot be changed.
        with contextlib.suppress(AttributeError):
            loop.time = functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # type: ignore[method-assign]


async def in_thread(function: Callable[[], Any]) -> Any:
    """Call a function that blocks, beside the running event loop."""
    if asgiref := _asgiref():
        return await asgiref.sync_to_async(function, thread_sensitive=True)()
    return await asyncio.to_thread(function)


def refuse_on_loop(name: str) -> None:
    """Refuse a blocking call on the thread of an event loop that runs.

    Raises
    ------
    WrongCaller
        Naming the call to await.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise exceptions.WrongCaller(
        f"{name} was called on the thread of a running event loop, which it would block: await {name}_async(...)."
    )


def refuse_cancelled(error: BaseException) -> None:
    """Raise an error again that is not the job's: the test itself was cancelled."""
    current = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
        raise error


def _asgiref() -> Any:
    return sys.modules.get("asgiref.sync")
