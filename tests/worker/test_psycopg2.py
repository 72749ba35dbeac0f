"""A worker that runs on psycopg2."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector
from adjourn.exceptions import SyncConnectorConfigurationError
from support.bench import Bench
from support.sessions import Sessions


@pytest.fixture
async def app(database: str, sessions: Sessions) -> AsyncIterator[adjourn.App]:
    """An app on psycopg2, which has given back every connection when the test is over."""
    app = adjourn.App(connector=AsyncPsycopg2Connector(database, maxconn=4))
    async with app.open_async():
        yield app
    assert sessions.settle(0) == 0


async def test_jobs_of_both_kinds_run_and_defer_others(app: adjourn.App, bench: Bench) -> None:
    done: list[str] = []

    @app.task
    async def awaited(name: str) -> None:
        done.append(name)
        await blocking.defer_async(name=f"{name}, from a coroutine")

    @app.task
    def blocking(name: str) -> None:
        done.append(name)
        if "," not in name:
            blocking.defer(name=f"{name}, from a thread")

    await awaited.defer_async(name="a")
    await blocking.batch_defer_async(*({"name": f"{number}"} for number in range(20)))
    await bench.drain(concurrency=10)
    expected = {"a", "a, from a coroutine", *(f"{n}" for n in range(20)), *(f"{n}, from a thread" for n in range(20))}
    assert (set(done), len(done)) == (expected, len(expected))


async def test_a_failure_is_kept_and_a_retry_waits_its_time(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=adjourn.RetryStrategy(max_attempts=2))
    def fails() -> None:
        raise ValueError("no \\ 'good' 100%")

    job_id = await fails.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("failed", 3)


async def test_a_notification_wakes_an_idle_worker_long_before_it_would_look_by_itself(
    app: adjourn.App, bench: Bench, database: str
) -> None:
    woken = asyncio.Event()

    @app.task
    async def job() -> None:
        woken.set()

    async with bench.working(fetch_job_polling_interval=60.0):
        await asyncio.sleep(1)
        for _ in range(3):
            woken.clear()
            await job.defer_async()
            await asyncio.wait_for(woken.wait(), 30)


async def test_a_worker_works_on_when_the_server_has_ended_its_sessions(
    app: adjourn.App, bench: Bench, sessions: Sessions
) -> None:
    @app.task
    def job() -> None:
        """Do nothing."""

    async with bench.working(fetch_job_polling_interval=0.2):
        await bench.ended(await job.defer_async())
        sessions.observer.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await bench.ended(await job.defer_async())


async def test_stopping_is_prompt(app: adjourn.App, bench: Bench) -> None:
    async with bench.working(fetch_job_polling_interval=60.0):
        await asyncio.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 20


def test_a_synchronous_connector_runs_no_worker(database: str) -> None:
    app = adjourn.App(connector=Psycopg2Connector(database))
    with app.open(), pytest.raises(SyncConnectorConfigurationError, match="async connector"):
        app.run_worker(wait=False)
    assert threading.active_count() < 50
