"""Every reach into private parts of SQLAlchemy and asyncpg, as seen in SQLAlchemy 2.1.9 and asyncpg 0.32.0.

* ``Connection._transport`` and ``_loop`` of asyncpg, and ``_sock`` of asyncio's transport below it. Without these the
  server keeps the sessions of an event loop that has died, and a connection whose server is gone is noticed by the
  statement that fails on it.
* ``Pool._is_asyncio`` of SQLAlchemy. Without it a ``poolclass`` that works on event loops alone is refused by SQLAlchemy
  in its own words, and not by us with the remedy.

A release that drops one of these is noticed by `tests/connectors/test_private_parts.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any


def transport_of(raw: Any) -> Any:
    """Return the transport of a connection of asyncpg's, or None if it has none any more."""
    return getattr(raw, "_transport", None)


def finish_asyncpg(raw: Any, idle_only: bool) -> None:
    """Close a connection of asyncpg's without waiting: its event loop may run elsewhere, or never again."""
    transport: Any = transport_of(raw)
    loop: asyncio.AbstractEventLoop = raw._loop
    if transport is not None and (found := transport.get_extra_info("socket")) is not None:
        with socket.socket(fileno=os.dup(found.fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)
    if loop.is_running():
        loop.call_soon_threadsafe(raw.terminate)
        return
    # A closed loop raises here, but only after the connection was marked as closed.
    with contextlib.suppress(RuntimeError):
        raw.terminate()
    if not loop.is_closed() and not idle_only:
        return  # if the loop runs again, it closes the socket
    if transport is not None and (left := getattr(transport, "_sock", None)) is not None:
        left.close()
        transport._sock = None


def is_for_event_loops(poolclass: Any) -> bool:
    """Say whether a class of pools works on event loops alone."""
    return getattr(poolclass, "_is_asyncio", False) is True
