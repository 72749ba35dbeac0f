"""What the checks of the contract have in common: what they are told of a connector, and how they are run."""

from __future__ import annotations

import asyncio
import contextlib
import time
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from adjourn import exceptions, sql
from adjourn.connectors.base import BaseConnector, BaseSyncConnector
from adjourn.testing.checks import check_equal, check_raises, check_that
from adjourn.testing.faces import AsyncFace, Face, SessionFace, SyncFace
from adjourn.testing.threads import run_within
from adjourn.types import Row, Statement

CHANNEL = sql.channel(sql.DEFAULT_SCHEMA)
OWN_SESSION = Statement("own session", "SELECT pg_backend_pid() AS pid FROM pg_sleep(0.05)")
_COUNT_SESSIONS = Statement(
    "count sessions", "SELECT count(*) AS count FROM pg_stat_activity WHERE pid = ANY(%(pids)s::int[])"
)


class Suite:
    """What is told of a connector, and how it is checked. See `ConnectorContract`."""

    executes_sql: bool = True
    sets_connections_up: bool = True
    time_limit: float = 60.0

    def make_connector(self) -> BaseConnector:
        """Return a new connector that is not open. Give it a small pool: two connections are enough."""
        raise NotImplementedError

    def make_unreachable_connector(self) -> BaseConnector:
        """Return a connector to a server that is not there. Without this method, that case is not tested."""
        raise unittest.SkipTest("make_unreachable_connector is not defined")

    def make_impatient_connector(self) -> BaseConnector:
        """Return a connector that waits at most 0.2 seconds for a connection, and has at most two.

        Without this method, that time is not tested.
        """
        raise unittest.SkipTest("make_impatient_connector is not defined")

    def make_pool(self) -> AbstractContextManager[Any] | AbstractAsyncContextManager[Any]:
        """Return a context manager around an open pool of the driver, for the connector to use.

        The pool of an asynchronous connector lives on the event loop, so for one return an asynchronous context
        manager. Without this method, pools of the user's are not tested.
        """
        raise unittest.SkipTest("make_pool is not defined")

    def make_connection(self) -> AbstractContextManager[Any] | AbstractAsyncContextManager[Any]:
        """Return a context manager around a connection of the driver, for a call to take as its ``connection``.

        The test executes ``begin``, ``commit`` and ``rollback`` on it through the connector. For an asynchronous
        connector return an asynchronous context manager, as with `make_pool`. Without this method, connections of the
        user's are not tested.
        """
        raise unittest.SkipTest("make_connection is not defined")

    # How a check is run

    def _in_each_colour(
        self, check: Callable[[Face], Awaitable[None]], make: Callable[[], BaseConnector] | None = None
    ) -> None:
        """Check a new connector through its blocking methods and, if it has any, through its awaited ones."""
        make = make or self.make_connector
        connector = make()
        self._run(check, SyncFace(connector))
        if not isinstance(connector, BaseSyncConnector):
            self._run(check, AsyncFace(make()))

    def _in_its_own_colour(self, check: Callable[[Face], Awaitable[None]]) -> None:
        """Check a new connector through the methods whose colour is that of its pool."""
        connector = self.make_connector()
        self._run(check, SyncFace(connector) if isinstance(connector, BaseSyncConnector) else AsyncFace(connector))

    def _run(self, check: Callable[[Face], Awaitable[None]], face: Face) -> None:
        """Run a check on an event loop of its own; fail if it has not ended in time, with all that it has to close."""

        async def checked() -> None:
            try:
                await check(face)
            finally:
                await face.close_sessions()

        try:
            run_within(self.time_limit, lambda: asyncio.run(checked()))
        except TimeoutError as error:
            raise AssertionError(
                f"{face}: a call, or closing, hangs: this has not ended within {self.time_limit:g} seconds"
            ) from error
        except AssertionError as error:
            raise AssertionError(f"{face}: {error}") from error

    def _asynchronous_connector(self) -> BaseConnector:
        connector = self.make_connector()
        if isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is a synchronous connector")
        return connector

    def _check_executes_sql(self) -> None:
        if not self.executes_sql:
            raise unittest.SkipTest("it executes adjourn's own statements only")

    # What checks ask

    @property
    def _bound(self) -> float:
        """Seconds after which a wait counts as hanging."""
        return self.time_limit / 3

    async def _stored(self, face: Face, queue: str, connection: Any = None) -> list[Row]:
        """Return the jobs of a queue."""
        names = ("id", "task", "status", "lock", "queueing_lock", "worker_id", "waits_for", "workflow_id")
        more = ("error", "finished_after", "finished_before", "limit")
        filters = dict.fromkeys((*names, *more))
        return await face.execute("list_jobs", {**filters, "queue": queue, "after_id": 0}, connection)

    async def _check_have_ended(self, pids: set[int], observer: SessionFace, promise: str) -> None:
        """Fail if sessions of the server do not end."""
        deadline = time.monotonic() + self._bound
        while await observer.execute_statement(_COUNT_SESSIONS, {"pids": sorted(pids)}) != [{"count": 0}]:
            check_that(time.monotonic() < deadline, promise)
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def entered(made: AbstractContextManager[Any] | AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Enter a context manager, whichever kind it is."""
    if isinstance(made, AbstractAsyncContextManager):
        async with made as value:
            yield value
    else:
        with made as value:
            yield value


async def check_closed(face: Face) -> None:
    """Check that a closed connector says so, or serves a call because there is nothing to open."""
    if face.connector.needs_opening:
        await check_raises(exceptions.AppNotOpen, face.execute("check_connection"))
    else:
        check_equal(await face.execute("check_connection"), [{"exists": True}])
