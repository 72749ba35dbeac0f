"""A server that falls silent within `context.transaction_async()` keeps no run beyond its timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

import adjourn
from adjourn._drivers import watchdog
from support.proxy import Proxy, proxied
from support.waiting import BOUND

pytestmark = pytest.mark.anyio

PATIENCE = 0.5


@pytest.fixture
async def away(database: str) -> AsyncIterator[tuple[adjourn.App, Proxy]]:
    with proxied(database) as (proxy, through):
        yield adjourn.App(connector=adjourn.PsycopgConnector(through, response_timeout=PATIENCE)), proxy


async def test_a_cancelled_statement_on_its_connection_ends(
    away: tuple[adjourn.App, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver waits for the answer to a statement that it has asked the server to cancel."""
    app, proxy = away
    monkeypatch.setattr(watchdog, "CANCELLATION", PATIENCE)

    async def work() -> None:
        async with asyncio.timeout(PATIENCE), app.connector.transaction_async() as connection:
            proxy.silence_present()
            await connection.execute("select 1")

    done, _ = await asyncio.wait([task := asyncio.create_task(work())], timeout=BOUND)
    assert done, "it waits for ever"
    assert isinstance(task.exception(), TimeoutError | psycopg.OperationalError)


async def test_a_timeout_within_it_that_is_over_breaks_nothing(
    away: tuple[adjourn.App, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = away
    monkeypatch.setattr(watchdog, "CANCELLATION", PATIENCE)
    async with app.connector.transaction_async() as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.sleep(60)
        await asyncio.sleep(2 * PATIENCE + 2 * watchdog.TICK)
        await connection.execute("select 1")
