"""Running user code, and saying how it ended."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Awaitable

import pytest

import adjourn
from adjourn.exceptions import JobAborted
from adjourn.retry import RetryDecision
from support.bench import Bench

pytestmark = pytest.mark.anyio


async def test_async_tasks_run_on_the_loop_and_sync_ones_in_threads(app: adjourn.App, bench: Bench) -> None:
    threads = {}

    @app.task(name="async")
    async def on_loop(x: int) -> None:
        threads["async"] = (threading.get_ident(), x)

    @app.task(name="sync")
    def in_thread(x: int) -> None:
        threads["sync"] = (threading.get_ident(), x)

    ids = [await on_loop.defer_async(x=1), await in_thread.defer_async(x=2)]
    await bench.drain(concurrency=2)
    assert threads["async"] == (threading.get_ident(), 1)
    assert threads["sync"][0] != threading.get_ident()
    assert threads["sync"][1] == 2
    for job_id in ids:
        job = await bench.job(job_id)
        assert (job.status, job.attempts, job.claim) == ("succeeded", 1, 1)
        assert job.enqueued_at is not None
        assert job.started_at is not None
        assert job.finished_at is not None
        assert job.enqueued_at <= job.started_at <= job.finished_at


async def test_no_more_jobs_run_at_once_than_the_concurrency_says(app: adjourn.App, bench: Bench) -> None:
    running = most = 0
    lock = threading.Lock()

    @app.task
    def measure() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    await measure.batch_defer_async(*[{}] * 30)
    await bench.drain(concurrency=3)
    assert most == 3


async def test_a_job_that_raises_fails_and_keeps_its_error(app: adjourn.App, bench: Bench) -> None:
    @app.task
    def fail(word: str) -> None:
        raise ValueError(f"cannot {word} \0")

    job_id = await fail.defer_async(word="work")
    await bench.drain()
    job = await bench.job(job_id)
    assert job.status == "failed"
    (error,) = job.errors
    assert error["exception"] == "builtins.ValueError"
    assert error["message"] == "cannot work \\0"
    assert "raise ValueError" in error["traceback"]


async def test_a_job_that_fails_is_retried_as_often_as_its_task_says(app: adjourn.App, bench: Bench) -> None:
    attempts = []

    @app.task(retry=2, pass_context=True)
    async def flaky(context: adjourn.JobContext) -> None:
        attempts.append(context.job.attempts)
        raise ConnectionError("down")

    job_id = await flaky.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert attempts == [0, 1, 2]
    assert (job.status, job.attempts) == ("failed", 3)
    assert [error["attempt"] for error in job.errors] == [1, 2, 3]


async def test_a_retried_job_that_succeeds_keeps_its_earlier_errors(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=True, pass_context=True)
    def second_time_lucky(context: adjourn.JobContext) -> None:
        if context.job.attempts == 0:
            raise ConnectionError("down")

    job_id = await second_time_lucky.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts, len(job.errors)) == ("succeeded", 2, 1)


async def test_a_retry_may_change_queue_priority_and_lock(app: adjourn.App, bench: Bench) -> None:
    class Elsewhere(adjourn.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: object) -> RetryDecision:
            return RetryDecision(queue="slow", priority=7, lock="new", retry_in={"hours": 1})

    @app.task(retry=Elsewhere(), lock="old")
    def move() -> None:
        raise ValueError

    job_id = await move.defer_async()
    await bench.drain(queues=["default"])
    job = await bench.job(job_id)
    assert (job.status, job.queue, job.priority, job.lock, job.attempts) == ("todo", "slow", 7, "new", 1)
    assert job.scheduled_at is not None


async def test_a_strategy_that_raises_lets_the_job_fail(
    app: adjourn.App, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(adjourn.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: object) -> RetryDecision:
            raise RuntimeError("broken strategy")

    @app.task(retry=Broken())
    def fail() -> None:
        raise ValueError

    job_id = await fail.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "failed"
    assert "broken strategy" in caplog.text


async def test_a_task_that_nobody_declared_fails_its_job_with_the_remedy(app: adjourn.App, bench: Bench) -> None:
    job_id = await app.configure_task("no.such.task").defer_async(x=1)
    await bench.drain(unknown_task_timeout=0)
    job = await bench.job(job_id)
    assert job.status == "failed"
    assert "import_paths" in job.errors[0]["message"]


async def test_a_task_is_found_by_its_alias(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="new", aliases=["old"])
    def renamed() -> None: ...

    job_id = await app.configure_task("old").defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"


async def test_the_context_tells_the_circumstances(app: adjourn.App, bench: Bench) -> None:
    seen = []

    @app.task(pass_context=True)
    def look(context: adjourn.JobContext, x: int) -> None:
        seen.append((context, x))

    job_id = await look.defer_async(x=5)
    await bench.drain(name="Ada", queues=["default", "other"], additional_context={"key": "value"})
    ((context, x),) = seen
    assert x == 5
    assert context.app is app
    assert context.job.id == job_id
    assert context.task.name == look.name
    assert (context.worker_name, list(context.worker_queues or ())) == ("Ada", ["default", "other"])
    assert context.additional_context == {"key": "value"}
    assert context.queues_display == "queues default, other"
    assert context.should_abort() is False


async def test_a_task_that_calls_exit_fails_without_ending_the_worker(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def leave() -> None:
        sys.exit(3)

    @app.task
    def leave_thread() -> None:
        sys.exit(3)

    @app.task
    async def stay() -> None: ...

    ids = [await leave.defer_async(), await leave_thread.defer_async(), await stay.defer_async()]
    await bench.drain()
    assert [await bench.status(job_id) for job_id in ids] == ["failed", "failed", "succeeded"]


async def test_a_task_may_end_its_job_as_aborted(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=True)
    async def give_up() -> None:
        raise JobAborted

    job_id = await give_up.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "aborted"


async def test_each_job_has_a_context_of_its_own(app: adjourn.App, bench: Bench) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen = []

    @app.task
    async def on_loop() -> None:
        seen.append(variable.get())
        variable.set(1)

    @app.task
    def in_thread() -> None:
        seen.append(variable.get())
        variable.set(1)

    await on_loop.batch_defer_async({}, {})
    await in_thread.batch_defer_async({}, {})
    await bench.drain()
    assert seen == [0, 0, 0, 0]


async def test_a_sync_wrapper_around_an_async_function_is_awaited(app: adjourn.App, bench: Bench) -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(True)

    def wrapper() -> Awaitable[None]:
        return work()

    job_id = await app.task(name="wrapped")(wrapper).defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
    assert done == [True]


async def test_a_sync_task_defers_another_job(app: adjourn.App, bench: Bench) -> None:
    @app.task
    def second(x: int) -> None: ...

    @app.task
    def first() -> None:
        second.defer(x=1)

    await first.defer_async()
    await bench.drain()
    jobs = await app.job_manager.list_jobs_async()
    assert [(job.task_name, job.status) for job in jobs] == [(first.name, "succeeded"), (second.name, "succeeded")]


@pytest.mark.parametrize(
    ("condition", "left"), [("never", {"succeeded", "failed"}), ("successful", {"failed"}), ("always", set())]
)
async def test_finished_jobs_are_deleted_where_asked_for(
    app: adjourn.App, bench: Bench, condition: str, left: set[str]
) -> None:
    @app.task
    def work(fail: bool) -> None:
        if fail:
            raise ValueError

    await work.batch_defer_async({"fail": True}, {"fail": False})
    await bench.drain(delete_jobs=condition)
    assert {job.status for job in await app.job_manager.list_jobs_async()} == left
