"""All uses of private parts of psycopg and psycopg_pool, as seen in psycopg 3.3.9 and psycopg_pool 3.3.3.

* Fixes for pools that were not closed, at the end of a program, in a forked child, or when their loop has died:
  ``AsyncConnectionPool._start_workers``, ``_tasks``, ``_sched._event``, ``_workers`` and ``_sched_runner``. Without these
  a program whose `asyncio.run` is interrupted while the pool connects never ends, and one that has not closed the app
  logs asyncio's errors when it ends.
* The beginning of a record of the logger ``psycopg.pool``, and that it has the pool's name. Without these, an outage is in the
  log once for each attempt of the pool to connect.
* ``_configure`` of a user's pool. Without it sessions beside that pool are not configured.
* ``_autocommit`` and ``_adapters`` of a connection, which `Borrowed` copies from the connection that it wraps. Without
  these, synchronous calls cannot use coroutine functions (``configure=`` and the like).

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import wait
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from adjourn._runtime.private import leave_in_silence

T = TypeVar("T")


LONGEST_PAUSE = 2.0
"""Seconds between two attempts to connect. psycopg's own pool doubles them each time, so that after an outage it stays
without connections for as long as the outage has lasted."""


OUTAGE = "error connecting in"
"""How the record of an attempt to connect begins. Its first argument is the pool's name."""
TOLD_AGAIN_AFTER = 60.0
"""Seconds until the log says once more that one of adjourn's pools cannot connect. Workers tell of an outage themselves."""


class _OncePerOutage(logging.Filter):
    """Leaves out what adjourn's own pools say again and again while the database is away. Other pools are let be."""

    def __init__(self) -> None:
        super().__init__()
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()
        self._told: dict[str, float] = {}

    def take_care_of(self, pool: Any) -> None:
        """Look after a pool of adjourn's."""
        logger = logging.getLogger("psycopg.pool")
        if self not in logger.filters:
            logger.addFilter(self)
        self._pools.add(pool)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be handled."""
        if not isinstance(record.args, tuple) or not record.args or not str(record.msg).startswith(OUTAGE):
            return True
        name, now = str(record.args[0]), time.monotonic()
        if not any(pool.name == name for pool in tuple(self._pools)):
            return True
        is_news = now - self._told.get(name, -math.inf) >= TOLD_AGAIN_AFTER
        if is_news:
            self._told[name] = now
        return is_news


_once_per_outage = _OncePerOutage()


def kept_up(pool_factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same kind of pool, but one that lets a program end without closing it, and is soon back after an
    outage."""
    if _makes(pool_factory, ConnectionPool):
        return _blocking(pool_factory)
    if _makes(pool_factory, AsyncConnectionPool):
        return _asynchronous(pool_factory)
    return pool_factory


def _makes(pool_factory: Callable[..., Any], kind: type[Any]) -> bool:
    return isinstance(pool_factory, type) and issubclass(pool_factory, kind)


@functools.cache
def _blocking(pool_class: Any) -> Callable[..., Any]:
    class Pool(pool_class):  # type: ignore[misc]  # a class of the caller's
        """A pool that is not finalised at the interpreter's exit or in a forked child.

        The finaliser waits for the pool's threads, which no longer run there.
        """

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            self._process = os.getpid()
            super().__init__(*arguments, **keywords)
            _once_per_outage.take_care_of(self)

        def schedule_task(self, task: Any, delay: float) -> None:
            super().schedule_task(task, min(delay, LONGEST_PAUSE))

        # At exit Python may clear this module before it deletes the last pool, so default arguments keep the names.
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
    class Pool(pool_class):  # type: ignore[misc]  # a class of the caller's
        """A pool whose tasks end when they are cancelled, and cause no warning when their loop is abandoned."""

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            _once_per_outage.take_care_of(self)

        def _start_workers(self) -> None:
            self._tasks = _Queue()
            _wait_in_silence(self._sched._event)
            super()._start_workers()
            for task in (*self._workers, self._sched_runner):
                leave_in_silence(task)

        async def schedule_task(self, task: Any, delay: float) -> None:
            await super().schedule_task(task, min(delay, LONGEST_PAUSE))

    return _named_after(pool_class, Pool)


class _Queue:
    """The queue that the pool's workers read.

    psycopg's workers lose a cancellation that reaches them while they connect. `asyncio.run` cancels each task once and
    then waits for it, so it would wait for ever; this queue therefore raises a lost cancellation again. And asyncio's
    own queue would warn when the tasks of an abandoned loop are destroyed.
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
                    self._wake()  # this task was next
                raise
        raise asyncio.CancelledError

    def _wake(self) -> None:
        while self._readers:
            if not (waiting := self._readers.popleft()).done():
                waiting.set_result(None)
                return


def _wait_in_silence(event: Any) -> None:
    """Suppress the warning about the task that waits for an event, which some Pythons create."""
    wait = event.wait

    async def wait_in_silence() -> Any:
        leave_in_silence(asyncio.current_task())
        return await wait()

    event.wait = wait_in_silence


def _named_after(pool_class: Any, adapted: Any) -> Callable[..., Any]:
    adapted.__name__, adapted.__qualname__ = pool_class.__name__, pool_class.__qualname__
    adapted.__module__ = pool_class.__module__
    factory: Callable[..., Any] = adapted
    return factory


class Borrowed(psycopg.AsyncConnection[Any]):
    """A blocking connection that looks like an asynchronous one, for the duration of a callback."""

    def __init__(self, lender: psycopg.Connection[Any]) -> None:
        handlers = lender.pgconn.notice_handler, lender.pgconn.notify_handler
        super().__init__(lender.pgconn)
        lender.pgconn.notice_handler, lender.pgconn.notify_handler = handlers
        self._autocommit = lender.autocommit
        # Both share one map of types, so that a callback's registrations last.
        self._adapters = lender.adapters
        self.prepare_threshold = lender.prepare_threshold

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server, blocking."""
        return wait(gen, self.pgconn.socket, interval=interval, timeout=timeout)

    def __del__(self, *_: Any) -> None:
        """Do nothing: the owner closes the connection."""


def configure_of(pool: Any) -> Callable[[Any], Any] | None:
    """Return the function that a pool calls with each new connection, or None."""
    configure: Callable[[Any], Any] | None = getattr(pool, "_configure", None)
    return configure
