"""What holds of every time at which a job may be scheduled."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjourn._domain.checks import scheduled_time
from adjourn.exceptions import InvalidOption
from adjourn.types import TimeDeltaParams

# Times at an end of the calendar are refused, for not every time zone has them.
aware = st.datetimes(
    datetime.datetime(1, 1, 4), datetime.datetime(9999, 12, 28), timezones=st.timezones() | st.just(datetime.UTC)
)
units = st.sampled_from(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds"])
amounts = st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(at=aware, now=aware)
def test_an_aware_time_is_kept_as_it_is(at: datetime.datetime, now: datetime.datetime) -> None:
    assert scheduled_time(at, None, now) == at


@given(at=st.datetimes(), now=aware)
def test_a_naive_time_is_never_accepted(at: datetime.datetime, now: datetime.datetime) -> None:
    with pytest.raises(InvalidOption):
        scheduled_time(at, None, now)


@given(keywords=st.dictionaries(units, amounts), now=aware)
def test_a_time_from_now_is_that_far_from_now_or_refused_as_an_option(
    keywords: TimeDeltaParams, now: datetime.datetime
) -> None:
    try:
        expected = now + datetime.timedelta(**keywords)
    except (OverflowError, ValueError):
        with pytest.raises(InvalidOption):
            scheduled_time(None, keywords, now)
    else:
        assert scheduled_time(None, keywords, now) == expected
