"""``adjourn worker --reload``: a worker in a process of its own, which is started again when the program's code changes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["is_supervised", "supervise"]

MARK = "_ADJOURN_RELOADED"
"""The environment variable by which a worker knows that it is watched already."""
PATIENCE = 5.0
"""Seconds that running jobs get to end when the code has changed, and that they get once more to be cancelled."""


def is_supervised() -> bool:
    """Return whether this process was started by `supervise`."""
    return MARK in os.environ


def supervise() -> int:
    """Run the command line of this process again in another one, and start that again when a Python file below the current
    directory changes. Return its exit code when this process has been told to end.

    Raises
    ------
    ModuleNotFoundError
        Without watchfiles.
    """
    from watchfiles import PythonFilter, watch  # an extra

    stop = threading.Event()
    worker = _Worker()
    with _ending(worker, stop):
        worker.start()
        for changes in watch(".", watch_filter=PythonFilter(), stop_event=stop, debounce=400):
            names = sorted({os.path.relpath(path) for _, path in changes})
            print(f"adjourn: starting the worker again: {', '.join(names)} changed", file=sys.stderr, flush=True)
            worker.stop()
            if stop.is_set():
                break
            worker.start()
        return worker.wait()


class _Worker:
    """The process of the worker."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start it."""
        # As it was started itself: by the script `adjourn`, by `python -m adjourn`, by manage.py, ...
        command = [sys.executable, *sys.orig_argv[1:]]
        self._process = subprocess.Popen(command, env={**os.environ, MARK: "1"})  # noqa: S603 - our own

    def tell(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Have it stop: gracefully, then at once, then by force."""
        assert self._process is not None
        for number in (signal.SIGTERM, signal.SIGTERM):
            self.tell(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
                return
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Wait until it ends, and return its exit code."""
        assert self._process is not None
        code = self._process.wait()
        return code if code >= 0 else 128 - code


@contextlib.contextmanager
def _ending(worker: _Worker, stop: threading.Event) -> Iterator[None]:
    """Have signals end both."""

    def end(number: int, frame: Any) -> None:
        stop.set()
        # A terminal sends Ctrl-C to both by itself, and a second one would not be graceful.
        if number != signal.SIGINT or not _is_in_foreground():
            worker.tell(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # there is no terminal
        return False
