"""Turns SIGINT and SIGTERM into a graceful stop, and makes sure that every stop ends.

A second signal has its usual effect, as before the worker was started. Children that tasks fork have the usual handlers,
too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any

from adjourn._runtime.private import leave_in_silence
from adjourn._runtime.signals import Handlers
from adjourn.worker.watch import within

logger: logging.Logger = logging.getLogger("adjourn.worker")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
CANCEL_TIMEOUT = 5.0
"""Seconds that cancelled jobs may take to clean up."""
CLOSE_TIMEOUT = 2.0
"""Seconds that closing the app of a worker that has ended may take."""


@contextlib.contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Within this context, call ``stop`` on the first of the signals.

    The second one restores the earlier handlers, as the end of the context does, and goes to them. Only a process's main
    thread can have handlers; in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        if is_stopping:
            # Not restored by the first signal: Python drops a signal that is pending when its handler is taken away.
            handlers.restore()
            signal.raise_signal(number)
            if signal.getsignal(number) is signal.SIG_DFL:
                # The signal should have ended this process. The kernel does not do that to the first one of a container.
                os._exit(128 + number)
            return
        is_stopping = True
        name = signal.Signals(number).name
        logger.info("Stopping because of %s", name, extra={"action": "stopping_worker", "signal": name})
        stop()

    handlers = Handlers(SIGNALS, handle)
    logger.debug("Installing signal handlers", extra={"action": "install_signal_handlers"})
    handlers.install()
    try:
        yield
    finally:
        handlers.remove()
        logger.debug("Signal handlers restored", extra={"action": "uninstall_signal_handlers"})


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Close an app whose worker has ended. Calls of jobs that still wait for the database are left behind soon."""
    try:
        await within(CLOSE_TIMEOUT, closing)
    except TimeoutError:
        logger.warning(
            "The app is not closed after %g s, because calls still wait for the database; they are left behind",
            CLOSE_TIMEOUT,
            extra={"action": "left_behind"},
        )


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function on a new event loop, as `asyncio.run` does, but end within a bounded time.

    `asyncio.run` waits for ever for tasks that do not end when they are cancelled. This leaves them behind.
    """
    runner = asyncio.Runner()
    loop = runner.get_loop()
    try:
        runner.run(main())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            _, left = loop.run_until_complete(asyncio.wait(left, timeout=CANCEL_TIMEOUT))
        for task in left:
            leave_in_silence(task)
            name = task.get_name()
            logger.error(
                "%s does not end although it was cancelled; it is left behind. Let CancelledError through in async tasks",
                name,
                extra={"action": "left_behind", "task": name},
            )
        if left:
            loop.close()
            asyncio.set_event_loop(None)
        else:
            runner.close()
