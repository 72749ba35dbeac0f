"""Lets asynchronous calls that come at the same time share a commit.

A commit costs far more than an insert. If no other call is running, a call is served at once, alone. Calls that come
while one is running wait for it to end, and are then served together: under load the groups grow by themselves, and
without load no call waits. `adjourn.manager.sharing` does the like for blocking calls of threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from adjourn._domain.jobs import Job
from adjourn.exceptions import AdjournException, ConnectorException, WrongCaller

T = TypeVar("T")

LARGEST_GROUP = 1000


class DeferGroup(Generic[T]):
    """Stores jobs of several independent callers together.

    Parameters
    ----------
    defer_one, defer_many
        Store what one call stores, or several in one transaction, and return jobs with their ids.
    """

    def __init__(
        self, defer_one: Callable[[T], Awaitable[Job]], defer_many: Callable[[Sequence[T]], Awaitable[list[Job]]]
    ) -> None:
        self._defer_one = defer_one
        self._defer_many = defer_many
        self._here = threading.local()

    async def defer(self, item: T) -> Job:
        """Store a job, alone or with others of this event loop, and return it with its id.

        Cancelling one caller never affects the others of its group.
        """
        return await self._queue().defer(item)

    def _queue(self) -> Queue[T]:
        # A future belongs to one loop, so each loop has a queue. A thread runs one loop at a time.
        loop = asyncio.get_running_loop()
        queue: Queue[T] | None = getattr(self._here, "queue", None)
        if queue is None or queue.loop is not loop:
            queue = self._here.queue = Queue(loop, self._defer_one, self._defer_many)
        return queue


class Queue(Generic[T]):
    """The calls of one event loop; only that loop uses it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        defer_one: Callable[[T], Awaitable[Job]],
        defer_many: Callable[[Sequence[T]], Awaitable[list[Job]]],
    ) -> None:
        self.loop = loop
        self._defer_one = defer_one
        self._defer_many = defer_many
        self._under_way = False
        self._waiting: deque[tuple[T, asyncio.Future[Job]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def defer(self, item: T) -> Job:
        """Store a job: at once if no other call is running, otherwise together with those that wait."""
        if self._under_way:
            future: asyncio.Future[Job] = self.loop.create_future()
            self._waiting.append((item, future))
            return await future
        self._under_way = True
        try:
            return await self._defer_one(item)
        finally:
            self._next()

    def _next(self) -> None:
        """Serve the waiting calls, if there are any."""
        if self.loop.is_closed():
            return  # the loop was abandoned, and its tasks are being destroyed
        group: list[tuple[T, asyncio.Future[Job]]] = []
        while self._waiting and len(group) < LARGEST_GROUP:
            item, future = self._waiting.popleft()
            if not future.done():  # its caller was cancelled
                group.append((item, future))
        self._under_way = bool(group)
        if group:
            self._task = asyncio.ensure_future(self._serve(group))

    async def _serve(self, group: list[tuple[T, asyncio.Future[Job]]]) -> None:
        try:
            await self._defer_group(group)
        except BaseException as error:
            if self.loop.is_closed():
                raise  # the loop was abandoned; this task and its waiting callers are being destroyed
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, AdjournException):
                raise
        finally:
            # Not at once, so that callers that were just served and call again can join the next group.
            if not self.loop.is_closed():
                self.loop.call_soon(self._next)

    async def _defer_group(self, group: list[tuple[T, asyncio.Future[Job]]]) -> None:
        if len(group) > 1:
            try:
                deferred = await self._defer_many([item for item, _ in group])
            except AdjournException as error:
                # If the connection or the loop was lost meanwhile, it is not known whether the group was stored.
                if isinstance(error, WrongCaller) or (isinstance(error, ConnectorException) and not error.was_refused):
                    raise
            else:
                for (_, future), job in zip(group, deferred, strict=True):
                    if not future.done():
                        future.set_result(job)
                return
        # Nothing of the group was stored, so store each job alone: each caller then gets only its own error.
        for item, future in group:
            if future.done():
                continue
            try:
                stored = await self._defer_one(item)
            except AdjournException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(stored)
