"""Tasks that take several jobs in one call: each job has an end of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn import Batch, BatchItem, Limit, RetryStrategy, exceptions, testing
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.testing import InMemoryConnector
from support.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    async with adjourn.App(connector=given, store_results=True).open_async() as app:
        yield app


@pytest.fixture
def bench(app: adjourn.App) -> Bench:
    return Bench(app)


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"n": n} for n in range(count)]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_call_takes_as_many_jobs_as_it_may_and_each_has_its_end(
    app: adjourn.App, bench: Bench, is_async: bool
) -> None:
    sizes: list[int] = []

    def work(jobs: list[BatchItem]) -> None:
        sizes.append(len(jobs))
        for each in jobs:
            if each.kwargs["n"] % 5 == 0:
                each.fail(ValueError(each.kwargs["n"]))
            elif each.kwargs["n"] % 5 == 1:
                each.succeed(each.kwargs["n"])

    async def work_async(jobs: list[BatchItem]) -> None:
        work(jobs)

    task = app.task(name="t", batch=Batch(8))(work_async if is_async else work)
    ids = await task.batch_defer_async(*numbers(20))
    await bench.drain(concurrency=1)
    assert sorted(sizes) == [4, 8, 8]
    jobs = [await bench.job(id_) for id_ in ids]
    for n, job in enumerate(jobs):
        assert (job.status, job.attempts) == ("succeeded" if n % 5 else "failed", 1)
        assert [each["message"] for each in job.errors] == ([] if n % 5 else [str(n)])
        assert job.result == (n if n % 5 == 1 else None)


async def test_what_the_call_raises_is_the_error_of_those_that_have_not_ended(app: adjourn.App, bench: Bench) -> None:
    calls: list[list[int]] = []

    @app.task(name="t", batch=Batch(10), retry=RetryStrategy(max_attempts=1))
    async def task(jobs: list[BatchItem]) -> None:
        calls.append([each.kwargs["n"] for each in jobs])
        if len(calls) == 1:
            jobs[0].succeed()
            jobs[1].fail(KeyError("one"))
            raise ValueError("all")

    ids = await task.batch_defer_async(*numbers(4))
    await bench.drain(concurrency=3)
    assert calls == [[0, 1, 2, 3], [1, 2, 3]]
    jobs = [await bench.job(id_) for id_ in ids]
    assert [job.status for job in jobs] == ["succeeded"] * 4
    assert [[each["exception"] for each in job.errors] for job in jobs] == [
        [],
        ["builtins.KeyError"],
        ["builtins.ValueError"],
        ["builtins.ValueError"],
    ]


async def test_each_job_is_retried_by_itself(app: adjourn.App, bench: Bench) -> None:
    runs: Counter[int] = Counter()

    @app.task(name="t", batch=Batch(10), retry=RetryStrategy(max_attempts=3))
    async def task(jobs: list[BatchItem]) -> None:
        for each in jobs:
            runs[each.kwargs["n"]] += 1
            if each.job.attempts < each.kwargs["n"]:
                each.fail(ValueError())

    ids = [
        await task.configure(max_attempts=most).defer_async(n=n)
        for n, most in ((0, None), (2, None), (2, 1), (9, None))
    ]
    await bench.drain()
    assert [(await bench.job(id_)).status for id_ in ids] == ["succeeded", "succeeded", "failed", "failed"]
    assert runs == {0: 1, 2: 3 + 2, 9: 4}


async def test_a_call_takes_one_slot(app: adjourn.App, bench: Bench) -> None:
    at_once, most = 0, 0

    @app.task(name="t", batch=Batch(5))
    async def task(jobs: list[BatchItem]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(500):  # until another call has begun, as it may take long on a busy machine
            await asyncio.sleep(0.01)
            if most > 1:
                break
        at_once -= 1

    await task.batch_defer_async(*numbers(30))
    await bench.drain(concurrency=2)
    assert most == 2


async def test_a_worker_waits_for_more(app: adjourn.App, bench: Bench) -> None:
    sizes: list[int] = []

    @app.task(name="t", batch=Batch(3, wait=30))
    async def full(jobs: list[BatchItem]) -> None:
        sizes.append(len(jobs))

    @app.task(name="short", batch=Batch(100, wait=0.05))
    async def due(jobs: list[BatchItem]) -> None:
        sizes.append(100 + len(jobs))

    async with bench.working(concurrency=1):
        ids = [await full.defer_async(n=n) for n in range(3)]
        await bench.ended(ids[2])
        await bench.ended(await due.defer_async(n=0))
    assert sizes == [3, 101]


async def test_a_worker_that_stops_gives_back_those_that_wait_for_others(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="t", batch=Batch(3, wait=300))
    async def task(jobs: list[BatchItem]) -> None: ...

    id_ = await task.defer_async(n=0)
    async with bench.working():

        async def is_claimed() -> bool:
            return await bench.status(id_) == "doing"

        await bench.until(is_claimed)
    job = await bench.job(id_)
    assert (job.status, job.attempts, job.claim) == ("todo", 0, 1)


async def test_other_jobs_run_beside_it_and_only_its_own_are_taken(app: adjourn.App, bench: Bench) -> None:
    seen: list[Any] = []

    @app.task(name="t", batch=Batch(10))
    async def task(jobs: list[BatchItem]) -> None:
        seen.append([each.kwargs["n"] for each in jobs])

    @app.task(name="plain")
    async def plain(n: int) -> None:
        seen.append(n)

    for n in range(3):
        await task.defer_async(n=n)
        await plain.defer_async(n=n)
    await bench.drain(concurrency=10)
    assert sorted(seen, key=str) == [0, 1, 2, [0, 1, 2]]


async def test_a_limit_counts_each_job(app: adjourn.App, bench: Bench) -> None:
    sizes: list[int] = []

    @app.task(name="t", batch=Batch(10), limits=Limit(concurrency=3))
    async def task(jobs: list[BatchItem]) -> None:
        sizes.append(len(jobs))

    await task.batch_defer_async(*numbers(7))
    await bench.drain(concurrency=5)
    assert sum(sizes) == 7
    assert max(sizes) <= 3


async def test_a_call_that_takes_too_long_fails_with_all_that_have_not_ended(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="t", batch=Batch(10), timeout=0.05)
    async def task(jobs: list[BatchItem]) -> None:
        jobs[0].succeed()
        jobs[1].fail(ValueError())
        await asyncio.sleep(60)

    ids = await task.batch_defer_async(*numbers(3))
    await bench.drain()
    jobs = [await bench.job(id_) for id_ in ids]
    assert [job.errors[-1]["exception"] if job.errors else job.status for job in jobs] == [
        "succeeded",
        "builtins.ValueError",
        "adjourn.exceptions.JobTimeout",
    ]


async def test_aborting_one_of_the_jobs_leaves_the_others(app: adjourn.App, bench: Bench) -> None:
    began, asked = threading.Event(), threading.Event()

    @app.task(name="t", batch=Batch(10))
    def task(jobs: list[BatchItem]) -> None:
        began.set()
        while not any(each.abort_requested for each in jobs):
            asked.wait(0.005)
        for each in jobs:
            if each.abort_requested:
                each.fail(exceptions.JobAborted())

    ids = await task.batch_defer_async(*numbers(3))
    async with bench.working(abort_job_polling_interval=0.05):
        await bench.until(began.is_set)
        assert await app.job_manager.cancel_job_by_id_async(ids[1], abort=True)
        await bench.ended(ids[1], "aborted")
    assert [await bench.status(id_) for id_ in ids] == ["succeeded", "aborted", "succeeded"]


async def test_a_drain_calls_it_with_one_job_at_a_time(app: adjourn.App) -> None:
    sizes: list[int] = []

    @app.task(name="t", batch=Batch(10))
    async def task(jobs: list[BatchItem]) -> None:
        sizes.append(len(jobs))
        if jobs[0].kwargs["n"] == 1:
            jobs[0].fail(ValueError())

    ids = await task.batch_defer_async(*numbers(3))
    drained = await testing.drain_async(app, raise_failures=False)
    assert (drained.succeeded, drained.failed, sizes) == (2, 1, [1, 1, 1])
    assert (await app.job_manager.get_job_status_async(ids[1])).value == "failed"
    with pytest.raises(ValueError, match=r"^$"):
        await testing.perform_async(task, n=1)


async def test_a_batch_that_kills_its_worker_is_run_in_smaller_ones(app: adjourn.App, bench: Bench) -> None:
    """A worker that dies takes an attempt of each job of its call, not of those that have not begun."""
    task = app.task(name="t", batch=Batch(4))(lambda jobs: None)
    ids = await task.batch_defer_async(*numbers(6))
    worker = await app.job_manager.register_worker_async()
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    exchanged = await manager.exchange_async(worker, (), limit=1, queues=None, batches='{"t": 4}')
    assert [job.id for job in exchanged.claimed] == ids[:4]
    await app.job_manager.prune_stalled_workers_async(0)
    await session.close_async()
    assert [(await bench.job(id_)).attempts for id_ in ids] == [1, 1, 1, 1, 0, 0]
    await bench.drain()
    assert {await bench.status(id_) for id_ in ids} == {"succeeded"}
