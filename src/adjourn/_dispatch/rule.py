"""Which connector serves a call, and what opening and closing do: the whole rule, as a pure function.

An app on an asynchronous connector can be opened from synchronous code or from an event loop, and used from both.
The decision depends on how the app was opened (the *view*), on where the call is made (the *caller*) and on what is
asked for (the *operation*). `select` returns a *plan*: an action, or a reason to refuse.

The rule has no locks, no clocks and no I/O, so tests can check it in every possible situation. They show three things:

* no call waits for itself, or for a loop that does not run: a call goes to the event loop that owns the pool only if
  that loop runs in this process, and not in the calling thread;
* an asynchronous pool is used only on its own loop, and nothing that a fork has copied is used at all;
* opening and closing never get stuck.

The plans are carried out in `adjourn._dispatch.dispatcher`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from typing import Protocol

import attrs

from adjourn import exceptions


class Life(enum.Enum):
    """The states in the life of a connector."""

    CLOSED = "closed"
    SYNC = "open, on the synchronous twin's pool"
    ASYNC = "open, on the pool of an event loop"
    CLOSING = "closing"


class LoopState(enum.Enum):
    """The present state of an event loop."""

    RUNNING = "running"
    IDLE = "not running"
    CLOSED = "closed"


class Operation(enum.Enum):
    """The operations."""

    CALL = "a blocking call"
    CALL_ASYNC = "an awaited call"
    OPEN = "open()"
    CLOSE = "close()"
    OPEN_ASYNC = "await open_async()"
    CLOSE_ASYNC = "await close_async()"

    @property
    def is_awaited(self) -> bool:
        """Whether the operation is a coroutine, which lets other tasks run while it waits."""
        return self in (Operation.CALL_ASYNC, Operation.OPEN_ASYNC, Operation.CLOSE_ASYNC)


@attrs.frozen
class Owner:
    """The event loop that owns the pool, or that carries out the current opening or closing."""

    loop: Hashable
    thread: int
    state: LoopState


@attrs.frozen
class View:
    """A connector at one moment.

    Attributes
    ----------
    process
        The process in which the rest of the view was made.
    owner
        The loop that owns the pool while `life` is ASYNC, or that carries out the current change; None if a thread
        does.
    is_external
        Whether the pool is the user's own.
    borrowed
        How often synchronous code has opened the connector while it was open on an event loop.
    is_changing
        Whether the connector is being opened or closed.
    needs_opening
        Whether calls are refused while nothing is open: False if there is nothing to connect to.
    """

    life: Life
    process: int
    owner: Owner | None = None
    is_external: bool = False
    borrowed: int = 0
    is_changing: bool = False
    needs_opening: bool = True

    @property
    def is_loop_closed(self) -> bool:
        """Whether the owner's loop has ended."""
        return self.owner is not None and self.owner.state is LoopState.CLOSED


class Owned(Protocol):
    """What `is_on_loop` looks at: a view, or what a view is made of, because making one takes longer than the answer."""

    @property
    def life(self) -> Life:
        """The state in its life."""

    @property
    def process(self) -> int:
        """The process in which the rest was made."""

    @property
    def is_loop_closed(self) -> bool:
        """Whether the owner's loop has ended."""


@attrs.frozen
class Caller:
    """Where a call is made: the process, the thread, and the event loop that runs in this thread, if any."""

    process: int
    thread: int
    loop: Hashable = None


class Action(enum.Enum):
    """What to do."""

    NOTHING = "nothing"
    USE_TWIN = "call the twin"
    REBUILD_TWIN = "open the twin anew in this process, then call it"
    BRIDGE = "run it on the owner's loop, which runs in another thread, and wait"
    DRIVE = "run the owner's loop, which is idle, for as long as it takes"
    AWAIT = "await it here, on the owner's loop"
    HOP = "run it on the owner's loop, and await the outcome on this one"
    OPEN_TWIN = "open the twin"
    CLOSE_TWIN = "close the twin, after the calls in flight"
    OPEN_POOL = "open a pool on this loop"
    SWITCH = "open a pool on this loop, publish it, then close the twin after the calls in flight"
    CLOSE_POOL = "close the pool here, on its loop"
    BORROW = "count one more who has opened it"
    RETURN = "count one less"
    DISCARD = "let go of what cannot be used any more, and ask again"
    WAIT = "wait for the change that is under way, and ask again"


