"""When a cron expression is due."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import pytest

from adjourn._domain.cron import Cron
from adjourn.exceptions import InvalidOption

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/5 * * * *", "2026-01-01T00:00+00:00", "2026-01-01T00:05+00:00"),
        ("*/5 * * * *", "2026-01-01T00:04:59.9+00:00", "2026-01-01T00:05+00:00"),
        ("0 12 * * 1", "2026-01-01T00:00+00:00", "2026-01-05T12:00+00:00"),
        ("* * * * * */20", "2026-01-01T00:00+00:00", "2026-01-01T00:00:20+00:00"),
        ("@hourly", "2026-01-01T00:00+00:00", "2026-01-01T01:00+00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00+00:00", "2028-02-29T00:00+00:00"),
    ],
)
def test_an_expression_is_next_due(expression: str, after: str, expected: str) -> None:
    assert Cron(expression).next(at(after)) == at(expected)


def test_an_expression_is_due_in_its_time_zone() -> None:
    assert Cron("0 9 * * *", "Europe/Berlin").next(at("2026-07-01T00:00+02:00")) == at("2026-07-01T09:00+02:00")
    assert Cron("0 9 * * *", "Europe/Berlin").next(at("2026-01-01T00:00+01:00")) == at("2026-01-01T09:00+01:00")


def test_a_time_that_the_clocks_skip_is_due_at_the_next_that_exists() -> None:
    ticks = list(
        Cron("30 2 * * *", "Europe/Berlin").between(at("2026-03-28T12:00+01:00"), at("2026-03-30T12:00+02:00"))
    )
    assert ticks == [at("2026-03-29T03:00+02:00"), at("2026-03-30T02:30+02:00")]


def test_a_time_that_the_clocks_show_twice_is_due_once_if_its_hour_is_named() -> None:
    ticks = list(
        Cron("30 2 * * *", "Europe/Berlin").between(at("2026-10-24T12:00+02:00"), at("2026-10-26T12:00+01:00"))
    )
    assert ticks == [at("2026-10-25T02:30+02:00"), at("2026-10-26T02:30+01:00")]


def test_a_time_that_the_clocks_show_twice_is_due_twice_if_every_hour_is_meant() -> None:
    ticks = list(
        Cron("30 * * * *", "Europe/Berlin").between(at("2026-10-25T01:45+02:00"), at("2026-10-25T03:45+01:00"))
    )
    assert ticks == [at("2026-10-25T02:30+02:00"), at("2026-10-25T02:30+01:00"), at("2026-10-25T03:30+01:00")]


def test_an_alias_names_its_hours_but_for_the_hourly_one() -> None:
    begun, ended = at("2026-10-31T12:00-04:00"), at("2026-11-02T12:00-05:00")
    daily = list(Cron("@daily", "America/Havana").between(begun, ended))
    assert daily == list(Cron("0 0 * * *", "America/Havana").between(begun, ended))
    assert len(daily) == 2
    assert len(list(Cron("@hourly", "America/Havana").between(begun, ended))) == 49


@pytest.mark.parametrize("expression", ["R * * * *", "H * * * *", "r(1-5) * * * *", "* * * * R"])
def test_an_expression_that_leaves_the_time_to_chance_is_refused(expression: str) -> None:
    with pytest.raises(InvalidOption, match="cron="):
        Cron(expression)
    Cron("0 0 * MAR FRI")


@pytest.mark.parametrize("expression", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "* * * * * * *", "often", None, 5])
def test_an_expression_that_makes_no_sense_is_refused(expression: Any) -> None:
    with pytest.raises(InvalidOption, match="cron="):
        Cron(expression)


@pytest.mark.parametrize("timezone", ["", "Mars/Olympus", "../etc/passwd", None, 5])
def test_a_time_zone_that_is_not_known_is_refused(timezone: Any) -> None:
    with pytest.raises(InvalidOption, match="timezone="):
        Cron("* * * * *", timezone)
