"""Jobs that were asked to end and do not: they are told, and a worker that has no slot left for others replaces itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn.events import JobOverdue, SlotsLost
from adjourn.exceptions import WorkerStuck
from adjourn.types import Statement
from adjourn.worker import Worker, overdue
from adjourn.worker import worker as worker_module
from support.bench import Bench

pytestmark = pytest.mark.anyio


class Stubborn:
    """Tasks that do not end before they are released, whatever they are asked."""

    def __init__(self, app: adjourn.App) -> None:
        self.release = threading.Event()
        self.begun: list[int] = []

        @app.task(name="sync", timeout=0.05)
        def in_thread(n: int) -> None:
            self.begun.append(n)
            self.release.wait(60)

        @app.task(name="async", timeout=0.05)
        async def on_loop(n: int) -> None:
            self.begun.append(n)
            while not self.release.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    pass

        @app.task(name="abortable")
        def abortable(n: int) -> None:
            self.begun.append(n)
            self.release.wait(60)


@pytest.fixture
def stubborn(app: adjourn.App) -> Iterator[Stubborn]:
    stubborn = Stubborn(app)
    yield stubborn
    stubborn.release.set()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell what is overdue ten times a second."""
    monkeypatch.setattr(overdue, "INTERVAL", 0.1)


