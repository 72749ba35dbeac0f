"""Jobs whose task a worker does not know: they wait for a worker that does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import events
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Unknown
from adjourn.testing import InMemoryConnector
from support.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(database: str) -> AsyncIterator[Bench]:
    """A program that knows tasks which the first does not know yet."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))

    @app.task(name="new")
    async def new(n: int = 0) -> None:
        pass

    async with app.open_async():
        yield Bench(app)


@pytest.fixture
def awaited(app: adjourn.App) -> list[events.TaskAwaited]:
    told: list[events.TaskAwaited] = []
    app.events.subscribe(events.TaskAwaited, told.append)
    return told


async def test_a_job_that_one_worker_does_not_know_waits_for_another(
    app: adjourn.App, bench: Bench, other: Bench, awaited: list[events.TaskAwaited]
) -> None:
    @app.task(name="old")
    async def old() -> None:
        pass

    async with bench.working(concurrency=3, fetch_job_polling_interval=0.05):
        new = [await app.configure_task("new").defer_async(n=n) for n in range(20)]
        newer = await app.configure_task("newer").defer_async()
        await bench.until(lambda: len(awaited) == 2)
        # It goes on with what it knows, and does not take those again and again.
        for _ in range(5):
            await bench.ended(await old.defer_async())
        jobs = [await bench.job(job_id) for job_id in (*new, newer)]
        assert {(job.status, job.attempts, job.claim) for job in jobs} == {("todo", 0, 1)}
        waiting = await app.job_manager.list_jobs_async(waits_for="task")
        assert [job.id for job in waiting] == [*new, newer]
        counts = await app.job_manager.list_tasks_async(waits_for="task")
        assert {row["name"]: row["jobs_count"] for row in counts} == {"new": 20, "newer": 1}
        assert await app.job_manager.list_jobs_async(waits_for="worker") == []
        async with other.working(fetch_job_polling_interval=600):
            for job_id in new:
                assert (await bench.ended(job_id)).attempts == 1
    assert {event.job.task_name: event.timeout for event in awaited} == {"new": 3600.0, "newer": 3600.0}
    assert (await bench.job(newer)).status == "todo"


async def test_an_idle_worker_that_knows_the_task_takes_the_job_at_once(app: adjourn.App, other: Bench) -> None:
    manager = AsyncWorkerManager(app.connector.get_async_connector(), app.connector.json_loads)
    job_id = await app.configure_task("new").defer_async(n=1)
    worker_id = await manager.register_worker_async("ignorant", None, 600)
    (job,) = (await manager.exchange_async(worker_id, [], limit=1, queues=None)).jobs
    async with other.working(fetch_job_polling_interval=600):
        await asyncio.sleep(0.5)
        await manager.exchange_async(worker_id, [Unknown(job_id, job.claim)], limit=0, queues=None)
        await other.ended(job_id)


async def test_nobody_knows_it_for_too_long_and_it_fails(app: adjourn.App, bench: Bench) -> None:
    told: list[events.TaskUnknown] = []
    app.events.subscribe(events.TaskUnknown, told.append)
    async with bench.working(unknown_task_timeout=0.3, fetch_job_polling_interval=0.05):
        job_id = await app.configure_task("unknown", lock="a").defer_async()
        job = await bench.ended(job_id, "failed")
    assert (job.attempts, job.claim) == (1, 2)
    assert job.errors[0]["exception"] == "adjourn.exceptions.TaskNotFound"
    assert [event.job.id for event in told] == [job_id]


async def test_a_job_may_fail_at_once(app: adjourn.App, bench: Bench) -> None:
    job_id = await app.configure_task("unknown").defer_async()
    await bench.drain(unknown_task_timeout=0)
    assert (await bench.job(job_id)).status == "failed"


