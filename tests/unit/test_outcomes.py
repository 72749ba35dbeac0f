"""How the end of a run is told to the database."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace
from typing import Any

import pytest

from adjourn._domain.outcomes import (
    MAX_MESSAGE,
    MAX_TRACEBACK,
    Attempt,
    Ended,
    HandedBack,
    Outcome,
    Result,
    Retried,
    dump_outcomes,
    error_entry,
)
from adjourn.exceptions import InvalidOption
from adjourn.jobs import DeleteJobCondition, Job, Status
from adjourn.retry import RetryDecision

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
JOB = Job(id=7, queue="default", task_name="task", claim=3, attempts=2)
ATTEMPT = Attempt(3, 5, "one", NOW, NOW)


def entry(error: BaseException) -> dict[str, Any]:
    try:
        raise error
    except BaseException as raised:
        return dict(json.loads(error_entry(raised, ATTEMPT)))


def test_an_error_is_kept_with_its_type_message_traceback_and_times() -> None:
    kept = entry(ValueError("no such thing"))
    assert kept["exception"] == "builtins.ValueError"
    assert kept["message"] == "no such thing"
    assert "test_outcomes.py" in kept["traceback"]
    assert kept["started_at"] == kept["ended_at"] == NOW.isoformat()
    assert (kept["attempt"], kept["worker_id"], kept["worker_name"]) == (3, 5, "one")


def test_an_error_is_bounded_in_size_and_keeps_both_ends_of_its_traceback() -> None:
    kept = entry(ValueError("x" * 100_000 + "end"))
    assert len(kept["message"]) == MAX_MESSAGE
    assert MAX_TRACEBACK < len(kept["traceback"]) < MAX_TRACEBACK + 100
    assert "test_outcomes.py" in kept["traceback"]
    assert kept["traceback"].endswith("xend\n")


def test_an_error_that_postgres_could_not_store_is_made_storable() -> None:
    kept = entry(ValueError("nul \0 and half a pair \ud800"))
    assert kept["message"] == "nul \\0 and half a pair \\ud800"


def test_an_error_whose_text_cannot_be_had_is_kept_all_the_same() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in entry(Broken())["message"]


def test_an_ended_job_that_is_to_be_deleted_has_its_status_all_the_same() -> None:
    ended = Ended.of(JOB, Status.SUCCEEDED, DeleteJobCondition.SUCCESSFUL)
    assert ended == Ended(7, 3, "succeeded", is_deleted=True)
    assert Ended.of(JOB, Status.FAILED, DeleteJobCondition.SUCCESSFUL) == Ended(7, 3, "failed")


def test_a_retry_carries_the_decision_and_the_fence() -> None:
    decision = RetryDecision(retry_at=NOW, queue="slow")
    retried = Retried.of(JOB, decision, None)
    assert (retried.id, retried.claim, retried.queue, retried.lock) == (7, 3, "slow", None)
    assert (retried.retry_at, retried.retry_in) == (NOW, None)


def test_outcomes_are_sent_in_the_order_of_their_ids_without_what_is_none() -> None:
    outcomes: list[Outcome] = [
        Retried(9, 1, '{"a": 1}', retry_at=NOW, priority=0),
        HandedBack(8, 2),
        Ended(7, 3, "failed", is_deleted=True),
        Ended(6, 1, "x", 'said \\ "no"'),
    ]
    sent = dump_outcomes(outcomes)
    assert (sent["ids"], sent["claims"], sent["statuses"]) == ("{6,7}", "{1,3}", '{"x","-failed"}')
    assert sent["errors"] == '{"said \\\\ \\"no\\"",null}'
    assert dump_outcomes([Ended(7, 3, "failed", is_deleted=True)])["errors"] is None
    assert (sent["results"], sent["ttls"]) == (None, None)
    assert sent["back"] is not None
    assert json.loads(sent["back"]) == [
        {"id": 8, "claim": 2, "outcome": "handed_back"},
        {"id": 9, "claim": 1, "outcome": "retried", "error": '{"a": 1}', "retry_at": NOW.isoformat(), "priority": 0},
    ]
    assert set(dump_outcomes([]).values()) == {None}


def test_results_are_sent_with_the_seconds_until_they_lapse() -> None:
    results = [Result('{"a": "b"}', 3600, lambda: ATTEMPT), None, Result("null", None, lambda: ATTEMPT)]
    sent = dump_outcomes([Ended(number, 1, "succeeded", None, result) for number, result in enumerate(results)])
    assert sent["results"] == '{"{\\"a\\": \\"b\\"}",null,"null"}'
    assert sent["ttls"] == "{3600,null,null}"


def test_a_job_with_a_result_is_kept_whatever_jobs_are_deleted() -> None:
    ended = Ended.with_result(JOB, Result("1", None, lambda: ATTEMPT))
    assert (ended.id, ended.claim, ended.status, ended.error) == (7, 3, "succeeded", None)


@pytest.mark.parametrize("delay", [datetime.timedelta(seconds=1), {"seconds": 1}, float("nan"), 1e300, True, "1"])
def test_a_delay_of_a_users_own_decision_that_cannot_be_stored_is_refused(delay: Any) -> None:
    decision: Any = SimpleNamespace(retry_at=None, retry_in=delay, priority=None, queue=None, lock=None)
    with pytest.raises(InvalidOption, match=r"^retry_in="):
        Retried.of(JOB, decision, None)


def test_a_time_is_sent_in_utc_whatever_its_offset() -> None:
    odd = datetime.timezone(datetime.timedelta(hours=1, microseconds=5))
    retried = Retried.of(JOB, RetryDecision(retry_at=NOW.astimezone(odd)), None)
    assert retried.row()["retry_at"] == NOW.isoformat()
