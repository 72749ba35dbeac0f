"""Cron expressions in words, for the dashboard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjourn._domain.cron import Cron
from adjourn.exceptions import InvalidOption
from adjourn.web.words import LONGEST, cron_in_words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("*/5 * * * *", "Every 5 minutes"),
        ("0 3 * * 1-5", "At 03:00, Monday through Friday"),
        ("30 4 * * sun", "At 04:30, only on Sunday"),
        ("0 0 * * 7", "At 00:00, only on Sunday"),
        ("0 0 l * *", "At 00:00, on the last day of the month"),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday"),
        # The sixth field has the seconds.
        ("* * * * * */15", "Every 15 seconds"),
        ("@hourly", "Every hour"),
        ("@Daily", "At 00:00"),
        ("nonsense", None),
        ("0 " + ",".join(["3"] * 200) + " * * *", None),
    ],
)
def test_an_expression_is_told_in_words(expression: str, words: str | None) -> None:
    assert cron_in_words(expression) == words


def values(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most).map(str)
    return st.one_of(
        st.just("*"),
        number,
        st.lists(number, min_size=2, max_size=4).map(",".join),
        st.tuples(st.integers(least, most), st.integers(least, most)).map(lambda two: f"{min(two)}-{max(two)}"),
        st.integers(1, most).map(lambda step: f"*/{step}"),
    )


@settings(max_examples=60, deadline=None)
@given(st.tuples(values(0, 59), values(0, 23), values(1, 28), values(1, 12), values(0, 6), st.none() | values(0, 59)))
def test_whatever_a_schedule_says_there_are_short_words_or_none(fields: tuple[str | None, ...]) -> None:
    expression = " ".join(field for field in fields if field is not None)
    try:
        Cron(expression)
    except InvalidOption:
        return
    words = cron_in_words(expression)
    assert words is None or 0 < len(words) <= LONGEST


@given(st.integers(0, 59), st.integers(0, 23))
def test_a_time_of_the_day_is_in_the_words(minute: int, hour: int) -> None:
    words = cron_in_words(f"{minute} {hour} * * *")
    assert words == f"At {hour:02}:{minute:02}"
