"""A manager is made of others, and has names for their operations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import adjourn
from adjourn import manager as managers
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._sync.managers.statements import SyncStatementRunner
from adjourn.jobs import Status
from adjourn.testing import InMemoryConnector

COMPOSED = {
    "lists": managers.JobLists,
    "many": managers.ManyJobs,
    "workers": managers.Workers,
    "retention": managers.Retention,
    "schedules": managers.Schedules,
}


def operations(kind: type) -> dict[str, Callable[..., Any]]:
    """The operations of a manager: what its class says in public, apart from what every manager has."""
    everyones = {*vars(AsyncStatementRunner), *vars(SyncStatementRunner)}
    mine = {name for each in kind.__mro__ for name in vars(each) if not name.startswith("_")} - everyones
    return {name: getattr(kind, name) for name in mine if inspect.isfunction(getattr(kind, name))}


@pytest.mark.parametrize("attribute", COMPOSED)
def test_each_operation_of_its_managers_has_a_name_in_both_colours(attribute: str) -> None:
    found = operations(COMPOSED[attribute])
    assert found
    for name, operation in found.items():
        forwarding = getattr(managers.JobManager, name)
        assert inspect.signature(forwarding) == inspect.signature(operation), name
        assert forwarding.__doc__ == operation.__doc__, name
        assert name.endswith("_async") == inspect.iscoroutinefunction(forwarding), name
        assert name.removesuffix("_async") in found
        assert f"{name.removesuffix('_async')}_async" in found


@pytest.mark.parametrize("attribute", COMPOSED)
def test_its_managers_ask_the_same_database(attribute: str) -> None:
    manager = managers.JobManager(InMemoryConnector(), "other_schema")
    found = getattr(manager, attribute)
    assert type(found) is COMPOSED[attribute]
    assert getattr(manager, attribute) is found
    assert (found.connector, found.schema) == (manager.connector, "other_schema")


def test_its_managers_follow_it_to_another_connector() -> None:
    # Test suites of programs that were written for Procrastinate assign it.
    former, other = InMemoryConnector(), InMemoryConnector()
    manager = managers.JobManager(former)
    before = [getattr(manager, attribute) for attribute in COMPOSED]
    manager.connector = other
    job_id = adjourn.App(connector=other).configure_task("t").defer()
    assert [each.connector for each in before] == [former] * len(COMPOSED)
    assert [getattr(manager, attribute).connector for attribute in COMPOSED] == [other] * len(COMPOSED)
    assert [job.id for job in manager.list_jobs()] == [job_id]
    worker_id = manager.register_worker()
    job = manager.fetch_job(None, worker_id)
    assert job is not None
    assert manager.finish_job(job, Status.SUCCEEDED)
    assert manager.delete_old_jobs(nb_hours=0) == 1


def test_its_statements_and_managers_follow_it_to_another_schema() -> None:
    manager = managers.JobManager(InMemoryConnector())
    assert manager.lists.schema == "adjourn"
    manager.schema = "other_schema"
    assert manager.lists.schema == "other_schema"
    assert '"other_schema"' in manager.statements["list_jobs"].text


async def test_a_name_does_what_it_stands_for() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    job_id = await app.configure_task("t", queue="q").defer_async()
    assert await app.job_manager.list_jobs_async(queue="q") == await app.job_manager.lists.list_jobs_async(queue="q")
    assert [job.id for job in await app.job_manager.lists.list_jobs_async(queue="q", limit=3)] == [job_id]
    assert [job.id for job in app.job_manager.lists.list_jobs(queue="q")] == [job_id]
    assert [row["name"] for row in app.job_manager.list_queues(queue="q")] == ["q"]
