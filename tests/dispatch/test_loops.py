"""Event loops: the one the app was opened on, others, idle ones and dead ones."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest
import uvloop

import adjourn
from adjourn.exceptions import AlreadyEnqueued, AppNotOpen, ConnectorException, WrongCaller
from dispatch.conftest import Bar, Stored
from dispatch.pairs import Pair
from support.apps import add, add_async, make_app
from support.places import ON_THE_LOOP, Hurried, LoopThread, Place, in_plain_thread, on_another_loop, settle, together
from support.sessions import Sessions
from support.waiting import BOUND, until

ON_THE_LOOPS_THREAD = pytest.mark.parametrize("place", ON_THE_LOOP, ids=lambda place: place.__name__)


def quickest(call: Callable[[], object]) -> float:
    """Return the seconds of the quickest of five calls: one that waits takes long each time, on a busy machine one may."""
    took = []
    for _ in range(5):
        began = time.monotonic()
        call()
        took.append(time.monotonic() - began)
    return min(took)


def test_s17_a_blocking_call_on_the_loops_own_thread_is_a_runtime_error_at_once_and_harms_nothing(
    app: adjourn.App, thread: LoopThread, bar: Bar, stored: Stored
) -> None:
    thread.wait(app.connector.open_async)

    def attempt(call: Callable[[], object]) -> None:
        with pytest.raises(RuntimeError):
            call()

    # Every connection is taken, so that there is something that it could wait for.
    with ThreadPoolExecutor(2) as executor, bar.down():
        calls = [executor.submit(add, app, name) for name in ("before a", "before b")]
        bar.wait_for(2)
        for place in ON_THE_LOOP:
            for call in (
                lambda: add(app, "never"),
                lambda: app.tasks["add"].batch_defer({"name": "never"}, {"name": "nor this"}),
                lambda: app.configure_task("unknown").defer(name="never"),
                app.check_connection,
                lambda: list(app.job_manager.list_jobs()),
            ):
                assert quickest(partial(place, thread, partial(attempt, call))) < 0.5
        assert not any(call.done() for call in calls)
    assert stored() == ["before a", "before b"]
    in_plain_thread(thread, lambda: add(app, "blocking"))
    thread.wait(lambda: add_async(app, "awaited"))
    thread.wait(app.close_async)
    assert stored() == ["awaited", "before a", "before b", "blocking"]


@ON_THE_LOOPS_THREAD
def test_b4_that_refusal_is_immediate_says_what_to_write_instead_and_leaves_nothing_unawaited(
    app: adjourn.App, thread: LoopThread, place: Place
) -> None:
    thread.wait(app.connector.open_async)

    def attempt() -> None:
        with pytest.raises(WrongCaller, match=r"_async.*thread"):
            add(app, "never")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert quickest(partial(place, thread, attempt)) < 0.5
        gc.collect()
    assert [str(warning.message) for warning in caught if "never awaited" in str(warning.message)] == []
    thread.wait(app.close_async)


def test_b2_a_blocking_call_on_the_thread_of_another_loop_is_served(
    app: adjourn.App, thread: LoopThread, stored: Stored
) -> None:
    other = LoopThread()
    thread.wait(app.connector.open_async)
    for place, name in zip(ON_THE_LOOP, "ab", strict=True):
        place(other, partial(add, app, name))
    thread.wait(app.close_async)
    other.end()
    assert stored() == ["a", "b"]


async def test_b3_an_awaited_call_on_another_loop_is_served_by_the_owner(
    opened: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    async def elsewhere() -> None:
        await asyncio.gather(*(add_async(opened, f"other {number:02}") for number in range(40)))
        await opened.tasks["add"].batch_defer_async({"name": "batch"})
        assert await opened.check_connection_async()

    other = asyncio.create_task(asyncio.to_thread(on_another_loop, elsewhere))
    await asyncio.gather(*(add_async(opened, f"owner {number:02}") for number in range(40)))
    await other
    until(lambda: sessions.count() <= 2)
    assert len(stored()) == len(set(stored())) == 81


def test_b3_loops_whose_first_awaited_calls_come_together_never_hang(pair: Pair, database: str, stored: Stored) -> None:
    threads = [LoopThread() for _ in range(4)]
    rounds = 10
    for round_number in range(rounds):
        app = make_app(pair.connector(database, 2, 10))
        threads[0].wait(app.connector.open_async)

        def add_some(index: int, app: adjourn.App = app, prefix: str = f"{round_number:02}") -> None:
            async def call() -> None:
                await asyncio.gather(*(add_async(app, f"{prefix}-{index}-{number}") for number in range(4)))

            threads[index].wait(call)

        with Hurried():
            together(4, add_some)
        threads[0].wait(app.close_async)
    for thread in threads:
        thread.end()
    assert len(stored()) == len(set(stored())) == rounds * 16


async def test_b5_opened_synchronously_an_app_serves_blocking_calls_on_a_loops_thread_too(
    app: adjourn.App, stored: Stored
) -> None:
    called: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app.open()
    add(app, "coroutine")
    asyncio.get_running_loop().call_soon(lambda: called.set_result(add(app, "callback")))
    await called
    await asyncio.to_thread(add, app, "thread")
    app.close()
    assert stored() == ["callback", "coroutine", "thread"]


async def test_b6_errors_keep_their_type_over_the_bridge(opened: adjourn.App, stored: Stored) -> None:
    deferrer = opened.tasks["add"].configure(queueing_lock="one")
    await deferrer.defer_async(name="ann")
    with pytest.raises(AlreadyEnqueued):
        await asyncio.to_thread(deferrer.defer, name="bob")

    async def elsewhere() -> None:
        with pytest.raises(AlreadyEnqueued):
            await deferrer.defer_async(name="bob")

    await asyncio.to_thread(on_another_loop, elsewhere)
    assert stored() == ["ann"]


def test_b30_a_dead_loop_is_named_and_the_next_loop_opens_anew(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    def refused(_: int) -> None:
        with pytest.raises(WrongCaller, match="event loop that has been closed") as caught:
            add(app, "never")
        assert not isinstance(caught.value, ConnectorException)

    async def next_loop() -> None:
        with pytest.raises(WrongCaller, match="closed"):
            await add_async(app, "never")
        async with app.open_async():
            await add_async(app, "awaited")
            await asyncio.to_thread(add, app, "bridged")
            assert sessions.settle(1) == 1

    asyncio.run(app.connector.open_async())
    refused(0)
    together(12, refused)
    asyncio.run(next_loop())
    assert sessions.settle(0) == 0
    assert stored() == ["awaited", "bridged"]


@pytest.mark.parametrize("way_out", ["open", "close"])
def test_b30_after_its_loop_died_an_app_can_be_opened_and_closed_and_gives_its_connections_back(
    app: adjourn.App, stored: Stored, sessions: Sessions, way_out: str
) -> None:
    asyncio.run(app.connector.open_async())
    if way_out == "open":
        app.open()
        add(app, "ann")
        assert sessions.settle(1) == 1
    app.close()
    assert sessions.settle(0) == 0
    assert stored() == (["ann"] if way_out == "open" else [])


@pytest.mark.usefixtures("unlogged")
# A loop may die when SQLAlchemy has made a session and nobody has it yet: SQLAlchemy's finalizer ends that, and says so.
@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up:sqlalchemy.exc.SAWarning")
def test_b30_a_loop_that_dies_at_any_moment_of_many_calls_gives_every_connection_back(
    app: adjourn.App, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(index: int) -> None:
        with contextlib.suppress(RuntimeError):
            add(app, f"{index}")

    asyncio_says: list[str] = []
    monkeypatch.setattr(logging.getLogger("asyncio"), "error", lambda message, **_: asyncio_says.append(message))
    for round_number in range(24):
        thread = LoopThread()
        thread.wait(app.connector.open_async)
        with ThreadPoolExecutor(16) as executor:
            calls = [executor.submit(attempt, index) for index in range(16)]
            time.sleep(0.0003 * round_number)
            thread.end()
            for call in calls:
                call.result(BOUND)
        app.close()
        assert sessions.settle(0) == 0
    gc.collect()
    assert asyncio_says == []


def test_b30_a_loop_that_dies_in_the_middle_of_opening_leaves_a_way_out(
    database: str, stored: Stored, sessions: Sessions
) -> None:
    is_stuck = True

    async def configure(connection: object) -> None:
        if is_stuck:
            await asyncio.sleep(1000)

    app = make_app(adjourn.PsycopgConnector(database, min_size=1, timeout=5, configure=configure))
    loop = asyncio.new_event_loop()
    opening = loop.create_task(app.connector.open_async())
    loop.run_until_complete(asyncio.sleep(0.1))
    loop.close()
    is_stuck = False

    async def next_loop() -> None:
        async with asyncio.timeout(BOUND), app.open_async():
            await add_async(app, "ann")

    asyncio.run(next_loop())
    with app.open():
        add(app, "bob")
    assert stored() == ["ann", "bob"]
    # Nobody will ever finish it; asyncio would complain of that.
    opening._log_destroy_pending = False  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del opening
        gc.collect()
    assert sessions.settle(0) == 0


def test_b31_an_idle_loop_is_driven_by_its_own_thread_and_refused_elsewhere(
    app: adjourn.App, thread: LoopThread, stored: Stored
) -> None:
    def refused(_: int) -> None:
        with pytest.raises(WrongCaller, match="not running") as caught:
            add(app, "never")
        assert not isinstance(caught.value, ConnectorException)

    thread.wait(app.connector.open_async)
    thread.pause()
    refused(0)
    together(12, refused)
    with pytest.raises(WrongCaller, match="not running"):
        app.close()
    thread.do(lambda: add(app, "driven"))
    thread.resume()
    add(app, "bridged")
    thread.pause()
    thread.do(app.close)
    assert stored() == ["bridged", "driven"]


def test_b31_a_caller_is_told_when_the_loop_dies_during_the_call(
    app: adjourn.App, bar: Bar, sessions: Sessions
) -> None:
    thread = LoopThread()
    thread.wait(app.connector.open_async)
    with ThreadPoolExecutor(4) as executor, bar.down():
        outcomes = [executor.submit(add, app, f"{index}") for index in range(4)]
        bar.wait_for(2)
        thread.end()
        for outcome in outcomes:
            with pytest.raises((WrongCaller, AppNotOpen)):
                outcome.result(BOUND)
    app.close()
    assert sessions.settle(0) == 0


def test_b31_a_loop_that_pauses_during_a_call_finishes_it_when_it_runs_again(
    app: adjourn.App, thread: LoopThread, bar: Bar, stored: Stored
) -> None:
    thread.wait(app.connector.open_async)
    with bar.down():
        outcome: Future[int] = Future()
        other = LoopThread()
        other.loop.call_soon_threadsafe(settle, outcome, lambda: add(app, "ann"))
        bar.wait_for(1)
        thread.pause()
    time.sleep(0.3)
    thread.resume()
    assert isinstance(outcome.result(BOUND), int)
    other.end()
    thread.wait(app.close_async)
    assert stored() == ["ann"]


async def test_b35_a_second_live_loop_cannot_open_it_and_harms_nothing(opened: adjourn.App, stored: Stored) -> None:
    async def elsewhere() -> None:
        with pytest.raises(WrongCaller, match=r"another event loop.*with_connector"):
            async with opened.open_async():
                raise AssertionError
        await add_async(opened, "hopped")

    await asyncio.to_thread(on_another_loop, elsewhere)
    await add_async(opened, "awaited")
    assert stored() == ["awaited", "hopped"]


async def test_b35_a_second_loop_can_close_it_and_then_open_it_for_itself(app: adjourn.App, stored: Stored) -> None:
    async def elsewhere() -> None:
        await app.close_async()
        async with app.open_async():
            await add_async(app, "ann")

    await app.open_async()
    await asyncio.to_thread(on_another_loop, elsewhere)
    with pytest.raises(AppNotOpen):
        await add_async(app, "never")
    assert stored() == ["ann"]


def test_b31_awaited_calls_on_a_loop_that_pauses_are_served_when_it_runs_again_whatever_another_loop_asks(
    app: adjourn.App, thread: LoopThread, bar: Bar, stored: Stored
) -> None:
    async def add_four() -> None:
        await asyncio.gather(*(add_async(app, name) for name in "abcd"))

    async def elsewhere() -> None:
        with pytest.raises(WrongCaller, match="another event loop"):
            await add_async(app, "never")

    thread.wait(app.connector.open_async)
    with bar.down():
        calls = thread.submit(add_four)
        bar.wait_for(1)
        thread.pause()
        on_another_loop(elsewhere)
        thread.do(lambda: asyncio.run(elsewhere()))
    thread.resume()
    calls.result(BOUND)
    thread.wait(app.close_async)
    assert stored() == list("abcd")


def test_b31_a_loop_that_was_left_idle_gives_way_to_the_next_one_in_its_thread(
    app: adjourn.App, thread: LoopThread, stored: Stored, sessions: Sessions
) -> None:
    async def next_loop() -> None:
        async with app.open_async():
            await add_async(app, "ann")
            assert sessions.settle(1) == 1

    thread.wait(app.connector.open_async)
    thread.pause()
    thread.do(lambda: asyncio.run(next_loop()))
    assert sessions.settle(0) == 0
    assert stored() == ["ann"]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_b31_a_loop_that_another_thread_runs_on_serves_the_thread_that_opened_it(
    app: adjourn.App, stored: Stored, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    loop = make_loop()
    loop.run_until_complete(app.connector.open_async())
    runner = threading.Thread(target=loop.run_forever, daemon=True)
    runner.start()
    until(loop.is_running)
    add(app, "ann")
    app.close()
    loop.call_soon_threadsafe(loop.stop)
    runner.join(BOUND)
    loop.close()
    assert stored() == ["ann"]
