"""What a worker keeps in its buffer behind the heads of locks."""

from __future__ import annotations

import pytest

from adjourn._domain.claimed import ClaimedJob
from adjourn.worker.buffer import STALE_BUFFER, Buffer
from support.claims import claimed_job


def job(job_id: int, lock: str | None = None, priority: int = 0) -> ClaimedJob:
    return claimed_job(job_id, lock=lock, priority=priority)


def taken(buffer: Buffer) -> list[int]:
    """The ids of the jobs that may begin now."""
    found: list[int] = []
    while (each := buffer.take()) is not None:
        found.append(each.id)
    return found


@pytest.fixture
def buffer() -> Buffer:
    return Buffer({}, lambda: None)


def test_the_first_of_each_lock_may_begin(buffer: Buffer) -> None:
    buffer.extend([job(1, "a"), job(2), job(3, "a"), job(4, "b"), job(5, "a")], 0.0)
    assert len(buffer) == 3
    assert len(buffer.followers) == 2
    assert taken(buffer) == [1, 2, 4]


def test_when_one_has_ended_the_next_of_its_lock_may_begin(buffer: Buffer) -> None:
    jobs = [job(1, "a"), job(2, "a"), job(3, "a")]
    buffer.extend(jobs, 0.0)
    begun = []
    for each in jobs:
        begun += taken(buffer)
        buffer.follow(each)
    assert begun == [1, 2, 3]
    assert not buffer.followers


def test_it_begins_at_its_place_among_the_others(buffer: Buffer) -> None:
    first = job(1, "a", priority=5)
    buffer.extend([first, job(3, priority=5), job(4, "a", priority=4), job(2, priority=3)], 0.0)
    assert buffer.take() is first
    buffer.follow(first)
    assert taken(buffer) == [3, 4, 2]


def test_those_behind_a_job_that_comes_back_are_taken_in_their_order(buffer: Buffer) -> None:
    head = job(1, "a")
    buffer.extend([head, job(2, "a"), job(3, "a"), job(4, "b"), job(5, "b")], 0.0)
    assert [each.id for each in buffer.followers.take_behind(head)] == [2, 3]
    assert [each.id for each in buffer.followers] == [5]
    assert list(buffer.followers.take_behind(head)) == []


def test_those_that_have_waited_for_too_long_are_taken(buffer: Buffer) -> None:
    buffer.extend([job(1, "a"), job(2, "a")], 10.0)
    buffer.extend([job(3, "b"), job(4, "b")], 11.0)
    assert [each.id for each in buffer.followers.take_older(11.0 - STALE_BUFFER)] == [2]
    assert [each.id for each in buffer.followers] == [4]


def test_all_are_taken_with_the_buffer(buffer: Buffer) -> None:
    buffer.extend([job(1, "a"), job(2, "a"), job(3)], 0.0)
    assert sorted(each.id for each in buffer.take_all()) == [1, 2, 3]
    assert not buffer.followers


def test_the_worker_knows_their_claims_until_it_forgets_them(buffer: Buffer) -> None:
    jobs = [job(1, "a"), job(2, "a"), job(3)]
    buffer.extend(jobs, 0.0)
    assert buffer.claims == {(each.id, each.claim) for each in jobs}
    buffer.clear()
    assert buffer.claims == set()


def test_a_job_that_waits_is_aborted_when_it_begins(buffer: Buffer) -> None:
    jobs = [job(1, "a"), job(2, "a"), job(3)]
    buffer.extend(jobs, 0.0)
    buffer.abort(2)
    buffer.abort(3)
    assert [each.abort_requested for each in jobs] == [False, True, True]


def test_a_job_that_was_claimed_again_has_the_followers_of_that_claim(buffer: Buffer) -> None:
    buffer.extend([job(1, "a"), job(2, "a")], 0.0)
    buffer.extend([job(1, "a"), job(3, "a")], 0.0)
    assert [each.id for each in buffer.followers] == [3]


def test_it_tells_whether_what_was_claimed_last_had_locks(buffer: Buffer) -> None:
    buffer.extend([job(1)], 0.0)
    assert not buffer.has_locks
    buffer.extend([job(2, "a")], 0.0)
    buffer.extend([], 0.0)
    assert buffer.has_locks
