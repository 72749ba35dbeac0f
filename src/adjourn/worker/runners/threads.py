"""Runs synchronous bodies in threads, which must not keep a worker from ending.

`concurrent.futures` joins its threads when the interpreter exits, so a function that never ends hangs the process.
These threads are daemons, and they pass their results to the event loop in batches.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import os
import queue
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from adjourn._runtime.ends import TaskThread
from adjourn.worker.runners.children import end_child
from adjourn.worker.runners.contract import Body, Halt, OnEnd, Run

Done: TypeAlias = Callable[[Any, BaseException | None], None]


class ThreadPool:
    """Runs functions in threads, at most ``size`` at once, and calls back on the event loop.

    Parameters
    ----------
    size
        The most threads; they are started when they are needed.
    loop
        The event loop on which callbacks run.
    """

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._size = size
        self._loop = loop
        self._process = os.getpid()
        self._waiting: queue.SimpleQueue[tuple[contextvars.Context, Body, Done] | None] = queue.SimpleQueue()
        self._finished: deque[tuple[Done, Any, BaseException | None]] = deque()
        self._collecting = False
        self._threads = 0
        self._busy = 0

    def submit(self, body: Body, done: Done) -> None:
        """Call ``body`` in a thread, then ``done`` with its result or its exception on the loop's thread.

        Raises
        ------
        RuntimeError
            If a thread is missing, and the process can have no more of them now.
        """
        if self._busy >= self._threads and self._threads < self._size:
            TaskThread(target=self._work, name=f"adjourn-task-{self._threads + 1}", daemon=True).start()
            self._threads += 1
        self._busy += 1
        self._waiting.put((contextvars.copy_context(), body, done))

    def close(self) -> None:
        """End the threads, each after the function that it is running, if that ever ends."""
        for _ in range(self._threads):
            self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            context, body, done = item
            try:
                outcome: tuple[Done, Any, BaseException | None] = (done, context.run(body), None)
            except BaseException as error:  # any exception of the function is its outcome
                outcome = (done, None, error)
            end_child(self._process, outcome[2])
            del context, body, done, item
            self._finished.append(outcome)
            del outcome
            if not self._collecting:
                self._collecting = True
                try:
                    self._loop.call_soon_threadsafe(self._collect)
                except RuntimeError:
                    return  # the loop is closed: the worker has ended without waiting for this function

    def _collect(self) -> None:
        # Reset the flag first: a result that is appended from here on is either seen below or causes another call.
        self._collecting = False
        while self._finished:
            done, result, error = self._finished.popleft()
            self._busy -= 1
            done(result, error)


class ThreadRunner:
    """Runs bodies that block. It cannot end a body in the middle unless the body awaits something.

    Parameters
    ----------
    size
        The most threads.
    on_end
        Called when a run has ended.
    halt
        Whether to begin no further run.
    on_left
        Called when the number of threads in `left` has changed.
    """

    interrupts = False

    def __init__(self, size: int, on_end: OnEnd, halt: Halt, on_left: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._halt = halt
        self._on_left = on_left
        self._threads = ThreadPool(size, self._loop)
        self.left: set[Run] = set()
        """The runs that nobody follows any more, and that still hold a thread."""

    def start(self, run: Run, body: Body) -> None:
        """Call a body in a thread."""
        self._threads.submit(functools.partial(self._call, run, body, False), functools.partial(self._on_end, run))

    def load(self, run: Run, call: Callable[[], Any], done: Done) -> None:
        """Call a function in a thread before a run begins, then ``done`` with its result or exception on the loop."""
        self._threads.submit(functools.partial(self._load, run, call), done)

    def leave(self, run: Run) -> None:
        """Note that a run was let go: nobody follows it any more."""
        if run.is_in_thread:
            self.left.add(run)
            self._on_left()

    def _free(self, run: Run) -> None:
        self.left.discard(run)
        self._on_left()

    async def call(self, run: Run, body: Body) -> Any:
        """Call a body in a thread, and return its result or raise its exception."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration | GeneratorExit | KeyboardInterrupt):
                # A future does not accept StopIteration, and the loop would misunderstand the others.
                raised = RuntimeError(f"the task raised {type(error).__name__}")
                raised.__cause__ = error
                future.set_exception(raised)
            else:
                future.set_exception(error)

        self._threads.submit(functools.partial(self._call, run, body, True), done)
        return await future

    def abort(self, run: Run) -> None:
        """Cancel what the body awaits, if anything."""
        if run.awaitable is not None:
            run.awaitable.cancel()

    def close(self) -> None:
        """End the threads, each after the function that it is running, if that ever ends."""
        self._threads.close()

    def _call(self, run: Run, body: Body, has_begun: bool) -> Any:
        run.is_in_thread = True
        try:
            self._halt.check(run, has_begun=has_begun)
            result = body()
            return self._awaited(run, result) if inspect.isawaitable(result) else result
        finally:
            self._give_back(run)

    def _load(self, run: Run, call: Callable[[], Any]) -> Any:
        run.is_in_thread = True
        try:
            return call()
        finally:
            self._give_back(run)

    def _give_back(self, run: Run) -> None:
        # Keep this order: a run is let go first, and then it is looked whether it is in a thread.
        run.is_in_thread = False
        if run.is_let_go:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts threads any more
                self._loop.call_soon_threadsafe(self._free, run)

    def _awaited(self, run: Run, result: Awaitable[Any]) -> Any:
        # A synchronous wrapper around an async function.
        run.awaitable = asyncio.run_coroutine_threadsafe(_awaited(result), self._loop)
        if run.abort_reason is not None:
            run.awaitable.cancel()
        try:
            return run.awaitable.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
