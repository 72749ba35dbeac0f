"""Running a coroutine on the loop of another thread: who claims, who gives up, and what becomes of both."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from adjourn._dispatch import bridge
from adjourn.exceptions import WrongCaller
from support.places import LoopThread

variable = contextvars.ContextVar("variable", default="default")


async def cancel_the_others() -> None:
    """Cancel every other task of this loop, as `asyncio.run` does at its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    """A loop in a thread of its own."""
    thread = LoopThread()
    yield thread
    thread.end()


@pytest.fixture(autouse=True)
def nothing_is_left_unawaited() -> Iterator[None]:
    """No test may leave a coroutine that was never awaited."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


def in_thread(call: Callable[[], object]) -> object:
    """Call something in a plain thread, and raise what it raises."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result(30)


async def double(number: int) -> int:
    """Wait a little, and answer."""
    await asyncio.sleep(0)
    return 2 * number


def test_a_call_runs_on_the_loop_and_its_result_comes_back(thread: LoopThread) -> None:
    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert bridge.run(thread.loop, double, 4, timeout=5) == 8
    assert bridge.run(thread.loop, where, timeout=5) is thread.loop


@pytest.mark.parametrize("error", [KeyError("key"), TimeoutError("mine")], ids=repr)
def test_errors_keep_their_type_over_the_bridge(thread: LoopThread, error: Exception) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        bridge.run(thread.loop, fail, timeout=5)
    assert caught.value is error


def test_context_variables_travel(thread: LoopThread) -> None:
    async def look() -> str:
        return variable.get()

    variable.set("travelled")
    assert bridge.run(thread.loop, look, timeout=5) == "travelled"


def test_many_threads_can_call_at_once(thread: LoopThread) -> None:
    with ThreadPoolExecutor(16) as executor:
        results = executor.map(lambda number: bridge.run(thread.loop, double, number, timeout=10), range(160))
        assert list(results) == [2 * number for number in range(160)]


def test_a_call_on_the_loops_own_thread_is_refused_at_once(thread: LoopThread) -> None:
    async def call() -> None:
        bridge.run(thread.loop, double, 1, timeout=5)

    with pytest.raises(WrongCaller, match="wait for itself"):
        bridge.run(thread.loop, call, timeout=5)


def test_a_call_to_a_blocked_loop_is_given_up_and_never_happens(thread: LoopThread) -> None:
    happened: list[int] = []

    async def note() -> None:
        happened.append(1)

    with thread.blocked(), pytest.raises(WrongCaller, match="nothing was done"):
        bridge.run(thread.loop, note, timeout=0.3)
    assert bridge.run(thread.loop, double, 1, timeout=5) == 2
    assert not happened


def test_a_loop_that_is_blocked_in_the_middle_of_a_call_is_noticed_and_the_call_cancelled(thread: LoopThread) -> None:
    has_begun, ends = threading.Event(), list[str]()

    async def begin() -> None:
        has_begun.set()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    with ThreadPoolExecutor(1) as executor:
        call = executor.submit(bridge.run, thread.loop, begin, timeout=0.5)
        assert has_begun.wait(10)
        with thread.blocked(), pytest.raises(WrongCaller, match="not known"):
            call.result(20)
    bridge.run(thread.loop, double, 1, timeout=5)
    assert ends == ["cancelled"]


def test_a_slow_call_on_a_loop_that_answers_is_waited_for(thread: LoopThread) -> None:
    async def take_longer_than_the_timeout() -> str:
        await asyncio.sleep(0.8)
        return "done"

    assert bridge.run(thread.loop, take_longer_than_the_timeout, timeout=0.2) == "done"


def test_a_call_to_a_closed_loop_is_refused() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(WrongCaller, match="closed"):
        bridge.run(loop, double, 1, timeout=5)


