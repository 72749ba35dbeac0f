"""Jobs that take too long."""

from __future__ import annotations

import asyncio
import time

import pytest

import adjourn
from adjourn import exceptions
from adjourn.job_context import AbortReason
from support.bench import Bench


async def test_an_async_job_that_takes_too_long_is_cancelled_and_fails(app: adjourn.App, bench: Bench) -> None:
    cleaned_up = []

    @app.task(timeout=0.1)
    async def slow() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            cleaned_up.append(True)

    job_id = await slow.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, cleaned_up) == ("failed", [True])
    assert job.errors[0]["exception"] == "adjourn.exceptions.JobTimeout"
    assert "0.1 s" in job.errors[0]["message"]


async def test_a_time_out_can_be_retried_like_any_failure(app: adjourn.App, bench: Bench) -> None:
    @app.task(timeout=0.1, retry=adjourn.RetryStrategy(retry_exceptions=[exceptions.JobTimeout]), pass_context=True)
    async def slow_once(context: adjourn.JobContext) -> None:
        if context.job.attempts == 0:
            await asyncio.sleep(600)

    job_id = await slow_once.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("succeeded", 2)


async def test_a_sync_job_that_takes_too_long_is_told_and_fails_if_it_then_raises(
    app: adjourn.App, bench: Bench
) -> None:
    reasons = []

    @app.task(timeout=0.1, pass_context=True)
    def polite(context: adjourn.JobContext) -> None:
        deadline = time.monotonic() + 20
        while not context.should_abort() and time.monotonic() < deadline:
            time.sleep(0.01)
        reasons.append(context.abort_reason())
        raise exceptions.JobAborted

    job_id = await polite.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, reasons) == ("failed", [AbortReason.TIMEOUT])
    assert job.errors[0]["exception"] == "adjourn.exceptions.JobTimeout"


async def test_a_sync_job_that_ends_late_has_succeeded(app: adjourn.App, bench: Bench) -> None:
    @app.task(timeout=0.05)
    def late() -> None:
        time.sleep(0.3)

    job_id = await late.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"


async def test_the_worker_s_time_out_is_for_tasks_without_one(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def without() -> None:
        await asyncio.sleep(600)

    @app.task(timeout=60)
    async def patient() -> None:
        await asyncio.sleep(0.3)

    ids = [await without.defer_async(), await patient.defer_async()]
    await bench.drain(timeout=0.1, concurrency=2)
    assert [await bench.status(job_id) for job_id in ids] == ["failed", "succeeded"]


async def test_a_job_that_ends_in_time_is_not_disturbed(app: adjourn.App, bench: Bench) -> None:
    @app.task(timeout=0.2)
    async def quick() -> None: ...

    @app.task
    async def next_one() -> None:
        await asyncio.sleep(0.4)

    ids = [await quick.defer_async(), await next_one.defer_async()]
    await bench.drain()
    assert [await bench.status(job_id) for job_id in ids] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("timeout", [0, -1, "5", True, float("nan")])
def test_a_time_out_that_makes_no_sense_is_refused_when_the_task_is_declared(timeout: object) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid"))
    with pytest.raises(exceptions.InvalidOption, match="timeout="):
        app.task(timeout=timeout)(time.sleep)  # type: ignore[call-overload]
