"""Which values the options of a job and of a worker may have."""

from __future__ import annotations

import datetime
from typing import Any

import attrs
import pytest

from adjourn._domain.checks import check_filter, check_id, check_name, check_priority
from adjourn._domain.options import option_of
from adjourn._domain.time_checks import check_schedule
from adjourn.exceptions import InvalidOption
from adjourn.jobs import DeleteJobCondition, Status
from adjourn.worker.options import Options, checked_options

SECONDS = [
    "fetch_job_polling_interval",
    "shutdown_graceful_timeout",
    "update_heartbeat_interval",
    "stalled_worker_timeout",
    "round_trip_timeout",
    "abort_job_polling_interval",
    "timeout",
    "unknown_task_timeout",
    "priority_ageing",
    "stuck_worker_timeout",
    "stall_after",
    "outage_patience",
]
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
        check_schedule(NOW, {"seconds": 1})


def test_a_naive_datetime_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidOption, match=r"schedule_at=.*no time zone.*aware datetime"):
        check_schedule(datetime.datetime(2026, 1, 1), None)


@pytest.mark.parametrize("value", ["2026-01-01", datetime.date(2026, 1, 1), 5])
def test_what_is_no_datetime_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^schedule_at=.*pass a datetime"):
        check_schedule(value, None)


@pytest.mark.parametrize("value", [{"hour": 1}, {"seconds": "1"}, {"days": 10**12}, {"days": 3_000_000}, 5, [1]])
def test_what_is_no_time_from_now_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="schedule_in"):
        check_schedule(None, value)


def test_a_time_from_now_is_a_delay_in_seconds() -> None:
    assert check_schedule(None, {"minutes": 5}) == 300
    assert check_schedule(None, {"days": -1}) == -86_400
    assert check_schedule(None, None) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queues", "one"),
        ("queues", 5),
        ("queues", ["fine", ""]),
        ("name", ""),
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("concurrency", True),
        ("concurrency", 2**31),
        ("max_jobs", 0),
        ("max_jobs", 1.5),
        ("max_jobs", True),
        ("audit_days", 0),
        ("audit_days", 36_501),
        ("fetch_job_polling_interval", -1),
        ("fetch_job_polling_interval", float("nan")),
        ("shutdown_graceful_timeout", -1),
        ("delete_jobs", "sometimes"),
        ("additional_context", [1]),
        ("update_heartbeat_interval", "10"),
        ("stalled_worker_timeout", 10.0),
        ("round_trip_timeout", 30.0),
        ("round_trip_timeout", 0),
    ],
)
def test_a_worker_option_that_makes_no_sense_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=option):
        Options(**{option: value})


NOT_SECONDS = [float("nan"), float("inf"), 1e300, "10", True, -1]


def test_every_option_in_seconds_is_tried() -> None:
    told = {field.name for field in attrs.fields(Options) if option_of(field).unit == "seconds"}
    annotated = {field.name for field in attrs.fields(Options) if str(field.type).startswith("float")}
    assert set(SECONDS) == told == annotated


@pytest.mark.parametrize("value", NOT_SECONDS)
@pytest.mark.parametrize("option", SECONDS)
def test_what_is_no_duration_of_a_worker_s_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=rf"^{option}=.*number of seconds"):
        Options(**{option: value})


@pytest.mark.parametrize("option", ["wait", "listen_notify", "install_signal_handlers"])
def test_a_flag_of_a_worker_s_is_true_or_false(option: str) -> None:
    given: dict[str, Any] = {option: "no"}
    with pytest.raises(InvalidOption, match=rf"^{option}='no': pass True or False"):
        Options(**given)


async def _too_few(call_next: Any) -> None: ...


async def _as_many(*arguments: Any) -> None: ...


def test_middleware_that_takes_another_number_of_arguments_is_refused() -> None:
    for option in ("task_middleware", "worker_middleware"):
        given: dict[str, Any] = {option: [_too_few]}
        with pytest.raises(InvalidOption, match=rf"^{option}: .*_too_few.*\(call_next, context, worker\)"):
            Options(**given)
        given[option] = [_as_many]
        assert getattr(Options(**given), option) == (_as_many,)
    given = {"task_middleware": [lambda call_next: call_next()]}
    with pytest.raises(InvalidOption, match=r"^task_middleware: "):
        Options(**given)


def test_a_worker_s_options_may_be_checked_before_all_are_known() -> None:
    given = {"queues": iter(["a"]), "stalled_worker_timeout": 5}
    assert checked_options("worker_defaults", given) == {"queues": ("a",), "stalled_worker_timeout": 5}
    with pytest.raises(InvalidOption, match=r"^run_worker: there is no option 'bogus'\. These are: queues, name"):
        checked_options("run_worker", {"bogus": 1})
    with pytest.raises(InvalidOption, match=r"^concurrency="):
        checked_options("run_worker", {"concurrency": "all"})


EARLY, LATE = datetime.datetime.min, datetime.datetime.max


@pytest.mark.parametrize("time", [EARLY, LATE])
@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_time_at_an_end_of_the_calendar_is_refused(time: datetime.datetime, hours: int) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    with pytest.raises(InvalidOption, match=r"^schedule_at=.*between 0001-01-02 and 9999-12-30"):
        check_schedule(time.replace(tzinfo=zone), None)


def test_a_time_close_to_the_end_of_the_calendar_is_accepted() -> None:
    time = datetime.datetime(9999, 12, 29, tzinfo=datetime.UTC)
    assert check_schedule(time, None) is None


@pytest.mark.parametrize("value", ["7", 7.0, [7], True, None, 2**63, -(2**63) - 1])
def test_what_is_no_id_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^job_id=.*64 bits"):
        check_id("job_id", value)


@pytest.mark.parametrize("value", [5, b"q", "a\0", "\ud800", True])
def test_what_nothing_can_be_filtered_by_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^queue="):
        check_filter("queue", value)


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
