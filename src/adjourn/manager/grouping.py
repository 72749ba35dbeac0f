"""Lets asynchronous calls that come at the same time share a commit.

A commit costs far more than an insert. If no other call is running, a call is served at once, alone. Calls that come
while one is running wait for it to end, and are then served together: under load the groups grow by themselves, and
without load no call waits. Threads cannot group calls in this way, so this has no synchronous twin.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from adjourn import telemetry
from adjourn._domain.jobs import Job
from adjourn.exceptions import AdjournException, ConnectorException, WrongCaller

LARGEST_GROUP = 1000


class DeferGroup:
    """Stores jobs of several independent callers together.

    Parameters
    ----------
    defer_one, defer_many
        Store one job, or several in one transaction, and return them with their ids.
    """

    def __init__(
        self, defer_one: Callable[[Job], Awaitable[Job]], defer_many: Callable[[Sequence[Job]], Awaitable[list[Job]]]
    ) -> None:
        self._defer_one = defer_one
        self._defer_many = defer_many
        self._here = threading.local()

    async def defer(self, job: Job) -> Job:
        """Store a job, alone or with others of this event loop, and return it with its id.

        Cancelling one caller never affects the others of its group.
        """
        return await self._queue().defer(job)

    def _queue(self) -> Queue:
        # A future belongs to one loop, so each loop has a queue. A thread runs one loop at a time.
        loop = asyncio.get_running_loop()
        queue: Queue | None = getattr(self._here, "queue", None)
        if queue is None or queue.loop is not loop:
            queue = self._here.queue = Queue(loop, self._defer_one, self._defer_many)
        return queue


class Queue:
    """The calls of one event loop; only that loop uses it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        defer_one: Callable[[Job], Awaitable[Job]],
        defer_many: Callable[[Sequence[Job]], Awaitable[list[Job]]],
    ) -> None:
        self.loop = loop
        self._defer_one = defer_one
        self._defer_many = defer_many
        self._under_way = False
        self._waiting: deque[tuple[Job, asyncio.Future[Job]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def defer(self, job: Job) -> Job:
        """Store a job: at once if no other call is running, otherwise together with those that wait."""
        if self._under_way:
            future: asyncio.Future[Job] = self.loop.create_future()
            self._waiting.append((job, future))
            return await future
        self._under_way = True
        try:
            return await self._defer_one(job)
        finally:
            self._next()

    def _next(self) -> None:
        """Serve the waiting calls, if there are any."""
        if self.loop.is_closed():
            return  # the loop was abandoned, and its tasks are being destroyed
        group: list[tuple[Job, asyncio.Future[Job]]] = []
        while self._waiting and len(group) < LARGEST_GROUP:
            job, future = self._waiting.popleft()
            if not future.done():  # its caller was cancelled
                group.append((job, future))
        self._under_way = bool(group)
        if group:
            self._task = asyncio.ensure_future(self._serve(group))

    async def _serve(self, group: list[tuple[Job, asyncio.Future[Job]]]) -> None:
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

    async def _defer_group(self, group: list[tuple[Job, asyncio.Future[Job]]]) -> None:
        if len(group) > 1:
            jobs = [job for job, _ in group]
            try:
                with telemetry.around_group(jobs):
                    deferred = await self._defer_many(jobs)
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
        for job, future in group:
            if future.done():
                continue
            try:
                stored = await self._defer_one(job)
            except AdjournException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(stored)
