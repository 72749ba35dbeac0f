"""Limits and unique jobs of tasks of the framework ``django.tasks``, or of its backport."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from adjourn import Limit, Rate, Unique
from adjourn._domain.job_limits import TaskLimits
from adjourn.contrib.django import app
from adjourn.contrib.django.limited import LIMITED
from adjourn.contrib.django.tasks import AdjournTask, options
from adjourn.contrib.django.tasks.compat import InvalidTask, task_enqueued
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from adjourn.testing import InMemoryConnector, drain
from support.shop import framework
from support.shop.tasks import bill

Shop = psycopg.Connection
NAME = "django:support.shop.framework.limited"


@pytest.fixture(autouse=True)
def no_calls(shop: Shop) -> Iterator[None]:
    framework.calls.clear()
    framework.running.clear()
    framework.most.clear()
    known = dict(LIMITED)
    yield
    LIMITED.clear()
    LIMITED.update(known)
    shop.execute("DELETE FROM adjourn.adjourn_limits")


def run(**options: Any) -> None:
    """Run the jobs that are there."""
    app.run_worker(wait=False, install_signal_handlers=False, **options)


def count(shop: Shop) -> int:
    """How many jobs are stored."""
    row = shop.execute("SELECT count(*) FROM adjourn.adjourn_all_jobs").fetchone()
    assert row is not None
    return int(row[0])


def keys(shop: Shop) -> list[str | None]:
    """The keys of the stored jobs, in order."""
    return [key for (key,) in shop.execute("SELECT limit_key FROM adjourn.adjourn_jobs ORDER BY id")]


def limits() -> dict[tuple[str, str], int | None]:
    """The limits that are stored, with how many jobs may run."""
    return {(each.scope, each.name): each.concurrency for each in app.job_manager.list_limits()}


def declared() -> None:
    """Do nothing."""


# Limits


def test_the_key_of_a_limit_is_an_argument_however_it_is_passed(shop: Shop) -> None:
    framework.limited.enqueue("a")
    framework.limited.enqueue(number=1, tenant="a")
    framework.limited.using(limit_key="b").enqueue("a", 2)
    assert keys(shop) == ["a", "a", "b"]


def test_no_more_jobs_run_at_once_than_the_limits_of_a_task_allow(shop: Shop) -> None:
    for number in range(4):
        for tenant in ("a", "b", "c"):
            framework.limited.enqueue(tenant, number)
    run(concurrency=6)
    assert len(framework.calls) == 12
    assert framework.most == {"a": 1, "b": 1, "c": 1, "all": 2}


def test_a_worker_stores_the_limits_of_tasks_when_it_starts(shop: Shop) -> None:
    run()
    stored = limits()
    assert (stored["task", NAME], stored["key", NAME]) == (2, 1)


def test_limits_of_a_module_that_a_worker_imports_for_a_job_are_stored_then(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_module.py").write_text(
        "from adjourn import Limit\nfrom adjourn.contrib.django.tasks import options\nfrom support.shop.framework import task\n"
        "@task\n@options(limits=Limit(concurrency=3))\ndef late():\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.configure_task("django:late_module.late").defer(args=[], kwargs={}, backend="default", run_after=None)
    run()
    assert limits()["task", "django:late_module.late"] == 3
    assert app.job_manager.list_jobs()[0].status == "succeeded"


def test_a_job_runs_though_the_limits_of_its_task_cannot_be_stored_and_the_next_one_tries_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(LIMITED, "django:support.shop.framework.other", TaskLimits(Limit(concurrency=1)))
    failing = [ConnectorException("no luck")]
    declare = app.job_manager.limits.declare

    def fails_once(declared: Any) -> None:
        if failing:
            raise failing.pop()
        declare(declared)

    monkeypatch.setattr(app.job_manager.limits, "declare", fails_once)
    with override_settings(TASKS=settings.TASKS):  # so the task is looked up anew
        for _ in range(3):
            framework.other.enqueue()
            run()
    assert [job.status for job in app.job_manager.list_jobs()] == ["succeeded"] * 3
    assert [getattr(each, "action", "") for each in caplog.records].count("limits_not_stored") == 1


def test_a_limited_task_is_enqueued_in_the_transaction_and_with_one_query_once_its_limit_is_stored(shop: Shop) -> None:
    framework.limited.enqueue("a")
    with CaptureQueriesContext(connection) as queries, pytest.raises(LookupError), transaction.atomic():
        framework.limited.enqueue("a")
        raise LookupError
    assert len([each for each in queries if "adjourn" in each["sql"]]) == 1
    assert count(shop) == 1


def test_limited_tasks_run_in_a_drain_and_in_memory(shop: Shop) -> None:
    framework.limited.enqueue("a", pause=0)
    drain(app)
    with app.replace_connector(InMemoryConnector()):
        for tenant in ("a", "a", "b"):
            framework.limited.enqueue(tenant)
        run(concurrency=3)
    assert len(framework.calls) == 4
    assert framework.most["a"] == 1


def test_retry_and_results_of_limited_tasks_are_as_ever(shop: Shop) -> None:
    result = framework.limited.enqueue("a", pause=0)
    assert framework.limited.get_result(result.id) == result
    run()
    result.refresh()
    assert result.status == "SUCCESSFUL"


# Unique


def test_of_tasks_that_are_the_same_one_is_enqueued_however_the_arguments_are_passed(shop: Shop) -> None:
    told: list[str] = []

    def receive(task_result: Any, **_: Any) -> None:
        told.append(task_result.id)

    task_enqueued.connect(receive)
    first = framework.greet.enqueue(7)
    with CaptureQueriesContext(connection) as queries:
        again = framework.greet.enqueue(7, "good morning")
    other = framework.greet.enqueue(8)
    awaited = asyncio.run(framework.greet.aenqueue(8))
    task_enqueued.disconnect(receive)
    assert len(queries) == 2, "it looks the other one up"
    assert (again, awaited) == (first, other)
    assert (count(shop), told) == (2, [first.id, other.id])
    assert again.args == [7]
    run()
    assert sorted(framework.calls) == [[1, 7, "hello"], [1, 8, "hello"]]
    assert framework.greet.enqueue(7).id != first.id


def test_a_second_one_is_refused_and_the_transaction_goes_on(shop: Shop) -> None:
    with transaction.atomic():
        framework.sync_customer.enqueue(1)
        with pytest.raises(AlreadyEnqueued):
            framework.sync_customer.enqueue(1)
        with pytest.raises(AlreadyEnqueued):
            framework.sync_customer.enqueue(customer=1)
        framework.sync_customer.enqueue(1, full=True)
        framework.sync_customer.enqueue(2)
    assert count(shop) == 3


def test_a_waiting_one_may_get_the_new_arguments(shop: Shop) -> None:
    task = framework.greet.using(unique=Unique(args=["customer"], on_conflict="replace"))
    first = task.enqueue(7)
    again = task.using(priority=3).enqueue(7, text="good morning")
    assert again.id == first.id
    assert (again.kwargs, again.task.priority) == ({"text": "good morning"}, 3)
    run()
    again.refresh()
    assert again.return_value == "good morning"


def test_one_that_has_ended_may_count_and_its_result_is_there(shop: Shop) -> None:
    task = framework.greet.using(unique=Unique(over=["todo", "doing", "succeeded"], period=60, on_conflict="skip"))
    task.enqueue(7)
    run()
    again = task.enqueue(7)
    assert (again.status, again.return_value) == ("SUCCESSFUL", "hello")


def test_with_a_key_tasks_are_the_same_as_those_of_another_name(shop: Shop) -> None:
    unique = Unique(key="customer 7", on_conflict="skip")
    first = framework.greet.using(unique=unique).enqueue(7)
    again = framework.note.using(unique=unique).enqueue("anything")
    assert (again.id, again.task.func) == (first.id, framework.greet.func)
    bill.configure(unique=Unique(key="plain")).defer(order_id=1)
    with pytest.raises(AlreadyEnqueued, match="no task of this framework"):
        framework.note.using(unique=Unique(key="plain", on_conflict="skip")).enqueue()


def test_unique_and_a_queueing_lock_replace_each_other() -> None:
    locked = framework.task(options(queueing_lock="q")(declared))
    unique = locked.using(unique=Unique())
    assert (unique.unique, unique.queueing_lock) == (Unique(), None)
    again = unique.using(queueing_lock="r").using(priority=1)
    assert (again.unique, again.queueing_lock, again.priority) == (None, "r", 1)
    made = framework.greet.using(queueing_lock="q")
    assert (made.unique, made.using(lock="l").queueing_lock) == (None, "q")


# What is not valid


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"limits": 3}, "limits=3"),
        ({"limits": [Limit(concurrency=1), Limit(concurrency=2)]}, "no key"),
        ({"limits": Limit(key="tenat", concurrency=1)}, "'tenat' is no argument"),
        ({"unique": True}, "unique=True"),
        ({"unique": Unique(args=["custmer"])}, "'custmer'"),
        ({"unique": Unique(), "queueing_lock": "q"}, "exclude each other"),
        ({"limits": Limit(key="customer", name="shared", concurrency=2)}, "name='shared' is another limit"),
    ],
)
def test_limits_and_unique_that_are_not_valid_are_refused(wrong: dict[str, Any], named: str) -> None:
    def shares(customer: int) -> None:
        """Share a limit."""

    def function(customer: int) -> None:
        """Do nothing."""

    for each in (shares, function):
        each.__module__, each.__qualname__ = __name__, each.__name__
    framework.task(options(limits=Limit(key="customer", name="shared", rate=Rate(1)))(shares))
    with pytest.raises(InvalidTask, match=named):
        framework.task(options(**wrong)(function))


def test_limits_may_come_from_an_iterator_of_which_each_use_of_the_task_has_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(framework.limited, func=declared, limits=iter([Limit(concurrency=1)]))
    assert task.limits == task.using(queue_name="slow").limits == (Limit(concurrency=1),)
    monkeypatch.setattr(declared, "__dict__", {})
    options(limits=iter([Limit(concurrency=1)]))(declared)
    for _ in range(2):
        assert replace(framework.limited, func=declared, limits=()).limits == (Limit(concurrency=1),)


def test_options_of_a_use_are_checked(shop: Shop) -> None:
    with pytest.raises(InvalidTask, match="no limit with a key"):
        framework.note.using(limit_key="x")
    with pytest.raises(InvalidTask, match="limit_key"):
        framework.limited.using(limit_key="")
    with pytest.raises(InvalidTask, match="'custmer'"):
        framework.sync_customer.using(unique=Unique(args=["custmer"]))
    assert count(shop) == 0


@pytest.mark.parametrize(
    ("enqueued", "arguments", "named"),
    [
        (framework.limited, {}, "'tenant'"),
        (framework.limited, {"tenant": "a", "nubmer": 1}, "'nubmer'"),
        (framework.limited, {"tenant": ["a"]}, "limit_key"),
        (framework.sync_customer, {"custmer": 1}, "'custmer'|'customer'"),
    ],
)
def test_arguments_that_make_no_key_are_refused_and_nothing_is_stored(
    shop: Shop, enqueued: AdjournTask, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidTask, match=named):
        enqueued.enqueue(**arguments)
    assert count(shop) == 0
