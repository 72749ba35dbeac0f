"""Jobs under limits whose task a worker does not know: they keep no places from others, and run as soon as a worker knows them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import Limit, Rate
from adjourn.worker import Worker
from support.bench import Bench


@pytest.fixture
async def newer(database: str) -> AsyncIterator[adjourn.App]:
    """A program of the same database that may know more tasks."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))
    async with app.open_async():
        yield app


def trips(worker: Worker) -> int:
    """Count the worker's round trips."""
    assert worker._exchange is not None
    return sum(worker._exchange.traffic.counts)


async def has_met(bench: Bench) -> bool:
    """Tell whether a job waits for a worker that knows its task."""
    return bool(await bench.app.job_manager.list_jobs_async(waits_for="task"))


@pytest.mark.parametrize(("queue", "task"), [("q", None), (None, "new")])
async def test_a_limit_that_is_set_while_a_job_waits_for_who_knows_its_task_lets_it_run(
    app: adjourn.App, bench: Bench, newer: adjourn.App, queue: str | None, task: str | None
) -> None:
    @newer.task(name="new", queue="q")
    async def new() -> None: ...

    job_ids = [await new.defer_async() for _ in range(3)]
    async with bench.working(fetch_job_polling_interval=0.2):
        await bench.until(lambda: has_met(bench))
    await app.job_manager.set_limit_async(queue=queue, task=task, concurrency=1)
    other = Bench(newer)
    # The one that does not know it is at work, too.
    async with bench.working(fetch_job_polling_interval=0.2), other.working(fetch_job_polling_interval=0.2) as worker:
        for job_id in job_ids:
            await other.ended(job_id)
    assert trips(worker) < 100


@pytest.mark.parametrize(
    "limit",
    [
        Limit(key="tenant", concurrency=1),
        Limit(key="tenant", rate=Rate(100, 1)),
        Limit(concurrency=1, rate=Rate(100, 1)),
    ],
)
async def test_a_job_under_a_declared_limit_runs_where_it_is_known(
    app: adjourn.App, bench: Bench, newer: adjourn.App, limit: Limit
) -> None:
    @newer.task(name="new", limits=[limit])
    async def new(tenant: str) -> None: ...

    job_ids = await new.batch_defer_async({"tenant": "a"}, {"tenant": "a"}, {"tenant": "b"})
    async with bench.working(fetch_job_polling_interval=0.2):
        await bench.until(lambda: has_met(bench))
        other = Bench(newer)
        async with other.working(fetch_job_polling_interval=0.2) as worker:
            for job_id in job_ids:
                await other.ended(job_id)
    assert trips(worker) < 100


async def test_a_job_that_nobody_knows_keeps_no_place_of_its_queue_from_others(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="known", queue="q")
    async def known() -> None: ...

    await app.job_manager.set_limit_async(queue="q", concurrency=1)
    await app.configure_task("nobody", queue="q", allow_unknown=True).defer_async()
    job_id = await known.defer_async()
    async with bench.working(fetch_job_polling_interval=0.2):
        await bench.until(lambda: has_met(bench))
        await bench.ended(job_id)


async def test_a_job_under_a_limit_that_nobody_knows_for_too_long_fails(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="known", queue="q")
    async def known() -> None: ...

    await app.job_manager.set_limit_async(queue="q", concurrency=1)
    job_id = await app.configure_task("nobody", queue="q", allow_unknown=True).defer_async()
    async with bench.working(fetch_job_polling_interval=0.2, unknown_task_timeout=1):
        await bench.ended(job_id, "failed")
        await bench.ended(await known.defer_async())
