"""Changing many jobs at once, whatever state each of them is in."""

from __future__ import annotations

import datetime
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers import many
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Ended
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Status
from adjourn.testing import InMemoryConnector
from adjourn.types import TimeDeltaParams

NOBODY = 999_999
HOUR: TimeDeltaParams = {"hours": 1}


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


@pytest.fixture
async def jobs(app: adjourn.App) -> dict[str, int]:
    """A job in each state, by its name."""
    manager = app.job_manager
    worker_id = await manager.register_worker_async()

    @app.task(name="work")
    def work() -> None: ...

    jobs: dict[str, int] = {}
    for status in (Status.SUCCEEDED, Status.FAILED, Status.ABORTED):
        jobs[status.value] = await work.configure(lock="ended").defer_async()
        await manager.retry_job_by_id_async(jobs[status.value], priority=1)
        claimed = await manager.fetch_job_async(queues=None, worker_id=worker_id)
        assert claimed is not None
        await manager.finish_job_async(claimed, status, delete_job=False)
    jobs["cancelled"] = await work.defer_async()
    await manager.cancel_job_by_id_async(jobs["cancelled"])
    jobs["doing"] = await work.configure(lock="a", priority=2).defer_async()
    claimed = await manager.fetch_job_async(queues=None, worker_id=worker_id)
    assert claimed is not None
    assert claimed.id == jobs["doing"]
    jobs["todo"] = await work.configure(lock="a").defer_async()
    jobs["scheduled"] = await work.configure(schedule_in=HOUR, queueing_lock="q").defer_async()
    return jobs


async def statuses_async(app: adjourn.App) -> dict[int | None, str | None]:
    return {job.id: job.status for job in await app.job_manager.list_jobs_async()}


async def test_jobs_that_wait_are_cancelled(app: adjourn.App, jobs: dict[str, int]) -> None:
    before = await statuses_async(app)
    done = await app.job_manager.cancel_jobs_async([*jobs.values(), NOBODY])
    assert done == [jobs["todo"], jobs["scheduled"]]
    assert await statuses_async(app) == before | dict.fromkeys(done, "cancelled")


async def test_jobs_that_run_are_asked_to_end(app: adjourn.App, jobs: dict[str, int]) -> None:
    assert await app.job_manager.abort_jobs_async([*jobs.values(), NOBODY]) == [jobs["doing"]]
    found = [job.id for job in await app.job_manager.list_jobs_async() if job.abort_requested]
    assert found == [jobs["doing"]]


async def test_jobs_that_ended_badly_run_again(app: adjourn.App, jobs: dict[str, int]) -> None:
    before = await statuses_async(app)
    done = await app.job_manager.retry_jobs_async([*jobs.values(), NOBODY])
    assert done == [jobs["failed"], jobs["aborted"], jobs["cancelled"]]
    assert await statuses_async(app) == before | dict.fromkeys(done, "todo")


@pytest.mark.parametrize("status", ["succeeded", "failed", "aborted", "cancelled", "doing"])
async def test_jobs_of_a_status_run_again(app: adjourn.App, jobs: dict[str, int], status: str) -> None:
    assert await app.job_manager.retry_jobs_async(jobs.values(), [status]) == [jobs[status]]
    assert (await app.job_manager.get_job_status_async(jobs[status])).value == "todo"


async def test_of_those_that_wait_the_scheduled_ones_become_due(app: adjourn.App, jobs: dict[str, int]) -> None:
    assert await app.job_manager.retry_jobs_async(jobs.values(), ["todo"]) == [jobs["scheduled"]]
    (job,) = await app.job_manager.list_jobs_async(id=jobs["scheduled"])
    assert (job.scheduled_at, job.queueing_lock) == (None, "q")
    assert await app.job_manager.retry_jobs_async(jobs.values(), ["todo"]) == []


async def test_jobs_that_have_ended_are_deleted(app: adjourn.App, jobs: dict[str, int]) -> None:
    before = await statuses_async(app)
    done = await app.job_manager.delete_jobs_async([*jobs.values(), NOBODY])
    assert done == sorted(jobs[status] for status in ("succeeded", "failed", "aborted", "cancelled"))
    assert await statuses_async(app) == {job_id: status for job_id, status in before.items() if job_id not in done}


async def test_no_jobs_and_the_same_job_twice_are_fine(app: adjourn.App, jobs: dict[str, int]) -> None:
    assert await app.job_manager.cancel_jobs_async([]) == []
    assert await app.job_manager.retry_jobs_async([jobs["failed"]] * 2) == [jobs["failed"]]
    assert await app.job_manager.delete_jobs_async([jobs["succeeded"]] * 2) == [jobs["succeeded"]]


