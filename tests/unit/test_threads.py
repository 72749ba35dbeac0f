"""Threads for synchronous tasks."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
from typing import Any

from adjourn.worker.runners.threads import ThreadPool


async def test_results_and_errors_come_back_on_the_loop_s_thread() -> None:
    pool = ThreadPool(2, asyncio.get_running_loop())
    found: list[tuple[Any, BaseException | None, int]] = []
    done = asyncio.Event()

    def collect(result: Any, error: BaseException | None) -> None:
        found.append((result, error, threading.get_ident()))
        if len(found) == 100:
            done.set()

    def fail() -> None:
        raise SystemExit(3)

    for number in range(99):
        pool.submit(functools.partial(int, number), collect)
    pool.submit(fail, collect)
    async with asyncio.timeout(10):
        await done.wait()
    pool.close()
    assert {thread for _, _, thread in found} == {threading.get_ident()}
    assert sorted(result for result, error, _ in found if error is None) == list(range(99))
    assert [type(error) for _, error, _ in found if error is not None] == [SystemExit]


def finish(done: asyncio.Event, result: Any, error: BaseException | None) -> None:
    done.set()


async def test_no_more_threads_are_started_than_are_needed() -> None:
    before = threading.enumerate()
    pool = ThreadPool(50, asyncio.get_running_loop())
    for _ in range(10):
        done = asyncio.Event()
        pool.submit(int, functools.partial(finish, done))
        await done.wait()
    own = [thread for thread in threading.enumerate() if thread not in before]
    pool.close()
    assert [thread.name for thread in own if thread.name.startswith("adjourn-task")] == ["adjourn-task-1"]


def test_a_body_that_never_ends_does_not_keep_the_interpreter_from_exiting() -> None:
    program = """
import asyncio, threading
from adjourn.worker.runners.threads import ThreadPool
async def main():
    pool = ThreadPool(1, asyncio.get_running_loop())
    begun = threading.Event()
    pool.submit(lambda: (begun.set(), threading.Event().wait()), lambda result, error: None)
    begun.wait()
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
