"""Bounds for everything that a worker waits for: round trips, connecting, and the end of tasks.

Time counts only while the event loop turns. A task that blocks the loop keeps answers from being read, and must not look
like a server that does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from adjourn._domain.protocols import AsyncSessionLike, SyncSessionLike
from adjourn._runtime.private import leave_in_silence
from adjourn.types import Parameters, Row, Statement

T = TypeVar("T")

DROP_TIMEOUT = 1.0
"""Seconds that a cancelled task of a worker's own has to end."""

TURNS = 8
"""How often the watch looks within one bound, so that a loop that was blocked costs a round trip one turn at most."""


class RoundTrips:
    """The round trips of one role, of which one is under way at most. Enter it for each.

    Parameters
    ----------
    limit
        Seconds after which a round trip is given up.
    give_up
        Called on the event loop to end the one that is under way. It is called again if that does not help.
    """

    def __init__(self, limit: float, give_up: Callable[[], object]) -> None:
        self.limit = limit
        self._give_up = give_up
        # The role alone writes its number, which is odd while one is under way, and the watch alone the rest.
        self._number = self._seen = 0
        self._waited = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether one is under way."""
        return self._number % 2 == 1

    def __enter__(self) -> None:
        """Begin one."""
        self._number += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self._number += 1

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and give up a round trip that takes too long."""
        number = self._number
        if number != self._seen:
            self._seen, self._waited = number, 0.0
        elif number % 2 == 1:
            self._waited += seconds
            if self._waited >= self.limit:
                self._give_up()


class WatchedAsyncSession:
    """A session whose statements are counted as round trips.

    Parameters
    ----------
    session
        The session.
    trips
        Where they are counted.
    """

    def __init__(self, session: AsyncSessionLike, trips: RoundTrips) -> None:
        self._session = session
        self._trips = trips

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows."""
        with self._trips:
            return await self._session.execute_async(statement, parameters)


class WatchedSyncSession:
    """A session that blocks, whose statements are counted as round trips.

    Parameters
    ----------
    session
        The session.
    trips
        Where they are counted.
    """

    def __init__(self, session: SyncSessionLike, trips: RoundTrips) -> None:
        self._session = session
        self._trips = trips

    def execute(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows."""
        with self._trips:
            return self._session.execute(statement, parameters)


class Watched(Protocol):
    """A role that is told of the passing time."""

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""


async def watch(limit: float, roles: Iterable[Watched]) -> None:
    """Tell roles of the time that passes while the event loop turns, until cancelled.

    Parameters
    ----------
    limit
        The shortest bound of the roles, in seconds.
    roles
        The roles.
    """
    roles = tuple(roles)
    period = limit / TURNS
    while True:
        await asyncio.sleep(period)
        for role in roles:
            role.pass_time(period)


async def within(seconds: float, call: Coroutine[Any, Any, T], undo: Callable[[T], Any] | None = None) -> T:
    """Await a call, but not longer than so many seconds in which the event loop turns. Then cancel it, and leave it
    behind, whatever it does.

    Parameters
    ----------
    seconds
        The bound.
    call
        The call.
    undo
        Called with the result of a call that was left behind.

    Raises
    ------
    TimeoutError
        If it did not end in time.
    """
    task = asyncio.ensure_future(call)
    try:
        for _ in range(TURNS):
            await asyncio.wait({task}, timeout=max(seconds, 0.0) / TURNS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            leave(task, undo)


async def ended(task: asyncio.Future[Any], seconds: float, give_up: Callable[[], object]) -> None:
    """Wait for a task for so many seconds at most. At half time, and at the end, give up what it waits for."""
    for _ in range(2):
        await asyncio.wait({task}, timeout=seconds / 2)
        if task.done():
            return
        give_up()


def leave(task: asyncio.Future[T], undo: Callable[[T], Any] | None = None) -> None:
    """Cancel a task, and wait for it no longer. If it has a result all the same, that is undone."""

    def end(task: asyncio.Future[T]) -> None:
        if not task.cancelled() and task.exception() is None and undo is not None:
            undo(task.result())

    leave_in_silence(task)
    task.add_done_callback(end)
    task.cancel()


async def dropped(tasks: Iterable[asyncio.Future[Any]], give_up: Callable[[], object] = lambda: None) -> None:
    """Cancel tasks, wait a moment until they have ended, and leave behind those that have not.

    Parameters
    ----------
    tasks
        The tasks.
    give_up
        Called after half of the time, to end what they wait for.
    """
    pending = {task for task in tasks if not task.done()}
    for task in pending:
        task.cancel()
    for _ in range(2):
        if pending:
            _, pending = await asyncio.wait(pending, timeout=DROP_TIMEOUT / 2)
        if pending:
            give_up()
    for task in pending:
        leave(task)


async def uncancelled(call: Coroutine[Any, Any, None]) -> None:
    """Await to the end, even if this task is cancelled meanwhile; raise the cancellation then."""
    task = asyncio.ensure_future(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                break
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()
