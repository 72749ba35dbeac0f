"""The two things that a connector in memory waits for, in both colours."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any


async def done_async(future: concurrent.futures.Future[Any], timeout: float) -> None:
    """Wait until a future is done, at most so many seconds."""
    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiting], timeout=timeout)
    finally:
        waiting.cancel()


def done(future: concurrent.futures.Future[Any], timeout: float) -> None:
    """Wait until a future is done, at most so many seconds."""
    concurrent.futures.wait([future], timeout)


async def give_way_async() -> None:
    """Let others have their turn, as they have while a statement is on its way to a server."""
    await asyncio.sleep(0)


def give_way() -> None:
    """Do nothing: threads take their turns by themselves."""
