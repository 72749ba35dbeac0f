"""What must not stop periodic tasks: other transactions, wrong clocks, long outages, bad tasks, many schedules."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import events
from adjourn.testing import InMemoryConnector
from adjourn.worker.scheduler import Scheduler
from support.bench import Bench
from support.waiting import BOUND

NOON = datetime.datetime(2026, 1, 1, 12, 0, 30, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


def heard(app: adjourn.App, kind: type[Any]) -> list[Any]:
    found: list[Any] = []
    app.events.subscribe(kind, found.append)
    return found


def declare(app: adjourn.App, name: str, cron: str = "* * * * *", **options: Any) -> Any:
    @app.periodic(cron=cron, **options)
    @app.task(name=name)
    async def tick(timestamp: int) -> None: ...

    return tick


async def deferred(app: adjourn.App) -> list[str]:
    """The ticks whose jobs are stored, such as ``report 12:00``."""
    jobs = await app.job_manager.list_jobs_async()
    times = [datetime.datetime.fromtimestamp(job.task_kwargs.get("timestamp", 0), datetime.UTC) for job in jobs]
    return sorted(f"{job.task_name} {time:%H:%M}" for job, time in zip(jobs, times, strict=True))


async def look(scheduler: Scheduler, now: datetime.datetime) -> None:
    """Look once; nothing may hold that up."""
    async with asyncio.timeout(BOUND):
        await scheduler.defer_due(now)


@contextlib.asynccontextmanager
async def transaction(database: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        yield connection
        await connection.rollback()


# Other transactions


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_queueing_lock_in_an_open_transaction_holds_up_that_tick_alone(
    app: adjourn.App, database: str, end: str
) -> None:
    declare(app, "a", queueing_lock="one")
    declare(app, "b", queueing_lock="two")
    declare(app, "c")
    skipped, told = heard(app, events.PeriodicJobSkipped), heard(app, events.PeriodicJobHeldUp)
    scheduler = Scheduler(app)
    async with transaction(database) as connection:
        await app.configure_task("other", queueing_lock="one", connection=connection).defer_async()
        await look(scheduler, NOON)
        assert await deferred(app) == ["b 12:00", "c 12:00"]
        assert told == []
        for _ in range(3):
            await look(scheduler, NOON)
        await look(scheduler, NOON + MINUTE)
        assert [event.job.task_name for event in told] == ["a"]
        assert [each for each in await deferred(app) if each[0] in "ac"] == ["c 12:00", "c 12:01"]
        await getattr(connection, end)()
    for _ in range(3):
        await look(scheduler, NOON + MINUTE)
    assert len(told) == 1
    of_a = [each for each in await deferred(app) if each.startswith("a")]
    assert of_a == ([] if end == "commit" else ["a 12:00"])
    ticks = [(event.reason, f"{event.tick:%H:%M}") for event in skipped if event.job.task_name == "a"]
    # Once the job of the first tick is stored, it has the queueing lock.
    assert ticks == [("queueing_lock", time) for time in (["12:00"] if end == "commit" else []) + ["12:01"]]
    (row,) = [row for row in await app.job_manager.list_schedules_async() if row["task_name"] == "a"]
    assert row["last_tick"] == (NOON + MINUTE).replace(second=0)


async def test_ticks_whose_queueing_locks_are_all_held_do_not_add_up_to_a_wait(app: adjourn.App, database: str) -> None:
    tick = declare(app, "a", periodic_id="0", queueing_lock="0")
    for number in range(1, 200):
        app.periodic(cron="* * * * *", periodic_id=str(number), queueing_lock=str(number))(tick)
    declare(app, "free")
    async with transaction(database) as connection:
        for number in range(200):
            await app.configure_task("other", queueing_lock=str(number), connection=connection).defer_async()
        await look(Scheduler(app), NOON)
        assert await deferred(app) == ["free 12:00"]


async def test_a_schedule_that_another_transaction_has_locked_holds_up_no_other(
    app: adjourn.App, database: str
) -> None:
    declare(app, "a")
    declare(app, "b")
    scheduler = Scheduler(app)
    await look(scheduler, NOON)
    async with transaction(database) as connection:
        await connection.execute("update adjourn.adjourn_schedules set seen_at = now() where task_name = 'a'")
        await look(scheduler, NOON + MINUTE)
        async with asyncio.timeout(BOUND):
            assert await app.job_manager.keep_schedules_async([("a", ""), ("b", "")], 3600) == []
            assert await app.job_manager.keep_schedules_async([], 0) == [("b", "")]
    assert await deferred(app) == ["a 12:00", "b 12:00", "b 12:01"]
    await look(scheduler, NOON + MINUTE)
    assert await deferred(app) == ["a 12:00", "a 12:01", "b 12:00", "b 12:01"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_pause_of_a_schedule_that_has_not_been_due_yet_holds_up_no_other(
    app: adjourn.App, bench: Bench, database: str, end: str
) -> None:
    declare(app, "a", queueing_lock="a")
    declare(app, "b")
    scheduler = Scheduler(app)
    async with transaction(database) as connection:
        manager = app.job_manager
        assert await manager.pause_schedule_async("a", cron="* * * * *", connection=connection)
        for now in (NOON, NOON + MINUTE):
            await look(scheduler, now)
        assert await deferred(app) == ["b 12:00", "b 12:01"]
        assert [each["task_name"] for each in await manager.list_schedules_async()] == ["b"]
        await bench.drain()  # it looks for ticks before it begins
        await getattr(connection, end)()
    for now in (NOON + MINUTE, NOON + 2 * MINUTE):
        await look(scheduler, now)
    of_a = [each for each in await deferred(app) if each.startswith("a")]
    assert bool(of_a) is (end == "rollback")


async def test_a_tick_by_hand_that_is_held_up_ends_in_an_error(
    app: adjourn.App, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn._async.managers.schedules.MOST_TRIES", 3)
    job = app.configure_task("a", queueing_lock="one").job
    async with transaction(database) as connection:
        await app.configure_task("other", queueing_lock="one", connection=connection).defer_async()
        with pytest.raises(adjourn.exceptions.ConnectorException, match="queueing lock 'one'"):
            await app.job_manager.defer_periodic_job_async(job, "", 60)


async def test_a_worker_that_finds_another_at_work_looks_again(app: adjourn.App, database: str, bench: Bench) -> None:
    declare(app, "a", cron="* * * * * *")
    function = await app.connector.execute_query_one_async(
        "select substring(prosrc from 'pg_try_advisory_xact_lock\\((-?\\d+)\\)') as key from pg_proc "
        "where proname = 'adjourn_defer_periodic_v1'"
    )

    async def has_run() -> bool:
        return bool(await app.job_manager.list_jobs_async(task="a"))

    async with transaction(database) as connection:
        await connection.execute("select pg_advisory_xact_lock(%s)", [int(function["key"])])
        async with bench.working():
            await asyncio.sleep(1.5)
            assert not await has_run()
            await connection.rollback()
            await bench.until(has_run)


# Clocks


async def test_a_tick_in_the_future_of_the_database_is_not_recorded(app: adjourn.App) -> None:
    declare(app, "a")
    ahead = Scheduler(app)
    await look(ahead, await app.job_manager.get_time_async() + 10 * MINUTE)
    assert await app.job_manager.list_schedules_async() == []
    before = await app.job_manager.get_time_async()
    await ahead.defer_now()
    await Scheduler(app).defer_now()
    (row,) = await app.job_manager.list_schedules_async()
    assert before - MINUTE <= row["last_tick"] <= await app.job_manager.get_time_async()
    assert len(await deferred(app)) in (1, 2)  # a minute may have begun meanwhile


async def test_a_tick_by_hand_in_the_future_is_refused(app: adjourn.App) -> None:
    job = app.configure_task("a").job
    at = await app.job_manager.get_time_async() + datetime.timedelta(hours=1)
    with pytest.raises(adjourn.exceptions.InvalidOption, match="in the future of the database's clock"):
        await app.job_manager.defer_periodic_job_async(job, "", int(at.timestamp()))


@pytest.mark.parametrize(("ahead", "is_deferred"), [("5 minutes", False), ("20 minutes", True)])
async def test_ticks_go_on_soon_after_the_clock_of_the_database_was_set_back(
    app: adjourn.App, ahead: str, is_deferred: bool
) -> None:
    declare(app, "a")
    await Scheduler(app).defer_now()
    await app.connector.execute_query_async(
        f"update adjourn.adjourn_schedules set last_tick = date_trunc('minute', now()) + interval '{ahead}'"
    )
    await Scheduler(app).defer_now()
    job = app.configure_task("a").make_job((), {"timestamp": 0})
    now = await app.job_manager.get_time_async()
    job_id = await app.job_manager.defer_periodic_job_async(job, "", int(now.timestamp()))
    assert (job_id is not None) is is_deferred


async def test_a_worker_goes_on_when_the_clock_of_the_database_was_far_ahead_and_is_set_right(app: adjourn.App) -> None:
    declare(app, "a")
    scheduler = Scheduler(app)
    await look(scheduler, NOON)
    await app.connector.execute_query_async("delete from adjourn.adjourn_schedules")
    await look(scheduler, NOON - 60 * MINUTE)
    assert await deferred(app) == ["a 11:00", "a 12:00"]


# Missed ticks


async def test_a_tick_that_is_too_late_is_told_once_however_many_workers_there_are(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    declare(app, "a")
    declare(app, "b", missed="skip")
    skipped = heard(app, events.PeriodicJobSkipped)
    await look(Scheduler(app), NOON)
    hours_later = [Scheduler(app) for _ in range(3)]
    later = NOON + 300 * MINUTE
    app.periodic_defaults["max_delay"] = 10
    for scheduler in hours_later:
        await look(scheduler, later)
        await look(scheduler, later)
    told = [
        (event.job.task_name, event.reason, f"{event.tick:%H:%M}", event.delay, event.max_delay) for event in skipped
    ]
    assert told == [("a", "too_late", "17:00", 30.0, 10), ("b", "too_late", "17:00", 30.0, 10)]
    records = [record for record in caplog.records if record.__dict__.get("action") == "skip_periodic_task_late"]
    assert [record.__dict__["task_name"] for record in records] == ["a", "b"]
    assert "not deferred for 2026-01-01 17:00:00+00:00: that is 30 s ago, and 10 s at most are allowed" in (
        records[0].getMessage()
    )
    assert await deferred(app) == ["a 12:00", "b 12:00"]


async def test_the_latest_tick_that_was_missed_is_deferred_however_late_where_missed_says_so(app: adjourn.App) -> None:
    declare(app, "a", cron="0 * * * *", missed="latest")
    declare(app, "b", cron="0 * * * *")
    await look(Scheduler(app), NOON)
    await look(Scheduler(app), NOON + 195 * MINUTE)
    assert await deferred(app) == ["a 12:00", "a 15:00", "b 12:00"]


async def test_any_number_of_missed_ticks_is_deferred_in_order_where_missed_says_so(app: adjourn.App) -> None:
    declare(app, "a", missed="all")
    await look(Scheduler(app), NOON)
    scheduler, later = Scheduler(app), NOON + 350 * MINUTE
    for _ in range(4):
        await look(scheduler, later)
    jobs = await app.job_manager.list_jobs_async()
    assert [job.task_kwargs["timestamp"] for job in jobs] == [
        int((NOON + number * MINUTE).replace(second=0).timestamp()) for number in range(351)
    ]


# Other tasks


async def test_a_task_that_the_database_refuses_holds_up_no_other(database: str) -> None:
    def dumps(arguments: Any) -> str:
        return "{not json" if arguments.get("bad") else json.dumps(arguments)

    app = adjourn.App(connector=adjourn.PsycopgConnector(database, json_dumps=dumps))
    failures = heard(app, events.SchedulingFailed)

    @app.task(name="a")
    async def a(timestamp: int, bad: bool = False) -> None: ...

    for number in range(5):
        app.periodic(cron="* * * * *", periodic_id=str(number), task_kwargs={"bad": number == 3})(a)
    async with app.open_async():
        scheduler = Scheduler(app)
        await look(scheduler, NOON)
        await look(scheduler, NOON)
        assert await deferred(app) == ["a 12:00"] * 4
    assert [failure.task_name for failure in failures] == ["a"]


# Many schedules, many workers


async def test_all_schedules_that_are_due_at_once_take_one_statement() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    tick = declare(app, "a", periodic_id="0")
    for number in range(1, 300):
        app.periodic(cron="* * * * *", periodic_id=str(number))(tick)
    scheduler = Scheduler(app)
    await look(scheduler, NOON)
    before = [name for name, _ in connector.queries].count("defer_ticks")
    await look(scheduler, NOON + MINUTE)
    assert [name for name, _ in connector.queries].count("defer_ticks") == before + 1
    assert len(await deferred(app)) == 600


async def test_who_cannot_read_cron_finds_the_next_tick_and_that_it_is_something_to_do(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    def backlog(horizon: str) -> Any:
        row = observer.execute("select adjourn.adjourn_backlog_v1(null, %s::text::interval)", (horizon,)).fetchone()
        return row and row[0]

    declare(app, "a")
    await look(Scheduler(app), NOON)
    found = observer.execute("select last_tick, next_tick from adjourn.adjourn_schedules").fetchall()
    assert [following - tick for tick, following in found] == [MINUTE]
    observer.execute("delete from adjourn.adjourn_jobs")
    assert backlog("1 s") == 1
    observer.execute("update adjourn.adjourn_schedules set next_tick = now() + interval '1 h'")
    assert (backlog("1 s"), backlog("2 h")) == (0, 1)


async def test_one_of_many_workers_defers_each_tick_and_another_does_when_it_is_gone(app: adjourn.App) -> None:
    tick = declare(app, "a", periodic_id="0")
    for number in range(1, 50):
        app.periodic(cron="* * * * *", periodic_id=str(number))(tick)
    schedulers = [Scheduler(app) for _ in range(8)]
    for minute in range(3):
        for _ in range(2):
            await asyncio.gather(*(look(scheduler, NOON + minute * MINUTE) for scheduler in schedulers))
    expected = [f"a {NOON + minute * MINUTE:%H:%M}" for minute in range(3) for _ in range(50)]
    assert await deferred(app) == expected
    for number, scheduler in enumerate(schedulers):
        await look(scheduler, NOON + (3 + number) * MINUTE)
        assert len(await deferred(app)) == 50 * (4 + number)
