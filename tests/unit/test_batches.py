"""Batch tasks: what is refused, and what is said of a job."""

from __future__ import annotations

from typing import Any

import pytest

import adjourn
from adjourn import Batch, BatchItem, exceptions
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector


def declare(**options: Any) -> adjourn.Task[Any, Any, ...]:
    task: Any = adjourn.App(connector=InMemoryConnector()).task
    declared: adjourn.Task[Any, Any, ...] = task(name="t", **options)(print)
    return declared


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0,), "size"), ((-1,), "size"), ((10_001,), "size"), ((1.0,), "size"), ((True,), "size"), (("5",), "size")],
)
def test_a_size_that_is_none_is_refused(arguments: Any, named: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match=named):
        Batch(*arguments)


@pytest.mark.parametrize("wait", [-1, float("nan"), "1", None, True])
def test_a_wait_that_is_none_is_refused(wait: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match="wait"):
        Batch(5, wait=wait)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch": 5}, "batch"),
        ({"batch": Batch(5), "pass_context": True}, "pass_context"),
        ({"batch": Batch(5), "lock": "l"}, "lock"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match=named):
        declare(**options)


def test_a_job_of_it_has_no_lock() -> None:
    with pytest.raises(exceptions.InvalidOption, match="lock"):
        declare(batch=Batch(5)).configure(lock="l")


def test_the_last_thing_that_is_said_of_a_job_counts() -> None:
    item = BatchItem(Job(queue="q", task_name="t", task_kwargs={"a": 1}))
    assert (item.kwargs, item.has_ended) == ({"a": 1}, False)
    item.fail(ValueError("v"))
    item.succeed(5)
    assert (item.has_ended, item.result, item.error) == (True, 5, None)
    error = KeyError()
    item.fail(error)
    assert (item.has_ended, item.result, item.error) == (True, None, error)
    with pytest.raises(exceptions.InvalidOption, match="error"):
        item.fail("no exception")  # type: ignore[arg-type]
