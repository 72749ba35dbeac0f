"""Behind PgBouncer in transaction mode everything works, without an option."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import adjourn
from adjourn._drivers import settings as driver_settings
from adjourn.connector import BaseConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.exceptions import ConnectorException
from dispatch.pairs import DRIVERS, PSYCOPG, PSYCOPG2, SQLALCHEMY_ASYNCPG, Pair
from support.addresses import address
from support.databases import apply_schema, new_database
from support.pooler import BINARY, MISSING, pgbouncer
from support.settings import role_has
from support.waiting import until_async

pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

DEFERS = 300


@pytest.fixture
def pooled(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the test's database behind PgBouncer."""
    monkeypatch.setattr(driver_settings, "_said", set())
    with pgbouncer(database) as address:
        yield address


@contextlib.asynccontextmanager
async def engine_on_asyncpg(dsn: str) -> AsyncIterator[AsyncEngine]:
    """An engine of the user's, which says itself that there is a pooler."""
    unprepared = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
    }
    engine = create_async_engine(address(dsn, "asyncpg"), pool_size=2, max_overflow=0, connect_args=unprepared)
    try:
        yield engine
    finally:
        await engine.dispose()


@contextlib.asynccontextmanager
async def opened(pair: Pair, dsn: str, of_user: bool = False) -> AsyncIterator[adjourn.App]:
    """An app that is open, on its own pool or on one of the user's."""
    app = adjourn.App(connector=pair.connector(dsn, 6, 30))

    @app.task(name="add", retry=adjourn.RetryStrategy(max_attempts=1))
    def add(number: int) -> None:
        if number % 50 == 0:
            raise ValueError(number)

    async with contextlib.AsyncExitStack() as stack:
        pool: Any = None
        if of_user:
            assert pair.pool_async is not None
            pool = await stack.enter_async_context(
                engine_on_asyncpg(dsn) if pair is SQLALCHEMY_ASYNCPG else pair.pool_async(dsn)
            )
        yield await stack.enter_async_context(app.open_async(pool))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What adjourn has logged as a warning, or worse."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def work(app: adjourn.App, observer: psycopg.Connection) -> None:
    """Run three workers, defer in both colours, and wait until all is done."""
    workers = [
        asyncio.create_task(
            app.run_worker_async(concurrency=5, install_signal_handlers=False, fetch_job_polling_interval=0.2)
        )
        for _ in range(3)
    ]
    add = app.tasks["add"]
    await asyncio.gather(
        *(add.configure(lock=f"{n % 7}" if n % 3 else None).defer_async(number=n) for n in range(DEFERS // 2)),
        *(asyncio.to_thread(add.configure(priority=n % 2).defer, number=n) for n in range(DEFERS // 2, DEFERS)),
    )

    def is_done() -> bool:
        ended = [worker for worker in workers if worker.done()]
        assert ended == []
        return observer.execute("SELECT FROM adjourn.adjourn_jobs").rowcount == 0

    await until_async(is_done, 60)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    rows = observer.execute(
        "SELECT status, count(*) FROM adjourn.adjourn_finished_jobs GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert rows == [("failed", DEFERS // 50), ("succeeded", DEFERS - DEFERS // 50)]


@pytest.mark.parametrize("of_user", [False, True], ids=["own pool", "pool of the user"])
@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_three_workers_and_three_hundred_defers_need_no_option(
    pooled: str, observer: psycopg.Connection, caplog: pytest.LogCaptureFixture, pair: Pair, of_user: bool
) -> None:
    async with opened(pair, pooled, of_user) as app:
        await work(app, observer)
    pooler, *others = [line for line in said(caplog) if "ValueError" not in line]
    assert "goes through a connection pooler" in pooler
    assert others == []


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_nothing_is_left_in_sessions_that_others_use_next(
    pooled: str, observer: psycopg.Connection, pair: Pair
) -> None:
    async with opened(pair, pooled) as app:
        await app.tasks["add"].defer_async(number=1)
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    look = """SELECT name FROM pg_settings WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding')
        UNION ALL SELECT name FROM pg_prepared_statements"""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(psycopg.connect(pooled))
            assert connection.execute(look).fetchall() == []


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_settings_of_the_role_do_no_harm_there_either(
    database: str, observer: psycopg.Connection, pair: Pair
) -> None:
    settings = {"DateStyle": "German", "standard_conforming_strings": "off", "search_path": "nowhere"}
    with role_has(observer, **settings), pgbouncer(database) as place:
        async with opened(pair, place) as app:
            job_id = await app.tasks["add"].configure(lock="Straße").defer_async(number=1)
            await app.run_worker_async(wait=False, install_signal_handlers=False)
            (job,) = await app.job_manager.list_jobs_async()
    assert (job.id, job.status, job.lock) == (job_id, "succeeded", "Straße")
    assert job.finished_at is not None


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_a_worker_refuses_a_stricter_isolation_that_it_cannot_change(
    database: str, observer: psycopg.Connection, pair: Pair
) -> None:
    with role_has(observer, default_transaction_isolation="serializable"), pgbouncer(database) as place:
        async with opened(pair, place) as app:
            await app.tasks["add"].defer_async(number=1)
            with pytest.raises(ConnectorException, match=r"alter role .* default_transaction_isolation"):
                await app.run_worker_async(wait=False, install_signal_handlers=False)


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_what_the_user_says_about_a_pooler_is_not_said_again(
    pooled: str, caplog: pytest.LogCaptureFixture, pair: Pair
) -> None:
    for pooler in (True, False):
        app = adjourn.App(connector=told(pair, pooled, pooler))
        async with app.open_async():
            session = await app.connector.session_async()
            assert session.can_listen is not pooler
            if pooler:
                with pytest.raises(ConnectorException, match="No notifications come through"):
                    await session.listen_async("any")
            await session.close_async()
    assert said(caplog) == []


def told(pair: Pair, dsn: str, pooler: bool) -> BaseConnector:
    """Return a connector that was told whether there is a pooler."""
    if pair is PSYCOPG:
        return adjourn.PsycopgConnector(dsn, pooler=pooler)
    if pair is PSYCOPG2:
        return adjourn.AsyncPsycopg2Connector(dsn, pooler=pooler)
    return SQLAlchemyConnector(dsn=address(dsn, pair.name.removeprefix("sqlalchemy-")), pooler=pooler)


async def test_a_pooler_that_keeps_sessions_lets_workers_listen(database: str, observer: psycopg.Connection) -> None:
    with pgbouncer(database, mode="session") as place:
        app = adjourn.App(connector=adjourn.PsycopgConnector(place, pooler=False))
        async with app.open_async():
            session = await app.connector.session_async()
            await session.listen_async("news")
            observer.execute("NOTIFY news, 'hello'")
            assert await session.wait_for_notifications_async(10) == ["hello"]
            await session.close_async()


def test_the_schema_is_applied_through_a_pooler(server_dsn: str) -> None:
    name = f"adjourn_pooled_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with new_database(server_dsn, name) as dsn, pgbouncer(dsn) as place:
        apply_schema(place)
        app = adjourn.App(connector=adjourn.SyncPsycopgConnector(place))
        with app.open():
            assert app.check_connection()


def test_an_error_about_prepared_statements_names_the_remedy(pooled: str) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(pooled))
    app.task(name="add")(print)
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(psycopg.connect(pooled, autocommit=True, prepare_threshold=0)) for _ in range(4)
        ]

        def defer() -> None:
            for connection in connections:
                app.configure_task("add", connection=connection).defer()

        with pytest.raises(ConnectorException, match="prepare_threshold=None"):
            defer()
