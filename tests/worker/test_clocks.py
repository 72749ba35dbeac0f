"""Clocks of programs and workers are wrong: the database's clock decides what is due."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

import adjourn
from adjourn.jobs import Job, Status
from adjourn.testing import InMemoryConnector, MemoryStore
from adjourn.types import TimeDeltaParams
from adjourn.worker.scheduler import Scheduler
from support.bench import Bench

TEN_MINUTES = datetime.timedelta(minutes=10)
BOUND = datetime.timedelta(seconds=60)
"""How long a test may take between two looks at the clock."""


@pytest.fixture(params=[-TEN_MINUTES, TEN_MINUTES], ids=["ten minutes behind", "ten minutes ahead"], autouse=True)
def wrong_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """The clock of this process is ten minutes off; the database's is right."""
    with time_machine.travel(datetime.datetime.now(datetime.UTC) + request.param, tick=True):
        yield


async def stored(app: adjourn.App, job_id: int) -> Job:
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    return job


def delay_of(job: Job) -> datetime.timedelta:
    assert job.scheduled_at is not None
    assert job.enqueued_at is not None
    return job.scheduled_at - job.enqueued_at


async def test_a_job_is_due_the_delay_after_the_database_has_stored_it(app: adjourn.App) -> None:
    work = app.configure_task("work", schedule_in={"seconds": 20})
    assert delay_of(await stored(app, await work.defer_async())) == datetime.timedelta(seconds=20)
    for job_id in await work.batch_defer_async({}, {}):
        assert delay_of(await stored(app, job_id)) == datetime.timedelta(seconds=20)


async def test_jobs_made_by_hand_have_delays_of_either_kind_of_number(app: adjourn.App) -> None:
    jobs = [Job(queue="q", task_name="work", schedule_in=seconds) for seconds in (1, 2.5, None)]
    first, second, third = await app.job_manager.batch_defer_jobs_async(jobs)
    assert first.id is not None
    assert second.id is not None
    assert third.id is not None
    assert delay_of(await stored(app, first.id)) == datetime.timedelta(seconds=1)
    assert delay_of(await stored(app, second.id)) == datetime.timedelta(seconds=2.5)
    assert (await stored(app, third.id)).scheduled_at is None


async def test_a_job_on_a_lock_and_one_with_a_queueing_lock_are_delayed_alike(app: adjourn.App) -> None:
    hour: TimeDeltaParams = {"hours": 1}
    locked = await app.configure_task("work", schedule_in=hour, lock="a").defer_async()
    queued = await app.configure_task("work", schedule_in=hour, queueing_lock="b").defer_async()
    assert delay_of(await stored(app, locked)) == delay_of(await stored(app, queued)) == datetime.timedelta(hours=1)


async def test_what_is_due_runs_and_what_is_not_waits(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    due = [await work.defer_async(), await work.configure(schedule_in={"seconds": -1}).defer_async()]
    waiting = await work.configure(schedule_in={"minutes": 5}).defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert [(await stored(app, job_id)).status for job_id in due] == [Status.SUCCEEDED] * 2
    assert (await stored(app, waiting)).status == Status.TODO


async def test_a_retry_waits_as_long_as_its_strategy_says(app: adjourn.App) -> None:
    @app.task(name="fails", retry=adjourn.RetryStrategy(max_attempts=1, wait=120))
    async def fails() -> None:
        raise ValueError

    before = await app.job_manager.get_time_async()
    job_id = await fails.defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    job = await stored(app, job_id)
    assert job.status == Status.TODO
    assert job.attempts == 1
    assert job.scheduled_at is not None
    waited = job.scheduled_at - before
    assert datetime.timedelta(seconds=120) <= waited <= datetime.timedelta(seconds=120) + BOUND


async def test_a_decision_of_a_time_is_kept_as_it_is(app: adjourn.App) -> None:
    at = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)

    class Decides(adjourn.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: Job) -> adjourn.RetryDecision:
            return adjourn.RetryDecision(retry_at=at)

    @app.task(name="fails", retry=Decides())
    async def fails() -> None:
        raise ValueError

    job_id = await fails.defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert (await stored(app, job_id)).scheduled_at == at


async def test_the_ticks_of_periodic_tasks_are_the_databases(app: adjourn.App) -> None:
    @app.periodic(cron="* * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    before = await app.job_manager.get_time_async()
    await Scheduler(app).defer_now()
    after = await app.job_manager.get_time_async()
    (job,) = await app.job_manager.list_jobs_async(task="tick")
    tick_time = datetime.datetime.fromtimestamp(job.task_kwargs["timestamp"], datetime.UTC)
    assert before.replace(second=0, microsecond=0) <= tick_time <= after


async def test_a_clock_that_jumps_while_a_worker_runs_moves_no_tick(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []

    @app.periodic(cron="* * * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(timestamp)

    before = await app.job_manager.get_time_async()
    async with bench.working():
        for minutes in (0, 10, -10):
            with time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)):
                known = len(ran)
                # Two ticks, one of which may have begun before the jump.
                await bench.until(lambda: len(ran) >= known + 2)  # noqa: B023 - called at once
    after = await app.job_manager.get_time_async()
    assert ran == list(range(ran[0], ran[-1] + 1))
    assert int(before.timestamp()) <= ran[0] <= ran[-1] <= after.timestamp()


async def test_in_memory_delays_retries_and_ticks_go_by_one_clock() -> None:
    start = datetime.datetime(2030, 1, 1, 12, 20, tzinfo=datetime.UTC)
    connector = InMemoryConnector(store=MemoryStore(now=lambda: start))
    app = adjourn.App(connector=connector)
    ran: list[Any] = []

    @app.periodic(cron="0 * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(datetime.datetime.fromtimestamp(timestamp, datetime.UTC).hour)

    @app.task(name="fails", retry=adjourn.RetryStrategy(max_attempts=1, wait=120))
    async def fails() -> None:
        ran.append("fails")
        raise ValueError

    async def drain() -> list[Any]:
        ran.clear()
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        return list(ran)

    await fails.configure(schedule_in={"minutes": 10}).defer_async()
    assert await drain() == []
    connector.advance(minutes=10)
    assert await drain() == ["fails"]
    assert await drain() == []
    connector.advance(seconds=120)
    assert await drain() == ["fails"]
    connector.advance(minutes=29)
    assert await drain() == [13]
