"""The state of a dispatcher, and how it changes.

A state is never modified. It is replaced by another, and only if it is still the latest: if the state has changed since
a plan was made, the plan is dropped and the rule is asked again. Only one opening or closing runs at a time; the others
wait for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable

import attrs

from adjourn import exceptions
from adjourn._dispatch.rule import (
    Action,
    Caller,
    Life,
    LoopState,
    Operation,
    Owner,
    Refuse,
    View,
    select,
)
from adjourn._runtime import forks
from adjourn._runtime.private import running_loop, thread_of

ASK_AGAIN_AFTER = 0.5
"""Seconds after which a caller that waits for a change checks whether the change is still being made."""

SLACK = 15.0
"""Seconds that an opening or closing may take beyond the pool's ``timeout``."""


@attrs.frozen(eq=False)
class State:
    """The state of a connector, of which `adjourn._dispatch.rule.View` is a snapshot."""

    process: int
    life: Life = Life.CLOSED
    loop: asyncio.AbstractEventLoop | None = None
    thread: int = 0
    is_external: bool = False
    borrowed: int = 0
    change: concurrent.futures.Future[None] | None = None

    @property
    def is_loop_closed(self) -> bool:
        """Whether the owner's loop has ended. With it, `adjourn._dispatch.rule.is_on_loop` takes a state as well as a view."""
        return self.loop is not None and self.loop.is_closed()

    def view(self, *, needs_opening: bool) -> View:
        """Take a snapshot for the rule."""
        owner = None
        if self.loop is not None:
            # Another thread than the one that opened the connector may run the loop.
            thread = thread_of(self.loop)
            owner = Owner(self.loop, self.thread if thread is None else thread, loop_state(self.loop))
        is_changing = self.change is not None
        return View(self.life, self.process, owner, self.is_external, self.borrowed, is_changing, needs_opening)


def here() -> Caller:
    """Return where the calling code runs."""
    return Caller(os.getpid(), threading.get_ident(), running_loop())


def loop_state(loop: asyncio.AbstractEventLoop) -> LoopState:
    """Return what an event loop is doing at this moment."""
    if loop.is_closed():
        return LoopState.CLOSED
    return LoopState.RUNNING if loop.is_running() else LoopState.IDLE


class StateKeeper:
    """Keeps the state of one dispatcher, and asks the rule what to do about it.

    Parameters
    ----------
    needs_opening
        Whether calls are refused while nothing is open.
    """

    def __init__(self, *, needs_opening: bool = True) -> None:
        self.state: State = State(os.getpid())
        self._needs_opening = needs_opening
        self._mutex = threading.Lock()
        forks.watch(self)

    def plan(self, state: State, operation: Operation) -> Action:
        """Ask the rule what an operation does for this caller now.

        Raises
        ------
        AppNotOpen, WrongCaller
            If it is refused.
        """
        plan = select(state.view(needs_opening=self._needs_opening), here(), operation)
        if isinstance(plan, Refuse):
            raise plan.reason.error()
        return plan.action

    def replace(self, state: State, new: State, meanwhile: Callable[[], None] | None = None) -> bool:
        """Replace the state if it is still the one that the plan was made for, and return whether it was.

        No other thread can replace it before ``meanwhile`` returns, so ``meanwhile`` must not wait for anything.
        """
        with self._mutex:
            if self.state is not state:
                return False
            self.state = new
            if meanwhile is not None:
                meanwhile()
            return True

    def begin(self, state: State, life: Life, loop: asyncio.AbstractEventLoop | None = None) -> State | None:
        """Announce a change by this loop or this thread; return None if another caller was faster."""
        change: concurrent.futures.Future[None] = concurrent.futures.Future()
        # From here on, a waiter that gives up cannot cancel it.
        change.set_running_or_notify_cancel()
        begun = attrs.evolve(
            state, process=os.getpid(), life=life, loop=loop, thread=threading.get_ident(), change=change
        )
        return begun if self.replace(state, begun) else None

    def end(self, begun: State, published: State) -> None:
        """Publish the outcome of a change, and wake those who wait for it."""
        self.replace(begun, published)
        if begun.change is not None:
            begun.change.set_result(None)

    def wait(self, state: State, deadline: float) -> None:
        """Wait for the current change to end, or until it is time to ask again."""
        if state.change is not None:
            concurrent.futures.wait([state.change], ASK_AGAIN_AFTER)
        check_deadline(deadline)

    async def wait_async(self, state: State, deadline: float) -> None:
        """Wait for the current change to end, or until it is time to ask again."""
        if state.change is not None:
            waiting = asyncio.wrap_future(state.change)
            try:
                await asyncio.wait([waiting], timeout=ASK_AGAIN_AFTER)
            finally:
                waiting.cancel()
        check_deadline(deadline)

    def renew_locks(self) -> None:
        """Replace the lock in a forked child."""
        self._mutex = threading.Lock()


def check_deadline(deadline: float) -> None:
    """Raise if the deadline has passed."""
    if time.monotonic() > deadline:
        raise exceptions.WrongCaller(
            "The app is being opened or closed elsewhere, and that has not ended in time. Look for the thread or event "
            "loop that does it: it may be blocked, perhaps by waiting for this very thread."
        )
