"""What holds of every time at which a job may be scheduled."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjourn._domain.time_checks import LONGEST_DELAY, check_schedule
from adjourn.exceptions import InvalidOption
from adjourn.types import TimeDeltaParams

# Times at an end of the calendar are refused, for not every time zone has them.
aware = st.datetimes(
    datetime.datetime(1, 1, 4), datetime.datetime(9999, 12, 28), timezones=st.timezones() | st.just(datetime.UTC)
)
units = st.sampled_from(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds"])
amounts = st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(at=aware)
def test_an_aware_time_is_no_delay(at: datetime.datetime) -> None:
    assert check_schedule(at, None) is None


@given(at=st.datetimes())
def test_a_naive_time_is_never_accepted(at: datetime.datetime) -> None:
    with pytest.raises(InvalidOption):
        check_schedule(at, None)


@given(keywords=st.dictionaries(units, amounts))
def test_a_time_from_now_is_that_many_seconds_or_refused_as_an_option(keywords: TimeDeltaParams) -> None:
    try:
        expected = datetime.timedelta(**keywords)
    except (OverflowError, ValueError):
        expected = datetime.timedelta.max
    if abs(expected) > LONGEST_DELAY:
        with pytest.raises(InvalidOption, match="schedule_in"):
            check_schedule(None, keywords)
    else:
        assert check_schedule(None, keywords) == expected.total_seconds()
