"""A server that falls silent within `context.transaction_async()` keeps no run beyond its timeout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn._drivers import watchdog
from adjourn.connectors import BaseConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector
from adjourn.exceptions import ConnectorException
from support.addresses import address
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


AWAITED: dict[str, Callable[[str], BaseConnector]] = {
    "psycopg": lambda dsn: adjourn.PsycopgConnector(dsn, response_timeout=PATIENCE),
    "psycopg2": lambda dsn: adjourn.AsyncPsycopg2Connector(dsn, response_timeout=PATIENCE),
    "engine on asyncpg": lambda dsn: SQLAlchemyConnector(dsn=address(dsn, "asyncpg"), response_timeout=PATIENCE),
}
BLOCKING: dict[str, Callable[[str], BaseConnector]] = {
    "psycopg": AWAITED["psycopg"],
    "psycopg, blocking alone": lambda dsn: adjourn.SyncPsycopgConnector(dsn, response_timeout=PATIENCE),
    "psycopg2": lambda dsn: adjourn.Psycopg2Connector(dsn, response_timeout=PATIENCE),
    "engine on psycopg2": lambda dsn: SQLAlchemyPsycopg2Connector(
        dsn=address(dsn, "psycopg2"), response_timeout=PATIENCE
    ),
}


@pytest.mark.parametrize("name", AWAITED)
async def test_a_statement_of_ours_on_its_connection_is_given_up(
    database: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(watchdog, "CANCELLATION", PATIENCE)
    with proxied(database) as (proxy, through):
        app = adjourn.App(connector=AWAITED[name](through))

        async def work() -> None:
            async with app.connector.transaction_async() as connection:
                proxy.silence_present()
                await app.configure_task("t", connection=connection).defer_async()

        done, _ = await asyncio.wait([task := asyncio.create_task(work())], timeout=BOUND)
        assert done, "it waits for ever"
        assert "response_timeout" in str(task.exception())
        async with app.connector.transaction_async() as connection:  # a new one is not silent
            await app.configure_task("t", connection=connection).defer_async()
    assert await count(database) == 1


@pytest.mark.parametrize("name", BLOCKING)
async def test_a_statement_of_ours_on_its_blocking_connection_is_given_up(database: str, name: str) -> None:
    with proxied(database) as (proxy, through):
        app = adjourn.App(connector=BLOCKING[name](through))

        def work() -> None:
            with app.connector.transaction() as connection:
                proxy.silence_present()
                app.configure_task("t", connection=connection).defer()

        with pytest.raises(ConnectorException, match="response_timeout"):
            await asyncio.wait_for(asyncio.to_thread(work), BOUND)
    assert await count(database) == 0


@pytest.mark.parametrize("is_awaited", [True, False])
async def test_the_end_of_a_job_on_its_connection_is_given_up(database: str, is_awaited: bool) -> None:
    with proxied(database) as (proxy, through):
        app = adjourn.App(connector=adjourn.PsycopgConnector(through, response_timeout=PATIENCE))
        errors: list[BaseException] = []

        async def work_async(context: adjourn.JobContext) -> None:
            try:
                async with context.transaction_async():
                    proxy.silence_present()
            except ConnectorException as error:
                errors.append(error)
                raise

        def work(context: adjourn.JobContext) -> None:
            try:
                with context.transaction():
                    proxy.silence_present()
            except ConnectorException as error:
                errors.append(error)
                raise

        run: Any = work_async if is_awaited else work
        job = app.task(name="work", pass_context=True)(run)
        async with app.open_async():
            await job.defer_async()
            await asyncio.wait_for(app.run_worker_async(wait=False, install_signal_handlers=False), BOUND)
        assert "response_timeout" in str(errors[0])
    assert await count(database, "finished_jobs where status = 'failed'") == 1


async def count(dsn: str, which: str = "jobs") -> int:
    """How many jobs there are."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute(f"select count(*) from adjourn.adjourn_{which}".encode())
        (found,) = await cursor.fetchone() or (-1,)
        return int(found)
