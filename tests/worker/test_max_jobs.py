"""Workers that end after so many jobs, and claim no more than that."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

import adjourn
from adjourn import Batch, BatchItem, JobContext, RetryStrategy
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import WorkerStuck
from adjourn.worker import Worker
from support.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of all jobs that were claimed, in this order."""
    ids: list[int] = []
    exchange = AsyncWorkerManager.exchange_async

    async def exchange_and_note(*args: Any, **given: Any) -> Any:
        exchanged = await exchange(*args, **given)
        ids.extend(job.id for job in exchanged.claimed)
        return exchanged

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", exchange_and_note)
    return ids


async def statuses(bench: Bench, ids: list[int]) -> list[str]:
    return [await bench.status(each) for each in ids]


async def run(bench: Bench, **options: Any) -> None:
    """Run a worker until it ends by itself, also one that waits."""
    async with asyncio.timeout(30):
        await Worker(bench.app, install_signal_handlers=False, **options).run()


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("concurrency", [1, 2, 3, 50])
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_worker_ends_after_its_jobs_and_touches_no_others(
    app: adjourn.App, bench: Bench, claimed: list[int], concurrency: int, wait: bool, is_async: bool
) -> None:
    async def work_async() -> None: ...

    def work() -> None: ...

    task = app.task(name="t")(work_async if is_async else work)
    ids = await task.batch_defer_async(*[{}] * 60)
    await run(bench, wait=wait, concurrency=concurrency, max_jobs=3)
    assert claimed == ids[:3]
    # What they have come to is stored when it has ended.
    assert await statuses(bench, ids) == ["succeeded"] * 3 + ["todo"] * 57
    assert await app.job_manager.list_workers_async() == []


async def test_without_so_many_jobs_one_that_does_not_wait_ends_when_none_is_left(
    app: adjourn.App, bench: Bench
) -> None:
    @app.task(name="t")
    async def task() -> None: ...

    ids = await task.batch_defer_async({}, {})
    await run(bench, wait=False, concurrency=4, max_jobs=3)
    assert await statuses(bench, ids) == ["succeeded"] * 2
    await run(bench, wait=False, max_jobs=1)


async def test_one_that_waits_runs_jobs_as_they_come(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="t")
    async def task() -> None: ...

    worker = Worker(app, install_signal_handlers=False, max_jobs=2, concurrency=2, fetch_job_polling_interval=0.1)
    running = asyncio.create_task(worker.run())
    await bench.ended(await task.defer_async())
    await asyncio.sleep(0.2)
    assert not running.done()
    last, more = await task.batch_defer_async({}, {})
    async with asyncio.timeout(30):
        await running
    assert await statuses(bench, [last, more]) == ["succeeded", "todo"]


async def test_the_last_jobs_take_their_time(app: adjourn.App, bench: Bench, claimed: list[int]) -> None:
    @app.task(name="t", pass_context=True)
    async def task(context: JobContext) -> None:
        await asyncio.sleep(0.5)
        assert not context.should_abort()

    ids = await task.batch_defer_async(*[{}] * 4)
    # It is not stopped, so this does not count.
    await run(bench, concurrency=4, max_jobs=2, shutdown_graceful_timeout=0)
    assert claimed == ids[:2]
    assert await statuses(bench, ids) == ["succeeded"] * 2 + ["todo"] * 2


async def test_a_retry_counts_as_a_job(app: adjourn.App, bench: Bench, claimed: list[int]) -> None:
    @app.task(name="t", retry=RetryStrategy(max_attempts=5))
    async def task() -> None:
        raise ValueError

    job_id, other = await task.batch_defer_async({}, {})
    await run(bench, max_jobs=3, wait=False)
    assert len(claimed) == 3
    jobs = [await bench.job(each) for each in (job_id, other)]
    assert sum(job.attempts for job in jobs) == 3
    assert {job.status for job in jobs} == {"todo"}


async def test_of_a_lock_it_claims_no_more_than_it_may_run(app: adjourn.App, bench: Bench, claimed: list[int]) -> None:
    order: list[int] = []

    @app.task(name="t", lock="one")
    async def task(n: int) -> None:
        order.append(n)

    ids = await task.batch_defer_async(*({"n": n} for n in range(40)))
    await run(bench, concurrency=4, max_jobs=7)
    assert order == list(range(7))
    assert claimed == ids[:7]
    assert await statuses(bench, ids) == ["succeeded"] * 7 + ["todo"] * 33


@pytest.mark.parametrize("wait", [0.0, 0.05])
@pytest.mark.parametrize(("size", "most"), [(4, 3), (4, 4), (4, 6), (4, 13), (500, 1), (500, 20), (2, 7)])
async def test_each_job_of_a_batch_counts(
    app: adjourn.App, bench: Bench, claimed: list[int], size: int, most: int, wait: float
) -> None:
    sizes: list[int] = []

    @app.task(name="t", batch=Batch(size, wait=wait))
    async def task(jobs: list[BatchItem]) -> None:
        sizes.append(len(jobs))

    ids = await task.batch_defer_async(*[{}] * 40)
    await run(bench, concurrency=3, max_jobs=most)
    assert sum(sizes) == len(claimed) == most
    assert max(sizes) <= size
    assert (await statuses(bench, ids)).count("succeeded") == most


