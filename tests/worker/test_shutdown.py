"""Stopping a worker: gracefully, in time, and without losing a job."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest

import adjourn
from adjourn import events
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import ConnectorException, OutcomesNotStored
from adjourn.types import Statement
from adjourn.worker import Worker
from support.bench import Bench
from support.sessions import BLOCKED

pytestmark = pytest.mark.anyio


async def test_a_stopped_worker_lets_running_jobs_end(app: adjourn.App, bench: Bench) -> None:
    begun = asyncio.Event()

    @app.task
    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.5)

    job_id = await work.defer_async()
    async with bench.working():
        await begun.wait()
    assert await bench.status(job_id) == "succeeded"
    assert await app.connector.get_async_connector().execute_async(_workers(app)) == []


def _workers(app: adjourn.App) -> adjourn.types.Statement:
    return adjourn.types.Statement("workers", "select id from adjourn.adjourn_workers")


async def test_jobs_claimed_and_not_begun_are_handed_back_without_an_attempt(app: adjourn.App, bench: Bench) -> None:
    begun, release = threading.Event(), threading.Event()

    @app.task
    def work(n: int) -> None:
        if n >= 300:
            begun.set()
            release.wait(20)

    ids = await work.batch_defer_async(*({"n": n} for n in range(330)))
    worker = Worker(app, install_signal_handlers=False)
    running = asyncio.create_task(worker.run())
    assert await asyncio.to_thread(begun.wait, 20)
    worker.stop()
    await asyncio.sleep(0.2)
    release.set()
    async with asyncio.timeout(20):
        await running
    jobs = {job.id: job for job in await app.job_manager.list_jobs_async()}
    assert {jobs[job_id].status for job_id in ids} == {"succeeded", "todo"}
    assert {(job.status, job.attempts) for job in jobs.values()} == {("succeeded", 1), ("todo", 0)}


async def test_async_jobs_that_outlast_the_time_out_go_back_to_their_queue(app: adjourn.App, bench: Bench) -> None:
    begun, cleaned_up = asyncio.Event(), asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            cleaned_up.set()

    job_id = await endless.defer_async()
    async with bench.working(shutdown_graceful_timeout=0.1):
        await begun.wait()
    assert cleaned_up.is_set()
    job = await bench.job(job_id)
    assert (job.status, job.attempts, job.worker_id) == ("todo", 0, None)


async def test_sync_jobs_that_outlast_the_time_out_go_back_to_their_queue_and_cannot_end_there(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.worker.worker.CANCEL_TIMEOUT", 0.2)
    begun, release = threading.Event(), threading.Event()

    @app.task
    def stubborn() -> None:
        begun.set()
        release.wait(20)

    job_id = await stubborn.defer_async()
    async with bench.working(shutdown_graceful_timeout=0.1):
        assert await asyncio.to_thread(begun.wait, 10)
    release.set()
    await asyncio.sleep(0.2)
    assert await bench.status(job_id) == "todo"


@pytest.mark.parametrize(
    ("cancellations", "options"),
    [(1, {"shutdown_graceful_timeout": 0.1}), (2, {})],
    ids=["once, with a limit for its jobs", "twice"],
)
async def test_a_worker_whose_task_is_cancelled_hands_its_jobs_back(
    app: adjourn.App, bench: Bench, cancellations: int, options: dict[str, Any]
) -> None:
    begun = asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(600)

    job_id = await endless.defer_async()
    running = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, **options))
    async with asyncio.timeout(30):
        await begun.wait()
    for _ in range(cancellations):
        running.cancel()
        # Each has to arrive by itself.
        await asyncio.sleep(0.05)
    ended, _ = await asyncio.wait([running], timeout=30)
    assert ended
    assert running.cancelled()
    assert await bench.status(job_id) == "todo"


async def test_a_one_shot_worker_runs_what_is_due_before_it_ends(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    job_id = await work.configure(schedule_in={"milliseconds": 20}).defer_async()
    await work.batch_defer_async(*[{}] * 200)
    await asyncio.sleep(0.05)
    await bench.drain(concurrency=100)
    assert await bench.status(job_id) == "succeeded"


async def test_a_stop_is_bounded_though_the_database_is_gone(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adjourn.worker.worker.LEAVE_TIMEOUT", 0.5)
    begun, release = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> None:
        begun.set()
        await release.wait()

    async def refuse() -> None:
        raise adjourn.exceptions.ConnectorException("the database is gone")

    job_id = await work.defer_async()
    worker = Worker(app, fetch_job_polling_interval=0.1, install_signal_handlers=False)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        await begun.wait()
        monkeypatch.setattr(app.connector, "session_async", refuse)
        await app.connector.execute_query_async(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'adjourn tests'"
        )
        release.set()
        worker.stop()
        with pytest.raises(OutcomesNotStored, match="the outcome of 1 job "):
            await running
    assert "could not unregister" in caplog.text
    assert await bench.status(job_id) == "doing"


async def test_a_worker_that_does_not_wait_ends_though_jobs_are_scheduled(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    await work.configure(schedule_in={"hours": 1}).defer_async()
    began = time.monotonic()
    await bench.drain()
    assert time.monotonic() - began < 20


async def test_a_worker_needs_an_open_app(database: str) -> None:
    closed = adjourn.App(connector=adjourn.PsycopgConnector(database))
    with pytest.raises(adjourn.exceptions.AppNotOpen, match="open_async"):
        await closed.run_worker_async()


async def test_a_worker_whose_connection_is_lost_at_the_end_unregisters_all_the_same(
    app: adjourn.App, bench: Bench, database: str
) -> None:
    failures: list[events.UnregisteringFailed] = []
    app.events.subscribe(events.UnregisteringFailed, failures.append)
    unregister_worker_async = AsyncWorkerManager.unregister_worker_async

    async def lose_async(manager: AsyncWorkerManager, worker_id: int, is_done: bool) -> None:
        session: Any = manager.session
        with contextlib.suppress(ConnectorException):
            await session.execute_async(Statement("end", "select pg_terminate_backend(pg_backend_pid())"))
        patch.undo()
        await unregister_worker_async(manager, worker_id, is_done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncWorkerManager, "unregister_worker_async", lose_async)
        await bench.drain()
    assert await app.connector.get_async_connector().execute_async(_workers(app)) == []
    assert failures == []


async def test_jobs_whose_claim_was_cut_off_by_a_cancellation_are_not_lost_with_their_worker(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange_async = AsyncWorkerManager.exchange_async
    is_claimed = asyncio.Event()

    async def unanswered_async(manager: AsyncWorkerManager, worker_id: int, outcomes: Any, **options: Any) -> Any:
        exchanged = await exchange_async(manager, worker_id, outcomes, **options)
        if exchanged.jobs:
            is_claimed.set()
            await asyncio.sleep(600)
        return exchanged

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", unanswered_async)
    job_id = await app.configure_task("any").defer_async()
    running = asyncio.create_task(Worker(app, install_signal_handlers=False).run())
    async with asyncio.timeout(20):
        await is_claimed.wait()
        for _ in range(3):
            running.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await running
    job = await bench.job(job_id)
    assert (job.status, job.attempts, job.worker_id) == ("todo", 0, None)
    assert await app.connector.get_async_connector().execute_async(_workers(app)) == []


async def test_a_claim_that_is_under_way_when_its_worker_leaves_is_not_lost_with_it(
    app: adjourn.App, bench: Bench
) -> None:
    """The worker has given its round trip up, and the server is still at work on it."""
    job_id = await app.configure_task("any").defer_async()
    claiming, leaving = await app.connector.session_async(), await app.connector.session_async()
    claims, leaves = (AsyncWorkerManager(each, app.connector.json_loads) for each in (claiming, leaving))
    worker_id = await claims.register_worker_async("one", None, 60)
    await claiming.execute_async(Statement("begin", "BEGIN"))
    (claimed,) = (await claims.exchange_async(worker_id, (), limit=1, queues=None)).claimed

    async def leave_async() -> None:
        await leaves.disown_async(worker_id, ())
        await leaves.unregister_worker_async(worker_id)

    left = asyncio.create_task(leave_async())
    waits = Statement("waits", BLOCKED)
    connector = app.connector.get_async_connector()

    async def is_waiting() -> bool:
        return bool(await connector.execute_async(waits))

    await bench.until(is_waiting)
    await claiming.execute_async(Statement("commit", "COMMIT"))
    async with asyncio.timeout(20):
        await left
    other = await claims.register_worker_async("two", None, 60)
    assert (await claims.heartbeat_async(other, 60)).expired
    assert (await claims.rescue_async(5, 0)).counts == (1, 0)
    assert claimed.id == job_id
    assert await bench.status(job_id) == "todo"
    await claiming.close_async()
    await leaving.close_async()
