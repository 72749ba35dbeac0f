"""The tasks that every app has, run by a worker."""

from __future__ import annotations

import datetime

import pytest

import adjourn
from adjourn import builtin_tasks
from adjourn.tasks import make_job
from adjourn.worker.scheduler import Scheduler
from support.bench import Bench

NAME = "builtin:adjourn.builtin_tasks.remove_old_jobs"


async def old_jobs(app: adjourn.App) -> list[int]:
    """Store two jobs that were cancelled long ago, one of them in a queue of its own."""
    ids = [await app.configure_task("any", queue=queue).defer_async() for queue in ("default", "precious")]
    for job_id in ids:
        await app.job_manager.cancel_job_by_id_async(job_id)
    await app.connector.execute_query_async(
        "update adjourn.adjourn_finished_jobs set finished_at = now() - interval '5 days'"
    )
    return ids


async def left(app: adjourn.App) -> list[int | None]:
    return [job.id for job in await app.job_manager.list_jobs_async(task="any")]


@pytest.mark.parametrize("name", [NAME, "builtin:procrastinate.builtin_tasks.remove_old_jobs"])
async def test_old_jobs_are_removed_by_a_job(bench: Bench, name: str) -> None:
    _, second = await old_jobs(bench.app)
    jobs = [
        make_job(name, queue="builtin", task_kwargs=options)
        for options in (
            {"max_hours": 200, "remove_cancelled": True},
            {"max_hours": 72},
            {"max_hours": 72, "queue": "default", "remove_cancelled": True},
        )
    ]
    stored = await bench.app.job_manager.batch_defer_jobs_async(jobs)
    await bench.drain(queues=["builtin"])
    assert [await bench.status(job.id or 0) for job in stored] == ["succeeded"] * 3
    assert await left(bench.app) == [second]


async def test_old_jobs_are_removed_by_the_clock_and_by_a_task_of_one_s_own(bench: Bench) -> None:
    app = bench.app
    app.periodic(cron="* * * * *", task_kwargs={"max_hours": 72, "queue": "default", "remove_cancelled": True})(
        builtin_tasks.remove_old_jobs
    )

    @app.task(name="mine", pass_context=True)
    async def mine(context: adjourn.JobContext) -> None:
        await builtin_tasks.remove_old_jobs(context, max_hours=72, queue="precious", remove_cancelled=True)

    _, second = await old_jobs(app)
    await Scheduler(app).defer_due(datetime.datetime.now(datetime.UTC))
    await bench.drain()
    assert await left(app) == [second]
    await mine.defer_async()
    await bench.drain()
    assert await left(app) == []
