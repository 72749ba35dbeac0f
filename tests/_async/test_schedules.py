"""The schedules of periodic tasks, as they are listed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector


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
    assert await manager.defer_periodic_job_async(job=job, periodic_id="", defer_timestamp=1_800_000_000) is not None
    await manager.defer_periodic_job_async(job, "b", 1_800_000_000, cron="@daily")
    schedules = {row["periodic_id"]: row for row in await manager.list_schedules_async()}
    assert schedules[""]["next_tick"] is None
    assert schedules["b"]["next_tick"] is not None


async def test_schedules_are_listed_by_task_and_then_by_their_id(app: adjourn.App) -> None:
    for task_name, periodic_id in (("b", ""), ("a", "2"), ("a", "1")):
        await app.job_manager.defer_periodic_job_async(Job(queue="q", task_name=task_name), periodic_id, 1_800_000_000)
    listed = [(row["task_name"], row["periodic_id"]) for row in await app.job_manager.list_schedules_async()]
    assert listed == [("a", "1"), ("a", "2"), ("b", "")]
