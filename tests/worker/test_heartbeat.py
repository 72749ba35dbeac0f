"""Signs of life, and what happens without them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import events
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import ConnectorException
from adjourn.types import Statement
from support.bench import Bench

pytestmark = pytest.mark.anyio


async def execute(app: adjourn.App, text: str) -> list[dict[str, object]]:
    return await app.connector.get_async_connector().execute_async(Statement("test", text))


async def test_a_job_of_a_worker_that_fell_silent_is_run_by_another(app: adjourn.App, bench: Bench) -> None:
    @app.task(lock="one")
    async def work() -> None: ...

    first, second = await work.batch_defer_async({}, {})
    await execute(app, "select * from adjourn.adjourn_place_v1(10)")
    await execute(
        app,
        "with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('gone', now() - interval '1 h') returning id) "
        f"update adjourn.adjourn_jobs set worker_id = (select id from w), claim = 1 where id = {first}",
    )
    assert await bench.status(first) == "doing"
    await execute(app, "select 1")
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.3):
        job = await bench.ended(first)
        await bench.ended(second)
    assert job.attempts == 2
    assert job.claim == 2
    assert await execute(app, "select * from adjourn.adjourn_workers where name = 'gone'") == []


async def test_a_job_that_loses_every_worker_fails_with_that_as_its_error(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def deadly() -> None: ...

    job_id = await deadly.defer_async()
    await execute(
        app,
        "with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('gone', now() - interval '1 h') returning id) "
        f"update adjourn.adjourn_jobs set worker_id = (select id from w), claim = 9, losses = 4 where id = {job_id}",
    )
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.3):
        job = await bench.ended(job_id, "failed")
    assert "lost 5 times" in job.errors[0]["message"]


async def test_a_task_that_blocks_the_loop_does_not_make_its_worker_look_dead(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def rude() -> None:
        time.sleep(2)

    job_id = await rude.defer_async()
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.5):
        job = await bench.ended(job_id)
    assert (job.attempts, job.claim) == (1, 1)


async def test_a_worker_that_was_declared_dead_gives_up_its_jobs_and_goes_on(
    app: adjourn.App, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()
    runs = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        runs.append(context.job.claim)
        begun.set()
        if context.job.claim == 1:
            await asyncio.sleep(600)

    job_id = await work.defer_async()
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.5, fetch_job_polling_interval=0.2):
        async with asyncio.timeout(10):
            await begun.wait()
        await execute(app, "update adjourn.adjourn_workers set dead = true")
        job = await bench.ended(job_id)
    assert runs == [1, 2]
    assert job.attempts == 2
    assert "declared dead" in caplog.text


async def test_a_worker_survives_the_loss_of_all_its_connections(
    app: adjourn.App, bench: Bench, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()
    ran = []

    @app.task
    async def slow(n: int) -> None:
        ran.append(n)
        await release.wait()

    async with bench.working(concurrency=3, fetch_job_polling_interval=0.2):
        ids = await slow.batch_defer_async({"n": 0}, {"n": 1}, {"n": 2})
        await bench.until(lambda: len(ran) == 3)
        with psycopg.connect(database, autocommit=True, application_name="adjourn tests") as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where datname = current_database() and application_name <> 'adjourn tests'"
            )
        release.set()
        for job_id in ids:
            job = await bench.ended(job_id)
            assert (job.attempts, job.claim) == (1, 1)
        last = await slow.defer_async(n=3)
        await bench.ended(last)
    assert sorted(ran) == [0, 1, 2, 3]


async def test_a_worker_declared_dead_while_its_outcome_is_refused_goes_on(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange_async = AsyncWorkerManager.exchange_async
    is_dead = asyncio.Event()
    app.events.subscribe(events.WorkerDeclaredDead, lambda event: is_dead.set())

    async def refusing_async(manager: AsyncWorkerManager, worker_id: int, outcomes: Any, **options: Any) -> Any:
        if outcomes and not is_dead.is_set():
            await execute(app, "update adjourn.adjourn_workers set dead = true")
            await is_dead.wait()
            raise ConnectorException("deadlock detected", sqlstate="40P01")
        return await exchange_async(manager, worker_id, outcomes, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", refusing_async)

    @app.task
    async def work() -> None: ...

    job_id = await work.defer_async()
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.5, fetch_job_polling_interval=0.2):
        job = await bench.ended(job_id)
    assert (job.attempts, job.claim) == (2, 2)


async def test_nobody_is_taken_for_dead_while_somebody_locks_the_table(app: adjourn.App, database: str) -> None:
    """`vacuum full` does so, for instance. Nobody can claim and finish then."""
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    await app.configure_task("any").defer_async()
    worker = await manager.register_worker_async("one", None, 60)
    (claimed,) = (await manager.exchange_async(worker, (), limit=1, queues=None)).claimed
    await execute(app, "UPDATE adjourn.adjourn_workers SET expires_at = now() - interval '1 h'")
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("LOCK TABLE adjourn.adjourn_jobs")
        async with asyncio.timeout(20):
            assert (await manager.rescue_async(5, 0)).counts == (0, 0)
    assert await execute(app, "SELECT dead FROM adjourn.adjourn_workers") == [{"dead": False}]
    assert (await manager.rescue_async(5, 0)).counts == (1, 0)
    assert claimed.claim == 1
    await session.close_async()
