"""What psycopg's pools do wrong at the end of a program, and in a forked child, if nobody has closed them."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
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
        """A pool whose workers end when they are cancelled.

        Theirs forget a cancellation that reaches them while they connect. `asyncio.run` cancels each task once and
        waits for it, so it would wait for ever.
        """

        @classmethod
        async def worker(cls, q: asyncio.Queue[Any]) -> None:
            await super().worker(_Cancellable(q))

    return _named_after(pool_class, Pool)


class _Cancellable:
    """A queue that remembers what its reader has forgotten."""

    def __init__(self, queue: asyncio.Queue[Any]) -> None:
        self._queue = queue

    async def get(self) -> Any:
        reader = asyncio.current_task()
        if reader is not None and reader.cancelling():
            raise asyncio.CancelledError
        return await self._queue.get()


def _named_after(pool_class: Any, adapted: Any) -> Callable[..., Any]:
    adapted.__name__, adapted.__qualname__ = pool_class.__name__, pool_class.__qualname__
    adapted.__module__ = pool_class.__module__
    factory: Callable[..., Any] = adapted
    return factory
