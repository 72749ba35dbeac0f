"""The bounds of a worker: how long its jobs are its own, and how long it waits for an answer."""

from __future__ import annotations

import asyncio

import pytest

from adjourn.worker.doubt import Doubt
from adjourn.worker.lease import Lease, now
from adjourn.worker.watch import RoundTrips, dropped, within

# Functions, because what these tell changes with time, and a type checker takes an attribute for the same.


def is_valid(lease: Lease) -> bool:
    return lease.is_valid


def is_due(lease: Lease) -> bool:
    return lease.is_due


def look_at(doubt: Doubt) -> float | None:
    return doubt.look_at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a lease sees, as the only element."""
    time = [1000.0]
    monkeypatch.setattr("adjourn.worker.lease.now", lambda: time[0])
    return time


def test_a_lease_counts_from_the_question_and_not_from_the_answer(clock: list[float]) -> None:
    lease = Lease(30, 10)
    assert not is_valid(lease)
    asked_at = clock[0]
    clock[0] += 25
    lease.confirm(asked_at)
    assert is_valid(lease)
    assert is_due(lease)
    clock[0] += 6
    assert not is_valid(lease)


def test_an_older_heartbeat_does_not_shorten_a_lease_and_a_death_ends_it(clock: list[float]) -> None:
    lease = Lease(30, 10)
    lease.confirm(clock[0])
    lease.confirm(clock[0] - 20, 1)
    clock[0] += 19
    assert is_valid(lease)
    assert not is_due(lease)
    clock[0] += 2
    assert is_due(lease)
    lease.revoke()
    assert not is_valid(lease)


def test_the_clock_of_a_lease_goes_forward() -> None:
    first = now()
    assert now() >= first


def test_only_one_round_trip_that_takes_too_long_is_given_up() -> None:
    given_up: list[int] = []
    trips = RoundTrips(1.0, lambda: given_up.append(1))
    for _ in range(100):
        with trips:
            assert trips.is_under_way
            trips.pass_time(0.6)
    trips.pass_time(5)
    trips.pass_time(5)
    assert given_up == []
    with trips:
        trips.pass_time(0.5)  # it began at some time during these
        trips.pass_time(0.5)
        assert given_up == []
        trips.pass_time(0.5)
    assert given_up == [1]


def test_doubt_looks_again_after_twice_the_time_until_all_jobs_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    doubt = Doubt(10)
    doubt.looked()
    assert look_at(doubt) is None
    doubt.gave_up()
    assert look_at(doubt) == 110
    doubt.looked()
    assert look_at(doubt) == 120
    doubt.looked()
    assert look_at(doubt) == 140
    doubt.forget()
    assert look_at(doubt) is None


def test_an_outcome_that_was_sent_before_is_refused_in_silence_once() -> None:
    doubt = Doubt(10)
    doubt.sent([1, 2])
    assert doubt.without_sent(frozenset({2, 3})) == {3}
    assert doubt.without_sent(frozenset({2, 3})) == {2, 3}


@pytest.mark.anyio
async def test_a_call_that_refuses_to_end_is_left_behind_and_its_result_undone() -> None:
    release, undone = asyncio.Event(), asyncio.Event()

    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    def undo(result: str) -> None:
        assert result == "late"
        undone.set()

    with pytest.raises(TimeoutError):
        await within(0.05, stubborn(), undo)
    task = asyncio.ensure_future(stubborn())
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
        await dropped([task])
        assert not task.done()
        release.set()
        await undone.wait()
        assert await task == "late"


@pytest.mark.anyio
async def test_a_call_that_ends_in_time_returns_and_raises_what_it_does() -> None:
    async def failing() -> None:
        raise LookupError

    assert await within(5, asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError):
        await within(5, failing())
