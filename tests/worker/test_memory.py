"""Workers without Postgres: on the in-memory connector they do what they do on any other."""

from __future__ import annotations

import asyncio

import pytest

import adjourn
from adjourn.testing import InMemoryConnector
from support.bench import Bench


@pytest.fixture
def connector() -> InMemoryConnector:
    return InMemoryConnector()


@pytest.fixture
async def bench(connector: InMemoryConnector) -> Bench:
    app = adjourn.App(connector=connector)
    await app.open_async()
    return Bench(app)


async def test_a_worker_runs_what_there_is_and_ends(bench: Bench, connector: InMemoryConnector) -> None:
    done: list[int] = []

    @bench.app.task(name="sync")
    def sync(x: int) -> None:
        done.append(x)

    @bench.app.task(name="fail", retry=1)
    async def fail() -> None:
        raise ValueError("no")

    await sync.batch_defer_async(*({"x": n} for n in range(200)))
    failing = await fail.defer_async()
    await bench.drain(concurrency=5)
    assert sorted(done) == list(range(200))
    job = await bench.job(failing)
    assert (job.status, job.attempts, [error["message"] for error in job.errors]) == ("failed", 2, ["no", "no"])
    assert {row["status"] for row in connector.jobs.values()} == {"succeeded", "failed"}


async def test_jobs_with_one_lock_run_one_at_a_time_in_order(bench: Bench) -> None:
    running, order = 0, []

    @bench.app.task(name="locked", lock="l")
    async def locked(n: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        order.append(n)

    await locked.batch_defer_async(*({"n": n} for n in range(20)))
    await locked.configure(priority=5).defer_async(n=99)
    await bench.drain(concurrency=8)
    assert order == [99, *range(20)]


async def test_a_waiting_worker_is_told_of_jobs_of_aborts_and_of_time(
    bench: Bench, connector: InMemoryConnector
) -> None:
    @bench.app.task(name="quick")
    async def quick() -> None: ...

    @bench.app.task(name="long")
    async def long() -> None:
        await asyncio.sleep(60)

    async with bench.working(fetch_job_polling_interval=60, concurrency=2):
        await asyncio.sleep(0.2)
        await bench.ended(await asyncio.to_thread(quick.defer))
        endless = await long.defer_async()
        await bench.ended(endless, "doing")
        assert await bench.app.job_manager.cancel_job_by_id_async(endless, abort=True)
        await bench.ended(endless, "aborted")
        later = await quick.configure(schedule_in={"seconds": 20}).defer_async()
        assert await bench.status(later) == "todo"
        connector.advance(seconds=20)
        await bench.ended(later)


async def test_a_worker_that_falls_silent_loses_its_jobs(bench: Bench, connector: InMemoryConnector) -> None:
    blocked = asyncio.Event()

    @bench.app.task(name="blocked", pass_context=True)
    async def task(context: adjourn.JobContext) -> None:
        if context.job.attempts == 0:
            blocked.set()
            await asyncio.sleep(60)

    job_id = await task.defer_async()
    # The next sign of life of the first is late enough.
    async with bench.working(update_heartbeat_interval=29, shutdown_graceful_timeout=0.1):
        await blocked.wait()
        await bench.until(lambda: "heartbeat" in {name for name, _ in connector.queries})
        connector.advance(minutes=1)
        async with bench.working(update_heartbeat_interval=0.1):
            job = await bench.ended(job_id)
    assert job.attempts == 2
