"""Under a stricter isolation by default, statements that meet each other are no failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import adjourn
from dispatch.pairs import ADAPTED, DRIVERS, Pair
from support.settings import role_has
from support.waiting import until_async

DEFERS = 500 if "ADJOURN_TEST_THOROUGH" in os.environ else 120
PAIRS = [*DRIVERS, ADAPTED]


@contextlib.asynccontextmanager
async def opened(pair: Pair, dsn: str, of_user: bool) -> AsyncIterator[adjourn.App]:
    """An app that is open, on its own pool or on one of the user's."""
    app = adjourn.App(connector=pair.connector(dsn, 3, 30))

    @app.task(name="add")
    def add(number: int) -> None:
        """Do nothing: what counts is the job."""

    async with contextlib.AsyncExitStack() as stack:
        pool: Any = None
        if of_user:
            assert pair.pool_async is not None
            pool = await stack.enter_async_context(pair.pool_async(dsn))
        yield await stack.enter_async_context(app.open_async(pool))


@pytest.mark.parametrize("of_user", [False, True], ids=["own pool", "pool of the user"])
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_defers_and_workers_meet_without_an_error_or_a_warning(
    database: str,
    observer: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    pair: Pair,
    isolation: str,
    of_user: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    with role_has(observer, default_transaction_isolation=isolation):
        async with opened(pair, database, of_user) as app:
            workers = [
                asyncio.create_task(app.run_worker_async(concurrency=5, install_signal_handlers=False))
                for _ in range(3)
            ]
            add = app.tasks["add"]
            await asyncio.gather(
                *(add.configure(lock=f"{n % 7}" if n % 3 else None).defer_async(number=n) for n in range(DEFERS // 2)),
                *(asyncio.to_thread(add.configure(priority=n % 2).defer, number=n) for n in range(DEFERS // 2)),
            )

            def is_done() -> bool:
                return observer.execute("SELECT FROM adjourn.adjourn_jobs").rowcount == 0

            await until_async(is_done, 60)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    rows = observer.execute("SELECT status, count(*) FROM adjourn.adjourn_finished_jobs GROUP BY status").fetchall()
    assert rows == [("succeeded", DEFERS)]
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("pair", PAIRS, ids=str)
async def test_what_meets_on_pools_of_the_user_is_repeated(
    database: str, observer: psycopg.Connection, pair: Pair
) -> None:
    assert pair.pool_async is not None
    with role_has(observer, default_transaction_isolation="serializable"):
        async with contextlib.AsyncExitStack() as stack:
            apps = []
            for _ in range(4):
                app = adjourn.App(connector=pair.connector(database, 3, 30))
                pool = await stack.enter_async_context(pair.pool_async(database))
                apps.append(await stack.enter_async_context(app.open_async(pool)))
            job_id = await apps[0].configure_task("add", allow_unknown=True).defer_async()

            async def retry(app: adjourn.App) -> None:
                for priority in range(10):
                    await app.job_manager.retry_job_by_id_async(job_id, priority=priority)

            await asyncio.gather(*map(retry, apps))
    assert observer.execute("SELECT priority FROM adjourn.adjourn_jobs").fetchall() == [(9,)]
