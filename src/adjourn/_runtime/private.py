"""Every reach into private parts of asyncio, as seen in CPython 3.11 to 3.14.

A release that drops one of these is noticed by `tests/connectors/test_private_parts.py`.
"""

from __future__ import annotations

import asyncio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None.

    ``asyncio._get_running_loop`` has been in each CPython since 3.5.3, and event loops of others rely on it. Without it:
    `asyncio.get_running_loop`, whose exception costs some microseconds of each blocking call.
    """
    return asyncio._get_running_loop()


def thread_of(loop: asyncio.AbstractEventLoop) -> int | None:
    """Return the thread that runs an event loop, 0 for an unknown one, and None if the loop does not run.

    ``BaseEventLoop._thread_id`` is that of asyncio's own loops. Without it, as with uvloop, a loop that is run by
    another thread than the one that opened the app is taken to be of no thread: a blocking call on its own thread is
    still refused, because the loop that runs there is the same.
    """
    return getattr(loop, "_thread_id", 0 if loop.is_running() else None)


def leave_in_silence(task: asyncio.Task[object] | None) -> None:
    """Have asyncio say nothing of a task that never ends by itself when its loop is left without ado.

    ``Task._log_destroy_pending`` is what `asyncio.gather` sets, too. Without it: a logged error, "Task was destroyed but
    it is pending!", in a program that has not closed the app.
    """
    if task is not None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # private
