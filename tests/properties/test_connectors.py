"""Opening, closing and calling in any order and from anywhere, against a model, on a real Postgres."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from psycopg_pool import ConnectionPool

from adjourn.connectors import PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import AppNotOpen, WrongCaller
from adjourn.types import Statement
from conftest import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s)")
BOUND = 30.0
"""Seconds after which something hangs."""

LOOPS = st.sampled_from(["loop a", "loop b"])
PLACES = st.sampled_from(["main thread", "other thread", "loop a", "loop b"])


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            self._end = self.loop.create_future()
            runner.run(self._live())

    async def _live(self) -> None:
        await self._end

    def wait(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine function here, and wait."""
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(BOUND)

    def end(self) -> None:
        """End the loop as `asyncio.run` does."""
        self.loop.call_soon_threadsafe(lambda: self._end.set_result(None))
        self._thread.join(BOUND)
        assert self.loop.is_closed()


class Connectors(RuleBasedStateMachine):
    """What a connector does, and what the model says that it should do."""

    dsn: str
    observer: psycopg.Connection
    sessions: Sessions

    def __init__(self) -> None:
        super().__init__()
        self.observer.execute("TRUNCATE scratch")
        self.connector = PsycopgConnector(self.dsn, min_size=1, max_size=2, timeout=10)
        self.twin = self.connector.get_sync_connector()
        self.executor = ThreadPoolExecutor(8)
        self.loops: dict[str, LoopThread] = {}
        self.external: ConnectionPool[Any] | None = None
        self.names = map(str, itertools.count())
        self.stored: set[str] = set()
        # The model: "closed", "sync", "dead", or the name of the loop that owns the pool.
        self.state = "closed"
        self.borrowed = 0

    @initialize()
    def begin(self) -> None:
        """Run two event loops."""
        self.loops = {"loop a": LoopThread(), "loop b": LoopThread()}

    def at(self, place: str, call: Callable[[], Any]) -> Any:
        """Make a blocking call at a place."""
        if place == "main thread":
            return call()
        if place == "other thread":
            return self.executor.submit(call).result(BOUND)

        async def block() -> Any:
            return call()

        return self.loops[place].wait(block)

    def refusal(self, place: str) -> type[Exception] | None:
        """What the model says of a blocking call."""
        if self.state == "closed":
            return AppNotOpen
        return WrongCaller if self.state in ("dead", place) else None

    def check(self, refusal: type[Exception] | None, call: Callable[[], Any]) -> None:
        """Do something that is to be refused, or not."""
        if refusal is None:
            call()
        else:
            with pytest.raises(refusal):
                call()

    @rule(place=PLACES, by_twin=st.booleans())
    def add(self, place: str, by_twin: bool) -> None:
        """Store a row from synchronous code."""
        name, refusal = next(self.names), self.refusal(place)
        serving = self.twin if by_twin else self.connector.get_sync_connector()
        self.check(refusal, lambda: self.at(place, lambda: serving.execute(ADD, {"name": name})))
        if refusal is None:
            self.stored.add(name)

    @rule(place=LOOPS)
    def add_async(self, place: str) -> None:
        """Store a row from asynchronous code."""
        name = next(self.names)
        refusal = {"closed": AppNotOpen, "sync": AppNotOpen, "dead": WrongCaller}.get(self.state)
        self.check(refusal, lambda: self.loops[place].wait(lambda: self.connector.execute_async(ADD, {"name": name})))
        if refusal is None:
            self.stored.add(name)

    @rule(place=PLACES)
    def get_sync_connector(self, place: str) -> None:
        """Ask who serves synchronous calls."""
        found = self.at(place, self.connector.get_sync_connector)
        if self.state in self.loops:
            assert found is self.connector
        else:
            assert found is self.twin
            assert isinstance(found, SyncPsycopgConnector)

    @rule(place=PLACES, external=st.booleans())
    def open(self, place: str, external: bool) -> None:
        """Open in synchronous code."""
        pool = None
        if external and self.state not in self.loops:
            pool = self.external = self.external or ConnectionPool(self.dsn, min_size=1, max_size=2, open=True)
        self.at(place, lambda: self.connector.open(pool))
        if self.state in self.loops:
            self.borrowed += 1
        else:
            self.state = "sync"

    @rule(place=PLACES)
    def close(self, place: str) -> None:
        """Close in synchronous code."""
        if self.state in self.loops and self.borrowed:
            self.at(place, self.connector.close)
            self.borrowed -= 1
        else:
            refusal = WrongCaller if self.state == place else None
            self.check(refusal, lambda: self.at(place, self.connector.close))
            self.state = self.state if refusal else "closed"

    @rule(place=LOOPS)
    def open_async(self, place: str) -> None:
        """Open on an event loop."""
        refusal = WrongCaller if self.state in self.loops and self.state != place else None
        self.check(refusal, lambda: self.loops[place].wait(self.connector.open_async))
        if refusal is None:
            self.borrowed = self.borrowed if self.state == place else 0
            self.state = place

    @rule(place=LOOPS)
    def close_async(self, place: str) -> None:
        """Close in asynchronous code."""
        self.loops[place].wait(self.connector.close_async)
        self.state, self.borrowed = "closed", 0

    @rule(place=LOOPS)
    def end_the_loop(self, place: str) -> None:
        """Let an event loop end, and begin another."""
        self.loops[place].end()
        if self.state == place:
            self.state, self.borrowed = "dead", 0
        self.loops[place] = LoopThread()

    @rule(place=LOOPS, change=st.sampled_from(["open_async", "close_async", "open", "close"]))
    def change_amid_calls(self, place: str, change: str) -> None:
        """Open or close while eight threads are at work, each of whose calls is done or refused."""

        def add(name: str) -> str | None:
            try:
                self.connector.get_sync_connector().execute(ADD, {"name": name})
            except (AppNotOpen, WrongCaller):
                return None
            return name

        adding: list[Future[str | None]] = [self.executor.submit(add, next(self.names)) for _ in range(24)]
        match change:
            case "open_async":
                self.open_async(place)
            case "close_async":
                self.close_async(place)
            case "open":
                self.open("main thread", False)
            case "close":
                self.close("main thread")
        self.stored.update(name for call in adding if (name := call.result(BOUND)) is not None)

    @invariant()
    def every_acknowledged_row_is_there_once_and_every_refused_one_is_not(self) -> None:
        """Compare the table with what was acknowledged."""
        rows = [name for (name,) in self.observer.execute("SELECT name FROM scratch").fetchall()]
        assert sorted(rows) == sorted(self.stored)

    def teardown(self) -> None:
        """Close everything: no connection may be left."""
        try:
            if self.loops:
                self.loops["loop a"].wait(self.connector.close_async)
            if self.external is not None:
                assert not self.external.closed
                self.external.close()
            assert self.sessions.settle(0) == 0
        finally:
            self.executor.shutdown()
            for thread in self.loops.values():
                thread.end()


def test_a_connector_does_what_the_model_says(dsn: str, observer: psycopg.Connection, sessions: Sessions) -> None:
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (name text)")
    machine = type("Machine", (Connectors,), {"dsn": dsn, "observer": observer, "sessions": sessions})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
