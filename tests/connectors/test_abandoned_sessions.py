"""A session can be given up while its server is silent, with each driver and in both colours."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from adjourn import exceptions
from adjourn.connectors.adapted import AdaptedConnector, DriverSession
from adjourn.testing.faces import AsyncFace, Face, SyncFace
from adjourn.testing.threads import in_thread
from adjourn.types import Parameters, Row, Statement
from dispatch.pairs import ADAPTED, DRIVERS, PSYCOPG, PSYCOPG2, SYNCHRONOUS, Pair
from support.drivers import PsycopgDriver
from support.forking import exit_code_of_child
from support.proxy import proxied
from support.sessions import Sessions
from support.waiting import BOUND

SLEEP = Statement("sleep", "SELECT pg_sleep(600)")

IS_OVER = threading.Event()
"""Set when no session need be stubborn any longer."""


class Stubborn(DriverSession):
    """A session that knows no way to be given up, and whose clean-up does not end."""

    def __init__(self, session: DriverSession) -> None:
        self._session = session

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        try:
            return await self._session.execute_async(statement, parameters)
        except asyncio.CancelledError:
            while not IS_OVER.is_set():
                await asyncio.sleep(0.05)
            raise

    async def listen_async(self, channel: str) -> None:
        await self._session.listen_async(channel)

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        return await self._session.wait_for_notifications_async(timeout)

    async def close_async(self) -> None:
        await self._session.close_async()


class StubbornDriver(PsycopgDriver):
    """A driver with such sessions."""

    async def session_async(self, pool: Any) -> DriverSession:
        return Stubborn(await super().session_async(pool))


def faces() -> dict[str, Callable[[str], Face]]:
    """Return what makes each connector, in each colour that has sessions of its own."""

    def face(colour: type[Face], connector: Callable[[str, int, float], Any]) -> Callable[[str], Face]:
        return lambda dsn: colour(connector(dsn, 1, 10))

    def stubborn(dsn: str, size: int, timeout: float) -> AdaptedConnector:
        return AdaptedConnector(lambda: StubbornDriver(dsn, timeout))

    made = {f"{pair}, awaited": face(AsyncFace, pair.connector) for pair in (*DRIVERS, ADAPTED)}
    made |= {f"{pair}, blocking": face(SyncFace, pair.connector) for pair in (PSYCOPG, PSYCOPG2, ADAPTED)}
    made |= {name: face(SyncFace, connector) for name, connector in SYNCHRONOUS.items() if "2Connector" in name}
    return made | {"stubborn, awaited": face(AsyncFace, stubborn), "stubborn, blocking": face(SyncFace, stubborn)}


FACES = faces()


@pytest.mark.parametrize("face", FACES.values(), ids=FACES)
async def test_a_call_that_a_silent_server_does_not_answer_fails_at_once_when_its_session_is_given_up(
    face: Callable[[str], Face], dsn: str, sessions: Sessions
) -> None:
    IS_OVER.clear()
    began = time.monotonic()
    with proxied(dsn) as (proxy, address):
        session = await face(address).connect()
        executing = asyncio.create_task(session.execute_statement(SLEEP))
        await in_thread(sessions.wait_for, SLEEP.text)
        proxy.silence()
        await in_thread(session.abandon)
        with pytest.raises(exceptions.ConnectorException):
            await executing
        with pytest.raises(exceptions.ConnectorException):
            await session.execute_statement(SLEEP)
        await session.close()
        await session.close()
        session.abandon()
    assert time.monotonic() - began < BOUND
    IS_OVER.set()
    sessions.cancel(SLEEP.text)
    assert sessions.settle(0) == 0


@pytest.mark.parametrize("pair", [PSYCOPG, PSYCOPG2], ids=str)
def test_a_forked_child_cannot_give_up_its_parents_session(pair: Pair, dsn: str) -> None:
    session = pair.connector(dsn, 1, 10).session()
    assert exit_code_of_child(session.abandon) == 0
    assert session.execute(Statement("one", "SELECT 1 AS one")) == [{"one": 1}]
    session.close()
