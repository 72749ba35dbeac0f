"""The views that tools read: what happened to a job, and what a waiting job waits for."""

from __future__ import annotations

import datetime
from typing import Any

import psycopg

import adjourn
from adjourn.types import TimeDeltaParams
from support.bench import Bench

HOUR: TimeDeltaParams = {"hours": 1}


def events(observer: psycopg.Connection, job_id: int) -> list[tuple[Any, ...]]:
    """Return a job's events, in the order of their ids."""
    rows = observer.execute("SELECT type, at, id FROM adjourn.adjourn_events WHERE job_id = %s ORDER BY id", [job_id])
    return rows.fetchall()


def types(observer: psycopg.Connection, job_id: int) -> list[str]:
    """Return what happened to a job, in order."""
    return [type_ for type_, _, _ in events(observer, job_id)]


async def test_each_job_has_events_from_its_deferral_to_its_end(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection
) -> None:
    @app.task(name="work", retry=adjourn.RetryStrategy(max_attempts=2))
    async def work(failures: int) -> None:
        if len(tries) < failures:
            tries.append(1)
            raise ValueError

    tries: list[int] = []
    easy = await work.defer_async(failures=0)
    await bench.drain()
    hard = await work.defer_async(failures=1)
    await bench.drain()
    tries.clear()
    hopeless = await work.defer_async(failures=9)
    await bench.drain()
    later = await work.configure(schedule_in=HOUR).defer_async(failures=0)
    gone = await work.defer_async(failures=0)
    await app.job_manager.cancel_job_by_id_async(gone)
    retry = ["started", "deferred_for_retry"]
    assert types(observer, easy) == ["deferred", "started", "succeeded"]
    assert types(observer, hard) == ["deferred", *retry, "started", "succeeded"]
    assert types(observer, hopeless) == ["deferred", *retry, *retry, "started", "failed"]
    assert types(observer, later) == ["deferred", "scheduled"]
    assert types(observer, gone) == ["deferred", "cancelled"]


async def test_events_have_the_times_of_the_job_and_ids_of_their_own(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection
) -> None:
    @app.task(name="fail", retry=20)
    async def fail() -> None:
        raise ValueError

    job_id = await fail.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    found = events(observer, job_id)
    assert len(job.errors) == 10
    ends = [at for type_, at, _ in found if type_ == "deferred_for_retry"]
    assert ends == [datetime.datetime.fromisoformat(error["ended_at"]) for error in job.errors[:-1]]
    assert found[0][1] == job.enqueued_at
    assert found[-2][:2] == ("started", job.started_at)
    assert found[-1][:2] == ("failed", job.finished_at)
    ids = [id_ for _, _, id_ in found]
    assert len(set(ids)) == len(ids)
    assert {id_ // 100 for id_ in ids} == {job_id}


async def test_a_job_whose_id_leaves_no_room_has_no_events_and_keeps_those_of_others(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    near, far = await work.defer_async(), await work.defer_async()
    observer.execute("UPDATE adjourn.adjourn_jobs SET id = 9223372036854775807 WHERE id = %s", [far])
    rows = observer.execute("SELECT job_id FROM adjourn.adjourn_events").fetchall()
    assert rows == [(near,)]


async def test_a_waiting_job_tells_what_it_waits_for(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection
) -> None:
    @app.task(name="fail", retry=adjourn.RetryStrategy(wait=3600))
    async def fail() -> None:
        raise ValueError

    @app.task(name="work")
    async def work() -> None: ...

    expected = {await fail.defer_async(): "retry"}
    await bench.drain()
    expected[await app.configure_task("nobody knows it", allow_unknown=True).defer_async()] = "task"
    async with bench.working():

        async def is_put_back() -> bool:
            return await waits_for() == expected

        async def waits_for() -> dict[int, str]:
            rows = observer.execute("SELECT id, waits_for FROM adjourn.adjourn_all_jobs WHERE status = 'todo'")
            return dict(rows.fetchall())

        await bench.until(is_put_back)
    expected[await work.defer_async()] = "worker"
    expected[await work.configure(schedule_in=HOUR).defer_async()] = "time"
    expected[await work.configure(lock="a").defer_async()] = "lock"
    assert await waits_for() == expected