@pytest.mark.parametrize("most", [1, 2, 5, 11])
async def test_batches_and_others_count_together(app: adjourn.App, bench: Bench, claimed: list[int], most: int) -> None:
    ran: list[int | None] = []

    @app.task(name="a", batch=Batch(3))
    async def several(jobs: list[BatchItem]) -> None:
        ran.extend(each.job.id for each in jobs)

    @app.task(name="b", batch=Batch(10, wait=0.05))
    async def many(jobs: list[BatchItem]) -> None:
        ran.extend(each.job.id for each in jobs)

    @app.task(name="c", pass_context=True)
    async def one(context: JobContext) -> None:
        ran.append(context.job.id)

    for _ in range(5):
        for task in (several, many, one):
            await task.batch_defer_async({}, {})
    await run(bench, concurrency=8, max_jobs=most)
    assert len(set(ran)) == len(ran) == len(claimed) == most


async def test_jobs_of_a_task_that_blocks_the_loop_are_not_more_than_it_may_run(
    app: adjourn.App, bench: Bench, claimed: list[int]
) -> None:
    @app.task(name="t")
    async def task() -> None:
        time.sleep(0.02)

    ids = await task.batch_defer_async(*[{}] * 30)
    await run(bench, concurrency=10, max_jobs=12)
    assert sorted(claimed) == ids[:12]
    assert (await statuses(bench, ids)).count("succeeded") == 12


async def test_jobs_that_run_apart_count(app: adjourn.App, bench: Bench, claimed: list[int]) -> None:
    @app.task(name="t")
    async def task() -> None: ...

    ids = await task.batch_defer_async(*[{}] * 10)
    for job_id in ids:
        if isinstance(app.connector, adjourn.testing.InMemoryConnector):
            pytest.skip("in memory no worker of another process dies")
        text = "update adjourn.adjourn_jobs set hold = 4, losses = 2, doubts = 2 where id = %(id)s"
        await app.connector.execute_query_async(text, id=job_id)
    await run(bench, concurrency=8, max_jobs=2)
    assert len(claimed) == 2
    assert sorted(await statuses(bench, ids)) == ["succeeded"] * 2 + ["todo"] * 8


async def test_two_workers_share_the_jobs(app: adjourn.App, bench: Bench, claimed: list[int]) -> None:
    @app.task(name="t")
    async def task() -> None:
        await asyncio.sleep(0.01)

    ids = await task.batch_defer_async(*[{}] * 10)
    await asyncio.gather(run(bench, concurrency=4, max_jobs=4), run(bench, concurrency=4, max_jobs=6))
    assert sorted(claimed) == ids
    assert await statuses(bench, ids) == ["succeeded"] * 10


async def test_a_batch_waits_for_no_jobs_that_the_worker_may_not_claim(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="t", batch=Batch(10, wait=60))
    async def task(jobs: list[BatchItem]) -> None: ...

    ids = await task.batch_defer_async(*[{}] * 5)
    await run(bench, max_jobs=3, concurrency=2)
    assert await statuses(bench, ids) == ["succeeded"] * 3 + ["todo"] * 2


@pytest.mark.parametrize("batch", [None, Batch(4)])
async def test_jobs_of_unknown_tasks_do_not_count(app: adjourn.App, bench: Bench, batch: Batch | None) -> None:
    async def work() -> None: ...

    async def work_on(jobs: list[BatchItem]) -> None: ...

    task = app.task(name="t")(work) if batch is None else app.task(name="t", batch=batch)(work_on)
    for _ in range(3):
        await app.configure_task("nowhere").defer_async()
    ids = await task.batch_defer_async(*[{}] * 5)
    await run(bench, max_jobs=2, concurrency=4, unknown_task_timeout=1000)
    assert await statuses(bench, ids) == ["succeeded"] * 2 + ["todo"] * 3


async def test_jobs_that_go_back_because_the_loop_is_blocked_do_not_count(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []

    @app.task(name="t")
    async def task(n: int) -> None:
        ran.append(n)
        if len(ran) == 1:
            time.sleep(2)

    ids = await task.batch_defer_async(*({"n": n} for n in range(8)))
    await run(bench, max_jobs=4, concurrency=4)
    assert len(ran) == 4
    assert (await statuses(bench, ids)).count("succeeded") == 4


async def test_one_whose_last_jobs_do_not_end_is_stuck(app: adjourn.App, bench: Bench) -> None:
    go = threading.Event()

    @app.task(name="t", timeout=0.1)
    def endless() -> None:
        go.wait(30)

    @app.task(name="u")
    async def other() -> None:
        await asyncio.sleep(0.3)

    await endless.defer_async()
    last = await other.defer_async()
    try:
        with pytest.raises(WorkerStuck, match="its only slot"):
            await run(bench, max_jobs=2, concurrency=3, stuck_worker_timeout=0.3)
    finally:
        go.set()
    assert await bench.status(last) == "succeeded"


async def test_one_that_runs_its_last_jobs_says_that_it_ends(app: adjourn.App, bench: Bench) -> None:
    go = asyncio.Event()

    @app.task(name="t")
    async def task() -> None:
        await go.wait()

    worker = Worker(app, install_signal_handlers=False, max_jobs=1, concurrency=2, update_heartbeat_interval=0.1)
    running = asyncio.create_task(worker.run())
    job_id = await task.defer_async()
    await bench.ended(job_id, "doing")
    assert worker._exchange is not None
    assert json.loads(worker._exchange.report.details)["ending"]
    go.set()
    async with asyncio.timeout(30):
        await running
