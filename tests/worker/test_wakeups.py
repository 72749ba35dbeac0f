"""Whoever waits for notifications is woken, by whichever driver it waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn.connectors.adapted import AdaptedConnector
from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector
from adjourn.testing import InMemoryConnector

LONG, BOUND = 60.0, 10.0


def adapted(dsn: str) -> AdaptedConnector:
    """A connector that was written in async only."""
    return AdaptedConnector(adjourn.PsycopgConnector(dsn).get_async_connector)


CONNECTORS = {
    "psycopg": adjourn.PsycopgConnector,
    "psycopg2": AsyncPsycopg2Connector,
    "memory": lambda dsn: InMemoryConnector(),
}


@pytest.fixture(params=CONNECTORS)
def connector(request: pytest.FixtureRequest, database: str) -> Any:
    """A connector that is not open."""
    return CONNECTORS[request.param](database)


@pytest.fixture
def session(connector: Any) -> Iterator[Any]:
    """A session that listens, in a thread."""
    session = connector.session()
    session.listen("channel")
    yield session
    session.close()


def woken_after(delay: float, session: Any) -> float:
    """Wait for a notification that never comes while another thread wakes; how many seconds it took."""
    threading.Timer(delay, session.wake).start()
    began = time.monotonic()
    assert session.wait_for_notifications(LONG) == []
    return time.monotonic() - began


def test_a_wait_in_a_thread_ends_when_it_is_woken(session: Any) -> None:
    assert session.is_wakeable
    assert woken_after(0.05, session) < BOUND
    assert woken_after(0.05, session) < BOUND


def test_a_wake_before_the_wait_ends_the_next_one_and_no_other(session: Any) -> None:
    session.wake()
    session.wake()
    began = time.monotonic()
    assert session.wait_for_notifications(LONG) == []
    assert time.monotonic() - began < BOUND
    began = time.monotonic()
    assert session.wait_for_notifications(0.1) == []
    assert time.monotonic() - began >= 0.1


def test_waking_a_closed_session_does_nothing(connector: Any) -> None:
    session = connector.session()
    session.listen("channel")
    session.wait_for_notifications(0)
    session.close()
    session.wake()


async def test_a_wait_on_a_loop_ends_when_it_is_woken_from_a_thread(connector: Any) -> None:
    session = await connector.session_async()
    try:
        await session.listen_async("channel")
        for _ in range(2):
            threading.Timer(0.05, session.wake).start()
            async with asyncio.timeout(BOUND):
                assert await session.wait_for_notifications_async(LONG) == []
        session.wake()
        async with asyncio.timeout(BOUND):
            assert await session.wait_for_notifications_async(LONG) == []
        began = time.monotonic()
        assert await session.wait_for_notifications_async(0.1) == []
        assert time.monotonic() - began >= 0.09
    finally:
        await session.close_async()
