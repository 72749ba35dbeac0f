"""Connections of an engine that are still being made, on an event loop that may die meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
import weakref
from collections.abc import Callable, Coroutine
from typing import Any


class Connecting:
    """Connects for SQLAlchemy, and knows the connections that SQLAlchemy does not know yet.

    SQLAlchemy waits for a connection in a greenlet. If the event loop dies then, the greenlet keeps the unfinished
    connection for the rest of the program, since no other thread can end it.

    Parameters
    ----------
    connect
        The driver's function.
    """

    def __init__(self, connect: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._connect = connect
        self._unfinished: set[Coroutine[Any, Any, Any]] = set()
        self.made: weakref.WeakSet[Any] = weakref.WeakSet()
        """The driver's connections that were made and still exist."""

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Connect, with the arguments of the driver's function."""
        unfinished = self._connect(*arguments, **options)
        self._unfinished.add(unfinished)
        try:
            made = await unfinished
        except (asyncio.CancelledError, GeneratorExit) as ending:
            # If the event loop dies now, the greenlet keeps this exception, and its frames the connection.
            traceback.clear_frames(ending.__traceback__)
            raise
        finally:
            self._unfinished.discard(unfinished)
        self.made.add(made)
        return made

    def give_up(self) -> None:
        """End all attempts to connect, without waiting. Their event loop must not run."""
        for unfinished in list(self._unfinished):
            # A running one cannot be closed; and each driver has its own errors here.
            with contextlib.suppress(Exception):
                unfinished.close()
        self._unfinished.clear()
