"""Waiting for jobs: what is there at once, and what is refused; in memory as in Postgres."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import exceptions
from adjourn.testing import InMemoryConnector


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


async def cancelled_async(app: adjourn.App) -> int:
    """Return a job that has ended."""
    job_id = await app.configure_task("any").defer_async(n=1)
    assert await app.job_manager.cancel_job_by_id_async(job_id)
    return job_id


async def test_a_job_that_has_ended_is_returned_at_once_and_nobody_listens_for_it(app: adjourn.App) -> None:
    job_id, threads = await cancelled_async(app), threading.active_count()
    job = await app.job_manager.wait_for_job_async(job_id)
    assert (job.id, job.status, job.task_kwargs) == (job_id, "cancelled", {"n": 1})
    assert job.finished_at is not None
    with pytest.raises(exceptions.JobCancelled, match=r"was cancelled\.$"):
        await app.job_manager.get_result_async(job_id, timeout=10)
    assert threading.active_count() == threads


async def test_jobs_are_returned_in_the_order_given_and_as_often(app: adjourn.App) -> None:
    first, second = await cancelled_async(app), await cancelled_async(app)
    jobs = await app.job_manager.wait_for_jobs_async(iter([second, first, second]), timeout=10)
    assert [job.id for job in jobs] == [second, first, second]
    assert await app.job_manager.wait_for_jobs_async([]) == []


@pytest.mark.parametrize("timeout", [0, 0.01])
async def test_a_wait_ends_when_its_time_is_up_and_names_the_jobs_that_go_on(app: adjourn.App, timeout: float) -> None:
    waiting, ended = await app.configure_task("any").defer_async(), await cancelled_async(app)
    with pytest.raises(exceptions.WaitTimeout) as one:
        await app.job_manager.wait_for_job_async(waiting, timeout)
    assert str(one.value) == f"Job {waiting} has not ended within {timeout:g} seconds."
    with pytest.raises(exceptions.JobNotFinished) as several:
        await app.job_manager.wait_for_jobs_async([ended, waiting], timeout)
    assert str(several.value) == f"1 of 2 jobs ({waiting}) have not ended within {timeout:g} seconds."
    assert isinstance(several.value, TimeoutError)
    assert isinstance(several.value, exceptions.WaitTimeout)
    assert several.value.job_ids == (waiting,)
    assert app.job_manager.results.ends.expected() == []
    assert await app.job_manager.get_job_status_async(waiting) == "todo"


async def test_a_wait_for_a_job_that_is_not_there_is_refused_at_once(app: adjourn.App) -> None:
    waiting = await app.configure_task("any").defer_async()
    for ids in ([999_999], [waiting, 999_999]):
        with pytest.raises(exceptions.NoResult, match=r"^There is no job 999999\.$"):
            await app.job_manager.wait_for_jobs_async(ids)
    with pytest.raises(exceptions.NoResult, match=r"^There is no job 999999\.$"):
        await app.job_manager.get_result_async(999_999, timeout=None)
    assert app.job_manager.results.ends.expected() == []


async def test_a_job_that_is_waited_for_is_told_of_once_although_it_is_run_again(app: adjourn.App) -> None:
    job_id = await cancelled_async(app)
    await app.job_manager.retry_job_by_id_async(job_id)
    with pytest.raises(exceptions.WaitTimeout):
        await app.job_manager.wait_for_job_async(job_id, timeout=0)


async def test_a_wait_in_a_transaction_of_the_callers_is_refused(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"^timeout=1: with a connection of your own this cannot wait"):
        await app.job_manager.get_result_async(1, timeout=1, connection=object())
