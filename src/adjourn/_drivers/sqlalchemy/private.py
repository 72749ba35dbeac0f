"""All uses of private parts of SQLAlchemy and asyncpg, as seen in SQLAlchemy 2.1.9 and asyncpg 0.32.0.

* ``Connection._transport`` and ``_loop`` of asyncpg, and ``_sock`` of asyncio's transport below it. Without these the
  server keeps the sessions of a dead event loop, and only a failing statement shows that a connection has lost its
  server.
* ``Pool._invalidate`` of SQLAlchemy. Without it each connection to a server that takes no writes any more costs a call of
  its own.
* ``Pool._is_asyncio`` of SQLAlchemy. Without it SQLAlchemy refuses a ``poolclass`` that works only on event loops, with
  an error that does not name the remedy.

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any


def transport_of(raw: Any) -> Any:
    """Return the transport of an asyncpg connection, or None if it no longer has one."""
    return getattr(raw, "_transport", None)


def finish_asyncpg(raw: Any, idle_only: bool) -> None:
    """Close an asyncpg connection without waiting: its event loop may run elsewhere, or never again."""
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


def invalidate_all(pool: Any) -> None:
    """Have a pool replace all connections that it has made so far, each when it is next asked for it."""
    pool._invalidate(None)


def is_for_event_loops(poolclass: Any) -> bool:
    """Return whether a class of pools works only on event loops."""
    return getattr(poolclass, "_is_asyncio", False) is True
