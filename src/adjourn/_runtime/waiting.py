"""The ways in which the in-memory connector waits, in both colours."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any


async def done_async(future: concurrent.futures.Future[Any], timeout: float | None) -> None:
    """Wait at most ``timeout`` seconds until a future is done; None for any time."""
    waiting = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiting], timeout=timeout)
    finally:
        waiting.cancel()


def done(future: concurrent.futures.Future[Any], timeout: float | None) -> None:
    """Wait at most ``timeout`` seconds until a future is done; None for any time."""
    concurrent.futures.wait([future], timeout)


async def give_way_async() -> None:
    """Let other tasks run, as they do while a statement is on its way to a server."""
    await asyncio.sleep(0)


def give_way() -> None:
    """Do nothing: other threads run anyway."""
