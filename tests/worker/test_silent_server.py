"""Connections that no longer answer: to claim and to finish, to send heartbeats, or to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import events
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import ConnectorException, OutcomesNotStored
from adjourn.worker import Worker
from support.bench import Bench
from support.proxy import Link, Proxy, proxied
from support.waiting import until_async

pytestmark = pytest.mark.anyio

OPTIONS: dict[str, Any] = {
    "update_heartbeat_interval": 0.2,
    "abort_job_polling_interval": 0.2,
    "stalled_worker_timeout": 2.0,
    "round_trip_timeout": 0.4,
    "fetch_job_polling_interval": 0.2,
}


class Told:
    """The events of some kinds, in order."""

    def __init__(self, app: adjourn.App, *kinds: type[events.Event]) -> None:
        self.all: list[Any] = []
        for kind in kinds:
            app.events.subscribe(kind, self.all.append)

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [each for each in self.all if isinstance(each, kind)]


class Away:
    """A worker that reaches its database through a proxy."""

    def __init__(self, app: adjourn.App, proxy: Proxy) -> None:
        self.app = app
        self.proxy = proxy
        self.told = Told(
            app,
            events.ConnectionLost,
            events.ConnectionRestored,
            events.HeartbeatFailed,
            events.WorkerDeclaredDead,
            events.OutcomeRefused,
            events.UnregisteringFailed,
        )
        self.exchange: Link
        self.heartbeat: Link
        self.worker: Worker

    @contextlib.asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker, and find out which connections it uses for what."""
        before = len(self.proxy.links)
        async with Bench(self.app).working(**{**OPTIONS, **options}) as self.worker:
            # It registers on the first, and then starts its heartbeat.
            await until_async(lambda: len(self.proxy.links) == before + 2)
            self.exchange, self.heartbeat = self.proxy.links[before:]
            first = await self._last_heartbeat()
            await until_async(lambda: self._has_beaten_since(first))
            yield self.worker

    async def _last_heartbeat(self) -> Any:
        text = "select max(last_heartbeat_at) as at from adjourn.adjourn_workers"
        (row,) = await self.app.connector.execute_query_all_async(text)
        return row["at"]

    async def _has_beaten_since(self, first: Any) -> bool:
        return bool(await self._last_heartbeat() != first)


@pytest.fixture
async def away(app: adjourn.App, database: str) -> AsyncIterator[Away]:
    with proxied(database) as (proxy, dsn):
        there = app.with_connector(adjourn.PsycopgConnector(dsn, min_size=1, max_size=2, timeout=3))
        async with there.open_async():
            await until_async(lambda: len(proxy.links) == 1)  # it connects once to try, and then for its pool
            yield Away(there, proxy)


