"""What holds of every retry strategy."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from adjourn.jobs import Job
from adjourn.retry import LONGEST_WAIT, RetryStrategy

seconds = st.integers(min_value=0, max_value=10**12)
attempts = st.integers(min_value=0, max_value=10**9)


@given(wait=seconds, linear=seconds, exponential=seconds, attempt=attempts)
def test_a_wait_is_never_negative_never_above_the_longest_and_never_shrinks(
    wait: int, linear: int, exponential: int, attempt: int
) -> None:
    strategy = RetryStrategy(wait=wait, linear_wait=linear, exponential_wait=exponential)
    assert 0 <= strategy.wait_seconds(attempt) <= strategy.wait_seconds(attempt + 1) <= LONGEST_WAIT


@given(wait=seconds, linear=seconds, exponential=seconds, attempt=attempts)
def test_below_the_longest_wait_the_formula_holds_to_the_second(
    wait: int, linear: int, exponential: int, attempt: int
) -> None:
    strategy = RetryStrategy(wait=wait, linear_wait=linear, exponential_wait=exponential)
    waited = strategy.wait_seconds(attempt)
    if waited < LONGEST_WAIT:
        assert waited == wait + linear * attempt + exponential ** (attempt + 1 if exponential > 1 else 1)


@given(limit=st.integers(min_value=0, max_value=100), attempt=st.integers(min_value=0, max_value=200))
def test_a_job_is_retried_exactly_while_it_has_failed_less_often_than_the_limit(limit: int, attempt: int) -> None:
    strategy = RetryStrategy(max_attempts=limit)
    job = Job(id=1, queue="default", task_name="task", attempts=attempt)
    decision = strategy.get_retry_decision(exception=ValueError(), job=job)
    assert (decision is not None) == (attempt < limit)


@given(wait=st.integers(min_value=1, max_value=10**12), attempt=attempts)
def test_a_retry_can_always_be_given_a_time(wait: int, attempt: int) -> None:
    strategy = RetryStrategy(wait=wait)
    job = Job(id=1, queue="default", task_name="task", attempts=attempt)
    now = datetime.datetime.now(datetime.UTC)
    decision = strategy.get_retry_decision(exception=ValueError(), job=job)
    assert decision is not None
    assert decision.retry_at is not None
    assert decision.retry_at > now
