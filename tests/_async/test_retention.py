"""Deleting old finished jobs: whole weeks where it can be done, else one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers import retention
from adjourn.types import Statement

WEEK = 7 * 24
MAKE = """
    do $$ declare
        v_from timestamptz := (date_trunc('week', now() at time zone 'UTC') - interval '{weeks} weeks') at time zone 'UTC';
    begin
        execute format('create table adjourn.{name} partition of adjourn.adjourn_finished_jobs for values from (%L) to (%L)',
            v_from, v_from + interval '1 week');
    end $$
"""
STORE = """
    insert into adjourn.adjourn_finished_jobs (
        id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, status, finished_at
    )
    select 1000 * %(weeks)s + n, %(queue)s, 'old', 0, '{}', 0, 0, 0, false, now(), %(status)s,
           (date_trunc('week', now() at time zone 'UTC') - make_interval(weeks => %(weeks)s, hours => -n)) at time zone 'UTC'
    from generate_series(%(first)s::int, %(first)s::int + %(count)s::int - 1) n
"""
PARTITIONS = "select relname as name from pg_class where relkind = 'r' and relname like 'old\\_week\\_%' order by 1"


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    await app.open_async()
    yield app
    for name in await partitions_async(app):
        await execute_async(app, f"drop table adjourn.{name}")
    await app.close_async()


async def execute_async(app: adjourn.App, text: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return await app.connector.get_async_connector().execute_async(Statement("test", text), parameters)


async def partitions_async(app: adjourn.App) -> list[str]:
    return [row["name"] for row in await execute_async(app, PARTITIONS)]


async def make_week_async(app: adjourn.App, weeks: int) -> None:
    """Make the partition of the week that began so many weeks before this one."""
    await execute_async(app, MAKE.format(name=f"old_week_{weeks}", weeks=weeks))


async def store_async(
    app: adjourn.App, weeks: int, count: int, status: str = "succeeded", queue: str = "default", first: int = 1
) -> None:
    """Store jobs that finished in that week, an hour apart."""
    parameters = {"weeks": weeks, "count": count, "status": status, "queue": queue, "first": first}
    await execute_async(app, STORE, parameters)


async def left_async(app: adjourn.App) -> list[tuple[str, int]]:
    """The jobs that are left, counted by status."""
    rows = await app.job_manager.list_tasks_async(task="old")
    statuses = ("succeeded", "failed", "cancelled", "aborted")
    return [(status, row[status]) for row in rows for status in statuses if row[status]]


async def test_a_week_whose_jobs_all_go_is_dropped_and_its_jobs_count(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for weeks in (1, 3, 4):
        await make_week_async(app, weeks)
        await store_async(app, weeks, 10)
    await store_async(app, 3, 5, "failed", first=11)
    told: list[int] = []
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, include_failed=True, progress=told.append) == 25
    assert told == [10, 25, 25]
    assert await partitions_async(app) == ["old_week_1"]
    assert await left_async(app) == [("succeeded", 10)]
    (record,) = [record for record in caplog.records if record.__dict__.get("action") == "deleted_old_jobs"]
    assert (record.__dict__["deleted"], record.__dict__["dropped"]) == (25, ["old_week_4", "old_week_3"])


async def test_each_status_may_have_an_age_of_its_own(app: adjourn.App) -> None:
    for weeks in (1, 3, 5):
        await make_week_async(app, weeks)
        await store_async(app, weeks, 10)
        await store_async(app, weeks, 5, "failed", first=11)
    await store_async(app, 3, 1, "aborted", first=16)
    ages = {"succeeded": 2 * WEEK, "failed": 4 * WEEK}
    told: list[int] = []
    assert await app.job_manager.delete_old_jobs_async(ages, progress=told.append) == 25
    assert (sorted(told), told[-1]) == (told, 25)
    assert await partitions_async(app) == ["old_week_1", "old_week_3"]
    assert await left_async(app) == [("succeeded", 10), ("failed", 10), ("aborted", 1)]
    assert await app.job_manager.delete_old_jobs_async({"aborted": 0}) == 1
    for wrong, message in (
        ({}, "pass a number of hours, or a dictionary"),
        ({"doing": 1}, "'doing' does not end a job"),
        ({"failed": -1}, r"nb_hours\['failed'\]=-1"),
    ):
        with pytest.raises(exceptions.InvalidOption, match=message):
            await app.job_manager.delete_old_jobs_async(wrong)
    with pytest.raises(exceptions.InvalidOption, match="add 'failed' to it"):
        await app.job_manager.delete_old_jobs_async({"succeeded": 1}, include_failed=True)


async def test_of_a_week_with_jobs_to_keep_the_others_are_deleted(app: adjourn.App) -> None:
    for weeks in (3, 4):
        await make_week_async(app, weeks)
        await store_async(app, weeks, 10)
    await store_async(app, 3, 2, "failed", first=11)
    await store_async(app, 4, 3, queue="precious", first=11)
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, queue="default") == 20
    assert await partitions_async(app) == ["old_week_3", "old_week_4"]
    assert await left_async(app) == [("succeeded", 3), ("failed", 2)]
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, queue="precious") == 3
    assert await partitions_async(app) == ["old_week_3"]
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, include_failed=True) == 2
    assert await partitions_async(app) == []


async def test_jobs_of_weeks_without_a_table_of_their_own_are_deleted_in_batches(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    for weeks in (1, 3, 4):
        await store_async(app, weeks, 14)
    await store_async(app, 3, 7, "aborted", first=15)
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 28
    assert await left_async(app) == [("succeeded", 14), ("aborted", 7)]
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, include_aborted=True) == 7
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK, include_aborted=True) == 0


async def test_an_old_week_without_jobs_is_dropped(app: adjourn.App) -> None:
    for weeks in (1, 3):
        await make_week_async(app, weeks)
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 0
    assert await partitions_async(app) == ["old_week_1"]


async def test_where_somebody_reads_the_jobs_they_are_deleted_one_by_one_and_others_still_finish(
    app: adjourn.App,
) -> None:
    await make_week_async(app, 3)
    await store_async(app, 3, 10)
    reader = await app.connector.get_async_connector().session_async()
    try:
        await reader.execute_async(Statement("begin", "begin"))
        await reader.execute_async(Statement("read", "select count(*) from adjourn.adjourn_finished_jobs"))
        assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 10
        assert await partitions_async(app) == ["old_week_3"]
        job_id = await app.configure_task("any").defer_async()
        assert await app.job_manager.cancel_job_by_id_async(job_id)
    finally:
        await reader.close_async()
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 0
    assert await partitions_async(app) == []


async def test_a_role_that_may_not_drop_a_week_deletes_its_jobs(app: adjourn.App, database: str) -> None:
    role = "adjourn_test_tenant"
    await make_week_async(app, 3)
    await store_async(app, 3, 10)
    await execute_async(app, f"create role {role} login")
    tenant = adjourn.App(connector=adjourn.PsycopgConnector(database, user=role))
    try:
        await execute_async(app, f"grant usage on schema adjourn to {role}")
        await execute_async(
            app,
            "grant select, insert, update, delete on adjourn.adjourn_finished_jobs, adjourn.adjourn_lapses, adjourn.adjourn_unique_keys, "
            f"adjourn.adjourn_jobs, adjourn.adjourn_dependencies, adjourn.adjourn_workflows, adjourn.adjourn_steps, adjourn.adjourn_sent_events, adjourn.adjourn_all_jobs to {role}",
        )
        await tenant.open_async()
        assert await tenant.job_manager.delete_old_jobs_async(2 * WEEK) == 10
        assert await tenant.job_manager.delete_old_jobs_async(2 * WEEK) == 0
    finally:
        await tenant.close_async()
        await execute_async(app, f"drop owned by {role}")
        await execute_async(app, f"drop role {role}")
    assert await partitions_async(app) == ["old_week_3"]


@pytest.mark.parametrize("hours", [-1, float("nan"), float("inf"), 1e12, True, "72", None])
async def test_what_is_no_age_is_refused(app: adjourn.App, hours: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match="nb_hours="):
        await app.job_manager.delete_old_jobs_async(hours)


async def test_a_week_with_a_result_that_has_not_lapsed_is_not_dropped(app: adjourn.App) -> None:
    await make_week_async(app, 4)
    await store_async(app, 4, 5)
    keep = "update adjourn.adjourn_finished_jobs set result = '1', result_expires_at = now() + interval '{} s' where id = {}"
    await execute_async(app, keep.format(60, 4003))
    await execute_async(app, keep.format(-60, 4004))
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 4
    assert [job.id for job in await app.job_manager.list_jobs_async()] == [4003]
    await execute_async(app, "update adjourn.adjourn_finished_jobs set result_expires_at = now()")
    assert await app.job_manager.delete_old_jobs_async(2 * WEEK) == 1
    assert await partitions_async(app) == []
