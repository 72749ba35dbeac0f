"""What psycopg's pools do wrong at the end of a program, and in a forked child, if nobody has closed them."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from psycopg_pool import AsyncConnectionPool, ConnectionPool


def fit_to_be_left(pool_factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same kind of pool, but one that lets a program end that has not closed it."""
    if _makes(pool_factory, ConnectionPool):
        return _blocking(pool_factory)
    if _makes(pool_factory, AsyncConnectionPool):
        return _asynchronous(pool_factory)
    return pool_factory


def _makes(pool_factory: Callable[..., Any], kind: type[Any]) -> bool:
    return isinstance(pool_factory, type) and issubclass(pool_factory, kind)


@functools.cache
def _blocking(pool_class: Any) -> Callable[..., Any]:
    class Pool(pool_class):  # type: ignore[misc]
        """A pool that is not finalised where that would wait for its threads in vain.

        It stops them when it is deleted. At the interpreter's exit and in a forked child they do not run any more.
        """

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            self._process = os.getpid()
            super().__init__(*arguments, **keywords)

        # At the exit the names of this module may be gone before the last pool is, so they are kept here.
        def __del__(
            self,
            is_finalizing: Callable[[], bool] = sys.is_finalizing,
            process: Callable[[], int] = os.getpid,
        ) -> None:
            if not is_finalizing() and self._process == process():
                super().__del__()

    return _named_after(pool_class, Pool)


@functools.cache
def _asynchronous(pool_class: Any) -> Callable[..., Any]:
    class Pool(pool_class):  # type: ignore[misc]
        """A pool whose tasks end when they are cancelled, and are left without a word when their loop is."""

        def _start_workers(self) -> None:
            self._tasks = _Queue()
            _wait_in_silence(self._sched._event)
            super()._start_workers()
            for task in (*self._workers, self._sched_runner):
                _leave_in_silence(task)

    return _named_after(pool_class, Pool)


class _Queue:
    """What the pool's workers read.

    Those of psycopg forget a cancellation that reaches them while they connect. `asyncio.run` cancels each task once and
    waits for it, so it would wait for ever: this queue remembers. And where a loop was left, its tasks are destroyed;
    asyncio's own queue complains of that.
    """

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()

    def put_nowait(self, item: Any) -> None:
        """Append an item."""
        self._items.append(item)
        self._wake()

    async def get(self) -> Any:
        """Wait for an item and take it."""
        reader = asyncio.current_task()
        while reader is None or not reader.cancelling():
            if self._items:
                return self._items.popleft()
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                if waiting.done() and self._items:
                    self._wake()  # it was this one's turn
                raise
        raise asyncio.CancelledError

    def _wake(self) -> None:
        while self._readers:
            if not (waiting := self._readers.popleft()).done():
                waiting.set_result(None)
                return


def _wait_in_silence(event: Any) -> None:
    """Leave what waits for an event in silence; on some Pythons that is a task of its own."""
    wait = event.wait

    async def wait_in_silence() -> Any:
        _leave_in_silence(asyncio.current_task())
        return await wait()

    event.wait = wait_in_silence


def _leave_in_silence(task: asyncio.Task[Any] | None) -> None:
    """Have asyncio say nothing of a task that never ends by itself when its loop was left without ado."""
    if task is not None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def _named_after(pool_class: Any, adapted: Any) -> Callable[..., Any]:
    adapted.__name__, adapted.__qualname__ = pool_class.__name__, pool_class.__qualname__
    adapted.__module__ = pool_class.__module__
    factory: Callable[..., Any] = adapted
    return factory