async def test_a_status_that_does_not_exist_is_refused(app: adjourn.App) -> None:
    for wrong in ("aborting", "done", 5):
        with pytest.raises(InvalidOption, match=r"statuses: .* is none: pass some of 'todo'"):
            await app.job_manager.retry_jobs_async([1], [wrong])  # type: ignore[list-item]
    with pytest.raises(InvalidOption, match="statuses='failed': pass a list"):
        await app.job_manager.retry_jobs_async([1], "failed")


# By filters


@pytest.fixture
async def failed(app: adjourn.App) -> dict[str, int]:
    """Jobs of two tasks and queues that have failed for two reasons, one that has succeeded, and one that waits."""
    manager = app.job_manager
    worker_id = await manager.register_worker_async()
    ids = {}
    for name, queue, error in (
        ("mail timeout", "mail", "builtins.TimeoutError"),
        ("mail bug", "mail", "builtins.KeyError"),
        ("sync timeout", "sync", "builtins.TimeoutError"),
        ("succeeded", "mail", None),
    ):
        ids[name] = await app.configure_task(name.split()[0], queue=queue).defer_async()
        job = await manager.fetch_job_async(queues=None, worker_id=worker_id)
        assert job is not None
        text = f'{{"exception": "{error}", "message": "after 5 s"}}'
        outcome = Ended(job.id or 0, job.claim, "failed" if error else "succeeded", text if error else None)
        await exchange_async(app, worker_id, outcome)
    ids["waits"] = await app.configure_task("mail", queue="mail").defer_async()
    return ids


async def exchange_async(app: adjourn.App, worker_id: int, outcome: Ended) -> None:
    session = await app.connector.get_async_connector().session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    await manager.exchange_async(worker_id, [outcome], limit=0, queues=None)
    await session.close_async()


async def test_jobs_that_match_are_counted(app: adjourn.App, failed: dict[str, int]) -> None:
    count_async = app.job_manager.count_jobs_async
    assert await count_async() == 3
    assert await count_async(task="mail") == 2
    assert await count_async(error="Timeout") == 2
    assert await count_async(error="after 5") == 3
    assert await count_async(queue="mail", error="KeyError") == 1
    assert await count_async(statuses=["todo", "doing", "succeeded", "failed"], queue="mail") == 4
    assert await count_async(statuses=["todo"]) == 1
    assert await count_async(statuses=["todo", "succeeded"], task="nothing") == 0


async def test_jobs_that_match_run_again(app: adjourn.App, failed: dict[str, int]) -> None:
    manager = app.job_manager
    assert await manager.retry_jobs_async(error="Timeout", queue="mail") == [failed["mail timeout"]]
    assert await manager.retry_jobs_async(statuses=["failed"], limit=1) == [failed["mail bug"]]
    assert await manager.retry_jobs_async(error="Timeout", delay=3600) == [failed["sync timeout"]]
    (later,) = await manager.list_jobs_async(id=failed["sync timeout"])
    assert later.scheduled_at is not None
    assert await manager.retry_jobs_async(statuses=["failed", "todo"], queue="sync") == [failed["sync timeout"]]
    assert await manager.count_jobs_async(statuses=["todo"]) == 4


async def test_jobs_that_match_run_again_at_a_time(app: adjourn.App, failed: dict[str, int]) -> None:
    manager, at = app.job_manager, datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    assert await manager.retry_jobs_async(error="Timeout", retry_at=at) == [
        failed["mail timeout"],
        failed["sync timeout"],
    ]
    assert await manager.retry_jobs_async([failed["mail bug"]], retry_at=at) == [failed["mail bug"]]
    waiting = {job.id: job.scheduled_at for job in await manager.list_jobs_async(status="todo")}
    assert waiting == {id_: None if name == "waits" else at for name, id_ in failed.items() if name != "succeeded"}
    with pytest.raises(InvalidOption, match="delay and retry_at exclude each other"):
        await manager.retry_jobs_async(task="mail", delay=1, retry_at=at)


async def test_waiting_jobs_that_match_get_another_priority_queue_and_time(
    app: adjourn.App, failed: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "PAGE", 2)
    manager, at = app.job_manager, datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    ids = [failed["waits"], *await app.configure_task("mail", queue="mail").batch_defer_async(*[{}] * 4)]
    other = await app.configure_task("sync", queue="sync").defer_async()
    told: list[int] = []
    assert await manager.change_jobs_async(task="mail", priority=7, progress=told.append) == ids
    assert told == [2, 4, 5]
    assert await manager.change_jobs_async(queue="mail", limit=3, schedule_at=at) == ids[:3]
    # Those that are moved do not match any more, and none is left out for it.
    assert await manager.change_jobs_async(queue="mail", task="mail", move_to="slow") == ids
    assert await manager.change_jobs_async(queue="mail", move_to="slow") == []
    jobs = {job.id: job for job in await manager.list_jobs_async(status="todo")}
    assert [(jobs[id_].priority, jobs[id_].queue) for id_ in ids] == [(7, "slow")] * 5
    assert [jobs[id_].scheduled_at for id_ in ids] == [at, at, at, None, None]
    assert (jobs[other].priority, jobs[other].queue, jobs[other].scheduled_at) == (0, "sync", None)
    assert await manager.change_jobs_async(queue="slow", now=True, limit=1) == ids[:1]
    assert await manager.count_jobs_async(statuses=["failed"], queue="mail") == 2


