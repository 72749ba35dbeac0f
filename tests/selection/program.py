"""What the programs of `test_forks` and `test_exits` begin with: they say ``from selection.program import *``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adjourn import App, PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import AppNotOpen

__all__ = [
    "App",
    "AppNotOpen",
    "PsycopgConnector",
    "SyncPsycopgConnector",
    "add",
    "app_on",
    "asyncio",
    "backend",
    "backend_async",
    "backends",
    "in_child",
    "os",
    "refused",
    "signal",
    "sys",
    "threading",
    "time",
    "together",
]

DSN = os.environ.get("PROGRAM_DSN", "")
BACKEND = "SELECT pg_backend_pid() AS pid"


def app_on(kind: str, *, min_size: int = 2, max_size: int = 2, **options: Any) -> App:
    """Return an app on a connector of that kind, with a task to defer."""
    connectors = {"PsycopgConnector": PsycopgConnector, "SyncPsycopgConnector": SyncPsycopgConnector}
    app = App(connector=connectors[kind](DSN, min_size=min_size, max_size=max_size, **options))

    @app.task(name="add")
    def add(name: str) -> None:
        """Do nothing: what counts is the job."""

    return app


def add(app: App, name: str) -> int:
    """Defer a job with a name."""
    return app.tasks["add"].defer(name=name)


def backend(app: App) -> int:
    """Say which session of the server serves a call."""
    return int(app.connector.get_sync_connector().execute_query_one(BACKEND)["pid"])


async def backend_async(app: App) -> int:
    """Say which session of the server serves an awaited call."""
    return int((await app.connector.execute_query_one_async(BACKEND))["pid"])


def backends(app: App) -> set[int]:
    """Say which sessions serve some calls."""
    return {backend(app) for _ in range(4)}


@contextmanager
def refused(error: type[Exception], text: str) -> Iterator[None]:
    """Fail unless the block is refused with an error that says so."""
    try:
        yield
    except error as refusal:
        if text not in str(refusal):
            raise
    else:
        raise AssertionError("this was not refused")


def together(number: int, call: Callable[[], object]) -> None:
    """Call something in so many threads, and wait for them."""
    done: list[object] = []
    threads = [threading.Thread(target=lambda: done.append(call()), daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == number


def in_child(call: Callable[[], object], *, at_once: bool = False) -> None:
    """Fork, call something in the child, and end it as a program ends, or at once; it must end soon, and with code 0."""
    if (loop := asyncio._get_running_loop()) is not None:
        # It blocks its loop for as long as the child lives, of which asyncio's debug mode would complain.
        loop.slow_callback_duration = 100
    child = os.fork()
    if child == 0:
        code = 0
        try:
            call()
        except Exception:
            traceback.print_exc()
            code = 1
        if at_once:
            os._exit(code)
        sys.exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, status
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child hangs")
