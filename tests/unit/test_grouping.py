"""Sharing a commit between calls that come at the same time."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence

import pytest

from adjourn.exceptions import AdjournException, ConnectorException, WrongCaller
from adjourn.jobs import Job
from adjourn.manager.grouping import LARGEST_GROUP, DeferGroup


class Store:
    """Stands for the database: keeps what it was told, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.bad: set[str] = set()
        self.lost: AdjournException | None = None
        self.group = DeferGroup(self.one, self.many)

    async def one(self, job: Job) -> Job:
        (stored,) = await self.many([job])
        return stored

    async def many(self, jobs: Sequence[Job]) -> list[Job]:
        self.calls.append([job.task_name for job in jobs])
        await asyncio.sleep(0.01)
        if self.lost:
            raise self.lost
        if any(job.task_name in self.bad for job in jobs):
            raise ConnectorException("refused", sqlstate="22P02")
        return [job.evolve(id=int(job.task_name)) for job in jobs]

    async def defer(self, *names: int) -> list[Job | BaseException]:
        jobs = [Job(queue="q", task_name=str(name)) for name in names]
        return await asyncio.gather(*(self.group.defer(job) for job in jobs), return_exceptions=True)


def ids(found: Sequence[Job | BaseException]) -> list[int | str | None]:
    return [each.id if isinstance(each, Job) else str(each) for each in found]


async def test_calls_one_after_the_other_are_served_alone() -> None:
    store = Store()
    for name in range(3):
        assert ids(await store.defer(name)) == [name]
    assert store.calls == [["0"], ["1"], ["2"]]


async def test_calls_that_come_together_share_all_but_the_first_commit() -> None:
    store = Store()
    assert ids(await store.defer(*range(20))) == list(range(20))
    assert [len(call) for call in store.calls] == [1, 19]


async def test_those_just_served_are_in_the_next_group_together() -> None:
    store = Store()

    async def often(start: int) -> None:
        for name in range(start, start + 5):
            await store.group.defer(Job(queue="q", task_name=str(name)))

    await asyncio.gather(*(often(start * 100) for start in range(10)))
    assert [len(call) for call in store.calls] == [1, 9, 10, 10, 10, 10]


async def test_a_group_has_a_largest_size() -> None:
    store = Store()
    await store.defer(*range(LARGEST_GROUP + 50))
    assert [len(call) for call in store.calls] == [1, LARGEST_GROUP, 49]


async def test_a_job_that_is_refused_fails_its_own_caller_alone() -> None:
    store = Store()
    store.bad = {"3"}
    assert ids(await store.defer(*range(5))) == [0, 1, 2, "refused", 4]


@pytest.mark.parametrize("error", [ConnectorException("lost"), WrongCaller("lost")])
async def test_a_group_whose_fate_is_unknown_fails_whole_and_is_not_stored_again(error: AdjournException) -> None:
    store = Store()
    store.lost = error
    assert ids(await store.defer(*range(4))) == ["lost"] * 4
    assert [len(call) for call in store.calls] == [1, 3]
    store.lost = None
    assert ids(await store.defer(7)) == [7]


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    store = Store()
    first = asyncio.create_task(store.defer(1))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(store.group.defer(Job(queue="q", task_name="2")))
    other = asyncio.create_task(store.defer(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    assert ids(await first) == [1]
    assert ids(await other) == [3]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert store.calls == [["1"], ["3"]]


def test_the_next_event_loop_starts_afresh() -> None:
    store = Store()
    assert ids(asyncio.run(store.defer(1, 2))) == [1, 2]
    assert ids(asyncio.run(store.defer(3, 4))) == [3, 4]


def test_a_call_that_its_loop_has_left_behind_is_destroyed_in_silence() -> None:
    store = Store()
    loop = asyncio.new_event_loop()
    calls = [store.group.defer(Job(queue="q", task_name=str(name))) for name in range(3)]
    for call in calls[:2]:
        loop.call_soon(loop.create_task, call)
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    loop.close()
    calls[2].close()
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            task.get_coro().close()
    assert store.calls == [["0"]]


def test_a_group_that_its_loop_has_left_behind_is_destroyed_in_silence() -> None:
    store = Store()
    loop = asyncio.new_event_loop()
    for name in range(3):
        loop.call_soon(loop.create_task, store.group.defer(Job(queue="q", task_name=str(name))))
    while len(store.calls) < 2:
        loop.call_soon(loop.stop)
        loop.run_forever()
    left = asyncio.all_tasks(loop)
    loop.close()
    serving = [task for task in left if "_serve" in repr(task)]
    assert len(serving) == 1
    for task in [*serving, *(left - {*serving})]:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            task.get_coro().close()
