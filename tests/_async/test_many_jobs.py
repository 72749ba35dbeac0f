"""Changing many jobs at once, whatever state each of them is in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
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
