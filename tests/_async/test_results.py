"""What tasks have returned: stored, found, and forgotten in time; in memory as in Postgres."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable

import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Attempt, Ended, Result
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector
from adjourn.types import Statement

ATTEMPT = Attempt(1, 1, "one", datetime.datetime.min, datetime.datetime.min)
LAPSED = """
    with lapses as (update adjourn.adjourn_lapses set expires_at = now())
    update adjourn.adjourn_finished_jobs set result_expires_at = now() where result_expires_at is not null
"""
KEPT = "select count(*) as count from adjourn.adjourn_finished_jobs where result is not null"


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


@pytest.fixture
async def manager(app: adjourn.App) -> AsyncIterator[AsyncWorkerManager]:
    session = await app.connector.session_async()
    yield AsyncWorkerManager(session, app.connector.json_loads)
    await session.close_async()


async def end_async(
    app: adjourn.App, manager: AsyncWorkerManager, end: Callable[[int, int], Ended], lock: str | None = None
) -> int:
    """Defer a job, have a worker claim it and tell how it has ended, and return its id."""
    job_id = await app.configure_task("any", lock=lock).defer_async()
    worker = await manager.register_worker_async("one", None, 60)
    if lock is not None:
        await manager.place_async(10)
    (job,) = (await manager.exchange_async(worker, (), limit=1, queues=None)).jobs
    await manager.exchange_async(worker, [end(job_id, job.claim)], limit=0, queues=None)
    return job_id


def returned(text: str, ttl: float | None = 60) -> Callable[[int, int], Ended]:
    return lambda job_id, claim: Ended(job_id, claim, "succeeded", None, Result(text, ttl, lambda: ATTEMPT))


async def lapse_async(app: adjourn.App) -> None:
    """Let the time come at which results lapse."""
    if isinstance(app.connector, InMemoryConnector):
        app.connector.advance(seconds=60)
    else:
        await app.connector.get_async_connector().execute_async(Statement("test", LAPSED))


async def job_of_async(app: adjourn.App, job_id: int) -> Job:
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    return job


@pytest.mark.parametrize("text", ["null", '"text"', '{"a": [1, 2.5, null], "é": "\\\\ \\" \'"}'])
async def test_a_result_is_found_as_it_was_returned(app: adjourn.App, manager: AsyncWorkerManager, text: str) -> None:
    job_id = await end_async(app, manager, returned(text))
    expected = app.connector.json_loads(text)
    assert await app.job_manager.get_result_async(job_id) == expected
    job = await job_of_async(app, job_id)
    assert (job.status, job.result, job.has_result, job.attempts) == ("succeeded", expected, True, 1)
    assert job.finished_at is not None
    assert job.result_expires_at == job.finished_at + datetime.timedelta(seconds=60)


async def test_a_result_that_is_none_and_none_that_is_not_stored_are_told_apart(
    app: adjourn.App, manager: AsyncWorkerManager
) -> None:
    job_id = await end_async(app, manager, lambda job_id, claim: Ended(job_id, claim, "succeeded"))
    with pytest.raises(exceptions.ResultNotStored, match=r"^Job \d+ of task any has succeeded, and its result is not"):
        await app.job_manager.get_result_async(job_id)
    job = await job_of_async(app, job_id)
    assert (job.result, job.has_result, job.result_expires_at) == (None, False, None)


async def test_a_result_lapses(app: adjourn.App, manager: AsyncWorkerManager) -> None:
    job_id = await end_async(app, manager, returned('"gone"'))
    kept = await end_async(app, manager, returned('"kept"', None))
    await lapse_async(app)
    for _ in range(2):
        with pytest.raises(exceptions.ResultExpired, match=r"^The result of job \d+ of task any has lapsed at 2"):
            await app.job_manager.get_result_async(job_id)
        job = await job_of_async(app, job_id)
        assert (job.result, job.has_result, job.result_expires_at is None) == (None, False, False)
        assert await app.job_manager.get_result_async(kept) == "kept"
        await app.job_manager.delete_old_jobs_async(1)


async def test_a_job_without_a_result_says_why(app: adjourn.App, manager: AsyncWorkerManager) -> None:
    jobs = app.job_manager
    with pytest.raises(exceptions.NoResult, match=r"There is no job 999999\."):
        await jobs.get_result_async(999_999)
    waiting = await app.configure_task("any").defer_async()
    with pytest.raises(exceptions.JobNotFinished, match=r"has not ended yet: it waits\.$") as early:
        await jobs.get_result_async(waiting)
    assert isinstance(early.value, TimeoutError)
    assert await jobs.cancel_job_by_id_async(waiting)
    with pytest.raises(exceptions.JobCancelled, match=r"was cancelled\.$") as caught:
        await jobs.get_result_async(waiting)
    assert (caught.value.job.id, caught.value.job.status) == (waiting, "cancelled")
    error = '{"exception": "builtins.ValueError", "message": "no"}'
    failed = await end_async(app, manager, lambda job_id, claim: Ended(job_id, claim, "failed", error))
    with pytest.raises(exceptions.JobFailed, match=r"has failed: builtins\.ValueError: no\.$") as failure:
        await jobs.get_result_async(failed)
    assert failure.value.job.errors == ({"exception": "builtins.ValueError", "message": "no"},)
    sentence = error.replace("no", "No such page.")
    failed = await end_async(app, manager, lambda job_id, claim: Ended(job_id, claim, "failed", sentence))
    with pytest.raises(exceptions.JobFailed, match=r"ValueError: No such page\.$"):
        await jobs.get_result_async(failed)
    aborted = await end_async(app, manager, lambda job_id, claim: Ended(job_id, claim, "aborted"))
    with pytest.raises(exceptions.JobCancelled, match=r"was aborted\.$"):
        await jobs.get_result_async(aborted)


async def test_a_job_that_is_retried_by_hand_loses_its_result(app: adjourn.App, manager: AsyncWorkerManager) -> None:
    job_id = await end_async(app, manager, returned("1"))
    await app.job_manager.retry_job_by_id_async(job_id)
    with pytest.raises(exceptions.JobNotFinished):
        await app.job_manager.get_result_async(job_id)
    job = await job_of_async(app, job_id)
    assert (job.has_result, job.result_expires_at) == (False, None)


async def test_results_and_other_outcomes_are_stored_together_and_free_locks(
    app: adjourn.App, manager: AsyncWorkerManager
) -> None:
    ids = await app.configure_task("any").batch_defer_async({}, {}, {})
    await app.configure_task("any", lock="l").batch_defer_async({}, {})
    await manager.place_async(10)
    worker = await manager.register_worker_async("one", None, 60)
    first, second, third, head = (await manager.exchange_async(worker, (), limit=9, queues=None)).jobs
    outcomes = [
        returned("1")(first.id or 0, first.claim),
        Ended(second.id or 0, second.claim, "succeeded", is_deleted=True),
        Ended(third.id or 0, third.claim, "failed", '{"message": "no"}'),
        returned("2")(head.id or 0, head.claim),
    ]
    stale = [returned("3")(each.id, each.claim) for each in outcomes]
    exchanged = await manager.exchange_async(worker, outcomes, limit=9, queues=None)
    assert [job.lock for job in exchanged.jobs] == ["l"]
    assert not exchanged.refused
    assert (await manager.exchange_async(worker, stale, limit=0, queues=None)).refused == {job.id for job in outcomes}
    assert await app.job_manager.get_result_async(first.id or 0) == 1
    assert [job.status for job in await app.job_manager.list_jobs_async() if job.id in ids] == ["succeeded", "failed"]


async def test_old_jobs_stay_until_their_results_have_lapsed_and_then_the_results_go_first(
    app: adjourn.App, manager: AsyncWorkerManager
) -> None:
    lapsing = await end_async(app, manager, returned("1"))
    endless = await end_async(app, manager, returned("2", None))
    assert await app.job_manager.delete_old_jobs_async(0) == 1, "a result that never lapses keeps no job"
    assert [job.id for job in await app.job_manager.list_jobs_async()] == [lapsing]
    assert endless != lapsing
    await lapse_async(app)
    assert await app.job_manager.delete_old_jobs_async(10_000) == 0
    if not isinstance(app.connector, InMemoryConnector):
        rows = await app.connector.get_async_connector().execute_async(Statement("test", KEPT))
        assert rows == [{"count": 0}]
    assert await app.job_manager.delete_old_jobs_async(0) == 1
