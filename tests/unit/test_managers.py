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
from adjourn.testing import InMemoryConnector

COMPOSED = {
    "lists": managers.JobLists,
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


async def test_a_name_does_what_it_stands_for() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    job_id = await app.configure_task("t", queue="q").defer_async()
    assert await app.job_manager.list_jobs_async(queue="q") == await app.job_manager.lists.list_jobs_async(queue="q")
    assert [job.id for job in await app.job_manager.lists.list_jobs_async(queue="q", limit=3)] == [job_id]
    assert [job.id for job in app.job_manager.lists.list_jobs(queue="q")] == [job_id]
    assert [row["name"] for row in app.job_manager.list_queues(queue="q")] == ["q"]
