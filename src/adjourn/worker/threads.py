"""Threads for synchronous tasks, which must not keep a worker from ending.

`concurrent.futures` joins its threads when the interpreter exits, so that one body which never ends hangs the
process. These threads are daemons, and results are brought to the event loop many at a time.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

Body: TypeAlias = Callable[[], Any]
Done: TypeAlias = Callable[[Any, BaseException | None], None]


class ThreadPool:
    """Runs functions in threads, at most ``size`` at once, and calls back on the event loop.

    Parameters
    ----------
    size
        How many threads there are at most; they are started as they are needed.
    loop
        Where the callbacks are called.
    """

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size = size
        self._loop = loop
        self._waiting: queue.SimpleQueue[tuple[contextvars.Context, Body, Done] | None] = queue.SimpleQueue()
        self._finished: deque[tuple[Done, Any, BaseException | None]] = deque()
        self._collecting = False
        self._threads = 0
        self._busy = 0

    def submit(self, body: Body, done: Done) -> None:
        """Call ``body`` in a thread, then ``done`` with its result or its exception on the loop's thread."""
        self._busy += 1
        if self._busy > self._threads and self._threads < self._size:
            self._threads += 1
            threading.Thread(target=self._work, name=f"adjourn-task-{self._threads}", daemon=True).start()
        self._waiting.put((contextvars.copy_context(), body, done))

    def close(self) -> None:
        """Let the threads end, each after the body it is in, if that ever ends."""
        for _ in range(self._threads):
            self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            context, body, done = item
            try:
                outcome: tuple[Done, Any, BaseException | None] = (done, context.run(body), None)
            except BaseException as error:  # whatever the body raises is its outcome
                outcome = (done, None, error)
            del context, body, done, item
            self._finished.append(outcome)
            del outcome
            if not self._collecting:
                self._collecting = True
                try:
                    self._loop.call_soon_threadsafe(self._collect)
                except RuntimeError:
                    return  # the loop is closed: the worker has gone without waiting for this body

    def _collect(self) -> None:
        # First the flag: what is appended from here on either is seen below or calls again.
        self._collecting = False
        while self._finished:
            done, result, error = self._finished.popleft()
            self._busy -= 1
            done(result, error)