class Reason(enum.Enum):
    """Why a call is refused; the value says what to do instead."""

    NOT_OPEN = (
        "The app is not open. Open it first: `app.open()` or `with app.open():` in synchronous code, "
        "`await app.open_async()` or `async with app.open_async():` in asynchronous code."
    )
    NOT_OPEN_ASYNC = (
        "The app is open for synchronous calls only. Call `await app.open_async()` to use it in asynchronous code too, "
        "or call the blocking form, the one without `_async`."
    )
    FORKED = (
        "The app was opened in another process, and connections cannot be shared between processes. Open it again in "
        "this one, after the fork: `app.open()` or `await app.open_async()`."
    )
    ON_LOOP = (
        "A blocking call was made on the thread of the event loop that the app was opened on: it would wait for itself. "
        "Await the `_async` form here (such as `await task.defer_async(...)`), or make the call in a thread "
        "(`await asyncio.to_thread(...)`)."
    )
    ON_LOOP_OPEN = (
        "The event loop of this thread is in the middle of opening or closing the app, so `open()` would wait for "
        "itself here. Use `await app.open_async()`."
    )
    ON_LOOP_CLOSE = (
        "The app was opened on the event loop of this thread, so `close()` would wait for itself here. Use "
        "`await app.close_async()`, or leave the `async with app.open_async():` block."
    )
    LOOP_IDLE = (
        "The app was opened on an event loop that is not running now, so there is nothing to serve the call. Make it "
        "while that loop runs, or close the app in the thread of that loop and open it with `app.open()`."
    )
    LOOP_GONE = (
        "The app was opened on an event loop that has been closed. Open the app again (`app.open()` or `await "
        "app.open_async()`), and close it before its event loop ends."
    )
    OTHER_LOOP = (
        "The app was opened on another event loop, which owns its connections. Use it there, close it there first, "
        "or give this loop an app of its own with `app.with_connector(...)`."
    )
    NO_LOOP = (
        "adjourn's asynchronous operations run on asyncio, and no asyncio event loop runs here. Trio is not supported: "
        "run the program with asyncio, or call the blocking form, the one without `_async`."
    )

    def error(self) -> exceptions.AdjournException:
        """Return the error to raise."""
        if self in (Reason.NOT_OPEN, Reason.NOT_OPEN_ASYNC, Reason.FORKED):
            return exceptions.AppNotOpen(self.value)
        return exceptions.WrongCaller(self.value)


@attrs.frozen
class Do:
    """A plan to do something."""

    action: Action


@attrs.frozen
class Refuse:
    """A plan to refuse."""

    reason: Reason


Plan = Do | Refuse


class Situation(enum.Enum):
    """What a view means to a caller. The last three are never stored, because no call leads to them."""

    CLOSED = enum.auto()
    SYNC_OPEN = enum.auto()
    ASYNC_OPEN = enum.auto()
    CLOSING = enum.auto()
    LOOP_IDLE = enum.auto()
    LOOP_DEAD = enum.auto()
    FORKED = enum.auto()


def is_on_loop(view: Owned, process: Callable[[], int]) -> bool:
    """Whether the pool is an event loop's, in the caller's process, and that loop has not ended: it alone serves calls.

    `get_sync_connector()` answers the connector itself then, and otherwise the synchronous twin. Managers ask it before
    each blocking call, so the process is asked for only where it matters. It refuses nothing: the call itself asks
    `select`.
    """
    return view.life is Life.ASYNC and view.process == process() and not view.is_loop_closed


