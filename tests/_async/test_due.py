"""Jobs that wait for a time, listed by it."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn.exceptions import InvalidOption, NoResult
from adjourn.testing import InMemoryConnector


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


async def test_jobs_are_listed_by_when_they_are_due_page_by_page(app: adjourn.App) -> None:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)

    async def defer_async(minutes: int, **options: Any) -> int:
        given = {"queue": "mail", "allow_unknown": True, **options}
        when = at + datetime.timedelta(minutes=minutes)
        return await app.configure_task("send", schedule_at=when, **given).defer_async()

    late, soon, other, twin = (
        await defer_async(30),
        await defer_async(10, lock="l"),
        await defer_async(20, queue="news"),
        await defer_async(30),
    )
    await app.configure_task("send", queue="mail", allow_unknown=True).defer_async()
    manager = app.job_manager

    async def listed_async(**options: Any) -> list[int]:
        return [job.id or 0 for job in await manager.list_jobs_async(order="due", **options)]

    assert await listed_async() == [soon, other, late, twin]
    assert await listed_async(queue="mail", status="todo", waits_for="time") == [soon, late, twin]
    assert (await listed_async(lock="l"), await listed_async(id=other), await listed_async(waits_for="retry")) == (
        [soon],
        [other],
        [],
    )
    assert await listed_async(limit=2) == [soon, other]
    assert await listed_async(limit=2, after_id=other) == [late, twin]
    assert await listed_async(after_id=late) == [twin]
    (job,) = await manager.list_jobs_async(order="due", limit=1)
    assert (job.status, job.scheduled_at) == ("todo", at + datetime.timedelta(minutes=10))
    with pytest.raises(NoResult, match=f"no job {twin + 100}"):
        await listed_async(after_id=twin + 100)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"order": "soon"}, "order='soon'.*Pass one of: id, due"),
        ({"order": "due", "status": "failed"}, "status='failed' and order='due'.*Leave status out"),
        ({"order": "due", "waits_for": "lock"}, "waits_for='lock' and order='due'"),
        ({"order": "due", "worker_id": 1}, "worker_id=1 and order='due'"),
    ],
)
async def test_what_no_job_has_that_waits_for_a_time_is_refused(
    app: adjourn.App, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidOption, match=told):
        await app.job_manager.list_jobs_async(**options)
