"""Opening, closing, and what an app that is not open says."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable

import anyio
import pytest

import adjourn
from adjourn._dispatch.rule import Action, Operation
from adjourn._dispatch.state import State
from adjourn.exceptions import AppNotOpen, ConnectorException, InvalidOption, WrongCaller
from dispatch.conftest import Access, Bar, Stored
from dispatch.pairs import PAIRS, PSYCOPG, PSYCOPG2, SYNCHRONOUS, Pair
from support.apps import add, add_async, make_app
from support.places import LoopThread, in_to_thread, on_another_loop, together
from support.sessions import Sessions
from support.waiting import BOUND, until

ON_POSTGRES = pytest.mark.parametrize("synchronous", [name for name in SYNCHRONOUS if "Memory" not in name])
CYCLES = ["sync", "async", "alternating"]


async def cycle(app: adjourn.App, name: str, is_async: bool) -> None:
    """Open, defer, and close."""
    if is_async:
        async with app.open_async():
            await add_async(app, name)
    else:
        with app.open():
            add(app, name)


async def check_that_it_is_not_open(app: adjourn.App) -> None:
    """Every call of synchronous code says so, from wherever it comes."""
    for call in (
        lambda: add(app, "never"),
        lambda: app.tasks["add"].batch_defer({"name": "never"}, {"name": "nor this"}),
        lambda: list(app.job_manager.list_jobs()),
        lambda: app.job_manager.cancel_job_by_id(1),
        lambda: app.connector.pool,  # type: ignore[attr-defined]
    ):
        with pytest.raises(AppNotOpen, match=r"open"):
            call()
    with pytest.raises(AppNotOpen):
        await asyncio.to_thread(app.check_connection)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.needs_opening], ids=str)
async def test_b10_before_opening_and_after_closing_an_app_is_not_open(pair: Pair, database: str) -> None:
    app = make_app(pair.connector(database, 2, 10))
    for is_async in (False, True, False):
        await check_that_it_is_not_open(app)
        with pytest.raises(AppNotOpen, match="open_async"):
            await add_async(app, "never")
        with pytest.raises(AppNotOpen, match="open_async"):
            await app.tasks["add"].batch_defer_async({"name": "never"})
        if is_async:
            async with app.open_async():
                assert list(await app.job_manager.list_jobs_async()) == []
        else:
            with app.open():
                assert list(app.job_manager.list_jobs()) == []
    await check_that_it_is_not_open(app)


@ON_POSTGRES
async def test_b10_before_opening_and_after_closing_an_app_on_a_synchronous_connector_is_not_open(
    synchronous: str, database: str
) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))
    for _ in range(2):
        await check_that_it_is_not_open(app)
        with app.open():
            assert list(app.job_manager.list_jobs()) == []
    await check_that_it_is_not_open(app)


@pytest.mark.parametrize("colours", CYCLES)
async def test_b11_six_times_opened_and_closed_leaves_as_many_sessions_as_before(
    app: adjourn.App, stored: Stored, sessions: Sessions, colours: str
) -> None:
    assert sessions.settle(0) == 0
    for number in range(6):
        await cycle(app, f"{number}", {"sync": False, "async": True}.get(colours, bool(number % 2)))
        assert sessions.settle(0) == 0
    assert stored() == list("012345")


async def test_b12_opening_and_closing_twice_is_as_once(app: adjourn.App, sessions: Sessions) -> None:
    for _ in range(2):
        app.open()
        app.open()
        assert sessions.settle(1) == 1
        app.close()
        assert sessions.settle(0) == 0
        app.close()
        await app.open_async()
        await app.open_async()
        assert sessions.settle(1) == 1
        await app.close_async()
        assert sessions.settle(0) == 0
        await app.close_async()


async def test_b13_each_way_to_open_gives_the_app_and_leaving_a_block_closes_it(
    app: adjourn.App, sessions: Sessions
) -> None:
    assert app.open() is app
    app.close()
    assert await app.open_async() is app
    await app.close_async()
    with app.open() as entered:
        assert entered is app
    async with app.open_async() as entered:
        assert entered is app
    assert sessions.settle(0) == 0

    def fail() -> None:
        with app.open():
            add(app, "ann")
            raise ZeroDivisionError

    async def fail_async() -> None:
        async with app.open_async():
            await add_async(app, "bob")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert sessions.settle(0) == 0
    with pytest.raises(ZeroDivisionError):
        await fail_async()
    assert sessions.settle(0) == 0
    with pytest.raises(AppNotOpen):
        add(app, "never")


async def test_b14_a_block_that_opens_in_a_thread_leaves_the_loops_pool_alone(
    opened: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    def library_code(name: str) -> None:
        with opened.open():
            add(opened, name)

    await asyncio.gather(*(asyncio.to_thread(library_code, f"{number:02}") for number in range(10)))
    until(lambda: sessions.count() <= 2)
    await add_async(opened, "awaited")
    await asyncio.to_thread(add, opened, "bridged")
    assert len(stored()) == 12


async def test_b15_closing_on_the_loops_own_thread_says_close_async_and_in_another_it_closes(
    app: adjourn.App, sessions: Sessions
) -> None:
    await app.open_async()
    with pytest.raises(WrongCaller, match="close_async"):
        app.close()
    await add_async(app, "ann")
    await asyncio.to_thread(app.close)
    assert sessions.settle(0) == 0
    with pytest.raises(AppNotOpen):
        await add_async(app, "never")


async def test_b15_closing_asynchronously_closes_what_was_opened_synchronously(
    app: adjourn.App, sessions: Sessions
) -> None:
    app.open()
    with pytest.raises(AppNotOpen, match="open_async"):
        await add_async(app, "never")
    await app.close_async()
    assert sessions.settle(0) == 0
    with pytest.raises(AppNotOpen):
        add(app, "never")


async def test_b16_opening_on_a_loop_closes_a_used_twin_without_dropping_work_in_flight(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    for prefix in "abcde":
        is_over = threading.Event()
        acknowledged: list[str] = []

        def keep_adding(
            index: int, prefix: str = prefix, over: threading.Event = is_over, names: list[str] = acknowledged
        ) -> None:
            for number in itertools.count():
                if over.is_set():
                    return
                add(app, f"{prefix}-{index}-{number:04}")
                names.append(f"{prefix}-{index}-{number:04}")

        async def more(names: list[str] = acknowledged) -> None:
            enough = len(names) + 16
            await asyncio.to_thread(until, lambda: len(names) >= enough)

        app.open()
        adding = asyncio.create_task(asyncio.to_thread(together, 8, keep_adding))
        await more()
        await app.open_async()
        await more()
        is_over.set()
        await adding
        until(lambda: sessions.count() <= 2)
        await app.close_async()
        assert [name for name in stored() if name.startswith(prefix)] == sorted(acknowledged)


async def test_b16_the_pool_of_the_twin_is_closed_after_the_calls_that_are_in_it(
    app: adjourn.App, bar: Bar, stored: Stored, sessions: Sessions
) -> None:
    app.open()
    with bar.down():
        calls = [asyncio.create_task(asyncio.to_thread(add, app, f"{number}")) for number in range(4)]
        await asyncio.to_thread(bar.wait_for, 2)
        opening = asyncio.create_task(app.connector.open_async())
        while app.connector.get_sync_connector() is not app.connector:
            await asyncio.sleep(0.002)
        assert not opening.done()
    await asyncio.gather(opening, *calls)
    assert stored() == list("0123")
    until(lambda: sessions.count() <= 2)
    await app.close_async()


async def test_b16_a_takeover_that_is_cancelled_after_it_was_published_leaves_the_app_open_on_the_loop(
    app: adjourn.App, bar: Bar, stored: Stored, sessions: Sessions
) -> None:
    app.open()
    with bar.down():
        calls = [asyncio.create_task(asyncio.to_thread(add, app, f"{number}")) for number in range(2)]
        await asyncio.to_thread(bar.wait_for, 2)
        opening = asyncio.create_task(app.connector.open_async())
        while app.connector.get_sync_connector() is not app.connector:
            await asyncio.sleep(0.002)
        assert not opening.done()
        opening.cancel()
        await asyncio.sleep(0.05)
    await asyncio.gather(*calls)
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert app.connector.get_sync_connector() is app.connector
    await add_async(app, "awaited")
    await asyncio.to_thread(add, app, "bridged")
    until(lambda: sessions.count() <= 2)
    await app.close_async()
    assert stored() == ["0", "1", "awaited", "bridged"]


async def test_b16_a_takeover_that_is_cancelled_at_any_moment_leaves_the_app_open_in_one_way_or_the_other(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    names = []
    for number, delay in enumerate((0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032)):
        app.open()
        with anyio.move_on_after(delay):
            await app.open_async()
        # Open for threads in either case: on the twin, or on the loop. Before it was published, on the twin.
        is_on_loop = app.connector.get_sync_connector() is app.connector
        if is_on_loop:
            await add_async(app, f"{number}")
        else:
            add(app, f"{number}")
        names.append(f"{number}")
        await app.close_async()
        assert sessions.settle(0) == 0
    assert stored() == names


async def test_b16_a_block_that_was_entered_before_the_takeover_gives_back_only_what_it_has_borrowed(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def library_code() -> None:
        with app.open():
            add(app, "before")
            entered.set()
            assert go_on.wait(BOUND)
            add(app, "after")

    block = asyncio.create_task(asyncio.to_thread(library_code))
    await asyncio.to_thread(entered.wait, BOUND)
    await app.open_async()
    go_on.set()
    await block
    await add_async(app, "awaited")
    await asyncio.to_thread(add, app, "bridged")
    await app.close_async()
    assert sessions.settle(0) == 0
    assert stored() == ["after", "awaited", "before", "bridged"]


async def test_b16_a_call_planned_for_the_twin_just_before_a_loop_takes_over_is_served_by_that_loop(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch, stored: Stored
) -> None:
    app.open()
    keeper = app.connector._dispatcher.keeper  # type: ignore[attr-defined]
    loop, plan = asyncio.get_running_loop(), keeper.plan

    def plan_and_be_overtaken(state: State, operation: Operation) -> Action:
        action: Action = plan(state, operation)
        if action is Action.USE_TWIN:
            monkeypatch.undo()
            asyncio.run_coroutine_threadsafe(app.connector.open_async(), loop).result(BOUND)
        return action

    monkeypatch.setattr(keeper, "plan", plan_and_be_overtaken)
    await asyncio.to_thread(add, app, "ann")
    assert app.connector.get_sync_connector() is app.connector
    await app.close_async()
    assert stored() == ["ann"]


def test_b16_a_twin_held_since_before_obeys_the_rule(app: adjourn.App, thread: LoopThread, stored: Stored) -> None:
    held = make_app(app.connector.get_sync_connector())
    thread.wait(app.connector.open_async)
    in_to_thread(thread, lambda: add(held, "bridged"))

    async def call() -> None:
        with pytest.raises(WrongCaller, match="_async"):
            add(held, "never")

    thread.wait(call)
    thread.wait(app.close_async)
    with pytest.raises(AppNotOpen):
        add(held, "never")
    with held.open():
        add(app, "either")
    assert stored() == ["bridged", "either"]


async def test_b18_closing_with_bridged_calls_in_flight_answers_every_one(
    app: adjourn.App, bar: Bar, stored: Stored
) -> None:
    def attempt(index: int) -> str | None:
        try:
            add(app, f"{index:02}")
        except AppNotOpen:
            return None
        return f"{index:02}"

    await app.open_async()
    with bar.down():
        calls = asyncio.create_task(asyncio.to_thread(together, 16, attempt))
        await asyncio.to_thread(bar.wait_for, 2)
        closing = asyncio.create_task(app.close_async())
        await asyncio.sleep(0.1)
        assert not closing.done()
        with pytest.raises(AppNotOpen):
            await asyncio.to_thread(add, app, "too late")
    await closing
    acknowledged = [name for name in await calls if name is not None]
    assert stored() == sorted(acknowledged)
    assert len(acknowledged) >= 2


async def test_b18_closing_with_awaited_calls_that_wait_for_each_other_answers_every_one(
    app: adjourn.App, bar: Bar, stored: Stored
) -> None:
    names = list("abcdefgh")
    await app.open_async()
    with bar.down():
        calls = [asyncio.create_task(add_async(app, name)) for name in names]
        await asyncio.to_thread(bar.wait_for, 1)
        closing = asyncio.create_task(app.close_async())
        await asyncio.sleep(0.05)
    async with asyncio.timeout(BOUND):
        await closing
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, int | AppNotOpen) for outcome in outcomes)
    assert stored() == [name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, int)]
    assert stored()[0] == "a"


@pytest.mark.parametrize("way", ["await close_async()", "close() in a thread", "close_async() on another loop"])
async def test_b18_closing_at_any_moment_of_many_calls_loses_and_doubles_none(
    app: adjourn.App, stored: Stored, way: str
) -> None:
    ways: dict[str, Callable[[], object]] = {
        "await close_async()": app.close_async,
        "close() in a thread": lambda: asyncio.to_thread(app.close),
        "close_async() on another loop": lambda: asyncio.to_thread(on_another_loop, app.close_async),
    }
    acknowledged: list[str] = []
    for round_number in range(8):
        await app.open_async()

        def attempt(index: int, prefix: str = f"{round_number}") -> None:
            for number in range(100):
                try:
                    add(app, f"{prefix}-{index:02}-{number}")
                except AppNotOpen:
                    return
                acknowledged.append(f"{prefix}-{index:02}-{number}")

        calls = asyncio.create_task(asyncio.to_thread(together, 16, attempt))
        await asyncio.sleep(0.005 * round_number)
        await ways[way]()  # type: ignore[misc]
        await calls
    assert stored() == sorted(acknowledged)


def test_b18_closing_a_synchronously_opened_app_waits_for_calls_in_flight(
    app: adjourn.App, thread: LoopThread, bar: Bar, stored: Stored
) -> None:
    app.open()

    async def defer_four() -> None:
        await asyncio.gather(*(asyncio.to_thread(add, app, name) for name in "abcd"))

    with bar.down():
        calls = thread.submit(defer_four)
        bar.wait_for(2)
        closing = thread.submit(lambda: asyncio.to_thread(app.close))
        with pytest.raises(TimeoutError):
            closing.result(0.1)
    closing.result(BOUND)
    calls.result(BOUND)
    assert stored() == list("abcd")


async def test_b22_a_failed_opening_is_the_librarys_error_and_the_next_one_works_when_the_server_is_back(
    app: adjourn.App, access: Access, stored: Stored, sessions: Sessions
) -> None:
    with access.barred():
        for _ in range(2):
            with pytest.raises(ConnectorException, match="not currently accepting connections"):
                app.open()
            with pytest.raises(ConnectorException, match="not currently accepting connections"):
                await app.open_async()
            with pytest.raises(AppNotOpen):
                add(app, "never")
            with pytest.raises(AppNotOpen):
                await add_async(app, "never")
        assert sessions.settle(0) == 0
    with app.open():
        add(app, "sync")
    async with app.open_async():
        await add_async(app, "async")
    assert stored() == ["async", "sync"]


async def test_b22_a_loop_that_fails_to_take_over_leaves_the_app_open_as_it_was(
    app: adjourn.App, access: Access, stored: Stored, sessions: Sessions
) -> None:
    with app.open():
        with access.barred(), pytest.raises(ConnectorException, match="not currently accepting connections"):
            await app.open_async()
        add(app, "ann")
        with pytest.raises(AppNotOpen, match="open_async"):
            await add_async(app, "never")
        assert sessions.settle(1) == 1
    assert stored() == ["ann"]


@ON_POSTGRES
def test_b22_a_failed_opening_of_a_synchronous_connector_leaves_it_closed(
    synchronous: str, database: str, access: Access, stored: Stored, sessions: Sessions
) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))
    with access.barred():
        with pytest.raises(ConnectorException, match="not currently accepting connections"):
            app.open()
        with pytest.raises(AppNotOpen):
            add(app, "never")
    with app.open():
        add(app, "ann")
    assert stored() == ["ann"]
    assert sessions.settle(0) == 0


async def test_b22_an_opening_with_a_pool_that_cannot_be_used_leaves_the_app_as_it_was(
    app: adjourn.App, pair: Pair, database: str, stored: Stored
) -> None:
    assert pair.pool is not None
    assert pair.pool_async is not None
    for nonsense in (object(), database, 5):
        with pytest.raises(InvalidOption, match=r"Pass|takes"):
            app.open(nonsense)
        with pytest.raises(InvalidOption, match=r"Pass|takes"):
            await app.open_async(nonsense)
        with pytest.raises(AppNotOpen):
            add(app, "never")
    with pair.pool(database) as pool:
        app.open(pool)
        with pytest.raises(InvalidOption):
            await app.open_async(object())
        # The loop has not taken over, and the pool is in use still.
        assert app.connector.pool is pool  # type: ignore[attr-defined]
        add(app, "sync")
        app.close()
    async with pair.pool_async(database) as pool:
        await app.open_async(pool)
        await add_async(app, "async")
        await app.close_async()
    assert stored() == ["async", "sync"]


@pytest.mark.parametrize("pair", [PSYCOPG, PSYCOPG2], ids=str, indirect=True)
async def test_b22_a_pool_that_is_closed_is_refused_and_the_app_stays_closed(
    app: adjourn.App, pair: Pair, database: str, stored: Stored
) -> None:
    assert pair.pool is not None
    assert pair.pool_async is not None
    with pair.pool(database) as pool:
        pass
    with pytest.raises(InvalidOption, match=r"closed|not open"):
        app.open(pool)
    async with pair.pool_async(database) as pool:
        pass
    with pytest.raises(InvalidOption, match=r"closed|not open"):
        await app.open_async(pool)
    with pytest.raises(AppNotOpen):
        add(app, "never")
    with app.open():
        add(app, "ann")
    assert stored() == ["ann"]


async def test_b22_an_opening_that_is_cancelled_at_any_moment_leaves_nothing_behind(
    app: adjourn.App, sessions: Sessions
) -> None:
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032):
        with anyio.move_on_after(delay) as scope:
            await app.open_async()
        if not scope.cancelled_caught:
            await app.close_async()
        with pytest.raises(AppNotOpen):
            await add_async(app, "never")
        assert sessions.settle(0) == 0
