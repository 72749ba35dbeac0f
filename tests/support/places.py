"""Every place that a blocking call can come from, each bounded in time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import anyio.to_thread
from asgiref.sync import sync_to_async

from support.waiting import BOUND

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own, which can be made to pause, and ends as with `asyncio.run`."""

    def __init__(self) -> None:
        self._wishes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        is_ready: Future[asyncio.AbstractEventLoop] = Future()
        self._wishes.put(lambda: is_ready.set_result(self.loop))
        self._thread.start()
        self.loop = is_ready.result(BOUND)
        self.resume()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            while (wish := self._wishes.get()) is not None:
                wish()

    @property
    def is_idle(self) -> bool:
        """Whether the loop pauses."""
        return not self.loop.is_running()

    def resume(self) -> None:
        """Let the loop run."""
        is_running = threading.Event()
        self.loop.call_soon_threadsafe(is_running.set)
        self._wishes.put(self.loop.run_forever)
        assert is_running.wait(BOUND)

    def pause(self) -> None:
        """Let the loop become idle."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.do(lambda: None)

    def do(self, call: Callable[[], T]) -> T:
        """Call something in this very thread while its loop pauses."""
        outcome: Future[T] = Future()
        self._wishes.put(lambda: settle(outcome, call))
        return outcome.result(BOUND)

    def submit(self, call: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin to run a coroutine function on the loop."""
        return asyncio.run_coroutine_threadsafe(call(), self.loop)

    def wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function on the loop, and wait."""
        return self.submit(call).result(BOUND)

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Keep the loop busy with something that does not give way."""
        is_blocked, go_on = threading.Event(), threading.Event()

        def block() -> None:
            is_blocked.set()
            go_on.wait(BOUND)

        self.loop.call_soon_threadsafe(block)
        assert is_blocked.wait(BOUND)
        try:
            yield
        finally:
            go_on.set()

    def end(self) -> None:
        """End the loop, after cancelling what it still does. Ending it twice does nothing."""
        if self.loop.is_closed():
            return
        if not self.is_idle:
            self.pause()
        self._wishes.put(None)
        self._thread.join(BOUND)
        assert self.loop.is_closed()


def settle(outcome: Future[T], call: Callable[[], T]) -> None:
    """Call something, and let a future know what came of it."""
    try:
        outcome.set_result(call())
    except BaseException as error:
        outcome.set_exception(error)


def in_plain_thread(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call in a thread that has nothing to do with any loop."""
    outcome: Future[T] = Future()
    threading.Thread(target=settle, args=(outcome, call), daemon=True).start()
    return outcome.result(BOUND)


def in_to_thread(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call by way of `asyncio.to_thread`."""
    return thread.wait(lambda: asyncio.to_thread(call))


def in_executor(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call in an executor of the loop's."""

    async def run() -> T:
        with ThreadPoolExecutor(1) as executor:
            return await thread.loop.run_in_executor(executor, call)

    return thread.wait(run)


def in_anyio_worker(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call in a worker thread of anyio's, as Starlette and FastAPI do."""
    return thread.wait(lambda: anyio.to_thread.run_sync(call))


def in_sync_to_async(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call by way of asgiref, as Django does, in the one thread that all such calls share."""
    return thread.wait(lambda: sync_to_async(call, thread_sensitive=True)())


def in_free_sync_to_async(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call by way of asgiref, in any thread."""
    return thread.wait(lambda: sync_to_async(call, thread_sensitive=False)())


def in_coroutine(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call on the loop's own thread, in a coroutine."""

    async def run() -> T:
        return call()

    return thread.wait(run)


def in_callback(thread: LoopThread, call: Callable[[], T]) -> T:
    """Call on the loop's own thread, in a callback."""
    outcome: Future[T] = Future()
    thread.loop.call_soon_threadsafe(settle, outcome, call)
    return outcome.result(BOUND)


Place = Callable[[LoopThread, Callable[[], Any]], Any]

BESIDE_THE_LOOP: list[Place] = [
    in_plain_thread,
    in_to_thread,
    in_executor,
    in_anyio_worker,
    in_sync_to_async,
    in_free_sync_to_async,
]
ON_THE_LOOP: list[Place] = [in_coroutine, in_callback]


def together(number: int, call: Callable[[int], T]) -> list[T]:
    """Call something in so many threads that begin at once, and return the results."""
    start = threading.Barrier(number)

    def run(index: int) -> T:
        start.wait(BOUND)
        return call(index)

    with ThreadPoolExecutor(number) as executor:
        return list(executor.map(run, range(number), timeout=2 * BOUND))


def on_another_loop(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on a new event loop in another thread."""
    outcome: Future[T] = Future()
    threading.Thread(target=settle, args=(outcome, lambda: asyncio.run(call())), daemon=True).start()
    return outcome.result(BOUND)


def in_child(call: Callable[[], str]) -> str:
    """Fork, call something in the child, and return what it returned there, or the type and text of its error."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads; to survive them is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            answer = call()
        except BaseException as error:
            answer = "".join(traceback.format_exception_only(error)).strip()
        os.write(write, answer.encode()[:4000])
        os._exit(0)
    os.close(write)
    with concurrent.futures.ThreadPoolExecutor(1) as executor, os.fdopen(read) as pipe:
        watch = executor.submit(pipe.read)
        try:
            return watch.result(BOUND)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class Hurried:
    """Makes threads give way to one another a thousand times as often as usual, so that races are run and not hoped for."""

    def __enter__(self) -> None:
        self._usual = sys.getswitchinterval()
        sys.setswitchinterval(self._usual / 1000)

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._usual)
