"""User code that does what it should not: its job ends all the same, and its worker goes on."""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn.exceptions import JobAborted
from adjourn.job_context import JobContext
from adjourn.retry import RetryDecision
from support.bench import Bench

pytestmark = pytest.mark.anyio


class UnspeakableMeta(type):
    """Makes classes that do not tell their names."""

    def __getattribute__(cls, name: str) -> Any:
        if name == "__qualname__":
            raise ValueError("no name")
        return super().__getattribute__(name)


class Unspeakable(Exception, metaclass=UnspeakableMeta):
    """An exception whose class has no name."""


class Exiting(Exception):
    """An exception that ends the program when it is shown."""

    def __str__(self) -> str:
        raise SystemExit("shown")


class ExitingStrategy(adjourn.BaseRetryStrategy):
    """A strategy that ends the program when it is asked."""

    def get_retry_decision(self, *, exception: BaseException, job: object) -> RetryDecision | None:
        raise SystemExit("asked")


class UnstorableStrategy(adjourn.BaseRetryStrategy):
    """A strategy whose decision cannot be stored."""

    def get_retry_decision(self, *, exception: BaseException, job: object) -> RetryDecision | None:
        decision = RetryDecision()
        decision.queue = "\0"
        return decision


class DelayingStrategy(adjourn.BaseRetryStrategy):
    """A strategy whose decision has a delay of another type."""

    def get_retry_decision(self, *, exception: BaseException, job: object) -> RetryDecision | None:
        decision: Any = RetryDecision()
        decision.retry_in = datetime.timedelta(seconds=1)
        return decision  # type: ignore[no-any-return]


async def pass_on(call_next: Callable[[], Any], context: JobContext, worker: Any) -> Any:
    return await call_next()


async def forget_to_await(call_next: Callable[[], Any], context: JobContext, worker: Any) -> Any:
    return call_next()


