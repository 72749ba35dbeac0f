"""Whether a failed job is run again, and when."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from adjourn._domain.outcomes import Retried
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Job
from adjourn.retry import LONGEST_WAIT, BaseRetryStrategy, RetryDecision, RetryStrategy

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def job(attempts: int = 0) -> Job:
    return Job(id=1, queue="default", task_name="task", attempts=attempts)


def decide(strategy: BaseRetryStrategy | None, error: BaseException, attempts: int = 0) -> RetryDecision | None:
    assert strategy is not None
    return strategy.get_retry_decision(exception=error, job=job(attempts))


def test_no_retry_is_the_default_of_false() -> None:
    assert RetryStrategy.of(False) is None


def test_true_retries_at_once_without_limit() -> None:
    decision = decide(RetryStrategy.of(True), ValueError(), attempts=10_000)
    assert decision is not None
    assert decision.retry_at is None


def test_a_number_retries_that_many_times() -> None:
    strategy = RetryStrategy.of(2)
    assert decide(strategy, ValueError(), attempts=1) is not None
    assert decide(strategy, ValueError(), attempts=2) is None


def test_zero_attempts_means_never() -> None:
    assert decide(RetryStrategy(max_attempts=0), ValueError()) is None


def test_an_empty_list_of_exceptions_retries_none_of_them() -> None:
    assert decide(RetryStrategy(retry_exceptions=[]), ValueError()) is None


def test_only_the_named_exceptions_and_their_subclasses_are_retried() -> None:
    strategy = RetryStrategy(retry_exceptions=[OSError])
    assert decide(strategy, ConnectionError()) is not None
    assert decide(strategy, ValueError()) is None


def test_the_wait_grows_as_the_documentation_says() -> None:
    strategy = RetryStrategy(wait=1, linear_wait=10, exponential_wait=3)
    assert [strategy.wait_seconds(attempts) for attempts in range(3)] == [1 + 3, 1 + 10 + 9, 1 + 20 + 27]


def test_a_strategy_of_ones_own_is_asked() -> None:
    class Never(BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
            return None

    assert decide(RetryStrategy.of(Never()), ValueError()) is None


@pytest.mark.parametrize("value", ["yes", 1.5, [1], RetryStrategy])
def test_a_retry_option_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="retry="):
        RetryStrategy.of(value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": -1},
        {"wait": -1},
        {"wait": float("nan")},
        {"linear_wait": True},
        {"exponential_wait": "2"},
        {"retry_exceptions": [1]},
        {"retry_exceptions": ["ValueError"]},
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        RetryStrategy(**options)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"retry_at": datetime.datetime(2026, 1, 1)}, "retry_at"),
        ({"retry_at": NOW, "retry_in": {"seconds": 1}}, "exclude each other"),
        ({"retry_in": {"second": 1}}, "retry_in"),
        ({"retry_in": {"days": 10**8}}, "retry_in"),
        ({"priority": "high"}, "priority"),
        ({"queue": ""}, "queue"),
        ({"lock": ""}, "lock"),
    ],
)
def test_a_decision_that_could_not_be_stored_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidOption, match=word):
        RetryDecision(**options)


def test_a_decision_counts_its_time_from_now() -> None:
    before = datetime.datetime.now(datetime.UTC)
    decision = RetryDecision(retry_in={"minutes": 1})
    assert decision.retry_at is not None
    assert before <= decision.retry_at - datetime.timedelta(minutes=1) <= datetime.datetime.now(datetime.UTC)
    assert RetryDecision(retry_at=NOW).retry_at == NOW
    assert LONGEST_WAIT == 365 * 24 * 3600


def test_a_time_that_is_set_on_a_decision_replaces_its_delay() -> None:
    decision = RetryDecision(retry_in={"hours": 1})
    decision.retry_at = NOW
    outcome = Retried.of(job(), decision, None)
    assert (decision.retry_at, outcome.retry_at, outcome.retry_in) == (NOW, NOW, None)


def test_a_wait_can_be_capped() -> None:
    strategy = RetryStrategy(exponential_wait=3, max_wait=50)
    assert [strategy.wait_seconds(attempts) for attempts in range(5)] == [3, 9, 27, 50, 50]


def test_jitter_leaves_part_of_the_wait_to_chance() -> None:
    times = set()
    begun = datetime.datetime.now(datetime.UTC)
    for _ in range(200):
        decision = decide(RetryStrategy(wait=10_000, jitter=0.5), ValueError())
        assert decision is not None
        assert decision.retry_at is not None
        times.add(decision.retry_at)
    ended = datetime.datetime.now(datetime.UTC)
    assert begun + datetime.timedelta(seconds=5000) <= min(times)
    assert max(times) <= ended + datetime.timedelta(seconds=10_000)
    assert max(times) - min(times) > datetime.timedelta(seconds=2000)


@pytest.mark.parametrize("options", [{"max_wait": -1}, {"jitter": 1.5}, {"jitter": "some"}])
def test_a_cap_or_jitter_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        RetryStrategy(**options)


@pytest.mark.parametrize("option", ["wait", "linear_wait", "exponential_wait"])
@pytest.mark.parametrize("value", [None, -1, float("inf"), "1", True])
def test_a_wait_is_a_number_of_seconds(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=rf"^{option}="):
        RetryStrategy(**{option: value})


def test_a_negative_number_of_retries_is_refused_by_the_task_s_name_for_it() -> None:
    with pytest.raises(InvalidOption, match=r"^retry=-1: "):
        RetryStrategy.of(-1)


def test_what_ends_a_program_or_a_coroutine_is_not_retried_unless_named() -> None:
    for error in (SystemExit(), KeyboardInterrupt(), asyncio.CancelledError()):
        assert decide(RetryStrategy(), error) is None
        assert decide(RetryStrategy(retry_exceptions=[type(error)]), error) is not None