def test_a_call_to_an_idle_loop_is_refused_and_never_happens() -> None:
    loop = asyncio.new_event_loop()
    happened: list[int] = []

    async def note() -> None:
        happened.append(1)

    with pytest.raises(WrongCaller, match="not running"):
        bridge.run(loop, note, timeout=20)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert not happened


def test_a_call_that_comes_when_the_loop_has_begun_to_end_is_refused_and_never_begins(thread: LoopThread) -> None:
    happened: list[int] = []

    async def make_pulse() -> bridge.Pulse:
        return bridge.Pulse()

    async def note() -> None:
        happened.append(1)

    beating, stopped = (bridge.run(thread.loop, make_pulse, timeout=5) for _ in range(2))
    bridge.run(thread.loop, note, timeout=5, pulse=beating)
    thread.loop.call_soon_threadsafe(stopped.stop)
    bridge.run(thread.loop, cancel_the_others, timeout=5)
    with pytest.raises(WrongCaller, match="closed"):
        bridge.run(thread.loop, note, timeout=5, pulse=beating)
    # A pulse that nobody watches any more says nothing of the loop.
    bridge.run(thread.loop, note, timeout=5, pulse=stopped)
    assert happened == [1, 1]


def test_a_caller_is_told_when_the_loop_ends_in_the_middle_of_the_call() -> None:
    thread = LoopThread()
    has_begun = threading.Event()

    async def begin() -> None:
        has_begun.set()
        await asyncio.sleep(20)

    with ThreadPoolExecutor(1) as executor:
        call = executor.submit(bridge.run, thread.loop, begin, timeout=20)
        assert has_begun.wait(10)
        thread.end()
        with pytest.raises(WrongCaller, match="not known"):
            call.result(20)


def test_an_interrupted_caller_abandons_a_call_that_has_not_begun(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[int] = []

    async def note() -> None:
        happened.append(1)

    def interrupt(call: bridge.BridgedCall[None]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bridge.BridgedCall, "watch", interrupt)
    with thread.blocked(), pytest.raises(KeyboardInterrupt):
        bridge.run(thread.loop, note, timeout=20)
    monkeypatch.undo()
    bridge.run(thread.loop, double, 1, timeout=5)
    assert not happened


def test_an_interrupted_caller_cancels_a_call_that_has_begun(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_cancelled = threading.Event()

    async def begin() -> None:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    def interrupt(call: bridge.BridgedCall[None]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bridge.BridgedCall, "watch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bridge.run(thread.loop, begin, timeout=20)
    assert was_cancelled.wait(10)


def test_a_hop_awaits_the_result_from_another_loop(thread: LoopThread) -> None:
    async def main() -> int:
        return await bridge.hop(thread.loop, double, 21, timeout=5)

    assert in_thread(lambda: asyncio.run(main())) == 42


def test_a_cancelled_hop_cancels_the_call(thread: LoopThread) -> None:
    was_cancelled = threading.Event()

    async def begin() -> None:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bridge.hop(thread.loop, begin, timeout=20), 0.3)

    in_thread(lambda: asyncio.run(main()))
    assert was_cancelled.wait(10)


def test_a_hop_to_a_blocked_loop_is_given_up_and_never_happens(thread: LoopThread) -> None:
    happened: list[int] = []

    async def note() -> None:
        happened.append(1)

    async def main() -> None:
        with pytest.raises(WrongCaller, match="nothing was done"):
            await bridge.hop(thread.loop, note, timeout=0.3)

    with thread.blocked():
        in_thread(lambda: asyncio.run(main()))
    bridge.run(thread.loop, double, 1, timeout=5)
    assert not happened


def test_a_hop_whose_own_loop_is_closed_is_destroyed_in_silence(
    thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def last() -> None:
        begun.set()
        await asyncio.to_thread(go_on.wait, 10)

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(bridge.hop(thread.loop, last, timeout=10))
        await asyncio.to_thread(begun.wait, 10)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    del task
    go_on.set()
    thread.end()
    # A complaint would come from a finaliser here, and is an error.
    gc.collect()
    assert caplog.records == []
