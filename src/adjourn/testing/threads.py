"""Threads that keep no process alive, so that a check that hangs can be given up."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_DAEMON = "adjourn contract"


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread of its own, and wait for it.

    `asyncio.to_thread` does not do: the end of an event loop, and of the process, wait for its threads.
    """
    loop = asyncio.get_running_loop()
    called: asyncio.Future[T] = loop.create_future()

    def settle(end: Callable[[], None]) -> None:
        if not called.done():
            end()

    def call() -> None:
        try:
            end = functools.partial(called.set_result, function(*args, **kwargs))
        except BaseException as error:
            end = functools.partial(called.set_exception, error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, end)
        # The exception refers to this frame: together they would keep each other, and connections, alive.
        del end

    threading.Thread(target=call, name=_DAEMON, daemon=True).start()
    return await called


def run_within(seconds: float, function: Callable[[], None]) -> None:
    """Call a function, and give up waiting for it after a time.

    Raises
    ------
    TimeoutError
        If it has not ended in time. Its thread is left behind.
    """
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, name=_DAEMON, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if raised:
        raise raised.pop()
