"""A server that has fallen silent keeps no call waiting: with each driver, in both colours."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.connectors import sqlalchemy as halves
from adjourn._drivers import watchdog
from adjourn.connector import BaseConnector
from adjourn.connectors.adapted import AdaptedConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.testing.faces import AsyncFace, Face, SyncFace
from adjourn.testing.threads import in_thread
from adjourn.types import Statement
from support.addresses import address
from support.drivers import PsycopgDriver
from support.forking import exit_code_of_child
from support.proxy import Proxy, proxied
from support.sessions import Sessions
from support.waiting import BOUND, until_async

PATIENCE = 0.3
"""Seconds that the servers of these tests may take to answer."""

ONE = Statement("one", "SELECT 1 AS one")
STORE = Statement("store", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING name")
SLOW = Statement("slow", "SELECT 1 AS one FROM pg_sleep(0.7)")
SLEEP = Statement("sleep", "SELECT pg_sleep(600)")


class TinyDriver(PsycopgDriver):
    """A third party's driver."""

    def __init__(self, dsn: str, timeout: float, response_timeout: float | None) -> None:
        super().__init__(dsn, timeout)
        self.response_timeout = response_timeout


def adapted(dsn: str, timeout: float, response_timeout: float | None) -> BaseConnector:
    """Return a third party's connector."""
    return AdaptedConnector(lambda: TinyDriver(dsn, timeout, response_timeout))


def on_engine(kind: type[Any], driver: str) -> Callable[[str, float, float | None], BaseConnector]:
    """Return what makes a connector on an engine."""

    def make(dsn: str, timeout: float, response_timeout: float | None) -> BaseConnector:
        url = address(dsn, driver)
        connector: BaseConnector = kind(
            dsn=url, pool_size=3, max_overflow=0, pool_timeout=timeout, response_timeout=response_timeout
        )
        return connector

    return make


@attrs.frozen
class Case:
    """A connector, in one of its colours."""

    name: str
    face: type[Face]
    make: Callable[[str, float, float | None], BaseConnector]
    has_pool: bool = True
    """Whether its pool is known to throw idle connections away."""

    def __str__(self) -> str:
        return self.name

    def made(self, dsn: str, timeout: float = 1, response_timeout: float | None = PATIENCE) -> Face:
        """Make the connector."""
        return self.face(self.make(dsn, timeout, response_timeout))


def psycopg_connector(kind: type[Any]) -> Callable[[str, float, float | None], BaseConnector]:
    """Return what makes a connector on psycopg's pool."""
    return lambda dsn, timeout, response_timeout: kind(
        dsn, min_size=1, max_size=3, timeout=timeout, response_timeout=response_timeout
    )


def psycopg2_connector(kind: type[Any]) -> Callable[[str, float, float | None], BaseConnector]:
    """Return what makes a connector on psycopg2's pool."""
    return lambda dsn, timeout, response_timeout: kind(
        dsn, maxconn=3, timeout=timeout, response_timeout=response_timeout
    )


CASES = [
    Case("psycopg, awaited", AsyncFace, psycopg_connector(adjourn.PsycopgConnector)),
    Case("psycopg, blocking", SyncFace, psycopg_connector(adjourn.SyncPsycopgConnector)),
    Case("psycopg2, awaited", AsyncFace, psycopg2_connector(adjourn.AsyncPsycopg2Connector)),
    Case("psycopg2, blocking", SyncFace, psycopg2_connector(adjourn.Psycopg2Connector)),
    Case("engine, psycopg, awaited", AsyncFace, on_engine(SQLAlchemyConnector, "psycopg")),
    Case("engine, asyncpg, awaited", AsyncFace, on_engine(SQLAlchemyConnector, "asyncpg")),
    Case("engine, psycopg, blocking", SyncFace, on_engine(SQLAlchemyPsycopgConnector, "psycopg")),
    Case("engine, psycopg2, blocking", SyncFace, on_engine(SQLAlchemyPsycopg2Connector, "psycopg2")),
    Case("adapted, awaited", AsyncFace, adapted, has_pool=False),
    Case("adapted, blocking", SyncFace, adapted, has_pool=False),
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_awaited_case = pytest.mark.parametrize("case", [case for case in CASES if case.face is AsyncFace], ids=str)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch, sessions: Sessions) -> Iterator[None]:
    monkeypatch.setattr(watchdog, "CANCELLATION", 1.0)
    monkeypatch.setattr(halves, "CANCELLATION", 1.0)
    monkeypatch.setattr(watchdog, "TICK", 0.05)
    yield
    sessions.cancel(SLEEP.text)  # the server does not notice that nobody waits for it
    assert sessions.settle(0) == 0