async def test_a_worker_that_does_not_wait_ends_although_such_jobs_are_left(
    app: adjourn.App, bench: Bench, other: Bench
) -> None:
    @app.task(name="old")
    async def old() -> None:
        pass

    ids = [await app.configure_task("new").defer_async() for _ in range(3)]
    known = await old.defer_async()
    for _ in range(2):
        await bench.drain(concurrency=2)
    assert [(await bench.job(job_id)).claim for job_id in (*ids, known)] == [1, 1, 1, 1]
    assert [await bench.status(job_id) for job_id in (*ids, known)] == ["todo"] * 3 + ["succeeded"]
    await other.drain()
    assert [await bench.status(job_id) for job_id in ids] == ["succeeded"] * 3


async def test_a_lock_stays_with_a_job_that_nobody_knows_yet(app: adjourn.App, bench: Bench, other: Bench) -> None:
    order: list[int] = []

    @app.task(name="old")
    async def old(n: int) -> None:
        order.append(n)

    @other.app.task(name="newest")
    async def newest(n: int) -> None:
        order.append(n)

    await app.configure_task("newest", lock="a").defer_async(n=1)
    await old.configure(lock="a", priority=5).defer_async(n=2)
    cancelled = await app.configure_task("newest", lock="b").defer_async(n=3)
    await old.configure(lock="b").defer_async(n=4)
    await old.configure(lock="c").defer_async(n=5)
    # The better job of lock a goes first; then the other is its head.
    await bench.drain()
    await old.configure(lock="a", priority=9).defer_async(n=6)
    await bench.drain()
    assert order == [2, 5]
    # To take it out of the way: cancel it.
    assert await app.job_manager.cancel_job_by_id_async(cancelled)
    await bench.drain()
    assert order == [2, 5, 4]
    await other.drain()
    await bench.drain()
    assert order == [2, 5, 4, 1, 6]


async def test_a_worker_of_another_queue_leaves_it_alone(app: adjourn.App, bench: Bench, other: Bench) -> None:
    job_id = await app.configure_task("new", queue="q").defer_async()
    await bench.drain()
    await other.drain(queues=["default"])
    assert (await bench.job(job_id)).claim == 1
    await other.drain(queues=["q", "default"])
    assert await bench.status(job_id) == "succeeded"


async def test_a_retry_by_hand_has_any_worker_look_at_it_again(app: adjourn.App, bench: Bench) -> None:
    job_id = await app.configure_task("new", lock="a").defer_async()
    await bench.drain()
    await app.job_manager.retry_job_by_id_async(job_id)
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.claim, job.attempts) == ("todo", 2, 0)


async def test_a_job_that_is_to_be_aborted_needs_no_task(app: adjourn.App, bench: Bench) -> None:
    job_id = await app.configure_task("new").defer_async()
    worker_id = await app.job_manager.register_worker_async()
    await app.job_manager.fetch_job_async(None, worker_id)
    await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
    await app.job_manager.unregister_worker_async(worker_id)
    await app.job_manager.prune_stalled_workers_async(1000)
    await bench.drain()
    assert await bench.status(job_id) == "aborted"


async def test_in_memory_no_other_program_can_know_it_so_it_fails_at_once() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    async with app.open_async():
        bench = Bench(app)
        failed, waiting = [await app.configure_task(name).defer_async() for name in ("unknown", "new")]
        await bench.drain()
        assert [await bench.status(failed), await bench.status(waiting)] == ["failed", "failed"]
        waiting = await app.configure_task("new").defer_async()
        await bench.drain(unknown_task_timeout=60)
        assert await bench.status(waiting) == "todo"

        @app.task(name="new")
        async def new() -> None:
            pass

        await bench.drain()
        assert await bench.status(waiting) == "succeeded"
        waiting = await app.configure_task("newest").defer_async()
        await bench.drain(unknown_task_timeout=60)
        connector.advance(seconds=61)
        await bench.drain(unknown_task_timeout=60)
        assert await bench.status(waiting) == "failed"
