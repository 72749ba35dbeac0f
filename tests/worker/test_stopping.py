"""A worker that is stopped from within starts no further job, and hands back what it has claimed ahead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import adjourn
from adjourn.testing import InMemoryConnector
from adjourn.worker import Worker
from support.bench import Bench

JOBS, BEFORE = 200, 60
"""How many jobs there are, and how many of them are begun before the one that stops the worker: enough that it has
learned how short they are, and claims ahead.
"""


@pytest.fixture(params=["memory", "postgres"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[adjourn.App]:
    """An app that is open."""
    if request.param == "memory":
        connector: Any = InMemoryConnector()
    else:
        connector = adjourn.PsycopgConnector(request.getfixturevalue("database"), max_size=4)
    app = adjourn.App(connector=connector)
    async with app.open_async():
        yield app


@pytest.fixture(params=[1, 10])
def concurrency(request: pytest.FixtureRequest) -> int:
    """How many jobs run at once."""
    return int(request.param)


class Begun:
    """Which jobs have begun, and which of them after the stop had been asked for."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.after: list[int] = []
        self.is_stopped = False
        self._changing = threading.Lock()
        self.stop: Callable[[], None] = lambda: None

    def begin(self, n: int) -> None:
        """Note that a job has begun, and stop the worker in one of them."""
        with self._changing:
            (self.after if self.is_stopped else self.before).append(n)
            if len(self.before) == BEFORE and not self.is_stopped:
                self.stop()
                self.is_stopped = True


@pytest.fixture
def begun() -> Begun:
    return Begun()


async def stopped_from_within(app: adjourn.App, begun: Begun, worker: Worker, beginning: int = 0) -> None:
    """Run a worker that is stopped by one of its jobs, and look where that left the others.

    In threads as many as are ``beginning`` may have been let in just before.
    """
    begun.stop = worker.stop
    async with asyncio.timeout(30):
        await worker.run()
    jobs = list(await app.job_manager.list_jobs_async())
    assert len(begun.after) <= beginning
    ended = [job for job in jobs if job.status == "succeeded"]
    handed_back = [job for job in jobs if job.status == "todo"]
    assert len(begun.before) == BEFORE
    assert len(ended) == BEFORE + len(begun.after)
    assert len(handed_back) == JOBS - len(ended)
    assert {(job.attempts, job.worker_id) for job in handed_back} == {(0, None)}


async def test_by_an_async_task(app: adjourn.App, bench: Bench, begun: Begun, concurrency: int) -> None:
    @app.task
    async def work(n: int) -> None:
        begun.begin(n)

    await work.batch_defer_async(*({"n": n} for n in range(JOBS)))
    worker = Worker(app, concurrency=concurrency, install_signal_handlers=False)
    await stopped_from_within(app, begun, worker)


async def test_by_a_synchronous_task_in_a_thread(
    app: adjourn.App, bench: Bench, begun: Begun, concurrency: int
) -> None:
    @app.task
    def work(n: int) -> None:
        begun.begin(n)

    await work.batch_defer_async(*({"n": n} for n in range(JOBS)))
    worker = Worker(app, concurrency=concurrency, install_signal_handlers=False)
    await stopped_from_within(app, begun, worker, beginning=concurrency - 1)


@pytest.mark.parametrize("is_async", [True, False], ids=["async task", "sync task"])
async def test_by_a_middleware(app: adjourn.App, bench: Bench, begun: Begun, concurrency: int, is_async: bool) -> None:
    async def stopping(call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker) -> Any:
        begun.stop = worker.stop
        begun.begin(context.job.task_kwargs["n"])
        return await call_next()

    if is_async:

        @app.task(name="work")
        async def work(n: int) -> None: ...

    else:

        @app.task(name="work")
        def blocking_work(n: int) -> None: ...

    await app.configure_task("work").batch_defer_async(*({"n": n} for n in range(JOBS)))
    worker = Worker(app, concurrency=concurrency, install_signal_handlers=False, worker_middleware=[stopping])
    await stopped_from_within(app, begun, worker)


async def test_a_stop_before_the_start_is_heard(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    job_id = await work.defer_async()
    worker = Worker(app, install_signal_handlers=False)
    worker.stop()
    async with asyncio.timeout(30):
        await worker.run()
    assert await bench.status(job_id) == "todo"
    worker.stop()
    async with asyncio.timeout(30):
        running = asyncio.create_task(worker.run())
        await bench.ended(job_id)
        worker.stop()
        await running
