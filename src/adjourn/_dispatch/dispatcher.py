"""An asynchronous connector that serves synchronous calls as well: the executor of the plans of `adjourn._dispatch.rule`.

`SelectingConnector` has two halves. The asynchronous one works on the event loop that opened it. The other is its
synchronous *twin*, made with the same parameters when it is first needed. Each operation takes a snapshot of the
state, asks the rule for a plan, and carries it out. A state is published when what it promises is true, and taken
back before it is not any more.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

import attrs

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.connectors.lifecycle import AsyncPooledConnector
from adjourn._dispatch import bridge
from adjourn._dispatch.rule import Action, Life, Operation
from adjourn._dispatch.state import SLACK, State, StateKeeper
from adjourn._runtime import aio, forks
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.lifecycle import SyncPooledConnector
from adjourn.connectors.base import BaseAsyncConnector, BaseConnector, BaseSyncConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

T = TypeVar("T")


class SelectingConnector(BaseAsyncConnector):
    """An asynchronous connector and its synchronous twin, one of which serves each call.

    Parameters
    ----------
    half
        The asynchronous half.
    """

    def __init__(self, half: AsyncPooledConnector[Any]) -> None:
        self.json_dumps: JSONDumps = half.json_dumps
        self.json_loads: JSONLoads = half.json_loads
        self._half = half
        self._made_twin: SummonedConnector | None = None
        self._keeper = StateKeeper()
        self._pulse: bridge.Pulse | None = None
        self._summoning = threading.Lock()
        forks.watch(self)

    @abc.abstractmethod
    def summon(self) -> SummonedConnector:
        """Make the synchronous twin, with the parameters of this connector.

        Raises
        ------
        InvalidOption
            If something of them has no synchronous counterpart.
        """

    def summon_plain(self) -> SummonedConnector | None:
        """Make a twin without the parameters that have no synchronous counterpart, which is never opened.

        It serves calls on connections of the callers' own. None where there is no such twin.
        """
        return None

    @abc.abstractmethod
    def session_beside(self, pool: Any) -> SyncSession:
        """Connect, blocking, with the parameters of an asynchronous pool of the user's."""

    @property
    def pool(self) -> Any:
        """The pool that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self._twin.here.pool if self._keeper.state.life is Life.SYNC else self._half.pool

    def get_sync_connector(self) -> BaseConnector:
        """Return the connector that serves synchronous calls.

        That is the synchronous twin, always the same one, unless the app is open on an event loop: then it is this
        connector itself, whose blocking calls are served by that loop.
        """
        return self if self._keeper.plan(self._keeper.state, Operation.GET_SYNC) is Action.GIVE_ITSELF else self._twin

    # Calls

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows. See `execute_async`."""
        if connection is not None:
            return self._twin.here.execute(statement, parameters, connection=connection)
        return self._call(
            lambda twin: twin.execute(statement, parameters), lambda half: half.execute_async(statement, parameters)
        )

    def execute_batch(self, batch: Sequence[tuple[Statement, Mapping[str, Any]]]) -> list[list[Row]]:
        """Execute several statements in one transaction, and return the rows of each. All or none take effect."""
        return self._call(lambda twin: twin.execute_batch(batch), lambda half: half.execute_batch_async(batch))

    def session(self) -> SyncSession:
        """Connect once more, beside the pool and from this very thread, for the caller alone.

        The connector need not be open.
        """
        if self._half.is_external:
            return self.session_beside(self._half.pool)
        return self._openable_twin.here.session()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows as dictionaries.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``; None sends the text as it is.
        connection
            A connection of the caller's, of this driver and this colour: the statement becomes part of whatever
            transaction is open on it. The connector need not be open.

        Raises
        ------
        AppNotOpen
            If the connector is not open and no ``connection`` was given.
        WrongCaller
            If the event loop that the app was opened on cannot serve the call.
        InvalidConnection
            If ``connection`` is of another driver or colour.
        UniqueViolation
            If a unique constraint refused.
        ConnectorException
            For whatever else the database or the way to it had to say.
        """
        if connection is not None:
            return await self._half.execute_async(statement, parameters, connection=connection)
        return await self._call_async(lambda half: half.execute_async(statement, parameters))

    async def execute_batch_async(self, batch: Sequence[tuple[Statement, Mapping[str, Any]]]) -> list[list[Row]]:
        """Execute several statements in one transaction, and return the rows of each. All or none take effect."""
        return await self._call_async(lambda half: half.execute_batch_async(batch))

    async def session_async(self) -> AsyncSession:
        """Connect once more, beside the pool and with its parameters, for the caller alone.

        The connector need not be open.
        """
        return await self._half.session_async()

    def _call(
        self,
        blocking: Callable[[SyncPooledConnector[Any]], T],
        awaited: Callable[[AsyncPooledConnector[Any]], Coroutine[Any, Any, T]],
    ) -> T:
        while True:
            state = self._keeper.state
            match self._keeper.plan(state, Operation.CALL):
                case Action.BRIDGE:
                    return bridge.run(
                        owner_of(state), awaited, self._half, timeout=self._half.timeout, pulse=self._pulse
                    )
                case Action.DRIVE:
                    return drive(owner_of(state), awaited(self._half))
                case Action.REBUILD_TWIN:
                    # The twin itself notices that its pool is another process's, and makes a new one.
                    self._keeper.replace(state, State(os.getpid(), Life.SYNC))
                case _:
                    try:
                        return blocking(self._twin.here)
                    except exceptions.AppNotOpen:
                        # The twin was closed between the plan and the call: the rule knows who serves it now.
                        if self._keeper.state is state:
                            raise

    async def _call_async(self, awaited: Callable[[AsyncPooledConnector[Any]], Coroutine[Any, Any, T]]) -> T:
        state = self._keeper.state
        if self._keeper.plan(state, Operation.CALL_ASYNC) is Action.HOP:
            return await bridge.hop(owner_of(state), awaited, self._half, timeout=self._half.timeout, pulse=self._pulse)
        return await awaited(self._half)

    # Opening and closing

    def open(self, pool: Any = None) -> None:
        """Open for synchronous calls, from any thread.

        A connector that is open on an event loop stays as it is, and the next `close` leaves it open too.

        Parameters
        ----------
        pool
            An open pool of the user's, which is never closed here.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then as it was.
        InvalidOption
            If the pool given cannot be used, or an option has no synchronous counterpart.
        """
        deadline = self._deadline()
        while True:
            state = self._keeper.state
            match self._keeper.plan(state, Operation.OPEN):
                case Action.NOTHING:
                    return
                case Action.BORROW:
                    if self._keeper.replace(state, attrs.evolve(state, borrowed=state.borrowed + 1)):
                        return
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    self._keeper.wait(state, deadline)
                case Action.OPEN_TWIN:
                    if begun := self._keeper.begin(state, state.life):
                        self._open_twin(state, begun, pool)
                        return

    def _open_twin(self, state: State, begun: State, pool: Any) -> None:
        published = state
        try:
            self._openable_twin.here.open(pool)
            published = State(os.getpid(), Life.SYNC, is_external=self._twin.here.is_external)
        finally:
            self._keeper.end(begun, published)

    def close(self) -> None:
        """Let calls in flight end, then close the connector's own pool, or let go of the one it was given.

        Closing what is closed does nothing. A connector that is open on an event loop can be closed from any other
        thread.

        Raises
        ------
        WrongCaller
            If this is the thread of the event loop that the connector was opened on: await `close_async` there.
        """
        deadline = self._deadline()
        while True:
            state = self._keeper.state
            match self._keeper.plan(state, Operation.CLOSE):
                case Action.NOTHING:
                    return None
                case Action.RETURN:
                    if self._keeper.replace(state, attrs.evolve(state, borrowed=state.borrowed - 1)):
                        return None
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    self._keeper.wait(state, deadline)
                case Action.BRIDGE:
                    return bridge.run(owner_of(state), self.close_async, timeout=self._half.timeout)
                case Action.DRIVE:
                    return drive(owner_of(state), self.close_async())
                case Action.CLOSE_TWIN:
                    if begun := self._keeper.begin(state, Life.CLOSING):
                        try:
                            return self._twin.here.close()
                        finally:
                            self._keeper.end(begun, State(os.getpid()))

    async def open_async(self, pool: Any = None) -> None:
        """Open on this event loop, which owns the connections from then on.

        Synchronous calls are served too: by this loop, from any thread but its own. If the connector was open for
        synchronous calls, those in flight end first.

        Parameters
        ----------
        pool
            An open pool of the user's, which is never closed here.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then as it was.
        WrongCaller
            If it is open on another event loop.
        InvalidOption
            If the pool given cannot be used.
        """
        deadline = self._deadline()
        while True:
            state = self._keeper.state
            match self._keeper.plan(state, Operation.OPEN_ASYNC):
                case Action.NOTHING:
                    return
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    await self._keeper.wait_async(state, deadline)
                case Action.OPEN_POOL | Action.SWITCH:
                    if begun := self._keeper.begin(state, state.life, asyncio.get_running_loop()):
                        await self._open_pool_async(state, begun, pool)
                        return

    async def _open_pool_async(self, state: State, begun: State, pool: Any) -> None:
        published = state
        try:
            await self._half.open_async(pool)
            self._pulse = bridge.Pulse()
            # Whoever had opened it in synchronous code closes it there, and must not take it away from the loop by that.
            borrowed = 1 if state.life is Life.SYNC else 0
            published = attrs.evolve(
                begun, life=Life.ASYNC, is_external=self._half.is_external, borrowed=borrowed, change=None
            )
        finally:
            self._keeper.end(begun, published)
        if state.life is Life.SYNC:
            try:
                await aio.uninterrupted(aio.run_sync, self._twin.here.close)
            except BaseException:
                # It stays open here, but nobody here has it in hand: it is closed by those who had opened it before.
                self._keeper.replace(published, attrs.evolve(published, borrowed=0))
                raise

    async def close_async(self) -> None:
        """Let calls in flight end, then close the connector's own pool, or let go of the one it was given.

        Closing what is closed does nothing. A connector that was opened for synchronous calls is closed too.
        """
        deadline = self._deadline()
        while True:
            state = self._keeper.state
            match self._keeper.plan(state, Operation.CLOSE_ASYNC):
                case Action.NOTHING:
                    return None
                case Action.DISCARD:
                    self._discard(state)
                case Action.WAIT:
                    await self._keeper.wait_async(state, deadline)
                case Action.HOP:
                    return await bridge.hop(owner_of(state), self.close_async, timeout=self._half.timeout)
                case Action.CLOSE_TWIN:
                    return await aio.run_sync(self.close)
                case Action.CLOSE_POOL:
                    if begun := self._keeper.begin(state, Life.CLOSING, state.loop):
                        try:
                            return await self._half.close_async()
                        finally:
                            if self._pulse is not None:
                                self._pulse.stop()
                            self._keeper.end(begun, State(os.getpid()))

    def _discard(self, state: State) -> None:
        """Let go of what cannot be used any more: a pool of a dead loop or of another process, a change nobody ends."""
        is_ours = state.process == os.getpid()

        def forget() -> None:
            self._half.forget()
            if is_ours and state.change is not None:
                self._half.forget_change()
            if not is_ours and self._made_twin is not None:
                self._made_twin.here.forget()

        is_twin_alive = is_ours and state.life is Life.SYNC
        left = attrs.evolve(state, loop=None, change=None) if is_twin_alive else State(os.getpid())
        self._keeper.replace(state, left, forget)

    def _deadline(self) -> float:
        return time.monotonic() + self._half.timeout + SLACK

    @property
    def _twin(self) -> SummonedConnector:
        if self._made_twin is None:
            try:
                twin = self.summon()
            except exceptions.InvalidOption as error:
                plain = self.summon_plain()
                if plain is None:
                    raise
                twin, twin.refusal = plain, error
            with self._summoning:
                self._made_twin = self._made_twin or twin
        return self._made_twin

    @property
    def _openable_twin(self) -> SummonedConnector:
        if self._twin.refusal is not None:
            raise self._twin.refusal
        return self._twin

    def renew_locks(self) -> None:
        """Make the lock anew, in a forked child."""
        self._summoning = threading.Lock()


class SummonedConnector(BaseSyncConnector):
    """The synchronous twin of an asynchronous connector.

    Users may hold it for as long as they like, so what it is asked goes through the rule: when the app is open on an
    event loop, that loop serves the call. Inherit it before the synchronous half, which is then to be found as `here`.
    """

    principal: SelectingConnector
    refusal: exceptions.InvalidOption | None = None
    """Why it cannot be opened."""

    @property
    def here(self) -> SyncPooledConnector[Any]:
        """The synchronous half itself, without the rule."""
        return cast(SyncPooledConnector[Any], super())

    def open(self, pool: Any = None) -> None:
        """Open the app for synchronous calls."""
        self.principal.open(pool)

    def close(self) -> None:
        """Close the app."""
        self.principal.close()

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows."""
        return self.principal.execute(statement, parameters, connection=connection)

    def execute_batch(self, batch: Sequence[tuple[Statement, Mapping[str, Any]]]) -> list[list[Row]]:
        """Execute several statements in one transaction, and return the rows of each."""
        return self.principal.execute_batch(batch)

    def session(self) -> SyncSession:
        """Connect once more, beside the pool, for the caller alone."""
        return self.principal.session()


def owner_of(state: State) -> asyncio.AbstractEventLoop:
    """Return the event loop that owns the pool."""
    assert state.loop is not None
    return state.loop


def drive(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run an idle loop of this thread until a coroutine has ended."""
    with contextlib.closing(coroutine):
        return loop.run_until_complete(coroutine)
