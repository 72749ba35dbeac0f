"""Operations that programs of Procrastinate await by the names that block here."""

from __future__ import annotations

import asyncio
import itertools
import warnings
from typing import Any

import pytest

import adjourn
from adjourn._compat import awaited
from adjourn.jobs import Job
from adjourn.manager import JobManager
from adjourn.testing import InMemoryConnector

TICKS = itertools.count(1)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "_told", set())


@pytest.fixture
def manager() -> Any:
    return adjourn.App(connector=InMemoryConnector()).job_manager


async def awaited_by_all_names(manager: Any) -> None:
    """Await each of the names that block."""
    job_id = await manager.defer_periodic_job(Job(queue="q", task_name="t"), "", next(TICKS))
    worker_id = await manager.register_worker()
    await manager.update_heartbeat(worker_id)
    job = await manager.fetch_job(None, worker_id)
    assert job.id == job_id
    await manager.retry_job(job)
    job = await manager.fetch_job(None, worker_id)
    assert await manager.finish_job(job, "succeeded")
    assert await manager.get_stalled_jobs(seconds_since_heartbeat=1) == []
    assert await manager.delete_old_jobs(nb_hours=0) == 1
    assert await manager.prune_stalled_workers(60) == []
    await manager.unregister_worker(worker_id)


async def test_each_is_awaited_on_a_loop_with_one_warning_that_names_the_other_form(manager: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await awaited_by_all_names(manager)
        await awaited_by_all_names(manager)
    said = [str(each.message) for each in caught]
    assert len(said) == len(awaited.AWAITED)
    for name in awaited.AWAITED:
        assert sum(f"`await job_manager.{name}_async(...)`" in each for each in said) == 1, name
    assert {each.filename for each in caught} == {__file__}
    assert {each.category for each in caught} == {DeprecationWarning}


async def test_where_warnings_are_errors_nothing_has_happened_and_it_is_said_each_time(manager: Any) -> None:
    for _ in range(2):
        with pytest.raises(DeprecationWarning, match=r"register_worker_async"):
            await manager.register_worker()
    assert manager.connector.workers == {}


def test_off_a_loop_they_block_and_say_nothing(manager: JobManager) -> None:
    assert manager.get_stalled_jobs() == []
    assert manager.delete_old_jobs(nb_hours=1) == 0


async def test_in_a_thread_beside_a_loop_they_block_and_say_nothing(manager: JobManager) -> None:
    assert await asyncio.to_thread(manager.get_stalled_jobs) == []


async def test_only_the_job_manager_s_own_names_can_be_awaited(manager: JobManager) -> None:
    assert manager.lists.get_stalled_jobs() == []
    assert manager.retention.delete_old_jobs(nb_hours=1) == 0
