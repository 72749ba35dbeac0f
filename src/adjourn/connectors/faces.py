"""The common code of this package's connectors: the asynchronous connector, and its synchronous twin.

Both forward calls to one dispatcher, which decides what serves a call. Programs do not make or inherit them: use the
connector of your driver, or `AdaptedConnector`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol, Self

from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._dispatch.rule import is_on_loop
from adjourn.connectors.base import AsyncSession, BaseAsyncConnector, BaseConnector, BaseSyncConnector, SyncSession
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = ["AsynchronousConnector", "SynchronousConnector"]


class Blocking(Protocol):
    """The object behind a synchronous connector: a synchronous half, or a dispatcher."""

    json_dumps: JSONDumps
    json_loads: JSONLoads

    @property
    def pool(self) -> Any:
        """The pool that is in use."""

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for calls in flight."""

    def open(self, pool: Any = None) -> None:
        """Open it."""

    def close(self) -> None:
        """Close it."""

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement."""

    def session(self) -> SyncSession:
        """Open another connection."""


class SynchronousConnector(BaseSyncConnector):
    """A synchronous connector: a face of its synchronous half or, as the twin of another connector, of a dispatcher.

    Users may keep a twin. It always obeys the rule: while the app is open on an event loop, that loop serves its calls.
    """

    def __init__(self, behind: Blocking) -> None:
        self._behind = behind
        self.json_dumps: JSONDumps = behind.json_dumps
        self.json_loads: JSONLoads = behind.json_loads

    @classmethod
    def twin_of(cls, dispatcher: Dispatcher) -> Self:
        """Make the synchronous twin of the connector that a dispatcher serves."""
        # Public classes take a driver's options; a twin has those of its connector.
        twin = cls.__new__(cls)
        SynchronousConnector.__init__(twin, dispatcher)
        return twin

    @property
    def pool(self) -> Any:
        """The pool that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self._behind.pool

    @property
    def timeout(self) -> float:
        """The most seconds that a call waits for a connection, and that closing waits for calls in flight."""
        return self._behind.timeout

    @property
    def shares_commits(self) -> bool:
        """Whether threads may share commits. See `BaseConnector.shares_commits`."""
        return not (isinstance(self._behind, Dispatcher) and _is_a_loops(self._behind))

    def open(self, pool: Any = None) -> None:
        """Connect: make a pool, or use the one given, which is never closed here. See `BaseConnector.open`."""
        self._behind.open(pool)

    def close(self) -> None:
        """Let calls in flight end, and close. See `BaseConnector.close`."""
        self._behind.close()

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows. See `BaseConnector.execute_async`."""
        return self._behind.execute(statement, parameters, connection=connection)

    def session(self) -> SyncSession:
        """Open another connection, for the caller alone. See `BaseConnector.session`."""
        return self._behind.session()


class AsynchronousConnector(BaseAsyncConnector):
    """An asynchronous connector that serves synchronous calls as well: a face of a dispatcher.

    Parameters
    ----------
    dispatcher
        Chooses who serves each call.
    twin
        The synchronous twin, a face of the same dispatcher.
    """

    def __init__(self, dispatcher: Dispatcher, twin: SynchronousConnector) -> None:
        self._dispatcher = dispatcher
        self._twin = twin
        self.json_dumps: JSONDumps = dispatcher.json_dumps
        self.json_loads: JSONLoads = dispatcher.json_loads

    @property
    def pool(self) -> Any:
        """The pool that is in use.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        """
        return self._dispatcher.pool

    @property
    def shares_commits(self) -> bool:
        """Whether threads may share commits. See `BaseConnector.shares_commits`.

        Not while an event loop serves their calls, and would refuse some of them.
        """
        return not _is_a_loops(self._dispatcher)

    def get_sync_connector(self) -> BaseConnector:
        """Return the connector that serves synchronous calls.

        That is the synchronous twin, always the same one. While the app is open on an event loop, it is this connector
        itself, and that loop serves its blocking calls.
        """
        return self if _is_a_loops(self._dispatcher) else self._twin

    def open(self, pool: Any = None) -> None:
        """Open for synchronous calls, from any thread. See `BaseConnector.open`."""
        self._dispatcher.open(pool)

    def close(self) -> None:
        """Let calls in flight end, and close. See `BaseConnector.close`."""
        self._dispatcher.close()

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows. See `BaseConnector.execute_async`."""
        return self._dispatcher.execute(statement, parameters, connection=connection)

    def session(self) -> SyncSession:
        """Open another connection, for the caller alone. See `BaseConnector.session`."""
        return self._dispatcher.session()

    def kept_open(self) -> contextlib.AbstractContextManager[None]:
        """Return a block: what synchronous code has open before it, it has open after it too."""
        return self._dispatcher.kept_open(self.open)

    async def open_async(self, pool: Any = None) -> None:
        """Open on this event loop, which owns the connections from then on. See `BaseConnector.open_async`."""
        await self._dispatcher.open_async(pool)

    async def close_async(self) -> None:
        """Let calls in flight end, and close. See `BaseConnector.close_async`."""
        await self._dispatcher.close_async()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, committed on return, and return its rows. See `BaseConnector.execute_async`."""
        return await self._dispatcher.execute_async(statement, parameters, connection=connection)

    async def session_async(self) -> AsyncSession:
        """Open another connection, for the caller alone. See `BaseConnector.session_async`."""
        return await self._dispatcher.session_async()


def _is_a_loops(dispatcher: Dispatcher) -> bool:
    return is_on_loop(dispatcher.keeper.state, os.getpid)
