"""The schedules of periodic tasks, as they are listed."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.ticks import LastTick, Tick
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector
from support.waiting import until_async


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


async def test_schedules_are_listed_with_their_next_tick_where_their_cron_is_known(app: adjourn.App) -> None:
    manager = app.job_manager
    job = Job(queue="q", task_name="t")
    assert await manager.defer_periodic_job_async(job=job, periodic_id="", defer_timestamp=1_700_000_000) is not None
    await manager.defer_periodic_job_async(job, "b", 1_700_000_000, cron="@daily")
    schedules = {row["periodic_id"]: row for row in await manager.list_schedules_async()}
    assert schedules[""]["next_tick"] is None
    assert schedules["b"]["next_tick"] is not None


async def test_ticks_are_recorded_once_and_in_order_each_with_its_job(app: adjourn.App) -> None:
    now = await app.job_manager.get_time_async()

    def tick(task_name: str, minutes: int, **options: Any) -> Tick:
        at = now + datetime.timedelta(minutes=minutes)
        is_skipped = options.pop("is_skipped", False)
        job = Job(queue="q", task_name=task_name, **options)
        return Tick(periodic_id="p", cron="@hourly", timezone="UTC", at=at, job=job, is_skipped=is_skipped)

    ticks = [
        *(tick("a", -9, lock="l"), tick("a", -8, lock="l"), tick("b", -7), tick("b", 7)),
        *(tick("c", -6, queueing_lock="q"), tick("c", -5, queueing_lock="q"), tick("d", -4, is_skipped=True)),
    ]
    manager = app.job_manager.ticks
    results = await manager.defer_ticks_async(ticks)
    assert [(outcome.value, job_id is not None) for outcome, job_id in results] == [
        *(("stored", True), ("stored", True), ("stored", True)),
        *(("early", False), ("stored", True), ("taken", False), ("skipped", False)),
    ]
    ids = [job_id for _, job_id in results if job_id is not None]
    assert sorted(ids) == sorted(job.id for job in await app.job_manager.list_jobs_async() if job.id is not None)
    listed = {row["task_name"]: row for row in await app.job_manager.list_schedules_async()}
    assert {name: (row["last_tick"] - now).total_seconds() / 60 for name, row in listed.items()} == {
        "a": -8,
        "b": -7,
        "c": -5,
        "d": -4,
    }
    assert listed["c"]["last_job_id"] == results[4][1]
    assert listed["d"]["last_job_id"] is None
    assert await manager.last_ticks_async() == {(name, "p"): LastTick(row["last_tick"]) for name, row in listed.items()}
    again = await manager.defer_ticks_async(ticks)
    assert {outcome.value for outcome, _ in again} == {"known", "early"}


async def test_schedules_are_listed_by_task_and_then_by_their_id(app: adjourn.App) -> None:
    for task_name, periodic_id in (("b", ""), ("a", "2"), ("a", "1")):
        await app.job_manager.defer_periodic_job_async(Job(queue="q", task_name=task_name), periodic_id, 1_700_000_000)
    listed = [(row["task_name"], row["periodic_id"]) for row in await app.job_manager.list_schedules_async()]
    assert listed == [("a", "1"), ("a", "2"), ("b", "")]


async def test_a_schedule_is_paused_and_resumed_once_and_nothing_of_it_is_recorded_in_between(app: adjourn.App) -> None:
    manager, job = app.job_manager, Job(queue="q", task_name="t")
    await manager.defer_periodic_job_async(job, "a", 1_700_000_000, cron="@hourly")
    await manager.defer_periodic_job_async(job, "b", 1_700_000_000, cron="@hourly")
    assert await manager.pause_schedule_async("t", "a")
    assert not await manager.pause_schedule_async("t", "a")
    assert await manager.defer_periodic_job_async(job, "a", 1_700_003_600, cron="@hourly") is None
    assert await manager.defer_periodic_job_async(job, "b", 1_700_003_600, cron="@hourly") is not None
    listed = {row["periodic_id"]: row for row in await manager.list_schedules_async()}
    assert listed["a"]["last_tick"] < listed["b"]["last_tick"]
    assert listed["a"].paused_at is not None
    assert listed["b"].paused_at is None
    (pause,) = await manager.list_pauses_async()
    assert (pause.scope, pause.name, pause.periodic_id, pause.paused_at) == (
        "schedule",
        "t",
        "a",
        listed["a"].paused_at,
    )
    assert await manager.resume_schedule_async("t", "a")
    assert not await manager.resume_schedule_async("t", "a")
    assert await manager.list_pauses_async() == []
    assert await manager.defer_periodic_job_async(job, "a", 1_700_003_600, cron="@hourly") is not None


async def test_the_pause_of_a_schedule_ends_by_itself(app: adjourn.App) -> None:
    manager = app.job_manager
    await manager.pause_schedule_async("t", cron="@hourly", seconds=0.3, reason="of a night without reports")
    (pause,) = await manager.list_pauses_async()
    assert pause.ends_at is not None
    assert pause.reason == "of a night without reports"
    session = await app.connector.session_async()
    worker = AsyncWorkerManager(session, app.connector.json_loads)
    worker_id = await worker.register_worker_async("one", None, 60)

    async def is_resumed_async() -> bool:
        if (await worker.exchange_async(worker_id, (), limit=10, queues=None)).place:
            await worker.place_async(100)
        (schedule,) = await manager.list_schedules_async()
        return schedule.paused_at is None

    assert not await is_resumed_async()
    await until_async(is_resumed_async)
    assert await manager.list_pauses_async() == []
    await session.close_async()


async def test_a_schedule_that_nobody_knows_is_not_paused_and_one_that_was_not_due_yet_is(app: adjourn.App) -> None:
    manager = app.job_manager
    with pytest.raises(adjourn.exceptions.InvalidOption, match=r"knows no such schedule.*list_schedules.*cron"):
        await manager.pause_schedule_async("t")
    with pytest.raises(adjourn.exceptions.InvalidOption, match="knows no such schedule"):
        await manager.resume_schedule_async("t")
    assert not await manager.resume_schedule_async("t", cron="@monthly")
    assert await manager.list_schedules_async() == []
    assert await manager.pause_schedule_async("t", cron="@monthly", timezone="Europe/Berlin")
    assert not await manager.pause_schedule_async("t", cron="@monthly", timezone="Europe/Berlin")
    (schedule,) = await manager.list_schedules_async()
    assert (schedule.cron, schedule.timezone, schedule.last_job_id) == ("@monthly", "Europe/Berlin", None)
    assert schedule.paused_at is not None


async def test_a_paused_schedule_is_not_forgotten(app: adjourn.App) -> None:
    manager, job = app.job_manager, Job(queue="q", task_name="t")
    await manager.defer_periodic_job_async(job, "", 1_700_000_000)
    await manager.pause_schedule_async("t")
    assert await manager.keep_schedules_async([], 0.0) == []
    await manager.resume_schedule_async("t")
    assert await manager.keep_schedules_async([], 0.0) == [("t", "")]
