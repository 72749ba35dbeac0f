"""Searching jobs: what matches, in which order, how far it has looked, and where it goes on."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.jobs import DeleteJobCondition
from adjourn._domain.outcomes import Ended
from adjourn.exceptions import InvalidOption
from adjourn.jobs import JobPage, Status
from adjourn.testing import InMemoryConnector


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


async def end_async(app: adjourn.App, name: str, status: Status, **options: Any) -> int:
    """Store a job and have it end; return its id."""
    manager = app.job_manager
    arguments = options.pop("task_kwargs", {})
    job_id = await app.configure_task(name, **options).defer_async(**arguments)
    worker_id = await manager.register_worker_async()
    claimed = await manager.fetch_job_async(queues=None, worker_id=worker_id)
    assert claimed is not None
    assert claimed.id == job_id
    error = None if status is Status.SUCCEEDED else '{"exception": "ValueError", "message": "no such user"}'
    outcome = Ended.of(claimed, status, DeleteJobCondition.NEVER, error)
    session = await app.connector.session_async()
    worker = AsyncWorkerManager(session, app.connector.json_loads)
    await worker.exchange_async(worker_id, [outcome], limit=0, queues=None)
    await session.close_async()
    return job_id


@pytest.fixture
async def jobs(app: adjourn.App) -> dict[str, int]:
    """Jobs of all sorts, in the order of their ids."""
    return {
        "succeeded": await end_async(
            app, "send", Status.SUCCEEDED, queue="mail", task_kwargs={"to": {"id": 7, "cc": [1, 2]}}
        ),
        "failed": await end_async(app, "send", Status.FAILED, queue="mail", lock="l"),
        "other": await end_async(app, "count", Status.FAILED, priority=5),
        "waiting": await app.configure_task("send", queue="mail", queueing_lock="one").defer_async(to={"id": 8}),
        "scheduled": await app.configure_task("count", lock="l", schedule_in={"hours": 1}).defer_async(),
    }


def ids(page: JobPage) -> list[int]:
    return [job.id or 0 for job in page.jobs]


async def test_jobs_that_live_come_first_and_the_newest_before_others(app: adjourn.App, jobs: dict[str, int]) -> None:
    page = await app.job_manager.search_jobs_async()
    assert ids(page) == [jobs[name] for name in ("scheduled", "waiting", "other", "failed", "succeeded")]
    assert (page.looked, page.position) == (5, None)
    page = await app.job_manager.search_jobs_async(newest_first=False)
    assert ids(page) == [jobs[name] for name in ("waiting", "scheduled", "succeeded", "failed", "other")]


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"statuses": ["failed"]}, ["other", "failed"]),
    ({"statuses": ["todo", "succeeded"]}, ["scheduled", "waiting", "succeeded"]),
    ({"statuses": ["doing"]}, []),
    ({"queue": "mail"}, ["waiting", "failed", "succeeded"]),
    ({"task": "count"}, ["scheduled", "other"]),
    ({"lock": "l"}, ["scheduled", "failed"]),
    ({"queueing_lock": "one"}, ["waiting"]),
    ({"priority": 5}, ["other"]),
    ({"min_attempts": 1}, ["other", "failed", "succeeded"]),
    ({"error": "ValueError: no such"}, ["other", "failed"]),
    ({"error": "TypeError"}, []),
    ({"args": {"to": {"id": 7}}}, ["succeeded"]),
    ({"args": {"to": {"cc": [2]}}}, ["succeeded"]),
    ({"args": {"to": {"id": True}}}, []),
    ({"args": {}, "statuses": ["todo"]}, ["scheduled", "waiting"]),
    ({"queue": "mail", "task": "send", "statuses": ["failed"], "lock": "l"}, ["failed"]),
    ({"worker_id": 999_999}, []),
    ({"waits_for": "time"}, ["scheduled"]),
    ({"waits_for": "worker", "queue": "mail"}, ["waiting"]),
    ({"waits_for": "lock"}, []),
    ({"waits_for": "time", "statuses": ["failed"]}, []),
]


async def test_it_finds_what_matches_all_filters(app: adjourn.App, jobs: dict[str, int]) -> None:
    for filters, names in FILTERS:
        page = await app.job_manager.search_jobs_async(**filters)
        assert ids(page) == [jobs[name] for name in names], filters
        assert page.position is None


async def test_jobs_are_found_by_when_they_ended_and_by_their_worker(app: adjourn.App, jobs: dict[str, int]) -> None:
    manager = app.job_manager
    (failed,) = await manager.list_jobs_async(id=jobs["failed"])
    assert failed.finished_at is not None
    assert ids(await manager.search_jobs_async(finished_before=failed.finished_at)) == [jobs["succeeded"]]
    page = await manager.search_jobs_async(finished_after=failed.finished_at)
    assert (ids(page), page.looked) == ([jobs["other"], jobs["failed"]], 2)
    assert page.reached_at == failed.finished_at
    day = datetime.timedelta(days=1)
    page = await manager.search_jobs_async(finished_after=failed.finished_at + day)
    assert page == JobPage(jobs=[], looked=0, reached_at=None, position=None)
    assert ids(await manager.search_jobs_async(worker_id=failed.worker_id)) == [jobs["failed"]]
    chosen = [jobs["succeeded"], jobs["waiting"], 10**9]
    page = await manager.search_jobs_async(ids=chosen)
    assert (ids(page), page.looked) == ([jobs["waiting"], jobs["succeeded"]], 2)
    assert ids(await manager.search_jobs_async(ids=chosen, statuses=["succeeded"])) == [jobs["succeeded"]]
    assert ids(await manager.search_jobs_async(up_to_id=jobs["failed"])) == [jobs["failed"], jobs["succeeded"]]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_go_on_where_the_last_one_has_stopped(
    app: adjourn.App, jobs: dict[str, int], newest_first: bool
) -> None:
    whole = ids(await app.job_manager.search_jobs_async(newest_first=newest_first))
    found, position = [], None
    for _ in range(5):
        page = await app.job_manager.search_jobs_async(newest_first=newest_first, limit=1, after=position)
        found += ids(page)
        position = page.position
    assert found == whole
    page = await app.job_manager.search_jobs_async(newest_first=newest_first, after=position)
    assert (page.jobs, page.position) == ([], None)


async def test_it_says_how_far_it_has_looked_and_goes_on_from_there(app: adjourn.App, jobs: dict[str, int]) -> None:
    manager = app.job_manager
    filters: dict[str, Any] = {"task": "send", "args": {"to": {"id": 7}}, "look": 2}
    first = await manager.search_jobs_async(**filters)
    (waiting,) = await manager.list_jobs_async(id=jobs["waiting"])
    assert (first.jobs, first.looked, first.reached_at) == ([], 2, waiting.enqueued_at)
    second = await manager.search_jobs_async(**filters, after=first.position)
    assert (second.jobs, second.looked) == ([], 2)
    third = await manager.search_jobs_async(**filters, after=second.position)
    assert (ids(third), third.looked, third.position) == ([jobs["succeeded"]], 1, None)


async def test_jobs_that_succeeded_are_not_looked_at_for_those_that_have_not(
    app: adjourn.App, jobs: dict[str, int]
) -> None:
    page = await app.job_manager.search_jobs_async(statuses=["failed", "cancelled"], error="nothing like it")
    assert page.looked == 2


async def test_jobs_that_have_ended_are_not_looked_at_for_those_that_wait(
    app: adjourn.App, jobs: dict[str, int]
) -> None:
    page = await app.job_manager.search_jobs_async(waits_for="lock")
    assert (page.looked, page.position) == (2, None)
    page = await app.job_manager.search_jobs_async(waits_for="time", newest_first=False, look=1)
    assert (page.jobs, page.looked) == ([], 1)
    page = await app.job_manager.search_jobs_async(waits_for="time", newest_first=False, after=page.position)
    assert (ids(page), page.looked, page.position) == ([jobs["scheduled"]], 1, None)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *[("ids", value) for value in (5, "7", [], ["7"], [2**63], [True], range(1001))],
        *[("statuses", value) for value in ("failed", ["done"], [], 5)],
        *[(name, value) for name in ("queue", "task", "lock", "queueing_lock", "error") for value in (5, "a\0")],
        *[("worker_id", value) for value in ("7", True, 2**63)],
        *[("waits_for", value) for value in ("tea", "", 5)],
        *[("priority", value) for value in ("7", 2**31)],
        *[("min_attempts", value) for value in (-1, "1", 2**31)],
        *[("args", value) for value in (5, "{}", {"a": {1}}, {"a": "\0"}, {"a": float("nan")}, {"a": "x" * 3000})],
        *[("finished_after", value) for value in ("now", datetime.datetime(2026, 1, 1))],
        *[("after", value) for value in (5, "", "live", "live:x", f"ended:{2**63}", "dead:7")],
        *[("look", value) for value in (0, "5", True, 2**63)],
        *[("limit", value) for value in (0, "5", 1001)],
        ("newest_first", "yes"),
        ("up_to_id", "7"),
    ],
)
async def test_what_is_no_filter_is_refused_naming_the_argument(argument: str, value: Any) -> None:
    manager = adjourn.App(connector=InMemoryConnector()).job_manager
    with pytest.raises(InvalidOption, match=f"^{argument}"):
        await manager.search_jobs_async(**{argument: value})
