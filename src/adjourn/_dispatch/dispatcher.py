"""The dispatcher: carries out the plans of `adjourn._dispatch.rule`.

A dispatcher has two halves. The asynchronous one works on the event loop that opened it. The synchronous one is made
with the same parameters when it is first needed, and works in any thread. Each operation takes a snapshot of the state,
asks the rule once for a plan, and carries the plan out. A state is published after it has become true, and replaced
before it ceases to be true.

The dispatcher is not a connector itself: the connectors of `adjourn.connectors` are its faces.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import attrs

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledHalf
from adjourn._dispatch import bridge
from adjourn._dispatch.rule import Action, Life, Operation, is_on_loop
from adjourn._dispatch.state import SLACK, State, StateKeeper
from adjourn._runtime import aio, forks
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.lifecycle import SyncPooledHalf
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

T = TypeVar("T")


class Dispatcher:
    """An asynchronous half and a synchronous one; the rule chooses which of them serves each call.

    Parameters
    ----------
    half
        The asynchronous half.
    make_sync_half
        Makes the synchronous half, with the same parameters. It raises `InvalidOption` if one of them has no
        synchronous counterpart.
    connect
        Makes a session, blocking. Its argument is the user's own asynchronous pool, to whose database it connects; None
        means the half's database.
    make_plain_half
        Makes a synchronous half without parameters, for calls on the callers' own connections; None if the synchronous
        half serves such calls.
    needs_opening
        Whether calls are refused while nothing is open.
    """

    def __init__(
        self,
        half: AsyncPooledHalf[Any],
        make_sync_half: Callable[[], SyncPooledHalf[Any]],
        connect: Callable[[Any], SyncSession],
        *,
        make_plain_half: Callable[[], SyncPooledHalf[Any]] | None = None,
        needs_opening: bool = True,
    ) -> None:
        self.json_dumps: JSONDumps = half.json_dumps
        self.json_loads: JSONLoads = half.json_loads
        self.keeper: StateKeeper = StateKeeper(needs_opening=needs_opening)
        self._async_half = half
        self._make_sync_half = make_sync_half
        self._make_plain_half = make_plain_half or (lambda: self._sync_half)
        self._connect = connect
        self._made: SyncPooledHalf[Any] | None = None
        self._made_plain: SyncPooledHalf[Any] | None = None
        self._making = threading.Lock()
        self._pulse: bridge.Pulse | None = None
        self._let_go: object = None
        """Another one each time that synchronous code closes it, unless other such code still has it open."""
        forks.watch(self)

    @property
    def pool(self) -> Any:
        """The pool that is in use.

        Raises
        ------
        AppNotOpen
            If nothing is open.
        """
        return self._serving.pool

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for calls in flight."""
        return self._serving.timeout

    @property
    def _serving(self) -> AsyncPooledHalf[Any] | SyncPooledHalf[Any]:
        return self._sync_half if self.keeper.state.life is Life.SYNC else self._async_half

    # Calls

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, blocking, wherever the rule says."""
        if connection is not None:
            return self._plain_half.execute(statement, parameters, connection=connection)
        half = self._async_half
        while True:
            state = self.keeper.state
            match self.keeper.plan(state, Operation.CALL):
                case Action.BRIDGE:
                    return bridge.run(
                        owner_of(state),
                        half.execute_async,
                        statement,
                        parameters,
                        timeout=half.timeout,
                        pulse=self._pulse,
                    )
                case Action.DRIVE:
                    return drive(owner_of(state), half.execute_async(statement, parameters))
                case Action.REBUILD_TWIN:
                    # The half itself notices that its pool belongs to another process, and makes a new one.
                    self.keeper.replace(state, State(os.getpid(), Life.SYNC))
                case _:
                    try:
                        return self._sync_half.execute(statement, parameters)
                    except exceptions.AppNotOpen:
                        # The half was closed between the plan and the call, so ask the rule again.
                        if self.keeper.state is state:
                            raise

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement on the owner's loop."""
        half = self._async_half
        if connection is not None:
            return await half.execute_async(statement, parameters, connection=connection)
        state = self.keeper.state
        if self.keeper.plan(state, Operation.CALL_ASYNC) is Action.HOP:
            return await bridge.hop(
                owner_of(state), half.execute_async, statement, parameters, timeout=half.timeout, pulse=self._pulse
            )
        return await half.execute_async(statement, parameters)

    def session(self) -> SyncSession:
        """Open another connection beside the pool, from this thread, for the caller alone. Nothing need be open."""
        if self._async_half.is_external:
            return self._connect(self._async_half.pool)
        if self._made is not None and self._made.is_external:
            return self._made.session()
        return self._connect(None)

    async def session_async(self) -> AsyncSession:
        """Open another connection beside the pool, for the caller alone. Nothing need be open."""
        return await self._async_half.session_async()

    # Opening and closing

    def open(self, pool: Any = None) -> None:
        """Open the synchronous half, or share the pool that is open on an event loop."""
        deadline = self._deadline()
        while True:
            state = self.keeper.state
            match self.keeper.plan(state, Operation.OPEN):
                case Action.NOTHING:
                    return
                case Action.BORROW:
                    if self.keeper.replace(state, attrs.evolve(state, borrowed=state.borrowed + 1)):
                        return
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    self.keeper.wait(state, deadline)
                case Action.OPEN_TWIN:
                    if begun := self.keeper.begin(state, state.life):
                        self._open_sync_half(state, begun, pool)
                        return

    def _open_sync_half(self, state: State, begun: State, pool: Any) -> None:
        published = state
        try:
            self._sync_half.open(pool)
            published = State(os.getpid(), Life.SYNC, is_external=self._sync_half.is_external)
        finally:
            self.keeper.end(begun, published)

    def close(self) -> None:
        """Stop sharing that pool or, after the calls in flight, close the open half."""
        deadline = self._deadline()
        while True:
            state = self.keeper.state
            action = self.keeper.plan(state, Operation.CLOSE)
            if action is not Action.RETURN or state.borrowed == 1:
                self._let_go = object()
            match action:
                case Action.NOTHING:
                    return None
                case Action.RETURN:
                    if self.keeper.replace(state, attrs.evolve(state, borrowed=state.borrowed - 1)):
                        return None
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    self.keeper.wait(state, deadline)
                case Action.BRIDGE:
                    return bridge.run(owner_of(state), self.close_async, timeout=self._async_half.timeout)
                case Action.DRIVE:
                    return drive(owner_of(state), self.close_async())
                case Action.CLOSE_TWIN:
                    if begun := self.keeper.begin(state, Life.CLOSING):
                        try:
                            return self._sync_half.close()
                        finally:
                            self.keeper.end(begun, State(os.getpid()))

    async def open_async(self, pool: Any = None) -> None:
        """Open the asynchronous half on this event loop, which takes over from the synchronous one."""
        deadline = self._deadline()
        while True:
            state = self.keeper.state
            match self.keeper.plan(state, Operation.OPEN_ASYNC):
                case Action.NOTHING:
                    return
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    await self.keeper.wait_async(state, deadline)
                case Action.OPEN_POOL | Action.SWITCH:
                    if begun := self.keeper.begin(state, state.life, asyncio.get_running_loop()):
                        await self._open_async_half_async(state, begun, pool)
                        return

    async def _open_async_half_async(self, state: State, begun: State, pool: Any) -> None:
        published = state
        try:
            await self._async_half.open_async(pool)
            self._pulse = bridge.Pulse()
            # The synchronous code that opened it before will call `close`, which must not close the loop's pool.
            borrowed = 1 if state.life is Life.SYNC else 0
            published = attrs.evolve(
                begun, life=Life.ASYNC, is_external=self._async_half.is_external, borrowed=borrowed, change=None
            )
        finally:
            self.keeper.end(begun, published)
        if state.life is Life.SYNC:
            try:
                await aio.uninterrupted(aio.run_sync, self._sync_half.close)
            except BaseException:
                # It stays open although this call has failed: the synchronous code that opened it before closes it.
                self.keeper.replace(published, attrs.evolve(published, borrowed=0))
                raise

    async def close_async(self) -> None:
        """Close the open half, after the calls in flight."""
        deadline = self._deadline()
        while True:
            state = self.keeper.state
            match self.keeper.plan(state, Operation.CLOSE_ASYNC):
                case Action.NOTHING:
                    return None
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    await self.keeper.wait_async(state, deadline)
                case Action.HOP:
                    return await bridge.hop(owner_of(state), self.close_async, timeout=self._async_half.timeout)
                case Action.CLOSE_TWIN:
                    return await aio.run_sync(self.close)
                case Action.CLOSE_POOL:
                    if begun := self.keeper.begin(state, Life.CLOSING, state.loop):
                        try:
                            return await self._async_half.close_async()
                        finally:
                            if self._pulse is not None:
                                self._pulse.stop()
                            self.keeper.end(begun, State(os.getpid()))

    @contextlib.contextmanager
    def kept_open(self, reopen: Callable[[Any], None]) -> Iterator[None]:
        """Have what synchronous code has open now opened anew after the block, if a loop took it over, and closed it.

        Not if synchronous code closes it meanwhile: nobody would do so later.

        Parameters
        ----------
        reopen
            Opens it, with the pool of the user's that it is open with now, or with None.
        """
        let_go, state, pool = self._let_go, self.keeper.state, None
        # In a forked child the twin would serve calls as well, but not on the parent's pool.
        is_held = state.life is Life.SYNC and (state.process == os.getpid() or not state.is_external)
        if is_held and state.is_external:
            # Unless it is being closed at this moment.
            with contextlib.suppress(exceptions.AppNotOpen):
                pool = self._sync_half.pool

        def give_back() -> None:
            now = self.keeper.state
            is_open = now.life is Life.SYNC or is_on_loop(now, os.getpid)
            if is_held and let_go is self._let_go and not is_open:
                reopen(pool)

        try:
            yield
        except BaseException:
            # What has ended the block counts for more.
            with contextlib.suppress(exceptions.AdjournException):
                give_back()
            raise
        give_back()

    def _discard(self, state: State) -> None:
        """Drop what is no longer usable: the pool of a dead loop or another process, or a change that will not
        complete."""
        is_ours = state.process == os.getpid()

        def forget() -> None:
            self._async_half.forget()
            if is_ours and state.change is not None:
                self._async_half.forget_change()
            if not is_ours and self._made is not None:
                self._made.forget()

        is_sync_half_alive = is_ours and state.life is Life.SYNC
        left = attrs.evolve(state, loop=None, change=None) if is_sync_half_alive else State(os.getpid())
        self.keeper.replace(state, left, forget)

    def _deadline(self) -> float:
        return time.monotonic() + self._async_half.timeout + SLACK

    # The synchronous halves, made on first use

    @property
    def _sync_half(self) -> SyncPooledHalf[Any]:
        if self._made is None:
            made = self._make_sync_half()
            with self._making:
                self._made = self._made or made
        return self._made

    @property
    def _plain_half(self) -> SyncPooledHalf[Any]:
        if self._made_plain is None:
            self._made_plain = self._make_plain_half()
        return self._made_plain

    def renew_locks(self) -> None:
        """Replace the lock in a forked child."""
        self._making = threading.Lock()


def owner_of(state: State) -> asyncio.AbstractEventLoop:
    """Return the event loop that owns the pool."""
    assert state.loop is not None
    return state.loop


def drive(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run this thread's idle loop until a coroutine has ended."""
    with contextlib.closing(coroutine):
        return loop.run_until_complete(coroutine)
