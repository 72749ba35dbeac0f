"""What goes with a job beside its arguments, for as long as the job exists."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Attempt, Ended, HandedBack, Result, Retried
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector

HEADERS = {"tenant": "acme", "traceparent": "é"}


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


@pytest.fixture
async def manager(app: adjourn.App) -> AsyncIterator[AsyncWorkerManager]:
    session = await app.connector.session_async()
    yield AsyncWorkerManager(session, app.connector.json_loads)
    await session.close_async()


async def claim_async(manager: AsyncWorkerManager, worker: int, *outcomes: Any) -> Job:
    (job,) = (await manager.exchange_async(worker, outcomes, limit=1, queues=None)).jobs
    return job


async def test_headers_go_with_a_job_through_all_its_attempts_into_the_history_and_back(
    app: adjourn.App, manager: AsyncWorkerManager
) -> None:
    await app.configure_task("any", headers=HEADERS).defer_async()
    worker = await manager.register_worker_async("one", None, 60)
    job = await claim_async(manager, worker)
    assert job.headers == HEADERS
    job = await claim_async(manager, worker, Retried(job.id or 0, job.claim, '{"message": "m"}'))
    assert (job.attempts, job.headers) == (1, HEADERS)
    job = await claim_async(manager, worker, HandedBack.of(job))
    assert job.headers == HEADERS
    await manager.unregister_worker_async(worker)
    assert (await manager.rescue_async(5, 0)).counts == (1, 0)
    worker = await manager.register_worker_async("two", None, 60)
    job = await claim_async(manager, worker)
    assert (job.attempts, job.headers) == (2, HEADERS)
    await manager.exchange_async(worker, [Ended(job.id or 0, job.claim, "failed")], limit=0, queues=None)
    (ended,) = await app.job_manager.list_jobs_async()
    assert (ended.status, ended.headers) == ("failed", HEADERS)
    await app.job_manager.retry_job_by_id_async(job.id or 0)
    assert (await claim_async(manager, worker)).headers == HEADERS
    assert (await manager.rescue_async(1, 0)).counts == (0, 0)
    await manager.unregister_worker_async(worker)
    await manager.rescue_async(1, 0)
    (lost,) = await app.job_manager.list_jobs_async()
    assert (lost.status, lost.headers) == ("failed", HEADERS)


@pytest.mark.parametrize("queueing_lock", [None, "q"])
@pytest.mark.parametrize("count", [1, 3, 1001])
async def test_each_way_to_store_a_job_stores_its_headers(
    app: adjourn.App, queueing_lock: str | None, count: int
) -> None:
    with_headers = app.configure_task("any", headers=HEADERS).job
    others = [app.configure_task("any").job] * (count - 1)
    first = with_headers.evolve(queueing_lock=queueing_lock)
    if count == 1:
        await app.job_manager.defer_job_async(first)
    else:
        await app.job_manager.batch_defer_jobs_async([first, *others])
    jobs = await app.job_manager.list_jobs_async()
    assert [job.headers for job in jobs] == [HEADERS] + [None] * (count - 1)


async def test_a_cancelled_job_and_one_with_a_result_keep_their_headers(
    app: adjourn.App, manager: AsyncWorkerManager
) -> None:
    cancelled = await app.configure_task("any", headers=HEADERS).defer_async()
    await app.job_manager.cancel_job_by_id_async(cancelled)
    await app.configure_task("any", headers=HEADERS).defer_async()
    worker = await manager.register_worker_async("one", None, 60)
    job = await claim_async(manager, worker)
    attempt = Attempt(1, worker, "one", datetime.datetime.min, datetime.datetime.min)
    outcome = Ended.with_result(job, Result("1", None, lambda: attempt))
    await manager.exchange_async(worker, [outcome], limit=0, queues=None)
    assert [each.headers for each in await app.job_manager.list_jobs_async()] == [HEADERS, HEADERS]


async def test_a_job_of_a_periodic_task_has_its_headers(app: adjourn.App) -> None:
    @app.periodic(cron="* * * * *", headers=HEADERS)
    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    (periodic,) = app.periodic_registry.periodic_tasks.values()
    await app.job_manager.defer_periodic_job_async(
        periodic.task.make_job(**{**periodic.configure_kwargs, "task_kwargs": {"timestamp": 60}}),
        periodic.periodic_id,
        60,
    )
    (job,) = await app.job_manager.list_jobs_async()
    assert job.headers == HEADERS


async def test_headers_that_cannot_be_stored_are_refused(app: adjourn.App) -> None:
    bad: list[Any] = ["text", {"a": 1}, {1: "a"}, {"": "a"}, {"a\0": "a"}, {"a": "\ud800"}, {"a": "x" * 9000}]
    for headers in bad:
        with pytest.raises(InvalidOption, match="headers"):
            app.configure_task("any", headers=headers)
        with pytest.raises(InvalidOption, match=r"job\.headers"):
            await app.job_manager.defer_job_async(Job(queue="q", task_name="any", headers=headers))
    assert app.configure_task("any", headers={}).job.headers is None
    assert await app.job_manager.list_jobs_async() == []


async def test_what_others_wrote_into_the_column_and_is_no_header_is_left_out(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        for written in ('"text"', "[1]", '{"a": 1, "b": "c"}'):
            job_id = await app.configure_task("any").defer_async()
            await app.connector.execute_async(
                adjourn.types.Statement(
                    "write", "update adjourn.adjourn_jobs set headers = %(h)s::text::jsonb where id = %(id)s"
                ),
                {"h": written, "id": job_id},
            )
        assert [job.headers for job in await app.job_manager.list_jobs_async()] == [None, None, {"b": "c"}]
