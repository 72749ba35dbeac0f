"""What was deferred can be asserted, and a failure shows what comes closest."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import pytest

import adjourn
from adjourn import testing
from adjourn.exceptions import InvalidOption
from kit.conftest import Shop

HOUR = datetime.timedelta(hours=1)


def test_a_job_is_found_by_whatever_is_known_of_it(shop: Shop) -> None:
    soon = datetime.datetime.now(datetime.UTC) + HOUR
    options: dict[str, Any] = {"queue": "mail", "priority": 3, "lock": "a", "queueing_lock": "b"}
    job_id = shop.configured(shop.send, schedule_at=soon, **options).defer(number=5)
    for filters in (
        {},
        options,
        {"args": {"number": 5}, "exact": True},
        {"args": {"number": mock.ANY}},
        {"scheduled_at": soon},
        {"scheduled_within": (soon - HOUR, soon)},
        {"scheduled_within": (HOUR / 2, 2 * HOUR)},
        {"status": "todo", "count": 1},
    ):
        assert [job.id for job in shop.assert_deferred(shop.send, **filters)] == [job_id]
    assert shop.deferred("send", args={}) == shop.deferred()
    for filters in ({"args": {"number": 6}}, {"args": {}, "exact": True}, {"scheduled_within": (2 * HOUR, 3 * HOUR)}):
        assert shop.deferred(shop.send, **filters) == []
        testing.refute_deferred(shop.app, shop.send, connection=shop.connection, **filters)


def test_a_failure_shows_what_is_different_the_closest_first(shop: Shop) -> None:
    shop.configured(shop.order).defer(number=5)
    shop.configured(shop.send, queue="other").defer(number=6)
    shop.configured(shop.send).defer(number=6)
    with pytest.raises(AssertionError) as caught:
        shop.assert_deferred(shop.send, args={"number": 5}, queue="default")
    lines = str(caught.value).splitlines()
    assert lines[0] == "No job of task send with args={'number': 5}, queue='default' was deferred."
    assert lines[2].endswith("(number=6): argument number is 6, not 5")
    assert lines[3].endswith("(number=6): queue is 'other', not 'default'; argument number is 6, not 5")
    assert lines[4].endswith("(number=5): task is order, not send")


def test_a_wrong_number_is_told(shop: Shop) -> None:
    with pytest.raises(AssertionError, match=r"(?s)No job of any task was deferred\..*Nothing was deferred"):
        shop.assert_deferred()
    for number in (1, 2):
        shop.configured(shop.send).defer(number=number)
    shop.assert_deferred(shop.send, count=2)
    with pytest.raises(AssertionError, match=r"2 jobs of task send were deferred, and 3 should have been"):
        shop.assert_deferred(shop.send, count=3)
    with pytest.raises(AssertionError, match=r"No job of task send should have been deferred, but these were:\s+send"):
        testing.refute_deferred(shop.app, shop.send, connection=shop.connection)


def test_a_filter_that_does_not_exist_is_a_type_error(shop: Shop) -> None:
    with pytest.raises(TypeError, match="no option 'quee'; did you mean 'queue'"):
        shop.assert_deferred(shop.send, quee="mail")


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"args": [5]}, "args="),
        ({"exact": "yes"}, "exact="),
        ({"count": -1}, "count="),
        ({"scheduled_within": HOUR}, "scheduled_within="),
        ({"scheduled_within": (datetime.datetime(2030, 1, 1), HOUR)}, "scheduled_within="),
        ({"task": 5}, "task="),
    ],
)
def test_a_filter_that_is_not_valid_is_named(filters: dict[str, Any], words: str) -> None:
    app = adjourn.App(connector=testing.InMemoryConnector())
    with pytest.raises(InvalidOption, match=words):
        testing.assert_deferred(app, **filters)
