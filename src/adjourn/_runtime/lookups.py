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

MOST = 32
"""How many lookups at once have threads of their own. More wait for a thread of the loop, as they do without a worker."""


class _Lookups:
    """The lookups of one loop."""

    def __init__(self) -> None:
        self.users = 0
        self._running = 0

    async def look_up(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        if self._running >= MOST:
            loop: Any = asyncio.get_running_loop()
            options = {"family": family, "type": type, "proto": proto, "flags": flags}
            return await asyncio.BaseEventLoop.getaddrinfo(loop, host, port, **options)
        self._running += 1
        try:
            return await run_sync(functools.partial(socket.getaddrinfo, host, port, family, type, proto, flags))
        finally:
            self._running -= 1


_lookups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookups] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def own_lookups(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within this context, have a loop look names up in threads of their own. Other loops than asyncio's do so anyway."""
    if not isinstance(loop, asyncio.BaseEventLoop) or ("getaddrinfo" in vars(loop) and loop not in _lookups):
        yield
        return
    lookups = _lookups.setdefault(loop, _Lookups())
    lookups.users += 1
    vars(loop)["getaddrinfo"] = lookups.look_up
    try:
        yield
    finally:
        lookups.users -= 1
        if not lookups.users:
            del _lookups[loop], vars(loop)["getaddrinfo"]
