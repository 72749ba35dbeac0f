"""Waiting for something that happens elsewhere, never for ever."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

BOUND = 30.0
"""Seconds after which something hangs, also on a machine with a lot to do."""


def until(condition: Callable[[], T], timeout: float = BOUND) -> T:
    """Wait until a condition holds, and return what it returned.

    Parameters
    ----------
    condition
        What is called again and again, with a pause of some milliseconds, until it returns something true.
    timeout
        Seconds after which the test fails, and shows what the condition returned last.
    """
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {found!r}"
        time.sleep(0.005)
    return found


@overload
async def until_async(condition: Callable[[], Awaitable[T]], timeout: float = BOUND) -> T: ...
@overload
async def until_async(condition: Callable[[], T], timeout: float = BOUND) -> T: ...
async def until_async(condition: Callable[[], Any], timeout: float = BOUND) -> Any:
    """Wait on the event loop until a condition holds; one that is a coroutine function is awaited."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {found!r}"
        await asyncio.sleep(0.005)
