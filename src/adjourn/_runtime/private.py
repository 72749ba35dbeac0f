"""All uses of private parts of asyncio, as seen in CPython 3.11 to 3.14, and of anyio, as seen in 4.4 to 4.16.

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import Any

_ANYIO_ON_ASYNCIO = "anyio._backends._asyncio"
"""The module that has anyio's cancel scopes. It is imported with the first of them, and not together with anyio."""
_MANY = 16
"""So many tasks that have been in scopes are not looked at one by one."""
_unix_events: Any = getattr(asyncio, "unix_events", None)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None.

    ``asyncio._get_running_loop`` has been in each CPython since 3.5.3, and third-party event loops rely on it. Without
    it: `asyncio.get_running_loop`, whose exception adds some microseconds to each blocking call.
    """
    return asyncio._get_running_loop()


def thread_of(loop: asyncio.AbstractEventLoop) -> int | None:
    """Return the thread that runs an event loop, 0 for an unknown one, and None if the loop does not run.

    ``BaseEventLoop._thread_id`` exists in asyncio's own loops. Without it, as with uvloop, the thread is unknown if
    another thread than the one that opened the app runs the loop. A blocking call on that thread is still refused,
    because the same loop runs there.
    """
    return getattr(loop, "_thread_id", 0 if loop.is_running() else None)


def leave_in_silence(task: asyncio.Future[Any] | None) -> None:
    """Suppress asyncio's warning about a task that never ends by itself when its loop is abandoned.

    `asyncio.gather` sets ``Task._log_destroy_pending``, too. Without it: a logged error, "Task was destroyed but
    it is pending!", in a program that has not closed the app.
    """
    if task is not None:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # private, of tasks alone


def is_loops_handler(handler: Any) -> bool:
    """Return whether a handler of signals serves an event loop.

    `asyncio.Runner` sets a `functools.partial` of its method ``_on_sigint``; ``loop.add_signal_handler`` sets
    ``asyncio.unix_events._sighandler_noop``. Without these: a child that a task forks ignores the first of such signals.
    """
    if isinstance(handler, functools.partial):
        return isinstance(getattr(handler.func, "__self__", None), asyncio.Runner)
    return handler is not None and handler is getattr(_unix_events, "_sighandler_noop", None)


def may_be_in_cancel_scope() -> bool:
    """Return whether a cancel scope of anyio may reach the current task.

    A scope reaches what it encloses, and each task that is awaited there, so this asks for the scopes of all tasks. ``_task_states`` of
    anyio's module for asyncio has them. Without it: True if anyio has been used, which adds a task to each asynchronous call.
    """
    module = sys.modules.get(_ANYIO_ON_ASYNCIO)
    if module is None:
        return False
    try:
        states = module._task_states
        return len(states) > _MANY or any(state.cancel_scope is not None for state in states.values())
    except (AttributeError, TypeError, RuntimeError):  # the last if another thread enters one at the same time
        return True
