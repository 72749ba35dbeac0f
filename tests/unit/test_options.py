"""Which values the options of a job and of a worker may have."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from adjourn.exceptions import InvalidOption
from adjourn.jobs import DeleteJobCondition, Status
from adjourn.options import check_name, check_priority, scheduled_time
from adjourn.worker.options import Options

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize("value", ["", "x" * 256, "a\0b", "\ud800", 7, b"bytes", None])
def test_what_cannot_name_a_queue_is_refused_naming_the_argument(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^queue="):
        check_name("queue", value)


def test_a_name_of_the_longest_length_is_accepted() -> None:
    check_name("queue", "x" * 255)
    check_name("lock", None, optional=True)


@pytest.mark.parametrize("value", [True, 1.5, "1", 2**31, -(2**31) - 1, None])
def test_what_is_not_a_priority_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^priority="):
        check_priority(value)


def test_the_two_ways_to_schedule_exclude_each_other() -> None:
    with pytest.raises(InvalidOption, match="schedule_at and schedule_in exclude each other"):
        scheduled_time(NOW, {"seconds": 1}, NOW)


def test_a_naive_datetime_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidOption, match=r"schedule_at=.*no time zone.*aware datetime"):
        scheduled_time(datetime.datetime(2026, 1, 1), None, NOW)


@pytest.mark.parametrize("value", ["2026-01-01", datetime.date(2026, 1, 1), 5])
def test_what_is_no_datetime_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^schedule_at=.*pass a datetime"):
        scheduled_time(value, None, NOW)


@pytest.mark.parametrize("value", [{"hour": 1}, {"seconds": "1"}, {"days": 10**12}, {"days": 3_000_000}, 5, [1]])
def test_what_is_no_time_from_now_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="schedule_in"):
        scheduled_time(None, value, NOW)


def test_a_time_from_now_is_counted_from_now() -> None:
    assert scheduled_time(None, {"minutes": 5}, NOW) == NOW + datetime.timedelta(minutes=5)
    assert scheduled_time(None, None, NOW) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queues", "one"),
        ("queues", ["fine", ""]),
        ("name", ""),
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("concurrency", True),
        ("fetch_job_polling_interval", 0),
        ("fetch_job_polling_interval", float("nan")),
        ("shutdown_graceful_timeout", -1),
        ("delete_jobs", "sometimes"),
        ("additional_context", [1]),
        ("update_heartbeat_interval", "10"),
        ("stalled_worker_timeout", 10.0),
    ],
)
def test_a_worker_option_that_makes_no_sense_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=option):
        Options(**{option: value})


def test_no_queues_means_all_queues() -> None:
    assert Options(queues=[]).queues is None
    assert Options(queues=iter(["a", "b"])).queues == ("a", "b")


@pytest.mark.parametrize(
    ("condition", "status", "deleted"),
    [
        ("never", Status.SUCCEEDED, False),
        ("successful", Status.SUCCEEDED, True),
        ("successful", Status.FAILED, False),
        ("always", Status.FAILED, True),
    ],
)
def test_delete_jobs_says_which_finished_jobs_go(condition: str, status: Status, deleted: bool) -> None:
    assert DeleteJobCondition(condition).applies_to(status) is deleted