@pytest.fixture
async def warm(case: Case, scratch: str) -> AsyncIterator[tuple[Face, Proxy]]:
    """Open a connector whose pool has several connections, and yield it, and the proxy that they go through."""
    with proxied(scratch) as (proxy, dsn):
        face = case.made(dsn)
        async with face.opened():
            together = asyncio.Barrier(2)

            async def take() -> None:
                await together.wait()
                await face.execute_statement(Statement("pause", "SELECT pg_sleep(0.2)"))

            await asyncio.gather(take(), take())
            yield face, proxy


def check_says_so(error: pytest.ExceptionInfo[exceptions.ConnectorException]) -> None:
    """Check that an error says what has happened, and what to do."""
    message = str(error.value)
    assert "did not answer" in message
    assert "not known" in message
    assert "response_timeout" in message
    assert not error.value.was_refused


@each_case
async def test_a_call_that_is_not_answered_raises_and_later_ones_work(
    case: Case, warm: tuple[Face, Proxy], stored: Callable[[], list[str]]
) -> None:
    face, proxy = warm
    proxy.silence_present()
    began = time.monotonic()
    with pytest.raises(exceptions.ConnectorException) as error:
        await face.execute_statement(STORE, {"name": "lost"})
    if case.has_pool:
        check_says_so(error)
        # The other idle connections were silent as well, and cost no call.
        await face.execute_statement(STORE, {"name": "kept"})
        assert stored() == ["kept"]
    assert time.monotonic() - began < BOUND / 2
    # Nor do new connections get an answer.
    proxy.silence()
    with pytest.raises(exceptions.ConnectorException):
        await face.execute_statement(STORE, {"name": "lost"})
    proxy.heal()
    proxy.cut()

    async def works() -> bool:
        with contextlib.suppress(exceptions.ConnectorException):
            return bool(await face.execute_statement(ONE))
        return False

    await until_async(works, BOUND / 2)


@each_case
async def test_closing_does_not_wait_for_a_silent_server(case: Case, scratch: str, sessions: Sessions) -> None:
    with proxied(scratch) as (proxy, dsn):
        face = case.made(dsn, timeout=0.3, response_timeout=1)
        await face.open()
        executing = asyncio.create_task(face.execute_statement(SLEEP))
        await in_thread(sessions.wait_for, SLEEP.text)
        session = await face.session()
        proxy.silence()
        await asyncio.wait_for(face.close(), BOUND)
        await asyncio.wait_for(session.close(), BOUND)
        with pytest.raises(exceptions.AdjournException):
            await asyncio.wait_for(executing, BOUND)


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[5], CASES[6], CASES[8]], ids=str)
async def test_a_server_that_accepts_and_says_nothing_cannot_be_connected_to(case: Case, scratch: str) -> None:
    with proxied(scratch) as (proxy, dsn):
        proxy.silence()
        face = case.made(dsn)
        ended = await asyncio.wait_for(asyncio.gather(face.open(), face.session(), return_exceptions=True), BOUND / 2)
        assert [type(error) for error in ended] == [exceptions.ConnectorException] * 2


@each_case
async def test_a_sessions_statement_that_is_not_answered_raises(case: Case, scratch: str) -> None:
    with proxied(scratch) as (proxy, dsn):
        session = await case.made(dsn).session()
        await session.listen("adjourn")
        assert await session.wait_for_notifications(2 * PATIENCE) == []
        proxy.silence()
        with pytest.raises(exceptions.ConnectorException) as error:
            await asyncio.wait_for(session.execute_statement(ONE), BOUND / 2)
        check_says_so(error)
        await asyncio.wait_for(session.close(), BOUND / 2)


@each_case
async def test_statements_that_may_take_long_are_waited_for(case: Case, scratch: str) -> None:
    long = attrs.evolve(SLOW, may_take_long=True)
    face = case.made(scratch)
    async with face.opened():
        session = await face.session()
        answers = await asyncio.gather(face.execute_statement(long), session.execute_statement(long))
        assert [*answers] == [[{"one": 1}]] * 2
        await session.close()


