"""The life of a connector that works with a pool of connections: opened, used, drained, closed.

The connector for a driver defines how to make and close its pool, and which of the users' pools it accepts. This module
has what all connectors share:

* opening twice makes one pool, even at the same time; a failed opening leaves nothing behind;
* closing refuses new calls, waits for running ones, and then closes the pool, unless it is the user's own;
* a call whose server does not answer is given up, and one that met a server in recovery is repeated on another
  connection;
* a pool that a fork copied belongs to the parent: the child keeps it, unused, and makes a new one.
"""

from __future__ import annotations

import abc
import os
from typing import Any, Generic, TypeVar

import attrs

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncConnector
from adjourn._drivers.numbered import has_several_commands
from adjourn._drivers.watchdog import READ_ONLY, RESPONSE_TIMEOUT, Wait, seconds_for, watchdog
from adjourn._runtime import aio as runtime
from adjourn._runtime import forks
from adjourn.types import Parameters, Row, Statement

PoolT = TypeVar("PoolT")


@attrs.frozen(eq=False)
class AsyncOpened(Generic[PoolT]):
    """An open pool, and the count of the calls that use it."""

    pool: PoolT
    external: bool
    process: int
    gate: runtime.Gate


class AsyncPooledHalf(AsyncConnector, Generic[PoolT]):
    """A connector on top of a pool.

    Attributes
    ----------
    response_timeout
        Seconds that the server may take to answer a call, None for any time.
    """

    response_timeout: float | None = RESPONSE_TIMEOUT

    def __init__(self) -> None:
        self._changing = runtime.Lock()
        self._opened: AsyncOpened[PoolT] | None = None
        forks.watch(self)

    @property
    @abc.abstractmethod
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for running calls."""

    @abc.abstractmethod
    async def make_pool_async(self) -> PoolT:
        """Make a pool that is connected. Leave nothing behind when that fails."""

    @abc.abstractmethod
    async def close_pool_async(self, pool: PoolT) -> None:
        """Close a pool that was made here."""

    @abc.abstractmethod
    def accept_pool(self, pool: Any) -> PoolT:
        """Check that the user's own pool is of the right kind, and open.

        Raises
        ------
        InvalidOption
            If it cannot be used; the message says what can.
        """

    async def run_pooled_async(
        self, pool: PoolT, wait: Wait, statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        """Execute one statement on a connection of the pool, committed on return.

        Parameters
        ----------
        pool
            The pool.
        wait
            Is told which connection the call waits on, before it does.
        statement, parameters
            The statement, and the values of its parameters.
        """
        raise NotImplementedError

    async def distrust_async(self, pool: PoolT) -> None:
        """Throw the pool's connections away, those in use when they come back: their server is silent or demoted.

        This does not wait for the server.
        """

    def discard_pool(self, pool: PoolT) -> None:
        """Close the connections of a pool that was made here, without waiting."""

    def discard_unfinished(self) -> None:
        """Close the connections of a pool whose opening or closing was cut off."""

    @property
    def is_open(self) -> bool:
        """Whether there is a pool that this process may use."""
        return self._usable() is not None

    @property
    def is_external(self) -> bool:
        """Whether there is a pool that this process may use, and it is the user's own."""
        opened = self._usable()
        return opened is not None and opened.external

    @property
    def pool(self) -> PoolT:
        """The pool that is in use.

        Raises
        ------
        AppNotOpen
            If the connector is not open.
        """
        opened = self._usable()
        if opened is None:
            raise exceptions.AppNotOpen()
        return opened.pool

    def _usable(self) -> AsyncOpened[PoolT] | None:
        opened = self._opened
        return opened if opened is not None and opened.process == os.getpid() else None

    async def open_async(self, pool: Any = None) -> None:
        """Connect: make the pool, or use the given one, which the connector never closes.

        Opening a connector that is open does nothing.

        Parameters
        ----------
        pool
            The user's own open pool. The user closes it after the connector.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The connector is then still closed.
        InvalidOption
            If the pool given cannot be used.
        """
        await self._ensure_open_async(pool)

    async def _ensure_open_async(self, pool: Any = None) -> None:
        async with self._changing:
            if self.is_open:
                return
            made: list[AsyncOpened[PoolT]] = []

            async def make_async() -> None:
                made.append(await self._opened_pool_async(pool))

            try:
                await runtime.guarded(make_async)
            except BaseException:
                # A cancellation may arrive just after the pool was made.
                for opened in made:
                    await runtime.uninterrupted(self._close_opened_async, opened)
                raise
            forks.keep(self._opened)
            self._opened = made[0]

    async def _opened_pool_async(self, pool: Any) -> AsyncOpened[PoolT]:
        external = pool is not None
        opened = self.accept_pool(pool) if external else await self.make_pool_async()
        return AsyncOpened(opened, external, os.getpid(), runtime.Gate())

    async def close_async(self) -> None:
        """Wait until running calls have ended, then close the connector's own pool. The user's own pool stays open.

        It waits for running calls for at most the pool's ``timeout``, in seconds. Closing a connector that is
        closed does nothing.
        """
        async with self._changing:
            opened = self._usable()
            if opened is None:
                self.forget()
            else:
                self._opened = None
                await runtime.uninterrupted(self._close_opened_async, opened)

    async def _close_opened_async(self, opened: AsyncOpened[PoolT]) -> None:
        try:
            await opened.gate.close(self.timeout)
        finally:
            if not opened.external:
                await self.close_pool_async(opened.pool)

    async def enter_async(self) -> AsyncOpened[PoolT]:
        """Begin to use the pool. The caller must call ``gate.leave()`` on the result when it is done.

        If a fork has copied a pool of our own, a new one is made with the same parameters.

        Raises
        ------
        AppNotOpen
            If the connector is not open.
        """
        opened = self._opened
        if opened is not None and opened.process != os.getpid():
            if opened.external:
                raise exceptions.AppNotOpen(
                    "The app was opened in another process, with a pool that belongs to that process. Open it again "
                    "in this one."
                )
            await self._ensure_open_async()
            opened = self._opened
        if opened is None or not opened.gate.enter():
            raise exceptions.AppNotOpen()
        return opened

    async def execute_pooled_async(self, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement on the pool, committed on return, within ``response_timeout``.

        If the server says that it takes no writes, it has been demoted, and has certainly not stored anything: the
        statement is executed once more, on a new connection.
        """
        may_repeat = parameters is not None or not has_several_commands(statement.text)
        while True:
            opened = await self.enter_async()
            wait = watchdog.begin(seconds_for(self.response_timeout, statement), runtime.this_task())
            try:
                return await self.run_pooled_async(opened.pool, wait, statement, parameters)
            except exceptions.ConnectorException as error:
                if wait.is_given_up:
                    await self.distrust_async(opened.pool)
                    raise wait.error() from error
                if error.sqlstate != READ_ONLY:
                    raise
                await self.distrust_async(opened.pool)
                if not may_repeat:
                    raise
                may_repeat = False
            finally:
                wait.end()
                opened.gate.leave()

    def forget(self) -> None:
        """Close without waiting for anything.

        This is for a pool that cannot be closed in the usual way. Its connections are closed, unless a fork has copied
        them: those are left to the parent.
        """
        opened, self._opened = self._opened, None
        if opened is None:
            return
        if opened.process != os.getpid():
            forks.keep(opened)
        elif not opened.external:
            self.discard_pool(opened.pool)

    def forget_change(self) -> None:
        """Drop an opening or closing that will not complete, because its thread or loop is gone."""
        self._changing = runtime.Lock()
        self.discard_unfinished()

    def renew_locks(self) -> None:
        """Replace the locks in a forked child."""
        self._changing = runtime.Lock()
