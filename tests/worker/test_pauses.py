"""Pauses that end by themselves, with workers that run."""

from __future__ import annotations

import datetime
import threading

import pytest

import adjourn
from support.bench import Bench
from support.waiting import until_async


@pytest.mark.parametrize("scope", ["queue", "task"])
async def test_a_worker_begins_the_jobs_of_a_pause_when_it_ends(app: adjourn.App, bench: Bench, scope: str) -> None:
    began: dict[str, datetime.datetime] = {}

    @app.task(name="paused", queue="a")
    async def paused() -> None:
        began["paused"] = datetime.datetime.now(datetime.UTC)

    @app.task(name="other", queue="b")
    async def other() -> None:
        began["other"] = datetime.datetime.now(datetime.UTC)

    manager = app.job_manager
    # It does not look by itself in time.
    async with bench.working(fetch_job_polling_interval=600):
        pause = manager.pause_queue_async if scope == "queue" else manager.pause_task_async
        await pause("a" if scope == "queue" else "paused", seconds=2)
        (told,) = await manager.list_pauses_async()
        await paused.defer_async()
        await other.defer_async()
        await until_async(lambda: "paused" in began)
    assert told.ends_at is not None
    assert began["other"] < told.ends_at
    # The clocks are those of one machine, give or take.
    assert began["paused"] > told.ends_at - datetime.timedelta(seconds=0.1)
    assert await manager.list_pauses_async() == []


async def test_a_busy_worker_ends_a_pause_too(app: adjourn.App, bench: Bench) -> None:
    go_on = threading.Event()

    @app.task(name="long", queue="b")
    def long() -> None:
        go_on.wait(30)

    @app.task(name="paused", queue="a")
    async def paused() -> None: ...

    await app.job_manager.pause_queue_async("a", seconds=1)
    await long.defer_async()
    job_id = await paused.defer_async()
    try:
        async with bench.working(concurrency=2, fetch_job_polling_interval=0.2):
            await until_async(lambda: _has_ended(bench, job_id))
            go_on.set()
    finally:
        go_on.set()


async def _has_ended(bench: Bench, job_id: int) -> bool:
    return await bench.status(job_id) == "succeeded"