class Interrupting(Exception):
    """An exception that interrupts whoever wants to know its message."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


ERRORS: list[Any] = [
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    Unspeakable,
    Exiting,
    Interrupting,
    asyncio.CancelledError,
]


@pytest.mark.parametrize("error", ERRORS, ids=[type.__getattribute__(each, "__name__") for each in ERRORS])
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize("is_wrapped", [True, False], ids=["wrapped", "bare"])
async def test_whatever_a_task_raises_is_its_jobs_outcome(
    app: adjourn.App, bench: Bench, error: type[BaseException], is_async: bool, is_wrapped: bool
) -> None:
    if is_async:

        @app.task(name="unruly")
        async def unruly() -> None:
            raise error
    else:

        @app.task(name="unruly")
        def blocking() -> None:
            raise error

    @app.task
    def well_behaved() -> None: ...

    failing = await app.configure_task("unruly").defer_async()
    other = await well_behaved.defer_async()
    # As on the command line: an interrupt that no signal has brought is the task's own.
    options: dict[str, Any] = {"worker_middleware": [pass_on]} if is_wrapped else {}
    async with asyncio.timeout(30):
        await app.run_worker_async(wait=False, install_signal_handlers=True, **options)
    assert (await bench.status(failing), await bench.status(other)) == ("failed", "succeeded")
    (kept,) = (await bench.job(failing)).errors
    assert kept["traceback"]


@pytest.mark.parametrize("strategy", [ExitingStrategy(), UnstorableStrategy(), DelayingStrategy()])
async def test_a_strategy_that_decides_nothing_useful_lets_the_job_fail(
    app: adjourn.App, bench: Bench, strategy: adjourn.BaseRetryStrategy
) -> None:
    @app.task(retry=strategy)
    async def fail() -> None:
        raise ValueError

    job_id = await fail.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "failed"


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_job_that_comes_back_while_its_body_runs_ends_once_by_the_newer_run(
    app: adjourn.App, bench: Bench, is_async: bool
) -> None:
    begun: list[float] = []

    @app.task(name="slow", lock="one")
    def slow() -> None:
        begun.append(time.monotonic())
        time.sleep(0.7)

    @app.task(name="slow_async", lock="one")
    async def slow_async() -> None:
        begun.append(time.monotonic())
        await asyncio.sleep(0.7)

    job_id = await (slow_async if is_async else slow).defer_async()
    next_id = await slow.defer_async()
    async with bench.working(concurrency=2):
        await bench.until(lambda: len(begun) == 1)
        await app.job_manager.retry_job_by_id_async(job_id)
        job = await bench.ended(job_id)
        assert (job.attempts, job.claim) == (2, 2)
        await bench.ended(next_id)


async def test_jobs_of_a_worker_that_was_declared_dead_and_lives_end_when_it_has_them_again(
    app: adjourn.App, bench: Bench
) -> None:
    begun, release = [], threading.Event()

    @app.task
    def block() -> None:
        begun.append(1)
        release.wait(20)

    job_id = await block.defer_async()
    async with bench.working(concurrency=2):
        await bench.until(lambda: len(begun) == 1)
        await app.job_manager.prune_stalled_workers_async(0)
        await bench.until(lambda: len(begun) == 2)
        release.set()
        job = await bench.ended(job_id)
    assert job.attempts == 2


async def test_arguments_that_cannot_be_read_fail_their_job_and_no_other(database: str) -> None:
    def loads(text: str) -> Any:
        if "poison" in text:
            raise ValueError("poison")
        return [] if "list" in text else json.loads(text)

    app = adjourn.App(connector=adjourn.PsycopgConnector(database, json_loads=loads))
    ran = []

    @app.task
    async def run(how: str) -> None:
        ran.append(how)

    async with app.open_async():
        ids = await run.batch_defer_async({"how": "poison"}, {"how": "list"}, {"how": "well"})
        await Bench(app).drain()
        statuses = [(await app.job_manager.get_job_status_async(job_id)).value for job_id in ids]
        assert statuses == ["failed", "failed", "succeeded"]
    assert ran == ["well"]


async def test_a_decoded_value_that_cannot_be_shown_does_not_matter(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Shy:
        def __repr__(self) -> str:
            raise ValueError("not to be shown")

    caplog.set_level("INFO")
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, json_loads=lambda text: {"x": Shy()}))

    @app.task
    async def run(x: Any) -> None: ...

    async with app.open_async():
        job_id = await run.defer_async(x=1)
        await Bench(app).drain()
        assert await Bench(app).status(job_id) == "succeeded"


async def test_middleware_that_forgets_to_await_does_not_skip_the_task(app: adjourn.App, bench: Bench) -> None:
    ran = []

    @app.task
    async def run() -> None:
        ran.append(1)

    await run.defer_async()
    await bench.drain(worker_middleware=[forget_to_await])
    assert ran == [1]


async def test_what_middleware_puts_into_the_context_is_its_jobs_own(app: adjourn.App, bench: Bench) -> None:
    seen = {}

    async def name(call_next: Callable[[], Any], context: JobContext, worker: Any) -> Any:
        assert context.additional_context["of"] == "all"
        context.additional_context["name"] = context.job.id  # type: ignore[index]
        await asyncio.sleep(0.01)
        return await call_next()

    @app.task(pass_context=True)
    async def look(context: JobContext) -> None:
        seen[context.job.id] = context.additional_context["name"]

    ids = await look.batch_defer_async(*[{}] * 20)
    given = {"of": "all"}
    await bench.drain(worker_middleware=[name], concurrency=10, additional_context=given)
    assert seen == {job_id: job_id for job_id in ids}
    assert given == {"of": "all"}


async def test_a_task_that_swallows_its_time_out_succeeds_with_a_warning(
    app: adjourn.App, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(timeout=0.1)
    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    job_id = await stubborn.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
    assert "timeout_ignored" in {record.__dict__.get("action") for record in caplog.records}


async def test_a_plain_wrapper_around_an_async_function_can_be_timed_out(app: adjourn.App, bench: Bench) -> None:
    async def sleep() -> None:
        await asyncio.sleep(30)

    @app.task(timeout=0.2)
    def wrapper() -> Any:
        return sleep()

    job_id = await wrapper.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert job.status == "failed"
    assert job.errors[0]["exception"].endswith("JobTimeout")


async def test_of_many_errors_the_first_and_the_last_are_kept(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=24, pass_context=True)
    async def fail(context: JobContext) -> None:
        raise ValueError(context.job.attempts)

    job_id = await fail.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert job.attempts == 25
    assert [error["attempt"] for error in job.errors] == [1, *range(17, 26)]
    assert [error["message"] for error in job.errors] == [str(error["attempt"] - 1) for error in job.errors]


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_job_that_gives_way_to_a_stop_is_run_again(app: adjourn.App, bench: Bench, is_async: bool) -> None:
    begun = []

    @app.task(name="sync", pass_context=True)
    def give_way(context: JobContext) -> None:
        begun.append(1)
        while not context.should_abort():
            time.sleep(0.01)
        raise JobAborted

    @app.task(name="async")
    async def give_way_async() -> None:
        begun.append(1)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise JobAborted from None

    job_id = await app.tasks["async" if is_async else "sync"].defer_async()
    async with bench.working(shutdown_graceful_timeout=0.1):
        await bench.until(lambda: begun)
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("todo", 0)


async def test_what_an_aborted_job_had_to_say_is_kept(
    app: adjourn.App, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    @app.task
    async def give_up() -> None:
        raise JobAborted("no more paper")

    job_id = await give_up.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.errors[0]["message"]) == ("aborted", "no more paper")
    (record,) = (each for each in caplog.records if each.__dict__.get("action") == "job_aborted")
    assert record.exc_info is not None


async def test_a_worker_that_is_cancelled_stops_gracefully(app: adjourn.App, bench: Bench) -> None:
    begun = []

    @app.task
    async def work(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0.5)

    ids = await work.batch_defer_async({"n": 0}, {"n": 1})
    running = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
    await bench.until(lambda: begun)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [await bench.status(job_id) for job_id in ids] == ["succeeded", "todo"]


async def test_a_worker_that_is_cancelled_twice_stops_at_once(app: adjourn.App, bench: Bench) -> None:
    begun = []

    @app.task
    async def work() -> None:
        begun.append(1)
        await asyncio.sleep(60)

    job_id = await work.defer_async()
    running = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
    await bench.until(lambda: begun)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await running
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("todo", 0)


async def test_a_job_on_a_loop_that_ends_goes_back_to_its_queue(database: str, app: adjourn.App, bench: Bench) -> None:
    own = adjourn.App(connector=adjourn.PsycopgConnector(database))
    begun = threading.Event()

    @own.task(name="work")
    async def work() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def main() -> None:
        await own.open_async()
        working = asyncio.create_task(own.run_worker_async(install_signal_handlers=False))
        assert await asyncio.to_thread(begun.wait, 20)
        raise LookupError(working.get_name())

    job_id = await app.configure_task("work").defer_async()
    with pytest.raises(LookupError):
        await asyncio.to_thread(asyncio.run, main())
    await asyncio.to_thread(own.close)
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("todo", 0)


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["wrapped", "bare"])
async def test_a_task_that_cancels_itself_is_aborted_and_is_not_run_for_ever(
    app: adjourn.App, bench: Bench, is_wrapped: bool
) -> None:
    runs: list[int] = []

    @app.task(name="give_up", retry=5)
    async def give_up() -> None:
        runs.append(1)
        task = asyncio.current_task()
        # Whatever happens, the test ends.
        if task is not None and len(runs) < 10:
            task.cancel()
            await asyncio.sleep(60)

    job_id = await give_up.defer_async()
    await bench.drain(**({"worker_middleware": [pass_on]} if is_wrapped else {}))
    job = await bench.job(job_id)
    assert (len(runs), job.status, job.attempts) == (1, "aborted", 1)
    assert job.errors[0]["exception"].endswith("CancelledError")


async def test_a_task_that_another_one_cancels_is_aborted_as_well(app: adjourn.App, bench: Bench) -> None:
    runs: list[int] = []

    @app.task(name="victim", retry=5)
    async def victim() -> None:
        runs.append(1)
        await asyncio.sleep(60 if len(runs) < 10 else 0)

    @app.task(name="culprit")
    async def culprit() -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == f"adjourn job {job_id}":
                task.cancel()

    job_id = await victim.defer_async()
    async with bench.working(concurrency=2):
        await bench.until(lambda: runs)
        await culprit.defer_async()
        await bench.ended(job_id, "aborted")
    assert runs == [1]


STUBBORN = """
import asyncio, os, adjourn
from adjourn.worker import shutdown, worker

shutdown.CANCEL_TIMEOUT = worker.CANCEL_TIMEOUT = 0.5
app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["STUBBORN_DSN"]))

@app.task(name="stubborn")
async def stubborn():
    print("begun", flush=True)
    while True:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            pass
"""


async def test_a_task_that_refuses_to_be_cancelled_does_not_keep_the_process(
    app: adjourn.App, bench: Bench, database: str, tmp_path: Path
) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    job_id = await app.configure_task("stubborn").defer_async()
    command = [sys.executable, "-m", "adjourn", "--app=stubborn.app", "worker", "--shutdown-graceful-timeout=0.1"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "STUBBORN_DSN": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "begun\n"
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(functools.partial(process.communicate, timeout=40))
    finally:
        process.kill()
    assert process.returncode == 0
    assert "does not end although it was cancelled" in errors
    assert "destroyed" not in errors
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("todo", 0)
