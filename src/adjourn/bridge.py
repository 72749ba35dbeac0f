"""Run a coroutine on an event loop that runs in another thread, and wait for its outcome here.

Two things make this different from `asyncio.run_coroutine_threadsafe`:

* a *claim*: a call is pending until either the loop claims it or the caller abandons it, in one atomic step. So a
  call that has been given up never happens later, whatever the loop does;
* a *watch*: while a caller waits, it looks now and then whether the loop still runs and still answers. A loop that
  has died, or that is blocked by the very thread that waits for it, makes an error and not a deadlock.

`concurrent.futures.Future` has the claim built in: ``cancel()`` succeeds only until somebody has called
``set_running_or_notify_cancel()``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from adjourn import exceptions
from adjourn.selection import Reason

T = TypeVar("T")

WATCH_INTERVAL = 0.1
"""Seconds between two looks at the loop that a call waits for."""

BUSY = (
    "The event loop that the app was opened on did not get to this call within {timeout:g} seconds, so nothing was "
    "done: it is blocked, perhaps by waiting for this very thread. Do not block the loop (await instead), or await the "
    "`_async` form of the call."
)
STUCK = (
    "The event loop that the app was opened on has been blocked for {timeout:g} seconds in the middle of this call, "
    "perhaps by waiting for this very thread. The call is cancelled; whether it took effect is not known. Do not block "
    "the loop, or await the `_async` form of the call."
)
ENDED = (
    "The event loop that the app was opened on cancelled this call, most likely because the loop is shutting down. "
    "Whether the call took effect is not known. Let calls end before the loop does, and close the app before."
)


def run(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, timeout: float
) -> T:
    """Run a coroutine function on a loop that another thread runs, and wait for its result.

    Parameters
    ----------
    loop
        The loop, which must not be the one of this thread.
    function
        Called on the loop, in a copy of this thread's context variables.
    *arguments
        What it is called with.
    timeout
        Seconds that the loop may keep the call waiting, or be blocked in the middle of it. The call itself may take
        longer.

    Raises
    ------
    WrongCaller
        If the loop cannot serve the call: it runs in this thread, it has ended, or it is blocked.
    """
    if asyncio._get_running_loop() is loop:
        raise Reason.ON_LOOP.error()
    call = Call(loop, function, arguments, timeout)
    call.submit()
    try:
        while True:
            concurrent.futures.wait([call.outcome], WATCH_INTERVAL)
            if call.outcome.done():
                return call.outcome.result()
            call.watch()
    except BaseException:
        call.abandon()
        raise


async def hop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, timeout: float
) -> T:
    """Run a coroutine function on another loop, and await its result on this one. See `run`."""
    call = Call(loop, function, arguments, timeout)
    call.submit()
    waiting = asyncio.wrap_future(call.outcome)
    try:
        while True:
            await asyncio.wait([waiting], timeout=WATCH_INTERVAL)
            if waiting.done():
                return await waiting
            call.watch()
    except BaseException:
        call.abandon()
        raise
    finally:
        waiting.cancel()


class Call(Generic[T]):
    """One coroutine function on its way to another thread's loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Coroutine[Any, Any, T]],
        arguments: tuple[Any, ...],
        timeout: float,
    ) -> None:
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop = loop
        self._function = function
        self._arguments = arguments
        self._timeout = timeout
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[T] | None = None
        self._answered = time.monotonic()
        self._is_asking = False

    def submit(self) -> None:
        """Hand the call over to its loop."""
        try:
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:
            raise Reason.LOOP_GONE.error() from None

    def watch(self) -> None:
        """Look whether the loop still serves the call.

        Raises
        ------
        WrongCaller
            If it does not.
        """
        if not self._loop.is_running() and self.outcome.cancel():
            raise (Reason.LOOP_GONE if self._loop.is_closed() else Reason.LOOP_IDLE).error()
        if self._loop.is_closed() and not self.outcome.done():
            raise exceptions.WrongCaller(ENDED)
        if time.monotonic() - self._answered > self._timeout:
            if self.outcome.cancel():
                raise exceptions.WrongCaller(BUSY.format(timeout=self._timeout))
            if self._is_asking:
                raise exceptions.WrongCaller(STUCK.format(timeout=self._timeout))
        if self.outcome.running() and not self._is_asking:
            self._is_asking = True
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer)

    def abandon(self) -> None:
        """Give the call up: it does not begin any more, and if it has begun, it is cancelled once."""
        if not self.outcome.cancel() and not self.outcome.done():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        if self.outcome.set_running_or_notify_cancel():
            self._answered = time.monotonic()
            self._task = self._loop.create_task(self._function(*self._arguments), context=self._context)
            self._task.add_done_callback(self._finish)

    def _answer(self) -> None:
        self._answered = time.monotonic()
        self._is_asking = False

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.set_exception(exceptions.WrongCaller(ENDED))
        elif error := task.exception():
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())
