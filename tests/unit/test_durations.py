"""Spans of time as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjourn._domain.durations import SECONDS_OF, duration_of
from adjourn.exceptions import InvalidOption

MOST = 3e9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("2d", 172_800.0),
        ("1W", 604_800.0),
        (" 1.5h ", 5400.0),
        ("0", 0.0),
        ("0s", 0.0),
    ],
)
def test_a_span_of_time_is_read(text: str, seconds: float) -> None:
    assert duration_of(text, MOST) == seconds


@given(st.dictionaries(st.sampled_from(list(SECONDS_OF)), st.integers(0, 59), min_size=1))
def test_units_add_up(parts: dict[str, int]) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in SECONDS_OF if unit in parts)
    assert duration_of(text, math.inf) == sum(SECONDS_OF[unit] * number for unit, number in parts.items())


@pytest.mark.parametrize(
    "text", ["", "x", "m", "10 minutes", "30m1h", "-1", "-1m", "nan", "inf", "1e300", "9999999w", "1m1m"]
)
def test_anything_else_is_refused_with_a_form_that_is_taken(text: str) -> None:
    with pytest.raises(
        InvalidOption, match=r"is not a number of seconds between 0 and 3,000,000,000, nor a time such as 10m"
    ):
        duration_of(text, MOST)


@pytest.mark.parametrize("text", ["0", "0m", "0.0"])
def test_no_time_at_all_is_refused_where_that_means_nothing(text: str) -> None:
    with pytest.raises(InvalidOption, match="no time at all"):
        duration_of(text, MOST, above_zero=True)