@each_awaited_case
async def test_a_cancelled_call_does_not_wait_for_a_silent_server(case: Case, scratch: str, sessions: Sessions) -> None:
    with proxied(scratch) as (proxy, dsn):
        face = case.made(dsn, response_timeout=None)
        async with face.opened():
            executing = asyncio.create_task(face.execute_statement(SLEEP))
            await in_thread(sessions.wait_for, SLEEP.text)
            proxy.silence()
            executing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(executing, BOUND)
            proxy.heal()
            assert await face.execute_statement(ONE) == [{"one": 1}]


@each_awaited_case
async def test_a_blocked_loop_is_not_taken_for_a_silent_server(case: Case, scratch: str) -> None:
    face = case.made(scratch)
    async with face.opened():
        executing = asyncio.create_task(face.execute_statement(ONE))
        await asyncio.sleep(0)
        time.sleep(2 * PATIENCE)
        assert await executing == [{"one": 1}]
        session = await face.session()
        executing = asyncio.create_task(session.execute_statement(ONE))
        await asyncio.sleep(0)
        time.sleep(2 * PATIENCE)
        assert await executing == [{"one": 1}]
        await session.close()


async def test_a_callers_own_connection_is_not_given_up(scratch: str) -> None:
    connector = adjourn.PsycopgConnector(scratch, response_timeout=PATIENCE)
    async with await psycopg.AsyncConnection.connect(scratch) as connection:
        assert await connector.execute_async(SLOW, connection=connection) == [{"one": 1}]


@each_awaited_case
async def test_a_blocking_call_on_the_loop_of_another_thread_is_answered(case: Case, warm: tuple[Face, Proxy]) -> None:
    face, proxy = warm
    proxy.silence_present()
    with pytest.raises(exceptions.ConnectorException) as error:
        await asyncio.wait_for(in_thread(face.connector.execute, STORE, {"name": "lost"}), BOUND / 2)
    if case.has_pool:
        check_says_so(error)


async def test_every_one_of_several_defers_at_once_is_answered(database: str) -> None:
    with proxied(database) as (proxy, dsn):
        app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, response_timeout=PATIENCE))
        async with app.open_async():
            await app.configure_task("any").defer_async()
            proxy.silence_present()
            defers = [asyncio.create_task(app.configure_task("any").defer_async()) for _ in range(20)]
            done, pending = await asyncio.wait(defers, timeout=BOUND)
            assert not pending
            # Those that were not under way at the time of the silence got another connection.
            assert {type(defer.exception()) for defer in done} == {exceptions.ConnectorException, type(None)}
            await app.configure_task("any").defer_async()


def test_a_forked_child_gives_up_by_itself(scratch: str) -> None:
    connector = adjourn.SyncPsycopgConnector(scratch, response_timeout=PATIENCE)
    connector.open()
    connector.execute(ONE)
    assert any(thread.name == "adjourn watchdog" for thread in threading.enumerate())

    def gives_up() -> None:
        with pytest.raises(exceptions.ConnectorException, match="response_timeout"):
            connector.execute(SLEEP)

    assert exit_code_of_child(gives_up) == 0
    assert connector.execute(ONE) == [{"one": 1}]
    connector.close()


def test_a_program_that_was_stopped_does_not_blame_the_server(scratch: str, observer: psycopg.Connection) -> None:
    """The answer comes while it is stopped, or a statement was not even sent."""
    program = f"""
import os, signal, threading, adjourn
from adjourn.types import Statement
connector = adjourn.SyncPsycopgConnector({scratch!r}, response_timeout=1)
connector.open()
print("ready", flush=True)
for _ in range(2):
    assert connector.execute(Statement("x", "SELECT count(*) FROM pg_sleep(0.5)")) == [{{"count": 1}}]
connector.close()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            time.sleep(0.1)
            process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            process.send_signal(signal.SIGCONT)
        assert process.wait(BOUND) == 0


@pytest.mark.parametrize("response_timeout", [0, -1, "1", True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_response_timeout_is_a_number_of_seconds(case: Case, response_timeout: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match="response_timeout"):
        case.made("host=/nowhere", response_timeout=response_timeout)
