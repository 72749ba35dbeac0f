"""What holds of every cron expression."""

from __future__ import annotations

import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from adjourn._domain.cron import Cron

minutes = st.integers(0, 59).map(str) | st.sampled_from(["*", "*/7", "*/15", "5,35", "10-20/5"])
hours = st.integers(0, 23).map(str) | st.sampled_from(["*", "*/3", "2", "1-3"])
days = st.sampled_from(["*", "1", "15", "*/2", "31"])
weekdays = st.sampled_from(["*", "0", "1-5", "sun"])
expressions = st.tuples(minutes, hours, days, st.just("*"), weekdays).map(" ".join)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
times = st.datetimes(
    datetime.datetime(2020, 1, 1), datetime.datetime(2035, 1, 1), timezones=st.just(datetime.UTC), allow_imaginary=False
)


@given(expression=expressions, zone=zones, after=times)
@settings(deadline=None)
def test_the_next_time_is_later_in_utc_and_on_a_whole_second(
    expression: str, zone: str, after: datetime.datetime
) -> None:
    tick = Cron(expression, zone).next(after)
    assert tick > after
    assert tick.tzinfo is datetime.UTC
    assert tick.microsecond == 0


@given(expression=expressions, zone=zones, start=times, hours=st.lists(st.integers(1, 60), min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_looking_in_steps_finds_each_time_exactly_once(
    expression: str, zone: str, start: datetime.datetime, hours: list[int]
) -> None:
    cron = Cron(expression, zone)
    found: list[datetime.datetime] = []
    at = start
    for step in hours:
        until = at + datetime.timedelta(hours=step)
        found += cron.between(at, until)
        at = until
    assert found == list(cron.between(start, at))
    assert found == sorted(set(found))


@given(minute=st.integers(0, 59), hour=st.integers(0, 23), zone=zones, start=times)
@settings(deadline=None, max_examples=50)
def test_a_daily_time_is_due_once_on_every_calendar_day(
    minute: int, hour: int, zone: str, start: datetime.datetime
) -> None:
    cron = Cron(f"{minute} {hour} * * *", zone)
    tick = cron.next(start)
    for _ in range(5):
        following = cron.next(tick)
        assert datetime.timedelta(hours=20) < following - tick < datetime.timedelta(hours=28)
        tick = following


@given(expression=expressions, zone=zones, start=times, minutes=st.integers(0, 20_000))
@settings(deadline=None, max_examples=50)
def test_the_latest_time_is_the_last_of_those_between(
    expression: str, zone: str, start: datetime.datetime, minutes: int
) -> None:
    cron, until = Cron(expression, zone), start + datetime.timedelta(minutes=minutes)
    assert cron.latest(start, until) == next(reversed(list(cron.between(start, until))), None)
