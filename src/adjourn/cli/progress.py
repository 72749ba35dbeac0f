"""How far a command has come, on stderr: its output on stdout is for programs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from adjourn.exceptions import AdjournException

PAUSE = 10.0
"""Seconds between two lines, where there is no terminal."""
GLANCE = 1.0
"""Seconds until what a terminal shows is changed."""


class ProgressReport:
    """Tells how far something has come: on a terminal in one line that changes, elsewhere by a line every ten seconds. What ends
    sooner says nothing.

    Parameters
    ----------
    what
        What is done, such as "Deleting jobs".
    tells
        Returns how far it is, in words, for each line anew; "" for nothing to say. Called in a thread.
    """

    def __init__(self, what: str, tells: Callable[[], str] | None = None) -> None:
        self.done: int | None = None
        """How much is done, if that can be counted."""
        self._what = what
        self._tells = tells
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adjourn-progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, done: int) -> None:
        """Say how much is done."""
        self.done = done

    def _run(self) -> None:
        start, end = ("\r\x1b[K", "") if self._is_terminal else ("", "\n")
        is_told = False
        while not self._ended.wait(GLANCE if self._is_terminal else PAUSE):
            number = "" if self.done is None else f"{self.done:,} in "
            words = self.words()
            seconds = time.monotonic() - self._began
            print(
                f"{start}{self._what}: {number}{seconds:.0f} s{words and ', ' + words}",
                end=end,
                file=sys.stderr,
                flush=True,
            )
            is_told = True
        if is_told and self._is_terminal:
            print(start, end="", file=sys.stderr, flush=True)

    def words(self) -> str:
        """Return how far it is, in words."""
        try:
            return self._tells() if self._tells is not None else ""
        except AdjournException:
            # What is being done will meet the same error, and report it.
            return ""
