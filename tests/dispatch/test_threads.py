"""Blocking calls from threads, and many of them at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

import adjourn
from adjourn._dispatch.rule import Life
from adjourn.connector import BaseConnector
from adjourn.connectors.faces import AsynchronousConnector
from adjourn.exceptions import AppNotOpen, WrongCaller
from dispatch.conftest import ON_PSYCOPG, Bar, Stored
from dispatch.pairs import Pair
from support.apps import add, add_async, make_app
from support.places import BESIDE_THE_LOOP, ON_THE_LOOP, LoopThread, Place, on_another_loop, together
from support.sessions import Sessions
from support.waiting import BOUND, until

EVERY_PLACE: list[Place] = [*BESIDE_THE_LOOP, *ON_THE_LOOP]


def answer(call: Callable[[], object]) -> bool:
    """Whether a call was done; a refusal is a RuntimeError, and anything else is raised."""
    try:
        call()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("number", [1, 20])
async def test_s16_a_synchronous_job_can_defer_and_so_can_twenty_at_once(
    opened: adjourn.App, stored: Stored, number: int
) -> None:
    @opened.task(name="parent", queue="parents")
    def parent(name: str) -> None:
        add(opened, name)

    names = [f"{index:02}" for index in range(number)]
    await parent.batch_defer_async(*({"name": name} for name in names))
    async with asyncio.timeout(BOUND):
        await opened.run_worker_async(queues=["parents"], concurrency=20, wait=False, install_signal_handlers=False)
    assert stored() == names


@pytest.mark.parametrize("state", ["closed", "open", "opened on the loop", "its loop is idle", "its loop is gone"])
def test_s18_a_call_from_anywhere_in_any_state_is_done_or_refused_and_never_hangs(
    app: adjourn.App, thread: LoopThread, stored: Stored, state: str
) -> None:
    owner = LoopThread()
    match state:
        case "open":
            app.open()
        case "opened on the loop":
            thread.wait(app.connector.open_async)
        case "its loop is idle":
            owner.wait(app.connector.open_async)
            owner.pause()
        case "its loop is gone":
            owner.wait(app.connector.open_async)
            owner.end()
    expected = []
    for place in EVERY_PLACE:
        names = [f"{place.__name__} {number}" for number in range(2)]
        done = [name for name in names if answer(partial(place, thread, partial(add, app, name)))]
        is_served = state == "open" or (state == "opened on the loop" and place in BESIDE_THE_LOOP)
        assert done == (names if is_served else [])
        expected += done
    if state == "its loop is idle":
        # Its own thread may run it.
        owner.do(lambda: add(app, "driven"))
        expected.append("driven")
    assert stored() == sorted(expected)
    if state == "its loop is idle":
        owner.do(app.close)
    else:
        thread.wait(app.close_async)
    owner.end()


@pytest.mark.parametrize("opening", ["open", "open_async"])
def test_s18_a_call_from_anywhere_while_the_app_is_closing_is_refused_and_never_hangs(
    app: adjourn.App, thread: LoopThread, bar: Bar, stored: Stored, opening: str
) -> None:
    if opening == "open":
        app.open()
    else:
        thread.wait(app.connector.open_async)
    with ThreadPoolExecutor(3) as executor:
        with bar.down():
            calls = [executor.submit(add, app, name) for name in "ab"]
            bar.wait_for(2)
            closing = executor.submit(app.close)
            until(lambda: app.connector._dispatcher.keeper.state.life is Life.CLOSING)  # type: ignore[attr-defined]
            for place in EVERY_PLACE:
                with pytest.raises(AppNotOpen):
                    place(thread, partial(add, app, "never"))
            assert not closing.done()
        closing.result(BOUND)
        for call in calls:
            assert isinstance(call.result(BOUND), int)
    assert stored() == ["a", "b"]


@pytest.mark.parametrize("state", ["open", "opened on the loop", "its loop is idle", "its loop is gone"])
def test_s18_sixteen_threads_on_two_connections_are_each_served_or_each_refused(
    app: adjourn.App, thread: LoopThread, stored: Stored, state: str
) -> None:
    if state == "open":
        app.open()
    else:
        thread.wait(app.connector.open_async)
    if state == "its loop is idle":
        thread.pause()
    if state == "its loop is gone":
        thread.end()
    names = [f"{index:02}" for index in range(16)]
    done = together(16, lambda index: answer(lambda: add(app, names[index])))
    assert stored() == [name for name, was_done in zip(names, done, strict=True) if was_done]
    assert done == [state in ("open", "opened on the loop")] * 16
    if state == "its loop is idle":
        thread.resume()
    app.close()


@pytest.mark.parametrize("thread_sensitive", [True, False])
async def test_s19_forty_calls_at_once_in_sync_to_async_on_two_connections(
    opened: adjourn.App, stored: Stored, thread_sensitive: bool
) -> None:
    call = sync_to_async(add, thread_sensitive=thread_sensitive)
    await asyncio.gather(*(call(opened, f"{number:02}") for number in range(40)))
    assert stored() == [f"{number:02}" for number in range(40)]


@pytest.mark.parametrize("thread_sensitive", [True, False])
def test_s19_sync_to_async_within_async_to_sync(app: adjourn.App, stored: Stored, thread_sensitive: bool) -> None:
    async def main() -> None:
        async with app.open_async():
            call = sync_to_async(add, thread_sensitive=thread_sensitive)
            await asyncio.gather(*(call(app, f"{number:02}") for number in range(40)))

    async_to_sync(main)()
    assert len(stored()) == 40


def test_b1_an_app_opened_on_a_loop_serves_every_other_thread_on_the_connections_it_may_have(
    app: adjourn.App, thread: LoopThread, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    thread.wait(app.connector.open_async)
    assert sessions.settle(1) == 1
    made = connections_made()
    for place in BESIDE_THE_LOOP:
        for number in range(3):
            place(thread, partial(add, app, f"{place.__name__} {number}"))
    thread.wait(app.close_async)
    assert stored() == sorted(f"{place.__name__} {number}" for place in BESIDE_THE_LOOP for number in range(3))
    assert sessions.settle(0) == 0
    assert connections_made() - made <= 1


async def test_b1_sixteen_threads_with_ten_calls_each_never_have_more_than_two_connections(
    app: adjourn.App, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    def add_ten(index: int) -> None:
        for number in range(10):
            add(app, f"{index:02}-{number}")

    async with app.open_async():
        assert sessions.settle(1) == 1
        made = connections_made()
        await asyncio.to_thread(together, 16, add_ten)
        assert sessions.settle(2) == 2
    assert len(stored()) == 160
    assert sessions.settle(0) == 0
    # One beside the one it was opened with, and that is all that there ever was.
    assert connections_made() - made == 1


async def test_b7_a_loop_that_waits_for_the_calling_thread_makes_an_error_and_not_a_deadlock(
    pair: Pair, database: str, stored: Stored
) -> None:
    app = make_app(pair.connector(database, 2, 1))
    async with app.open_async():
        with ThreadPoolExecutor(1) as executor:
            call = executor.submit(add, app, "never")
            with pytest.raises(WrongCaller, match="blocked"):
                call.result(BOUND)
        # What was given up does not happen later either, when the loop runs again.
        await add_async(app, "ann")
        await asyncio.sleep(0.05)
        assert stored() == ["ann"]


def test_b7_two_loops_that_wait_for_each_other_make_errors_and_not_a_deadlock(
    pair: Pair, database: str, stored: Stored
) -> None:
    threads = LoopThread(), LoopThread()
    apps = [make_app(pair.connector(database, 2, 1)) for _ in threads]
    for app, thread in zip(apps, threads, strict=True):
        thread.wait(app.connector.open_async)
    done: list[bool] = []

    def call_each_other(index: int) -> None:
        async def call() -> None:
            # Both are in the middle of this when either begins to wait.
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:
                pass
            done.append(answer(lambda: add(apps[1 - index], f"{index}")))

        threads[index].wait(call)

    together(2, call_each_other)
    assert sum(done) == len(stored()) < 2
    for app, thread in zip(apps, threads, strict=True):
        thread.wait(app.close_async)
        thread.end()


async def test_b7_a_loop_that_blocks_in_the_middle_of_a_call_is_noticed(
    pair: Pair, database: str, bar: Bar, stored: Stored
) -> None:
    app = make_app(pair.connector(database, 2, 1))
    async with app.open_async():
        with ThreadPoolExecutor(1) as executor, bar.down():
            call = executor.submit(add, app, "unknown")
            await asyncio.to_thread(bar.wait_for, 1)
            with pytest.raises(WrongCaller, match="whether it took effect is not known"):
                call.result(BOUND)
            await asyncio.sleep(0.2)  # the loop runs again, and cancels the call
        await add_async(app, "ann")
    assert "ann" in stored()


@ON_PSYCOPG
def test_b7_awaited_calls_of_another_loop_that_were_given_up_never_happen_later(
    pair: Pair, database: str, thread: LoopThread, stored: Stored
) -> None:
    app = make_app(pair.connector(database, 2, 1))
    thread.wait(app.connector.open_async)
    go_on = threading.Event()
    thread.loop.call_soon_threadsafe(go_on.wait, BOUND)

    async def elsewhere() -> None:
        # The second waits for the first to end.
        calls = [add_async(app, f"never {number}") for number in range(2)]
        batch = app.tasks["add"].batch_defer_async({"name": "never"}, {"name": "nor this"})
        for outcome in await asyncio.gather(*calls, batch, return_exceptions=True):
            assert isinstance(outcome, WrongCaller)
            assert "nothing was done" in str(outcome)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await add_async(app, "given up before that")

    on_another_loop(elsewhere)
    go_on.set()
    thread.wait(lambda: add_async(app, "ann"))
    thread.wait(lambda: asyncio.sleep(0.05))
    thread.wait(app.close_async)
    assert stored() == ["ann"]


@ON_PSYCOPG
def test_b7_many_awaited_calls_of_another_loop_are_given_up_within_the_time_of_two(
    pair: Pair, database: str, thread: LoopThread, stored: Stored
) -> None:
    app = make_app(pair.connector(database, 2, 0.5))
    thread.wait(app.connector.open_async)
    go_on = threading.Event()
    thread.loop.call_soon_threadsafe(go_on.wait, BOUND)

    async def elsewhere() -> list[int | BaseException]:
        calls = [add_async(app, f"never {number}") for number in range(40)]
        async with asyncio.timeout(4):
            return await asyncio.gather(*calls, return_exceptions=True)

    try:
        outcomes = on_another_loop(elsewhere)
    finally:
        go_on.set()
        thread.wait(app.close_async)
    assert all(isinstance(outcome, WrongCaller) for outcome in outcomes)
    assert stored() == []


async def test_b7_an_awaited_call_that_is_given_up_while_it_waits_for_others_never_happens_later(
    app: adjourn.App, bar: Bar, stored: Stored
) -> None:
    async with app.open_async():
        with bar.down():
            first = asyncio.create_task(add_async(app, "first"))
            await asyncio.to_thread(bar.wait_for, 1)
            kept = [asyncio.create_task(add_async(app, f"kept {number}")) for number in range(2)]
            cancelled = [asyncio.create_task(add_async(app, f"never {number}")) for number in range(2)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await add_async(app, "never, for it takes too long")
            for call in cancelled:
                call.cancel()
            await asyncio.wait(cancelled)
        await asyncio.gather(first, *kept)
        await add_async(app, "last")
    assert stored() == ["first", "kept 0", "kept 1", "last"]


def first_use(connectors: list[AsynchronousConnector], index: int) -> BaseConnector:
    """Ask a connector for its twin."""
    return connectors[index].get_sync_connector()


@pytest.mark.usefixtures("hurried")
def test_b17_the_first_use_by_sixteen_threads_makes_one_twin(pair: Pair, database: str) -> None:
    for _ in range(15):
        connectors = [pair.connector(database, 2, 10)] * 16
        assert len({id(twin) for twin in together(16, partial(first_use, connectors))}) == 1


@pytest.mark.usefixtures("hurried")
def test_b17_twelve_threads_that_open_make_one_pool_and_can_all_defer_at_once(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    def open_and_add(index: int) -> Any:
        app.open()
        add(app, f"{index:02}")
        return app.connector.pool  # type: ignore[attr-defined]

    for round_number in range(1, 6):
        assert len({id(pool) for pool in together(12, open_and_add)}) == 1
        until(lambda: sessions.count() <= 2)
        app.close()
        assert sessions.settle(0) == 0
        assert len(stored()) == 12 * round_number


async def test_b17_eight_tasks_that_open_on_a_loop_make_one_pool(app: adjourn.App, sessions: Sessions) -> None:
    for _ in range(5):
        await asyncio.gather(*(app.connector.open_async() for _ in range(8)))
        assert sessions.settle(1) == 1
        await asyncio.gather(*(app.close_async() for _ in range(8)))
        assert sessions.settle(0) == 0


@pytest.mark.usefixtures("hurried")
def test_b17_threads_that_open_and_a_loop_that_opens_at_the_same_time_end_on_the_loops_one_pool(
    app: adjourn.App, thread: LoopThread, stored: Stored, sessions: Sessions
) -> None:
    async def open_and_add_async(name: str) -> None:
        async def one(number: int) -> None:
            await app.open_async()
            await add_async(app, f"{name}-{number}")

        await asyncio.gather(*(one(number) for number in range(4)))

    for round_number in range(6):

        def open_and_add(index: int, name: str = f"{round_number}") -> None:
            if index == 0:
                thread.wait(lambda: open_and_add_async(f"{name}-loop"))
            else:
                app.open()
                add(app, f"{name}-{index}")

        together(8, open_and_add)
        assert app.connector.get_sync_connector() is app.connector
        until(lambda: sessions.count() <= 2)
        thread.wait(app.close_async)
        assert sessions.settle(0) == 0
        assert len(stored()) == len(set(stored())) == 11 * (round_number + 1)


@pytest.mark.usefixtures("hurried")
def test_b17_of_sixteen_loops_that_open_one_owns_the_pool_and_the_others_are_refused(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    threads = [LoopThread() for _ in range(16)]
    for round_number in range(5):

        def open_and_add(index: int, name: str = f"{round_number}-") -> bool:
            was_opened = answer(lambda: threads[index].wait(app.connector.open_async))
            # Whoever owns it, every loop can defer: here, or by a hop.
            threads[index].wait(lambda: add_async(app, f"{name}{index:02}"))
            return was_opened

        assert sum(together(16, open_and_add)) == 1
        until(lambda: sessions.count() <= 2)
        app.close()
        assert sessions.settle(0) == 0
    for thread in threads:
        thread.end()
    assert len(stored()) == len(set(stored())) == 80


@pytest.mark.usefixtures("hurried")
def test_b17_opening_and_closing_by_sixteen_threads_in_both_colours_ends_with_nothing_open(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    threads = [LoopThread() for _ in range(4)]
    acknowledged: list[str] = []

    def churn(index: int) -> None:
        thread = threads[index % 4]
        for number in range(12):
            name = f"{index:02}-{number:02}"
            match (index + number) % 4:
                case 0:
                    answer(app.open)
                case 1:
                    answer(lambda: thread.wait(app.connector.open_async))
                case 2:
                    answer(app.close)
                case 3:
                    answer(lambda: thread.wait(app.close_async))
            if answer(partial(add, app, name)):
                acknowledged.append(name)

    together(16, churn)
    threads[0].wait(app.close_async)
    for thread in threads:
        thread.end()
    assert sessions.settle(0) == 0
    assert stored() == sorted(acknowledged)
