"""How many jobs a worker claims, and which outcomes it keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adjourn
from adjourn._domain.outcomes import Ended
from adjourn.testing import InMemoryConnector
from adjourn.worker.outbox import Outbox
from adjourn.worker.slots import jobs_ahead, room_for


@given(slots=st.integers(1, 10_000), seconds=st.floats(0, 1000))
def test_what_is_claimed_ahead_is_done_soon(slots: int, seconds: float) -> None:
    ahead = jobs_ahead(slots, seconds)
    work = ahead * seconds / slots
    assert 0 <= ahead <= 300
    assert work <= 0.0201
    assert work <= 0.0081 or slots + ahead <= 100


@pytest.mark.parametrize(
    ("slots", "seconds", "ahead"),
    [(1, 1.0, 0), (10, 1.0, 0), (10, 0.001, 90), (10, 0.01, 20), (100, 0.005, 160), (100, 0.05, 16), (10, 0.0, 300)],
)
def test_the_shorter_jobs_are_the_more_are_claimed_ahead(slots: int, seconds: float, ahead: int) -> None:
    assert jobs_ahead(slots, seconds) == ahead


@given(slots=st.integers(1, 1000), ahead=st.integers(0, 300), held=st.integers(0, 1500))
def test_a_claim_fills_the_slots_and_leaves_time_to_run_the_other_half(slots: int, ahead: int, held: int) -> None:
    room = room_for(slots, ahead, held)
    assert max(slots - held, 0) <= room <= max(slots + ahead - held, 0)
    assert room <= max(slots - held, (slots + ahead + 1) // 2)


@given(slots=st.integers(1, 200), ahead=st.integers(0, 300), first=st.integers(0, 500))
def test_claims_become_equal_if_what_was_claimed_has_run_by_the_next_answer(slots: int, ahead: int, first: int) -> None:
    held = min(first, slots + ahead)
    for number in range(4):
        # While these are claimed, all that the worker has ends.
        held = room_for(slots, ahead, held)
        if number >= 2:
            assert min(ahead, (slots + ahead) // 2) <= held <= max(slots, (slots + ahead + 1) // 2)


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
