"""The terms of jobs: what is refused, and how often a job is retried."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import adjourn
from adjourn import RetryStrategy, exceptions
from adjourn.testing import InMemoryConnector


def task_of(**options: Any) -> adjourn.Task[Any, Any, ...]:
    """A task with these options."""

    @adjourn.App(connector=InMemoryConnector()).task(name="t", **options)
    def task() -> None: ...

    declared: adjourn.Task[Any, Any, ...] = task
    return declared


@pytest.mark.parametrize(
    "options",
    [
        {"expires_in": 0},
        {"expires_in": -1.0},
        {"expires_in": "1"},
        {"expires_in": True},
        {"expires_in": {"minutes": -1}},
        {"expires_in": {"minute": 1}},
        {"expires_in": float("nan")},
        {"expires_at": "tomorrow"},
        {"expires_at": datetime.datetime(2100, 1, 1)},
        {"expires_at": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)},
        {"expires_at": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC), "expires_in": 1},
        {"max_attempts": -1},
        {"max_attempts": 2**31},
        {"max_attempts": 1.0},
        {"max_attempts": True},
    ],
    ids=str,
)
def test_bad_terms_are_refused_where_they_are_said(options: dict[str, Any]) -> None:
    task = task_of()
    with pytest.raises(exceptions.InvalidOption, match=next(iter(options))):
        task.configure(**options)
    if options.keys() == {"expires_in"}:
        with pytest.raises(exceptions.InvalidOption, match="expires_in"):
            task_of(**options)


def test_a_job_that_expires_before_it_is_due_is_refused() -> None:
    at = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    task = task_of()
    for due in ({"schedule_at": at}, {"schedule_in": {"days": 365 * 100}}):
        with pytest.raises(exceptions.InvalidOption, match="before it is due"):
            task.configure(expires_at=at, **due)
    with pytest.raises(exceptions.InvalidOption, match="year 9999"):
        task.configure(schedule_at=datetime.datetime(9999, 12, 30, tzinfo=datetime.UTC), expires_in=1e6)


def test_max_attempts_goes_before_what_the_task_says() -> None:
    task = task_of(retry=RetryStrategy(max_attempts=1, wait=5))
    never, often = (task.configure(max_attempts=most).job for most in (0, 3))
    assert task.get_retry_exception(ValueError(), never) is None
    for attempts, is_retried in enumerate([True, True, True, False]):
        decision = task.get_retry_exception(ValueError(), often.evolve(attempts=attempts))
        assert (decision is not None) is is_retried
    assert task_of().get_retry_exception(ValueError(), often) is None


def test_it_bounds_strategies_of_ones_own_too() -> None:
    class Always(adjourn.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: adjourn.jobs.Job) -> adjourn.RetryDecision:
            return adjourn.RetryDecision()

    task = task_of(retry=Always())
    job = task.configure(max_attempts=2).job
    assert [task.get_retry_exception(ValueError(), job.evolve(attempts=n)) is not None for n in range(4)] == [
        *(True, True),
        *(False, False),
    ]
