"""Whatever a round trip raises, the worker goes on, and no job is left behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import json
import logging
import threading
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import adjourn
from adjourn import events
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.heartbeats import Heartbeat
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.types import Statement
from adjourn.worker.outage import Outage
from support.addresses import address
from support.bench import Bench
from support.proxy import proxied

pytestmark = pytest.mark.anyio

OPTIONS: dict[str, Any] = {
    "update_heartbeat_interval": 0.1,
    "abort_job_polling_interval": 0.1,
    "stalled_worker_timeout": 3.0,
    "fetch_job_polling_interval": 0.1,
}


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_worker_connects_again_although_tasks_hold_all_threads_of_its_loop(
    database: str, app: adjourn.App, bench: Bench, driver: str
) -> None:
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait(60)

    with proxied(database) as (proxy, dsn), concurrent.futures.ThreadPoolExecutor(1) as threads:
        dsn = make_conninfo(dsn, host="localhost")
        connector: Any = adjourn.PsycopgConnector(dsn)
        if driver == "asyncpg":
            connector = SQLAlchemyConnector(dsn=address(dsn, driver))
        own = adjourn.App(connector=connector)
        own.task(name="work")(asyncio.Event().is_set)

        @own.task(name="hold")
        async def hold_all() -> None:
            await asyncio.get_running_loop().run_in_executor(threads, hold)

        try:
            async with own.open_async(), Bench(own).working(concurrency=2, **OPTIONS):
                asyncio.get_running_loop().set_default_executor(threads)
                await app.configure_task("hold").defer_async()
                await bench.until(begun.is_set)
                proxy.cut()
                await bench.ended(await app.configure_task("work").defer_async())
                release.set()
        finally:
            release.set()


@pytest.mark.parametrize(
    "error",
    [NotImplementedError("datestyle"), UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_any_exception_of_a_driver_is_an_outage(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    exchange_async = AsyncWorkerManager.exchange_async
    lost: list[events.ConnectionLost] = []
    app.events.subscribe(events.ConnectionLost, lost.append)

    async def claimed_in_vain_async(manager: AsyncWorkerManager, *arguments: Any, **options: Any) -> Any:
        exchanged = await exchange_async(manager, *arguments, **options)
        if exchanged.jobs and len(lost) < 2:
            raise error
        return exchanged

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", claimed_in_vain_async)

    @app.task
    async def work() -> None: ...

    job_id = await work.defer_async()
    async with bench.working(**OPTIONS):
        job = await bench.ended(job_id)
    assert (job.attempts, job.claim) == (1, 3)
    assert [type(each.error) for each in lost] == [type(error)] * 2


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, RecursionError])
async def test_any_exception_of_json_loads_is_the_outcome_of_that_job(
    database: str, error: type[BaseException]
) -> None:
    def loads(text: str) -> Any:
        if "bad" in text:
            raise error("unreadable")
        return json.loads(text)

    app = adjourn.App(connector=adjourn.PsycopgConnector(database, json_loads=loads))

    @app.task
    async def work(**arguments: Any) -> None: ...

    async with app.open_async():
        bench = Bench(app)
        bad, good = [await work.defer_async(**{name: 1}) for name in ("bad", "good")]
        async with bench.working(**OPTIONS):
            await bench.until(lambda: _is(bench, bad, "failed"))
            await bench.until(lambda: _is(bench, good, "succeeded"))


async def _is(bench: Bench, job_id: int, status: str) -> bool:
    return await bench.status(job_id) == status


async def test_an_outcome_that_cannot_be_written_does_not_keep_the_others(app: adjourn.App, bench: Bench) -> None:
    # Beyond the year 9999 in UTC.
    never = datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))

    class Strategy(adjourn.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: Any) -> adjourn.RetryDecision:
            return adjourn.RetryDecision(retry_at=never)

    @app.task(retry=Strategy())
    async def failing() -> None:
        raise LookupError

    @app.task
    async def work() -> None: ...

    bad = await failing.defer_async()
    good = await work.defer_async()
    async with bench.working(**OPTIONS):
        await bench.ended(good)
        await bench.ended(bad, "failed")


async def test_the_heartbeat_survives_whatever_is_raised_in_its_thread(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat = SyncWorkerManager.heartbeat
    beats: list[int] = []

    def failing(manager: SyncWorkerManager, worker_id: int, timeout: float, *told: Any) -> Heartbeat:
        beats.append(worker_id)
        if len(beats) < 3:
            raise SystemExit("a subscriber, or a driver")
        return heartbeat(manager, worker_id, timeout, *told)

    def exit_(event: events.HeartbeatFailed) -> None:
        raise SystemExit

    app.events.subscribe(events.HeartbeatFailed, exit_)
    monkeypatch.setattr(SyncWorkerManager, "heartbeat", failing)
    async with bench.working(**OPTIONS):
        await bench.until(lambda: len(beats) > 5)


async def test_an_unexpected_error_is_logged_with_its_traceback_once(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exchange_async = AsyncWorkerManager.exchange_async
    failures: list[int] = []

    async def failing_async(manager: AsyncWorkerManager, *arguments: Any, **options: Any) -> Any:
        failures.append(1)
        if len(failures) < 4:
            raise ZeroDivisionError
        return await exchange_async(manager, *arguments, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", failing_async)
    async with bench.working(**OPTIONS):
        await bench.until(lambda: len(failures) > 4)
    lines = [each for each in caplog.records if each.levelno > logging.DEBUG and each.exc_info]
    assert [each.exc_info[0] for each in lines if each.exc_info] == [ZeroDivisionError]


def test_an_outage_that_goes_on_is_news_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    outage = Outage()
    told = []
    for _ in range(100):
        assert 0 < outage.fail(ConnectionError()) <= 2
        told.append(outage.is_news)
        now += 2
    assert told.count(True) == 4
    assert told[0]
    outage.fail(ValueError())
    assert outage.is_news
    assert outage.end()
    assert not outage.end()


async def test_a_worker_whose_id_is_anothers_after_a_restore_leaves_that_ones_jobs_alone(
    app: adjourn.App, bench: Bench
) -> None:
    """A failover may lose the last commits, and a restore more of them. Ids are given once more then."""
    begun: list[int] = []
    dead: list[events.WorkerDeclaredDead] = []
    app.events.subscribe(events.WorkerDeclaredDead, dead.append)

    @app.task
    async def work(n: int) -> None:
        begun.append(n)

    execute_async = app.connector.get_async_connector().execute_async
    await work.defer_async(n=1)
    async with bench.working(queues=["default"], **OPTIONS):
        await bench.until(lambda: begun == [1])
        (older,) = await app.job_manager.list_workers_async()
        others_id = await app.configure_task("theirs", queue="theirs").defer_async()
        restore = f"""
            UPDATE adjourn.adjourn_workers SET name = 'another', started_at = clock_timestamp(), expires_at = now() + interval '1 h'
             WHERE id = {older.id};
            UPDATE adjourn.adjourn_jobs SET worker_id = {older.id}, claim = 1, started_at = now() WHERE id = {others_id};
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'adjourn tests'
        """
        await execute_async(Statement("restore", restore))
        await bench.until(lambda: dead)
        await work.defer_async(n=2)
        await bench.until(lambda: begun == [1, 2])
        assert len(await app.job_manager.list_workers_async()) == 2
    job = await bench.job(others_id)
    assert (job.status, job.worker_id, job.claim) == ("doing", older.id, 1)
    assert [each.id for each in await app.job_manager.list_workers_async()] == [older.id]