async def test_when_the_connection_that_claims_and_stores_falls_silent_another_takes_its_place(
    app: adjourn.App, bench: Bench, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    @app.task
    async def work() -> None:
        begun.set()
        await release.wait()

    async with away.working(concurrency=2):
        first = await work.defer_async()
        await begun.wait()
        away.exchange.is_silent = True
        release.set()
        second = await work.defer_async()
        jobs = [await bench.ended(job_id) for job_id in (first, second)]
        assert [(job.attempts, job.claim) for job in jobs] == [(1, 1), (1, 1)]
        (lost,) = away.told.of(events.ConnectionLost)
        assert "has not answered within 0.4 seconds" in str(lost.error)
        await bench.until(lambda: away.told.of(events.ConnectionRestored))
    assert not away.told.of(events.WorkerDeclaredDead)
    assert not away.told.of(events.HeartbeatFailed)
    assert caplog.text.count("has not answered") == 1


async def test_when_the_connection_of_the_heartbeat_falls_silent_the_worker_is_not_taken_for_dead(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    runs: list[int] = []

    @app.task
    async def work() -> None:
        runs.append(1)
        await asyncio.sleep(4)

    async with away.working():
        job_id = await work.defer_async()
        await bench.until(lambda: runs)
        away.heartbeat.is_silent = True
        async with bench.working(**OPTIONS):
            job = await bench.ended(job_id)
        (failed,) = away.told.of(events.HeartbeatFailed)
        assert "has not answered within 0.4 seconds" in str(failed.error)
    assert (len(runs), job.attempts, job.claim) == (1, 1, 1)
    assert not away.told.of(events.WorkerDeclaredDead)


async def test_a_worker_whose_heartbeat_finds_no_connection_sends_its_heartbeats_with_the_other_one(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    runs: list[int] = []

    @app.task
    async def work() -> None:
        runs.append(1)
        await asyncio.sleep(4)

    async with away.working():
        job_id = await work.defer_async()
        await bench.until(lambda: runs)
        away.heartbeat.is_silent = away.proxy.is_silent = True
        async with bench.working(**OPTIONS):
            job = await bench.ended(job_id)
    assert (len(runs), job.attempts, job.claim) == (1, 1, 1)
    assert not away.told.of(events.WorkerDeclaredDead)


async def test_a_worker_that_can_neither_claim_nor_finish_does_not_count_as_alive(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange_async = AsyncWorkerManager.exchange_async
    runs: list[str | None] = []
    broken: list[int] = []
    lost: list[events.ConnectionLost] = []
    app.events.subscribe(events.ConnectionLost, lost.append)
    restored: list[events.ConnectionRestored] = []
    app.events.subscribe(events.ConnectionRestored, restored.append)

    async def exchange_or_fail_async(manager: AsyncWorkerManager, worker_id: int, outcomes: Any, **options: Any) -> Any:
        if worker_id in broken:
            raise ConnectorException("no such function", sqlstate="42883")
        return await exchange_async(manager, worker_id, outcomes, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", exchange_or_fail_async)

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        runs.append(context.worker_name)
        if context.worker_name == "broken":
            broken.append(context.job.worker_id or 0)

    # So short that heartbeats of its own could keep it alive.
    monkeypatch.setattr("adjourn.worker.outage.LONGEST_DELAY", 0.1)
    options = {**OPTIONS, "stalled_worker_timeout": 1.0}
    job_id = await work.defer_async()
    async with bench.working(name="broken", **options):
        await bench.until(lambda: broken)
        await asyncio.sleep(2.5)
        async with bench.working(name="sound", **options):
            job = await bench.ended(job_id)
        broken.clear()
        await bench.until(lambda: restored)
    assert runs == ["broken", "sound"]
    assert job.attempts == 2
    assert [each.is_news for each in lost].count(True) == 1


async def test_a_task_that_blocks_the_event_loop_does_not_make_the_server_look_silent(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    @app.task
    async def rude() -> None:
        await asyncio.sleep(0.02)  # so that the next claim is under way
        time.sleep(1.2)

    async with away.working(concurrency=2):
        for job_id in await rude.batch_defer_async({}, {}, {}):
            job = await bench.ended(job_id)
            assert (job.attempts, job.claim) == (1, 1)
    assert away.told.all == []


async def test_a_job_that_was_claimed_without_an_answer_goes_back_and_runs(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    runs: list[int] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        runs.append(context.job.claim)

    async with away.working(fetch_job_polling_interval=600):
        await asyncio.sleep(0.5)  # so that it waits to be told of a job
        away.exchange.loses_answers = True
        job = await bench.ended(await work.defer_async())
    assert (runs, job.attempts) == ([2], 1)


async def test_an_outcome_that_was_stored_without_an_answer_is_not_called_stale(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    runs: list[int] = []

    @app.task
    async def work() -> None:
        runs.append(1)
        away.exchange.loses_answers = True

    async with away.working():
        job = await bench.ended(await work.defer_async())
        await bench.until(lambda: away.told.of(events.ConnectionRestored))
    assert (len(runs), job.attempts) == (1, 1)
    assert not away.told.of(events.OutcomeRefused)


async def test_a_claim_that_is_committed_after_its_worker_has_given_it_up_is_put_back(
    app: adjourn.App, bench: Bench, away: Away
) -> None:
    ran = asyncio.Event()

    @app.task
    async def work() -> None:
        ran.set()

    async with away.working():
        away.exchange.is_silent = True
        await bench.until(lambda: away.told.of(events.ConnectionRestored))
        worker_id = away.worker.worker_id
        # What the backend of the first connection does when it goes on.
        await app.connector.execute_query_async(
            "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, worker_id, claim, started_at) "
            f"select 'default', '{work.name}', 0, '{{}}', 0, {worker_id}, 1, now()"
        )
        async with asyncio.timeout(20):
            await ran.wait()


@pytest.mark.parametrize("silent", ["everything", "exchange", "heartbeat"])
async def test_a_stop_is_bounded_though_the_server_is_silent(
    app: adjourn.App, away: Away, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr("adjourn.worker.worker.LEAVE_TIMEOUT", 1.0)
    options = {"round_trip_timeout": 15, "stalled_worker_timeout": 30, "shutdown_graceful_timeout": 0}
    async with away.working(**options):
        if silent == "everything":
            away.proxy.silence()
        else:
            getattr(away, silent).is_silent = True
        await asyncio.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 8


async def test_a_stop_is_bounded_though_the_worker_is_still_connecting(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.worker.worker.LEAVE_TIMEOUT", 1.0)
    away.proxy.silence()
    worker = Worker(away.app, install_signal_handlers=False)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    worker.stop()
    async with asyncio.timeout(8):
        await running


async def test_a_worker_that_cannot_connect_at_its_start_says_so(away: Away) -> None:
    away.proxy.silence()
    async with asyncio.timeout(8):
        with pytest.raises(ConnectorException, match="has not let this worker connect"):
            await Worker(away.app, install_signal_handlers=False, **OPTIONS).run()


async def test_a_worker_that_gets_no_answer_at_its_start_says_so(away: Away, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("LOCK TABLE adjourn.adjourn_workers")
        async with asyncio.timeout(20):
            with pytest.raises(ConnectorException, match="has not answered within"):
                await Worker(away.app, install_signal_handlers=False, **OPTIONS).run()


async def test_a_worker_says_how_many_outcomes_it_could_not_store(
    app: adjourn.App, bench: Bench, away: Away, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adjourn.worker.worker.LEAVE_TIMEOUT", 1.0)
    begun: list[int] = []
    release = asyncio.Event()

    @app.task
    async def work() -> None:
        begun.append(1)
        await release.wait()

    async def work_until_the_server_is_silent() -> None:
        async with away.working(concurrency=2):
            await work.batch_defer_async({}, {})
            await bench.until(lambda: len(begun) == 2)
            away.proxy.silence()
            release.set()
            await asyncio.sleep(0.1)

    with pytest.raises(
        OutcomesNotStored,
        match="the outcomes of 2 jobs that have ended are not stored, because the database did not serve it",
    ) as raised:
        await work_until_the_server_is_silent()
    assert raised.value.count == 2
    assert "2 of them once more, because the outcome is not stored" in caplog.text
    async with bench.working(**OPTIONS):
        for job in await app.job_manager.list_jobs_async():
            assert (await bench.ended(job.id or 0)).attempts == 2


async def test_an_outage_is_told_in_a_line_for_each_change(
    app: adjourn.App, bench: Bench, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="adjourn.worker")
    async with away.working():
        caplog.clear()
        away.proxy.is_refusing = True
        away.proxy.cut()
        await asyncio.sleep(2)
        away.proxy.heal()
        await bench.until(lambda: away.told.of(events.ConnectionRestored))
        lines = [record for record in caplog.records if record.name == "adjourn.worker"]
        assert len(away.told.of(events.ConnectionLost)) > 2
        actions = [vars(record).get("action") for record in lines]
        assert (
            actions.count("connector_lost") == actions.count("heartbeat_failed") == actions.count("connector_back") == 1
        )
        assert len(lines) <= 6
        assert not any("select" in record.getMessage().lower() for record in lines)