def situation(view: View, caller: Caller) -> Situation:
    """Return what the view means to this caller."""
    if is_on_loop(view, lambda: caller.process):
        is_idle = view.owner is not None and view.owner.state is LoopState.IDLE
        return Situation.LOOP_IDLE if is_idle else Situation.ASYNC_OPEN
    if view.life is Life.CLOSED:
        return Situation.CLOSED
    if view.process != caller.process:
        return Situation.FORKED
    if view.life is Life.SYNC:
        return Situation.SYNC_OPEN
    return Situation.LOOP_DEAD if view.is_loop_closed else Situation.CLOSING


def select(view: View, caller: Caller, operation: Operation) -> Plan:
    """Decide what an operation does.

    Parameters
    ----------
    view
        The connector at this moment.
    caller
        Where the operation was called.
    operation
        The operation.
    """
    if operation.is_awaited and caller.loop is None:
        return Refuse(Reason.NO_LOOP)
    now = situation(view, caller)
    match operation:
        case Operation.CALL:
            return _call(view, caller, now)
        case Operation.CALL_ASYNC:
            return _call_async(view, caller, now)
    if now is Situation.LOOP_DEAD or now is Situation.FORKED or _is_stuck(view, caller):
        return Do(Action.DISCARD)
    if now is Situation.CLOSING or (view.is_changing and not _is_open_already(now, operation)):
        return _wait(view, caller, operation)
    match operation:
        case Operation.OPEN:
            return _open(now)
        case Operation.CLOSE:
            return _close(view, caller, now)
        case Operation.OPEN_ASYNC:
            return _open_async(view, caller, now)
        case Operation.CLOSE_ASYNC:
            return _close_async(view, caller, now)


def _call(view: View, caller: Caller, now: Situation) -> Plan:
    match now:
        case Situation.CLOSED | Situation.CLOSING:
            return Refuse(Reason.NOT_OPEN) if view.needs_opening else Do(Action.USE_TWIN)
        case Situation.SYNC_OPEN:
            return Do(Action.USE_TWIN)
        case Situation.ASYNC_OPEN:
            return Refuse(Reason.ON_LOOP) if _would_stop_owner(view, caller) else Do(Action.BRIDGE)
        case Situation.LOOP_IDLE:
            return Do(Action.DRIVE) if _can_drive(view, caller) else Refuse(Reason.LOOP_IDLE)
        case Situation.LOOP_DEAD:
            return Refuse(Reason.LOOP_GONE)
        case Situation.FORKED:
            # A fork copies the twin's parameters, but the user's own pool belongs to the process that made it.
            if view.life is Life.SYNC and not view.is_external:
                return Do(Action.REBUILD_TWIN)
            return Refuse(Reason.FORKED) if view.needs_opening else Do(Action.USE_TWIN)


def _call_async(view: View, caller: Caller, now: Situation) -> Plan:
    match now:
        case Situation.CLOSED | Situation.CLOSING | Situation.SYNC_OPEN | Situation.FORKED if not view.needs_opening:
            return Do(Action.AWAIT)
        case Situation.CLOSED | Situation.CLOSING:
            return Refuse(Reason.NOT_OPEN)
        case Situation.SYNC_OPEN:
            return Refuse(Reason.NOT_OPEN_ASYNC)
        case Situation.ASYNC_OPEN:
            return _on_owner(view, caller, Action.AWAIT)
        case Situation.LOOP_IDLE:
            return Refuse(Reason.OTHER_LOOP)
        case Situation.LOOP_DEAD:
            return Refuse(Reason.LOOP_GONE)
        case Situation.FORKED:
            return Refuse(Reason.FORKED)


def _open(now: Situation) -> Plan:
    match now:
        case Situation.CLOSED:
            return Do(Action.OPEN_TWIN)
        case Situation.SYNC_OPEN:
            return Do(Action.NOTHING)
        case _:
            # Synchronous code that opens the connector will also close it, which must not close the loop's pool.
            return Do(Action.BORROW)


