"""How many jobs a worker claims, and which outcomes it keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adjourn
from adjourn._domain.outcomes import Ended
from adjourn.testing import InMemoryConnector
from adjourn.worker.outbox import Outbox
from adjourn.worker.slots import jobs_ahead


@given(slots=st.integers(1, 10_000), seconds=st.floats(0, 1000))
def test_what_is_claimed_ahead_is_done_soon(slots: int, seconds: float) -> None:
    ahead = jobs_ahead(slots, seconds)
    work = ahead * seconds / slots
    assert 0 <= ahead <= 300
    assert work <= 0.0201
    assert work <= 0.0051 or slots + ahead <= 100


@pytest.mark.parametrize(
    ("slots", "seconds", "ahead"),
    [(1, 1.0, 0), (10, 1.0, 0), (10, 0.001, 90), (10, 0.01, 20), (100, 0.005, 100), (100, 0.05, 10), (10, 0.0, 300)],
)
def test_the_shorter_jobs_are_the_more_are_claimed_ahead(slots: int, seconds: float, ahead: int) -> None:
    assert jobs_ahead(slots, seconds) == ahead


def test_an_outcome_that_a_newer_run_has_replaced_takes_no_other_outcome_with_it() -> None:
    outbox = Outbox(adjourn.App(connector=InMemoryConnector()).events)
    older, newer, other = Ended(1, 1, "succeeded"), Ended(1, 2, "succeeded"), Ended(2, 1, "succeeded")
    outbox.add(older)
    outbox.stored(outbox.next_batch(), held={1})
    outbox.hurry()
    batch = outbox.next_batch()
    assert batch == [older]
    # During the round trip, other jobs end, and a newer run of the same job.
    outbox.add(other)
    outbox.add(newer)
    outbox.stored(batch)
    assert outbox.waiting == [other, newer]
