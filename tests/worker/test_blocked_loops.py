"""A task that blocks its worker's event loop keeps no other job from running."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.events import EventLoopBlocked
from adjourn.worker import Worker
from adjourn.worker.lease import Lease
from adjourn.worker.runners import Halt, NotBegun, Run
from support.bench import Bench
from support.claims import claimed_job
from support.waiting import BOUND

pytestmark = pytest.mark.anyio


class Blocking:
    """A worker in a thread, on an event loop that one of its jobs blocks."""

    def __init__(self, database: str) -> None:
        self.app = adjourn.App(connector=adjourn.PsycopgConnector(database))
        self.begun = threading.Event()
        self.release = threading.Event()
        self.ran: list[tuple[int, int]] = []
        """The number of each job that has run, and the thread of the loop that it ran on."""
        self.blocked: list[EventLoopBlocked] = []
        self.app.events.subscribe(EventLoopBlocked, self.blocked.append)
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self.declare(self.app)

    def declare(self, app: adjourn.App) -> None:
        """Declare the tasks."""

        @app.task(name="block")
        async def block() -> None:
            self.block()

        @app.task(name="note")
        async def note(n: int) -> None:
            self.ran.append((n, threading.get_ident()))

    def block(self) -> None:
        """Block the loop until the test has seen what it waits for."""
        self.begun.set()
        self.release.wait(2 * BOUND)

    @property
    def thread(self) -> int:
        """The thread of the loop."""
        assert self._thread is not None
        assert self._thread.ident is not None
        return self._thread.ident

    def start(self, **options: Any) -> None:
        """Run the worker in a thread."""
        answer: concurrent.futures.Future[Worker] = concurrent.futures.Future()

        async def main() -> None:
            async with self.app.open_async():
                worker = Worker(self.app, install_signal_handlers=False, **options)
                answer.set_result(worker)
                await worker.run()

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        self._thread.start()
        self._worker = answer.result(BOUND)

    def end(self) -> None:
        """Let the loop turn, and stop the worker."""
        self.release.set()
        if self._thread is not None and self._worker is not None:
            self._worker.stop()
            self._thread.join(BOUND)
            assert not self._thread.is_alive()


@pytest.fixture
def blocking(database: str) -> Iterator[Blocking]:
    blocking = Blocking(database)
    yield blocking
    blocking.end()


async def test_jobs_behind_one_that_blocks_the_loop_run_on_another_worker_meanwhile(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    blocking.declare(app)
    blocker = await app.configure_task("block", priority=1).defer_async()
    ids = await app.configure_task("note").batch_defer_async(*({"n": n} for n in range(99)))
    blocking.start(concurrency=100, name="blocked")
    assert await asyncio.to_thread(blocking.begun.wait, BOUND)
    async with bench.working(concurrency=100):
        await bench.until(lambda: len(blocking.ran) == 99)
        assert await bench.status(blocker) == "doing"
        (event,) = blocking.blocked
        assert (event.worker.name, event.job and event.job.id, event.handed_back) == ("blocked", blocker, 99)
        assert "self.release.wait" in event.stack
        assert "run_until_complete" not in event.stack
        blocking.release.set()
        await bench.ended(blocker)
    assert sorted(blocking.ran) == [(n, threading.get_ident()) for n in range(99)]
    assert {((job := await bench.job(each)).status, job.attempts) for each in ids} == {("succeeded", 1)}
    assert len(blocking.blocked) == 1


async def test_a_job_that_blocks_the_loop_is_told_though_the_worker_has_no_other(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    blocking.declare(app)
    blocker = await app.configure_task("block").defer_async()
    blocking.start(concurrency=2, name="blocked")
    await bench.until(lambda: blocking.blocked)
    (event,) = blocking.blocked
    assert (event.job and event.job.id, event.handed_back) == (blocker, 0)


async def test_a_worker_whose_loop_is_blocked_is_not_called_for_new_jobs(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    async def hungry() -> dict[str, bool]:
        text = "select name, hungry from adjourn.adjourn_workers"
        return {row["name"]: row["hungry"] for row in await app.connector.execute_query_all_async(text)}

    async def is_blocked_hungry(expected: bool) -> bool:
        return (await hungry()).get("blocked") is expected

    blocking.start(concurrency=10, name="blocked")
    await bench.until(lambda: is_blocked_hungry(True))
    await app.configure_task("block").defer_async()
    assert await asyncio.to_thread(blocking.begun.wait, BOUND)
    await bench.until(lambda: is_blocked_hungry(False))
    blocking.release.set()
    await bench.until(lambda: is_blocked_hungry(True))


async def test_a_worker_whose_loop_turns_again_runs_jobs_as_before(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    await app.configure_task("block", priority=1).defer_async()
    ids = await app.configure_task("note").batch_defer_async(*({"n": n} for n in range(20)))
    blocking.start(concurrency=100)
    assert await asyncio.to_thread(blocking.begun.wait, BOUND)
    for each in ids:
        await bench.ended(each, "todo")
    blocking.release.set()
    for each in ids:
        job = await bench.ended(each)
        assert job.attempts == 1
    assert sorted(blocking.ran) == [(n, blocking.thread) for n in range(20)]


async def test_jobs_that_were_claimed_ahead_of_one_that_blocks_the_loop_run_on_another_worker(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    blocking.declare(app)
    await app.configure_task("note").batch_defer_async(*({"n": n} for n in range(330)))
    blocker = await app.configure_task("block").defer_async()
    await app.configure_task("note").batch_defer_async(*({"n": n} for n in range(330, 530)))
    blocking.start(concurrency=1)
    assert await asyncio.to_thread(blocking.begun.wait, BOUND)
    async with bench.working(concurrency=10):
        await bench.until(lambda: len(blocking.ran) == 530)
        assert await bench.status(blocker) == "doing"
    assert sorted(n for n, _ in blocking.ran) == list(range(530))


async def test_jobs_whose_claim_is_answered_while_the_loop_is_blocked_run_on_another_worker(
    app: adjourn.App, bench: Bench, blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocking.declare(app)
    exchange = AsyncWorkerManager.exchange_async

    async def exchange_and_block(self: AsyncWorkerManager, *args: Any, **options: Any) -> Any:
        exchanged = await exchange(self, *args, **options)
        if threading.get_ident() == blocking.thread and exchanged.jobs and not blocking.begun.is_set():
            blocking.block()
        return exchanged

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", exchange_and_block)
    ids = await app.configure_task("note").batch_defer_async(*({"n": n} for n in range(20)))
    blocking.start(concurrency=100)
    assert await asyncio.to_thread(blocking.begun.wait, BOUND)
    async with bench.working(concurrency=100):
        await bench.until(lambda: len(blocking.ran) == 20)
    blocking.release.set()
    later = await app.configure_task("note").defer_async(n=20)
    await bench.ended(later)
    assert sorted(blocking.ran) == [*((n, threading.get_ident()) for n in range(20)), (20, blocking.thread)]
    assert {((job := await bench.job(each)).status, job.attempts) for each in ids} == {("succeeded", 1)}


async def test_a_loop_that_is_blocked_by_a_task_of_the_program_is_told_as_well(
    app: adjourn.App, bench: Bench, blocking: Blocking
) -> None:
    begun = []

    @blocking.app.task(name="call_later")
    async def call_later() -> None:
        asyncio.get_running_loop().call_soon(blocking.block)
        begun.append(1)
        await asyncio.sleep(0.1)

    ids = await app.configure_task("call_later").batch_defer_async({}, {})
    blocking.start(concurrency=2)
    await bench.until(lambda: blocking.blocked)
    (event,) = blocking.blocked
    assert (event.job, len(begun)) == (None, 2)
    assert "in block" in event.stack
    blocking.release.set()
    for each in ids:
        await bench.ended(each)


def test_a_run_is_either_begun_or_handed_back() -> None:
    lease = Lease(60, 10)
    lease.confirm(time.monotonic() + 60)
    halt = Halt(lease)
    runs = [Run(claimed_job(n)) for n in range(20_000)]
    begun: set[int | None] = set()
    taken: set[int | None] = set()
    start = threading.Barrier(2)

    def begin() -> None:
        start.wait()
        for run in runs:
            with contextlib.suppress(NotBegun):
                halt.check(run)
                begun.add(run.claimed.id)

    def take() -> None:
        start.wait()
        for run in reversed(runs):
            if run.take():
                taken.add(run.claimed.id)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=begin), threading.Thread(target=take)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND)
    finally:
        sys.setswitchinterval(before)
    assert not begun & taken
    assert begun | taken == {run.claimed.id for run in runs}
