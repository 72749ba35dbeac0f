"""Time passes for jobs and schedules, and the ticks of periodic tasks are deferred when a test asks for them."""

from __future__ import annotations

import datetime
from typing import Any

import freezegun
import pytest

import adjourn
from adjourn import testing
from adjourn.exceptions import InvalidOption
from kit.conftest import Shop

HALF_PAST_TWO = datetime.datetime(2020, 5, 4, 2, 30, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def nightly_of(shop: Shop) -> list[int]:
    """Declare a task that is due at half past two each night, and return the list of its ticks."""
    ran: list[int] = []

    @shop.app.periodic(cron="30 2 * * *", missed="all", queueing_lock="nightly")
    @shop.app.task(name="nightly")
    def nightly(timestamp: int) -> None:
        ran.append(timestamp)

    return ran


@pytest.mark.parametrize("year", [2020, 2120])
def test_a_tick_is_deferred_once_whatever_the_year(shop: Shop, year: int) -> None:
    ran, at = nightly_of(shop), HALF_PAST_TWO.replace(year=year)
    assert shop.periodic(at=at - datetime.timedelta(seconds=1)) == []
    (job,) = shop.periodic(at=at)
    assert (job.task_name, job.task_kwargs) == ("nightly", {"timestamp": int(at.timestamp())})
    assert shop.periodic(at=at) == []
    assert shop.drain().succeeded == 1
    assert len(shop.periodic(at=at + DAY)) == 1
    assert shop.drain().succeeded == 1
    assert ran == [int(at.timestamp()), int((at + DAY).timestamp())]


def test_a_frozen_clock_tells_the_time(shop: Shop) -> None:
    nightly_of(shop)
    with freezegun.freeze_time(HALF_PAST_TWO):
        assert len(shop.periodic()) == 1


def test_time_passes_for_schedules(shop: Shop) -> None:
    ran = nightly_of(shop)
    for _ in range(2):
        assert len(shop.periodic(at=HALF_PAST_TWO)) == 1
        shop.drain()
        shop.travel(days=1)
    assert len(ran) == 2


def test_a_tick_whose_queueing_lock_is_taken_has_no_job(shop: Shop) -> None:
    nightly_of(shop)
    assert len(shop.periodic(at=HALF_PAST_TWO)) == 1
    assert shop.periodic(at=HALF_PAST_TWO + DAY) == []
    shop.drain()
    assert shop.periodic(at=HALF_PAST_TWO + DAY) == []


def test_only_the_schedules_of_one_task_are_looked_at_if_it_is_named(shop: Shop) -> None:
    nightly_of(shop)

    @shop.app.periodic(cron="30 2 * * *")
    @shop.app.task(name="other")
    def other(timestamp: int) -> None:
        """Do nothing."""

    assert [job.task_name for job in shop.periodic(task=other, at=HALF_PAST_TWO)] == ["other"]


@pytest.mark.parametrize("delta", [{"hours": -1}, {"hour": 1}, {"hours": "1"}, {"days": 10**10}])
def test_time_that_cannot_pass_is_refused(delta: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=r"^travel"):
        testing.travel(adjourn.App(connector=testing.InMemoryConnector()), **delta)
