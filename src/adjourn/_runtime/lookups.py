"""Looks the names of hosts up in threads of their own, while a worker runs on an event loop.

asyncio does so in the loop's default executor, whose threads are those of `asyncio.to_thread`. Tasks that hold all of them
would keep a worker from connecting again: it could neither claim nor finish until they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import weakref
from collections.abc import Iterator
from typing import Any

from adjourn._runtime.aio import run_sync

_users: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def own_lookups(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within this context, have a loop look names up in threads of their own. Other loops than asyncio's do so anyway."""
    if not isinstance(loop, asyncio.BaseEventLoop) or ("getaddrinfo" in vars(loop) and loop not in _users):
        yield
        return
    _users[loop] = _users.get(loop, 0) + 1
    vars(loop)["getaddrinfo"] = _look_up
    try:
        yield
    finally:
        _users[loop] -= 1
        if not _users[loop]:
            del _users[loop], vars(loop)["getaddrinfo"]


async def _look_up(
    host: Any,
    port: Any,
    *,
    family: int = 0,
    type: int = 0,  # noqa: A002
    proto: int = 0,
    flags: int = 0,
) -> list[Any]:
    return await run_sync(functools.partial(socket.getaddrinfo, host, port, family, type, proto, flags))
