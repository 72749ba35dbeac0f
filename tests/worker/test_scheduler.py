"""Deferring periodic tasks, once a tick over any number of workers."""

from __future__ import annotations

import asyncio
import datetime

import pytest

import adjourn
from adjourn import events
from adjourn.exceptions import AppNotOpen, ConnectorException
from adjourn.worker.scheduler import Scheduler
from support.bench import Bench

NOON = datetime.datetime(2026, 1, 1, 12, 0, 30, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


async def timestamps(app: adjourn.App) -> list[str]:
    jobs = await app.job_manager.list_jobs_async()
    times = [datetime.datetime.fromtimestamp(job.task_kwargs["timestamp"], datetime.UTC) for job in jobs]
    return [f"{time:%H:%M}" for time in times]


async def test_each_tick_is_deferred_once_by_whichever_worker_comes_first(app: adjourn.App) -> None:
    @app.periodic(cron="* * * * *", queue="clock", task_kwargs={"x": 5}, missed="all")
    @app.task(name="tick")
    async def tick(timestamp: int, x: int) -> None: ...

    app.periodic_defaults["max_delay"] = 200
    await Scheduler(app).defer_due(NOON - 3 * MINUTE)
    schedulers = [Scheduler(app) for _ in range(5)]
    await asyncio.gather(*(scheduler.defer_due(NOON) for scheduler in schedulers))
    assert sorted(await timestamps(app)) == ["11:57", "11:58", "11:59", "12:00"]
    await asyncio.gather(*(scheduler.defer_due(NOON + 2 * MINUTE) for scheduler in [*schedulers, Scheduler(app)]))
    assert sorted(await timestamps(app)) == ["11:57", "11:58", "11:59", "12:00", "12:01", "12:02"]
    job = (await app.job_manager.list_jobs_async())[0]
    assert (job.queue, job.task_kwargs["x"]) == ("clock", 5)


async def test_a_tick_whose_queueing_lock_is_taken_is_skipped_and_not_tried_again(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    @app.periodic(cron="* * * * *", queueing_lock="one")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    await Scheduler(app).defer_due(NOON)
    await Scheduler(app).defer_due(NOON + MINUTE)
    assert await timestamps(app) == ["12:00"]
    assert "skip_periodic_task_queueing_lock" in {record.__dict__.get("action") for record in caplog.records}
    (job,) = await app.job_manager.list_jobs_async()
    assert job.id is not None
    await app.job_manager.cancel_job_by_id_async(job.id, delete_job=True)
    await Scheduler(app).defer_due(NOON + MINUTE)
    assert await timestamps(app) == []


async def test_schedules_are_listed_with_their_last_and_next_tick(app: adjourn.App) -> None:
    @app.periodic(cron="0 * * * *", periodic_id="hourly", timezone="Europe/Berlin")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    await Scheduler(app).defer_due(NOON)
    (schedule,) = await app.job_manager.list_schedules_async()
    (job,) = await app.job_manager.list_jobs_async()
    assert (schedule["task_name"], schedule["periodic_id"]) == ("tick", "hourly")
    assert (schedule["cron"], schedule["timezone"]) == ("0 * * * *", "Europe/Berlin")
    assert (schedule["last_tick"], schedule["last_job_id"]) == (NOON.replace(second=0), job.id)
    assert schedule["next_tick"] > datetime.datetime.now(datetime.UTC)


async def test_a_schedule_that_the_code_has_no_more_is_forgotten(app: adjourn.App) -> None:
    @app.periodic(cron="* * * * *", periodic_id="old")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    await Scheduler(app).defer_due(NOON)
    assert await app.job_manager.keep_schedules_async([("tick", "old")], 0) == []
    assert await app.job_manager.keep_schedules_async([("tick", "new")], 3600) == []
    assert await app.job_manager.keep_schedules_async([("tick", "new")], 0) == [("tick", "old")]
    assert await app.job_manager.list_schedules_async() == []


async def test_a_worker_runs_periodic_tasks_with_the_tick_s_time(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []

    @app.periodic(cron="* * * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(timestamp)

    async with bench.working(), bench.working():
        await bench.until(lambda: len(ran) >= 3)
    assert len(ran) == len(set(ran))


async def test_a_one_shot_worker_defers_what_is_due(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []

    @app.periodic(cron="* * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(timestamp)

    await bench.drain()
    assert len(ran) == 1


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
async def test_a_worker_that_is_up_defers_every_tick_however_late_it_looks(app: adjourn.App, missed: str) -> None:
    @app.periodic(cron="* * * * *", missed=missed)
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    scheduler = Scheduler(app)
    await scheduler.defer_due(NOON - 2 * MINUTE)
    await scheduler.defer_due(NOON)
    assert await timestamps(app) == ["11:58", "11:59", "12:00"]


async def test_a_schedule_that_is_new_has_missed_nothing(app: adjourn.App) -> None:
    @app.periodic(cron="* * * * *", missed="all")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    await Scheduler(app).defer_due(NOON)
    assert await timestamps(app) == ["12:00"]


async def test_a_periodic_task_that_cannot_be_deferred_harms_no_other(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.periodic(cron="* * * * *")
    @app.task(name="bad")
    async def bad(timestamp: int) -> None: ...

    @app.periodic(cron="* * * * *")
    @app.task(name="good")
    async def good(timestamp: int) -> None: ...

    # Nothing that a declaration lets pass does that, as far as anybody knows.
    bad.queue = object()  # type: ignore[assignment]
    scheduler = Scheduler(app)
    await scheduler.defer_due(NOON)
    await scheduler.defer_due(NOON + MINUTE)
    assert [job.task_name for job in await app.job_manager.list_jobs_async()] == ["good", "good"]
    assert "side_task_failed" in {record.__dict__.get("action") for record in caplog.records}


async def test_schedules_are_forgotten_although_the_code_has_none_left(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    job = app.configure_task("tick").make_job((), {"timestamp": 0})
    await app.job_manager.defer_periodic_job_async(job, "old", 0, cron="* * * * *")
    await app.connector.execute_query_async("update adjourn.adjourn_schedules set seen_at = now() - interval '30 days'")

    async def is_forgotten() -> bool:
        return await app.job_manager.list_schedules_async() == []

    async with bench.working():
        await bench.until(is_forgotten)


async def test_periodic_tasks_go_on_when_an_app_that_was_closed_is_open_again(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []
    failures: list[events.SchedulingFailed] = []
    app.events.subscribe(events.SchedulingFailed, failures.append)

    @app.periodic(cron="* * * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(timestamp)

    async with bench.working():
        await bench.until(lambda: ran)
        await app.close_async()
        await bench.until(lambda: failures)
        await app.open_async()
        ran.clear()
        await bench.until(lambda: ran)
    assert {type(failure.error) for failure in failures} == {AppNotOpen}


async def test_whatever_the_database_raises_periodic_tasks_go_on_and_the_log_tells_it_once(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    failures = iter([*[ConnectorException("gone")] * 3, *[asyncio.CancelledError()] * 2, None])
    get_time_async = app.job_manager.get_time_async

    async def failing_async() -> datetime.datetime:
        if error := next(failures, None):
            raise error
        return await get_time_async()

    monkeypatch.setattr(app.job_manager, "get_time_async", failing_async)
    monkeypatch.setattr("adjourn.worker.scheduler._back_off", lambda failures: 0.01)

    @app.periodic(cron="* * * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None:
        ran.append(timestamp)

    async with bench.working():
        await bench.until(lambda: ran)
    told = [record for record in caplog.records if vars(record).get("action") == "side_task_failed"]
    assert len(told) == 2


async def ticks_of(app: adjourn.App, task: str) -> list[str]:
    jobs = await app.job_manager.list_jobs_async(task=task)
    times = [datetime.datetime.fromtimestamp(job.task_kwargs["timestamp"], datetime.UTC) for job in jobs]
    return [f"{time:%H:%M}" for time in times]


@pytest.mark.parametrize(("missed", "expected"), [("skip", []), ("latest", ["12:06"]), ("all", ["12:04", "12:06"])])
async def test_a_paused_schedule_defers_nothing_and_what_it_missed_follows_its_policy(
    app: adjourn.App, caplog: pytest.LogCaptureFixture, missed: str, expected: list[str]
) -> None:
    caplog.set_level("INFO")

    @app.periodic(cron="*/2 * * * *", missed=missed)
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    @app.periodic(cron="* * * * *")
    @app.task(name="other")
    async def other(timestamp: int) -> None: ...

    schedulers = [Scheduler(app), Scheduler(app)]
    await schedulers[0].defer_due(NOON + 2 * MINUTE)
    assert await app.job_manager.pause_schedule_async("tick")
    for scheduler in (*schedulers, Scheduler(app)):  # one that has a place, one that has none, one that starts anew
        await scheduler.defer_due(NOON + 6 * MINUTE)
    assert await ticks_of(app, "tick") == ["12:02"]
    assert (await ticks_of(app, "other"))[-1] == "12:06"
    assert await app.job_manager.resume_schedule_async("tick")
    for scheduler in (*schedulers, Scheduler(app)):
        await scheduler.defer_due(NOON + 7 * MINUTE + datetime.timedelta(seconds=1))
    assert (await ticks_of(app, "tick"))[1:] == expected
    said = [record.getMessage() for record in caplog.records]
    assert said.count("The schedule '' of periodic task tick is paused") == 3
    assert said.count("The schedule '' of periodic task tick is resumed") == 2
    await schedulers[0].defer_due(NOON + 8 * MINUTE)
    assert (await ticks_of(app, "tick"))[-1] == "12:08"


async def test_a_worker_looks_at_each_tick_of_a_paused_schedule_whether_it_still_is(
    app: adjourn.App, bench: Bench
) -> None:
    @app.periodic(cron="* * * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    async with bench.working():
        await bench.until(lambda: ticks_of(app, "tick"))
        await app.job_manager.pause_schedule_async("tick")
        before = await ticks_of(app, "tick")
        await asyncio.sleep(1.2)
        assert await ticks_of(app, "tick") == before
        await app.job_manager.resume_schedule_async("tick")

        async def goes_on() -> bool:
            return len(await ticks_of(app, "tick")) > len(before)

        await bench.until(goes_on, timeout=10)
