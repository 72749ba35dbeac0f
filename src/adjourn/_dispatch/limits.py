"""Calls of a driver that was written elsewhere: they can be given up at once, whatever the driver does.

A driver may wait for a server that never answers, even while it cleans up after a cancellation. So each call runs in a
task of its own, and nothing waits for that task longer than it must.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._drivers.watchdog import NO_ANSWER, seconds_for
from adjourn._runtime import aio
from adjourn.types import Parameters, Row, Statement

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds for a driver to clean up after a call that no caller waits for any more."""

LATE = 0.1
"""Seconds by which an event loop that is not blocked may be late."""

GIVEN_UP = "The connection was given up while this call waited for the server. Whether it took effect is not known."


async def within(
    seconds: float,
    call: Callable[..., Coroutine[Any, Any, T]],
    *arguments: Any,
    abandoned: asyncio.Future[None] | None = None,
    discard: Callable[[T], Any] | None = None,
) -> T:
    """Run a coroutine function for so many seconds at most, or until a future is done; then nothing waits for it.

    Parameters
    ----------
    seconds
        How many seconds; infinity for any time.
    call, *arguments
        The function and its arguments.
    abandoned
        The future.
    discard
        Called with what the function returns when nobody waits for it any more.

    Raises
    ------
    ConnectorException
        If it takes longer.
    """
    task = asyncio.get_running_loop().create_task(call(*arguments))
    waited: list[asyncio.Future[Any]] = [task] if abandoned is None else [task, abandoned]
    try:
        is_late = True
        while is_late:
            timeout, began = None if seconds == math.inf else seconds, time.monotonic()
            done, _ = await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            # If the loop was blocked meanwhile, the answer may be there already.
            is_late = not done and time.monotonic() - began - seconds > LATE
    except asyncio.CancelledError:
        task.cancel()
        task.add_done_callback(functools.partial(_take_note, discard))
        await aio.uninterrupted(ended, task)
        raise
    if task.done():
        return task.result()
    task.cancel()
    task.add_done_callback(functools.partial(_take_note, discard))
    is_abandoned = abandoned is not None and abandoned.done()
    raise exceptions.ConnectorException(GIVEN_UP if is_abandoned else NO_ANSWER.format(seconds=seconds))


async def has_closed(seconds: float, close: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> bool:
    """Close something of a driver's, and return whether that took at most so many seconds."""
    task = asyncio.get_running_loop().create_task(close(*arguments))
    await aio.uninterrupted(ended, task, seconds)
    if not task.done():
        task.cancel()
        return False
    task.result()
    return True


async def ended(task: asyncio.Task[Any], seconds: float = PATIENCE) -> None:
    """Wait a while for a task to end."""
    await asyncio.wait({task}, timeout=seconds)
    task.add_done_callback(functools.partial(_take_note, None))


def _take_note(discard: Callable[[Any], Any] | None, task: asyncio.Task[Any]) -> None:
    # The exception is retrieved, so that asyncio does not log one that was never retrieved.
    if not task.cancelled() and task.exception() is None and discard is not None:
        discard(task.result())


class DriversSession(AsyncSession):
    """A session of a driver, which can be given up. It must be made on the event loop that uses it.

    Parameters
    ----------
    session
        What the driver made: it has the methods of `adjourn.connectors.adapted.DriverSession`.
    response_timeout
        Seconds that the server may take to answer, None for any time.
    """

    def __init__(self, session: Any, response_timeout: float | None) -> None:
        self.session = session
        self.is_wakeable: bool = session.is_wakeable
        self.can_listen: bool = session.can_listen
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._abandoned: asyncio.Future[None] = self._loop.create_future()

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        seconds = seconds_for(self._response_timeout, statement)
        return await self._call(seconds, self.session.execute_async, statement, parameters)

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""
        await self._call(seconds_for(self._response_timeout), self.session.listen_async, channel)

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait at most ``timeout`` seconds for a notification, and return the payloads of those that have arrived."""
        return await self._call(math.inf, self.session.wait_for_notifications_async, timeout)

    async def _call(self, seconds: float, call: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        if self._abandoned.done():
            raise exceptions.ConnectorException("The connection was given up.")
        return await within(seconds, call, *arguments, abandoned=self._abandoned)

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self.session.wake()

    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time."""
        # If the loop is closed, nothing waits on it any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)
        self.session.abandon()

    def _end(self) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def close_async(self) -> None:
        """Close the connection. Closing twice does nothing. It waits for a server that does not answer only briefly."""
        if not await has_closed(PATIENCE, self.session.close_async):
            self.session.abandon()
