"""What a worker says of itself, for lists of workers."""

from __future__ import annotations

import asyncio
import os
import platform
import socket

import pytest

import adjourn
from support.bench import Bench

pytestmark = pytest.mark.anyio


async def test_a_worker_says_where_it_is_and_what_it_runs(app: adjourn.App, bench: Bench) -> None:
    go = asyncio.Event()

    @app.task(name="long")
    async def long() -> None:
        await go.wait()

    ids = await long.batch_defer_async({}, {}, {})
    async with bench.working(concurrency=2, update_heartbeat_interval=0.05):

        async def runs_two() -> bool:
            workers = await app.job_manager.list_workers_async()
            # The jobs start before the exchange that gave them counts as done.
            return [(worker.running_jobs, worker.details.get("exchanged_ago") is None) for worker in workers] == [
                ((ids[0], ids[1]), False)
            ]

        await bench.until(runs_two)
        (worker,) = await app.job_manager.list_workers_async()
        said = worker.details
        assert (said["host"], said["pid"], said["python"]) == (
            socket.gethostname(),
            os.getpid(),
            platform.python_version(),
        )
        assert (said["version"], said["concurrency"], said["outbox"]) == (adjourn.__version__, 2, 0)
        assert said["exchanged_ago"] >= 0
        assert said["ending"] is False
        assert said["rss"] is None or said["rss"] > 1_000_000
        go.set()
    assert await app.job_manager.list_workers_async() == []


async def test_a_worker_that_was_stopped_says_that_it_is_ending(app: adjourn.App, bench: Bench) -> None:
    go = asyncio.Event()

    @app.task(name="long")
    async def long() -> None:
        await go.wait()

    await long.defer_async()
    async with bench.working(concurrency=2, update_heartbeat_interval=0.05) as worker:

        async def says(*, ending: bool) -> bool:
            return [
                (bool(each.running_jobs), each.details.get("ending"))
                for each in await app.job_manager.list_workers_async()
            ] == [(True, ending)]

        await bench.until(lambda: says(ending=False))
        worker.stop()
        await bench.until(lambda: says(ending=True))
        go.set()