def _close(view: View, caller: Caller, now: Situation) -> Plan:
    if now is Situation.CLOSED:
        return Do(Action.NOTHING)
    if now is Situation.SYNC_OPEN:
        return Do(Action.CLOSE_TWIN)
    if view.borrowed:
        return Do(Action.RETURN)
    if now is Situation.LOOP_IDLE:
        return Do(Action.DRIVE) if _can_drive(view, caller) else Refuse(Reason.LOOP_IDLE)
    return Refuse(Reason.ON_LOOP_CLOSE) if _would_stop_owner(view, caller) else Do(Action.BRIDGE)


def _open_async(view: View, caller: Caller, now: Situation) -> Plan:
    match now:
        case Situation.CLOSED:
            return Do(Action.OPEN_POOL)
        case Situation.SYNC_OPEN:
            return Do(Action.SWITCH)
        case Situation.LOOP_IDLE if _has_left_owner(view, caller):
            return Do(Action.DISCARD)
        case _:
            is_owner = view.owner is not None and view.owner.loop == caller.loop
            return Do(Action.NOTHING) if is_owner else Refuse(Reason.OTHER_LOOP)


def _close_async(view: View, caller: Caller, now: Situation) -> Plan:
    match now:
        case Situation.CLOSED:
            return Do(Action.NOTHING)
        case Situation.SYNC_OPEN:
            return Do(Action.CLOSE_TWIN)
        case Situation.LOOP_IDLE:
            return Do(Action.DISCARD) if _has_left_owner(view, caller) else Refuse(Reason.LOOP_IDLE)
        case _:
            return _on_owner(view, caller, Action.CLOSE_POOL)


def _on_owner(view: View, caller: Caller, here: Action) -> Plan:
    if view.owner is not None and view.owner.loop == caller.loop:
        return Do(here)
    # Another loop that runs on the owner's thread keeps the owner from running.
    return Refuse(Reason.OTHER_LOOP) if _would_stop_owner(view, caller) else Do(Action.HOP)


def _wait(view: View, caller: Caller, operation: Operation) -> Plan:
    if view.owner is None:
        return Do(Action.WAIT)
    if view.owner.state is LoopState.IDLE:
        return Refuse(Reason.LOOP_IDLE)
    if _would_stop_owner(view, caller) and not (operation.is_awaited and view.owner.loop == caller.loop):
        return Refuse(_REFUSED_ON_LOOP[operation])
    return Do(Action.WAIT)


_REFUSED_ON_LOOP = {
    Operation.OPEN: Reason.ON_LOOP_OPEN,
    Operation.CLOSE: Reason.ON_LOOP_CLOSE,
    Operation.OPEN_ASYNC: Reason.OTHER_LOOP,
    Operation.CLOSE_ASYNC: Reason.OTHER_LOOP,
}


def _is_stuck(view: View, caller: Caller) -> bool:
    """Whether there is a current change that will never complete."""
    return view.is_changing and (view.process != caller.process or view.is_loop_closed)


def _is_open_already(now: Situation, operation: Operation) -> bool:
    return operation is Operation.OPEN and now is not Situation.CLOSED


def _would_stop_owner(view: View, caller: Caller) -> bool:
    """Whether the owner's loop cannot run while the caller waits."""
    if view.owner is None:
        return False
    is_its_thread = view.owner.state is LoopState.RUNNING and view.owner.thread == caller.thread
    return is_its_thread or view.owner.loop == caller.loop


def _can_drive(view: View, caller: Caller) -> bool:
    """Whether the caller may run the owner's loop, which is idle: from any other thread that would be a race."""
    return view.owner is not None and view.owner.thread == caller.thread and caller.loop is None


def _has_left_owner(view: View, caller: Caller) -> bool:
    """Whether the caller's loop runs in the thread of the owner, which is paused and cannot run meanwhile."""
    return view.owner is not None and view.owner.thread == caller.thread