async def test_since_an_outage_jobs_run_again(app: adjourn.App, failed: dict[str, int]) -> None:
    manager = app.job_manager
    (job,) = await manager.list_jobs_async(id=failed["mail bug"])
    assert await manager.count_jobs_async(finished_before=job.finished_at) == 1
    again = await manager.retry_jobs_async(finished_after=job.finished_at)
    assert again == [failed["mail bug"], failed["sync timeout"]]
    assert await manager.retry_jobs_async(finished_before=job.finished_at) == [failed["mail timeout"]]


async def test_jobs_that_match_are_cancelled(app: adjourn.App, failed: dict[str, int]) -> None:
    assert await app.job_manager.cancel_jobs_async(queue="sync") == []
    assert await app.job_manager.cancel_jobs_async(queue="mail") == [failed["waits"]]
    assert await app.job_manager.count_jobs_async(statuses=["cancelled"]) == 1


async def test_jobs_that_match_are_deleted(app: adjourn.App, failed: dict[str, int]) -> None:
    manager = app.job_manager
    assert await manager.delete_jobs_async(task="mail") == [failed["mail timeout"], failed["mail bug"]]
    assert await manager.delete_jobs_async(list(failed.values()), statuses=["succeeded"]) == [failed["succeeded"]]
    assert await manager.delete_jobs_async(statuses=["failed", "todo", "doing"]) == [failed["sync timeout"]]
    assert [job.id for job in await manager.list_jobs_async()] == [failed["waits"]]


async def test_many_jobs_are_changed_in_pages(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "PAGE", 10)
    ids = await app.configure_task("work").batch_defer_async(*[{}] * 25)
    told: list[int] = []
    assert await app.job_manager.cancel_jobs_async(task="work", limit=13, progress=told.append) == ids[:13]
    assert told == [10, 13]
    assert await app.job_manager.cancel_jobs_async(task="work") == ids[13:]
    assert await app.job_manager.retry_jobs_async(statuses=["cancelled"], limit=20) == ids[:20]
    assert await app.job_manager.delete_jobs_async(statuses=["cancelled"], limit=0) == []
    assert await app.job_manager.delete_jobs_async(statuses=["cancelled"], progress=told.append) == ids[20:]
    assert told == [10, 13, 5]


async def test_what_is_interrupted_between_pages_is_done_as_far_as_it_was_told(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "PAGE", 10)
    ids = await app.configure_task("work").batch_defer_async(*[{}] * 25)

    def interrupt(number: int) -> None:
        if number == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await app.job_manager.cancel_jobs_async(task="work", progress=interrupt)
    assert [job.id for job in await app.job_manager.list_jobs_async(status="cancelled")] == ids[:20]
    assert await app.job_manager.cancel_jobs_async(task="work") == ids[20:]


async def test_which_jobs_has_to_be_said_in_one_way(app: adjourn.App) -> None:
    manager = app.job_manager
    change_async = functools.partial(manager.change_jobs_async, priority=1)
    calls: list[Any] = [manager.cancel_jobs_async, manager.retry_jobs_async, manager.delete_jobs_async, change_async]
    for call in calls:
        with pytest.raises(InvalidOption, match="Pass job_ids, or say which jobs"):
            await call()
        with pytest.raises(InvalidOption, match="job_ids and queue exclude each other"):
            await call([1], queue="mail")
        with pytest.raises(InvalidOption, match="limit='1'"):
            await call(queue="mail", limit="1")
        with pytest.raises(InvalidOption, match="task=5"):
            await call(task=5)
    with pytest.raises(InvalidOption, match="statuses"):
        await manager.count_jobs_async(statuses=[])
    with pytest.raises(InvalidOption, match="finished_after: jobs with the statuses 'todo' have not ended"):
        await manager.count_jobs_async(statuses=["todo"], finished_after=datetime.datetime.now(datetime.UTC))
    with pytest.raises(InvalidOption, match="has no time zone"):
        await manager.retry_jobs_async(finished_before=datetime.datetime(2030, 1, 1))
    with pytest.raises(InvalidOption, match="delay=-1"):
        await manager.retry_jobs_async(task="mail", delay=-1)