async def stored_overdue(app: adjourn.App) -> list[int]:
    """Return what the workers tell about their overdue jobs."""
    rows = await app.connector.get_async_connector().execute_async(
        Statement("overdue", "select unnest(overdue) as id from adjourn.adjourn_workers order by 1")
    )
    return [row["id"] for row in rows]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_job_that_does_not_end_after_its_time_out_is_told_again_and_again(
    app: adjourn.App, bench: Bench, stubborn: Stubborn, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[JobOverdue] = []
    app.events.subscribe(JobOverdue, told.append)
    job_id = await app.configure_task(kind).defer_async(n=0)
    async with bench.working(update_heartbeat_interval=0.1):
        await bench.until(lambda: len(told) >= 3)
        assert {(each.job.id, each.reason) for each in told} == {(job_id, "timeout")}
        assert sorted(each.duration for each in told) == [each.duration for each in told]

        async def is_stored() -> bool:
            return await stored_overdue(app) == [job_id]

        await bench.until(is_stored)
        stubborn.release.set()
        await bench.ended(job_id)

        async def is_forgotten() -> bool:
            return await stored_overdue(app) == []

        await bench.until(is_forgotten)
        told.clear()
        await asyncio.sleep(0.3)
    assert not told
    records = [record for record in caplog.records if record.__dict__.get("action") == "job_overdue"]
    assert "was asked to end (timeout) and has not ended" in records[0].getMessage()


async def test_a_job_that_ignores_a_request_to_abort_is_told_as_well(
    app: adjourn.App, bench: Bench, stubborn: Stubborn
) -> None:
    told: list[JobOverdue] = []
    app.events.subscribe(JobOverdue, told.append)
    job_id = await app.configure_task("abortable").defer_async(n=0)
    async with bench.working(concurrency=2):
        await bench.until(lambda: stubborn.begun)
        await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.until(lambda: told)
        assert told[0].reason == "user_request"
        stubborn.release.set()


async def test_a_worker_whose_slots_are_all_lost_tells_so_and_stays_without_the_option(
    app: adjourn.App, bench: Bench, stubborn: Stubborn, caplog: pytest.LogCaptureFixture
) -> None:
    lost: list[SlotsLost] = []
    app.events.subscribe(SlotsLost, lost.append)
    first = await app.configure_task("sync").defer_async(n=0)
    async with bench.working(concurrency=2):
        await bench.until(lambda: stubborn.begun)
        await asyncio.sleep(0.5)
        assert not lost  # one slot is left
        second = await app.configure_task("async").defer_async(n=1)
        await bench.until(lambda: len(lost) >= 2)
        assert (lost[0].slots, lost[0].ends_after) == (2, None)
        stubborn.release.set()
        for each in (first, second):
            await bench.ended(each)
        lost.clear()
        await asyncio.sleep(0.3)
    assert not lost
    assert "Set stuck_worker_timeout" in caplog.text


@pytest.mark.parametrize("kinds", [("sync", "sync"), ("sync", "async")])
async def test_a_worker_whose_slots_are_all_lost_for_too_long_gives_the_jobs_their_outcomes_and_ends(
    app: adjourn.App, bench: Bench, stubborn: Stubborn, kinds: tuple[str, ...]
) -> None:
    ids = [await app.configure_task(kind).defer_async(n=n) for n, kind in enumerate(kinds)]
    waiting = await app.configure_task("sync").defer_async(n=2)
    worker = Worker(app, install_signal_handlers=False, concurrency=2, stuck_worker_timeout=0.3)
    async with asyncio.timeout(30):
        with pytest.raises(WorkerStuck, match="all its 2 slots") as raised:
            await worker.run()
    assert raised.value.jobs == 2
    assert raised.value.seconds >= 0.3
    for each in ids:
        job = await bench.job(each)
        assert (job.status, job.attempts) == ("failed", 1)
        assert job.errors[0]["exception"].endswith("JobTimeout")
    assert await bench.status(waiting) == "todo"
    assert sorted(stubborn.begun) == [0, 1]


async def test_jobs_that_are_lost_with_their_worker_are_retried_or_aborted_as_if_they_had_ended(
    app: adjourn.App, bench: Bench, stubborn: Stubborn
) -> None:
    @app.task(name="again", timeout=0.05, retry=adjourn.RetryStrategy(max_attempts=3, wait=3600))
    def again() -> None:
        stubborn.begun.append(0)
        stubborn.release.wait(60)

    retried = await again.defer_async()
    aborted = await app.configure_task("abortable").defer_async(n=1)
    worker = Worker(app, install_signal_handlers=False, concurrency=2, stuck_worker_timeout=0.3)
    running = asyncio.create_task(worker.run())
    await bench.until(lambda: len(stubborn.begun) == 2)
    await app.job_manager.cancel_job_by_id_async(aborted, abort=True)
    async with asyncio.timeout(30):
        with pytest.raises(WorkerStuck):
            await running
    job = await bench.job(retried)
    assert (job.status, job.attempts, job.errors[0]["exception"].endswith("JobTimeout")) == ("todo", 1, True)
    assert await bench.status(aborted) == "aborted"


async def test_slots_that_are_free_again_in_time_keep_the_worker(
    app: adjourn.App, bench: Bench, stubborn: Stubborn
) -> None:
    job_id = await app.configure_task("sync").defer_async(n=0)
    async with bench.working(stuck_worker_timeout=20):
        await bench.until(lambda: stubborn.begun)
        await asyncio.sleep(0.3)
        stubborn.release.set()
        await bench.ended(job_id)


async def test_a_stop_fails_a_job_that_is_past_its_time_out_rather_than_to_run_it_again(
    app: adjourn.App, bench: Bench, stubborn: Stubborn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CANCEL_TIMEOUT", 0.1)
    job_id = await app.configure_task("sync").defer_async(n=0)
    async with bench.working(shutdown_graceful_timeout=0.1):
        await bench.until(lambda: stubborn.begun)
        await asyncio.sleep(0.3)
    job = await bench.job(job_id)
    assert (job.status, job.errors[0]["exception"].rpartition(".")[2]) == ("failed", "JobTimeout")


@pytest.mark.parametrize("options", [{}, {"worker_middleware": True}], ids=["bare", "wrapped"])
async def test_a_worker_claims_no_job_for_a_thread_that_still_runs_what_was_taken_from_it(
    app: adjourn.App, bench: Bench, stubborn: Stubborn, options: dict[str, Any]
) -> None:
    if options:

        async def pass_on(call_next: Any, context: Any, worker: Any) -> Any:
            return await call_next()

        options = {"worker_middleware": [pass_on]}
    job_id = await app.configure_task("abortable").defer_async(n=0)
    async with bench.working(update_heartbeat_interval=0.1, fetch_job_polling_interval=0.1, **options) as worker:
        await bench.until(lambda: stubborn.begun)
        before = worker.worker_id
        await app.job_manager.prune_stalled_workers_async(0)
        await bench.until(lambda: worker.worker_id not in (None, before))
        await bench.ended(job_id, "todo")
        await asyncio.sleep(0.5)
        status = await bench.status(job_id)
        stubborn.release.set()
        await bench.ended(job_id)
    assert (status, stubborn.begun) == ("todo", [0, 0])
