"""Calls of a driver that was written elsewhere: they can be given up at once, whatever the driver does.

A driver may wait for a server that never answers, even while it cleans up after a cancellation. So each call runs in a
task of its own, and nothing waits for that task longer than it must.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._runtime import aio
from adjourn.types import Parameters, Row, Statement

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds for a driver to clean up after a call that no caller waits for any more."""

GIVEN_UP = "The connection was given up while this call waited for the server. Whether it took effect is not known."


class Calls:
    """The calls on one connection of a driver, or on one pool. It must be made on the event loop that makes the calls."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._abandoned: asyncio.Future[None] = self._loop.create_future()

    def abandon(self) -> None:
        """Have all calls raise `ConnectorException`, those to come as well. From any thread, at any time."""
        # If the loop is closed, nothing waits on it any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(None)

    async def run(self, call: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        """Run a coroutine function until it ends, or is given up.

        Raises
        ------
        ConnectorException
            If it was given up.
        """
        if self._abandoned.done():
            raise exceptions.ConnectorException("The connection was given up.")
        task = self._loop.create_task(call(*arguments))
        waited: list[asyncio.Future[Any]] = [task, self._abandoned]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await aio.uninterrupted(ended, task)
            raise
        if task.done():
            return task.result()
        task.cancel()
        task.add_done_callback(_take_note)
        raise exceptions.ConnectorException(GIVEN_UP)


async def ended(task: asyncio.Task[Any]) -> None:
    """Wait a while for a task to end that was cancelled."""
    await asyncio.wait({task}, timeout=PATIENCE)
    task.add_done_callback(_take_note)


def _take_note(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # retrieve it, so that asyncio does not log an exception that was never retrieved


class DriversSession(AsyncSession):
    """A session of a driver, which can be given up.

    Parameters
    ----------
    session
        What the driver made: it has the methods of `adjourn.connectors.adapted.DriverSession`.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self.is_wakeable: bool = session.is_wakeable
        self.can_listen: bool = session.can_listen
        self._calls = Calls()

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        return await self._calls.run(self.session.execute_async, statement, parameters)

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""
        await self._calls.run(self.session.listen_async, channel)

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait at most ``timeout`` seconds for a notification, and return the payloads of those that have arrived."""
        return await self._calls.run(self.session.wait_for_notifications_async, timeout)

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self.session.wake()

    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time."""
        self._calls.abandon()
        self.session.abandon()

    async def close_async(self) -> None:
        """Close the connection. Closing twice does nothing. It waits for a server that does not answer only briefly."""
        task = asyncio.ensure_future(self.session.close_async())
        await aio.uninterrupted(ended, task)
        if task.done():
            task.result()
        else:
            self.session.abandon()
            task.cancel()
