"""Sharing a commit between threads that defer at the same time."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from adjourn.exceptions import AppNotOpen, ConnectorException, WrongCaller
from adjourn.jobs import Job
from adjourn.manager import sharing
from adjourn.manager.sharing import ThreadGroup
from support.forking import exit_code_of_child


class Store:
    """Stands for the database: keeps what it was told, and fails where it is told to. The first call waits for `gate`."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.bad: set[int] = set()
        self.lost: BaseException | None = None
        self.gate = threading.Event()
        self.group: ThreadGroup[int] = ThreadGroup(self.one, self.many)
        self.found: dict[int, Any] = {}

    def one(self, number: int) -> Job:
        (stored,) = self.many([number])
        return stored

    def many(self, numbers: Sequence[int]) -> list[Job]:
        self.calls.append(list(numbers))
        if len(self.calls) == 1:
            assert self.gate.wait(30)
        if self.lost is not None and len(numbers) > 1:
            raise self.lost
        if self.bad.intersection(numbers):
            raise ConnectorException(f"refused {self.bad.intersection(numbers)}", sqlstate="22P02")
        return [Job(id=number, queue="q", task_name="t") for number in numbers]

    def defer(self, number: int) -> None:
        try:
            self.found[number] = self.group.defer(number)
        except BaseException as error:
            self.found[number] = error

    def defer_in_child(self) -> None:
        # The lock of the other one may have been taken by a thread of the parent, and stays so for ever here.
        self.gate = threading.Event()
        self.gate.set()
        assert self.group.defer(5).id == 5

    @contextlib.contextmanager
    def together(self, number: int) -> Iterator[list[threading.Thread]]:
        """Have so many calls wait for the first one, in their order, and then let it go on."""
        threads = []
        for each in range(number):
            threads.append(threading.Thread(target=self.defer, args=(each,), daemon=True))
            threads[-1].start()
            self.wait(lambda each=each: len(self.group._waiting) == each and bool(self.calls))
        yield threads
        self.gate.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()

    def wait(self, is_true: Callable[..., bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_true():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def ids(self) -> list[int | str | None]:
        return [each.id if isinstance(each, Job) else str(each) for _, each in sorted(self.found.items())]


def test_a_thread_alone_is_served_alone() -> None:
    store = Store()
    store.gate.set()
    for number in range(3):
        store.defer(number)
    assert store.calls == [[0], [1], [2]]
    assert store.ids() == [0, 1, 2]


def test_calls_that_come_during_one_share_the_next() -> None:
    store = Store()
    with store.together(9):
        pass
    assert store.calls == [[0], list(range(1, 9))]
    assert store.ids() == list(range(9))


def test_no_group_is_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LARGEST_GROUP", 3)
    store = Store()
    with store.together(8):
        pass
    assert store.calls == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert store.ids() == list(range(8))


def test_if_one_is_refused_each_is_stored_alone_and_only_that_one_fails() -> None:
    store = Store()
    store.bad = {2}
    with store.together(4):
        pass
    assert sorted(store.calls[2:]) == [[1], [2], [3]]
    assert store.ids() == [0, 1, "refused {2}", 3]


@pytest.mark.parametrize(
    "lost",
    [ConnectorException("gone"), ConnectorException("gone", sqlstate="57P01"), WrongCaller("gone"), OSError("gone")],
)
def test_if_it_is_not_known_whether_a_group_was_stored_none_of_it_is_stored_again(lost: Exception) -> None:
    store = Store()
    store.lost = lost
    with store.together(4):
        pass
    assert store.calls == [[0], [1, 2, 3]]
    assert store.ids() == [0, "gone", "gone", "gone"]


def test_an_app_that_is_closed_meanwhile_stores_nothing_and_each_call_says_so() -> None:
    store = Store()
    store.lost = AppNotOpen()
    with store.together(3):
        pass
    assert sorted(store.calls[2:]) == [[1], [2]]


def test_an_interrupt_of_the_leader_is_its_own_and_the_others_go_on() -> None:
    store = Store()
    store.lost = KeyboardInterrupt()
    with store.together(4):
        pass
    assert isinstance(store.found[1], KeyboardInterrupt)
    for number in (2, 3):
        error = store.found[number]
        assert isinstance(error, ConnectorException)
        assert not error.was_refused
        assert "not known" in str(error)
    store.lost = None
    store.defer(5)
    assert isinstance(store.found[5], Job)


def test_an_interrupt_of_the_first_call_passes_the_lead_on(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    one = store.one

    def interrupted(number: int) -> Job:
        one(number)
        raise KeyboardInterrupt

    monkeypatch.setattr(store.group, "_store_one", interrupted)
    with store.together(3):
        pass
    assert store.calls == [[0], [1, 2]]
    assert isinstance(store.found[0], KeyboardInterrupt)
    assert [store.found[1].id, store.found[2].id] == [1, 2]


def test_if_even_passing_the_lead_on_is_interrupted_those_who_wait_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LOOK", 0.01)
    store = Store()
    real = store.group._pass_on

    def interrupted(call: Any) -> None:
        if call.item == 0:
            raise KeyboardInterrupt
        real(call)

    monkeypatch.setattr(store.group, "_pass_on", interrupted)
    with store.together(3):
        pass
    assert isinstance(store.found[0], KeyboardInterrupt)
    assert [store.found[1].id, store.found[2].id] == [1, 2]


@pytest.mark.parametrize("is_stored", [True, False])
def test_if_even_waking_a_call_is_interrupted_it_notices(is_stored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LOOK", 0.01)
    store = Store()

    class Unwoken:
        """A lock that is never released."""

        def acquire(self, timeout: float) -> bool:
            time.sleep(timeout)
            return False

        def release(self) -> None:
            raise KeyboardInterrupt

    real = store.group._store

    def store_and_fail(group: list[Any]) -> None:
        if is_stored:
            real(group)
        group[1].turn = Unwoken()

    monkeypatch.setattr(store.group, "_store", store_and_fail)
    with store.together(3):
        pass
    assert isinstance(store.found[1], KeyboardInterrupt)
    if is_stored:
        assert store.found[2].id == 2
    else:
        assert isinstance(store.found[2], ConnectorException)


def test_a_waiting_call_that_is_interrupted_stores_nothing() -> None:
    store = Store()

    def interrupted(group: ThreadGroup[int], call: Any) -> bool:
        raise KeyboardInterrupt

    with store.together(3):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ThreadGroup, "_comes_to_lead", interrupted)
            store.defer(7)
        assert isinstance(store.found.pop(7), KeyboardInterrupt)
    assert store.calls == [[0], [1, 2]]
    assert store.ids() == [0, 1, 2]


def test_a_call_from_within_a_call_does_not_wait_for_it() -> None:
    """A signal handler, or a finalizer that the garbage collector runs, interrupts a call of its own thread."""
    store = Store()
    store.gate.set()
    one, inner = store.one, []

    def interrupted(number: int) -> Job:
        if number == 0:
            inner.append(store.group.defer(1))
        return one(number)

    store.group = ThreadGroup(interrupted, store.many)
    store.defer(0)
    assert store.calls == [[1], [0]]
    assert [job.id for job in inner] == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_calls_of_its_parent() -> None:
    store = Store()
    with store.together(2):
        assert exit_code_of_child(store.defer_in_child) == 0
    assert store.ids() == [0, 1]
