"""Run a coroutine on an event loop that runs in another thread, and wait for its outcome here.

Two things make this different from `asyncio.run_coroutine_threadsafe`:

* a *claim*: a call is pending until either the loop claims it or the caller abandons it, in one atomic step. So an
  abandoned call never happens later, whatever the loop does;
* a *watch*: while a caller waits, it checks from time to time whether the loop still runs and answers. If the loop has
  died, or is blocked by the thread that waits for it, the result is an error and not a deadlock.

`concurrent.futures.Future` has the claim built in: ``cancel()`` succeeds only before ``set_running_or_notify_cancel()``
is called.
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
from adjourn._dispatch.rule import Reason
from adjourn._runtime.private import leave_in_silence, running_loop

T = TypeVar("T")

WATCH_INTERVAL = 0.1
"""Seconds between two checks of the loop that a call waits for."""

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


class Pulse:
    """Knows whether the event loop that an app is open on has begun to end. It must be created on that loop.

    `asyncio.run` ends a loop by cancelling every task once and waiting for them. A call that begins after that would be
    cut off silently, so it must not begin.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(_wait_for_ever(loop), name="adjourn")
        # This task never ends by itself, so asyncio must not warn of it when a loop is closed.
        leave_in_silence(self._task)
        self._is_over = False

    @property
    def is_failing(self) -> bool:
        """Whether the loop has begun to end."""
        return not self._is_over and (self._task.done() or self._task.cancelling() > 0)

    def stop(self) -> None:
        """Stop watching the loop. Must be called on it."""
        self._is_over = True
        self._task.cancel()


async def _wait_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    await loop.create_future()


def run(
    loop: asyncio.AbstractEventLoop,
    function: Callable[..., Coroutine[Any, Any, T]],
    *arguments: Any,
    timeout: float,
    pulse: Pulse | None = None,
) -> T:
    """Run a coroutine function on a loop that another thread runs, and wait for its result.

    Parameters
    ----------
    loop
        The loop, which must not be the one of this thread.
    function
        Called on the loop, in a copy of this thread's context variables.
    *arguments
        The function's arguments.
    timeout
        Seconds that the loop may take to begin the call, or may be blocked during it. The call itself may take longer.
    pulse
        Knows whether the loop has begun to end.

    Raises
    ------
    WrongCaller
        If the loop cannot serve the call: it runs in this thread, it has ended, or it is blocked.
    """
    if running_loop() is loop:
        raise Reason.ON_LOOP.error()
    call = BridgedCall(loop, function, arguments, timeout, pulse)
    call.submit()
    try:
        while True:
            try:
                # Not `result()`, whose own TimeoutError would look like one that the call has raised.
                call.outcome.exception(WATCH_INTERVAL)
            except TimeoutError:
                call.watch()
            else:
                return call.outcome.result()
    except BaseException:
        call.abandon()
        raise


async def hop(
    loop: asyncio.AbstractEventLoop,
    function: Callable[..., Coroutine[Any, Any, T]],
    *arguments: Any,
    timeout: float,
    pulse: Pulse | None = None,
) -> T:
    """Run a coroutine function on another loop, and await its result on this one. See `run`."""
    call = BridgedCall(loop, function, arguments, timeout, pulse)
    here, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake(outcome: concurrent.futures.Future[T]) -> None:
        # If the loop was closed too early, its waiting task has been destroyed.
        with contextlib.suppress(RuntimeError):
            here.call_soon_threadsafe(ended.set)

    call.outcome.add_done_callback(wake)
    call.submit()
    try:
        while not call.outcome.done():
            try:
                async with asyncio.timeout(WATCH_INTERVAL):
                    await ended.wait()
            except TimeoutError:
                call.watch()
        return call.outcome.result()
    except BaseException:
        call.abandon()
        raise


class BridgedCall(Generic[T]):
    """One call of a coroutine function on another thread's loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Coroutine[Any, Any, T]],
        arguments: tuple[Any, ...],
        timeout: float,
        pulse: Pulse | None = None,
    ) -> None:
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop = loop
        self._function = function
        self._arguments = arguments
        self._timeout = timeout
        self._pulse = pulse
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[T] | None = None
        self._answered = time.monotonic()
        self._is_asking = False

    def submit(self) -> None:
        """Pass the call to its loop."""
        try:
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:
            raise Reason.LOOP_GONE.error() from None

    def watch(self) -> None:
        """Check that the loop still serves the call.

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
        """Abandon the call: if it has not begun, it never will; if it has, it is cancelled once."""
        if not self.outcome.cancel() and not self.outcome.done():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        if not self.outcome.set_running_or_notify_cancel():
            return
        if self._pulse is not None and self._pulse.is_failing:
            self.outcome.set_exception(Reason.LOOP_GONE.error())
        else:
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
