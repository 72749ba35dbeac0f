"""How far a command has come, on stderr: its output on stdout is for programs."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from adjourn.cli import flags
from adjourn.exceptions import AdjournException

PAUSE = 10.0
"""Seconds after which there is another line, where there is no terminal."""
STEPS = 10
"""In how many parts the whole is divided, each of which has a line of its own even before that."""
GLANCE = 1.0
"""Seconds until what a terminal shows is changed, and between two looks at how far it is."""
WIDTH = 24
"""Of the bar, in characters."""
QUIET = "do not say how far it is"


def add_quiet(parser: flags.Parser, variable: str) -> None:
    """Add the flag ``--quiet`` to the parser of a command that may take long, with the name of its environment variable."""
    parser.add_flag("--quiet", variable=variable, convert=flags.boolean, action="store_true", help=QUIET)


@dataclass(frozen=True)
class Told:
    """How far it is.

    Attributes
    ----------
    words
        In words; "" for nothing to say.
    share
        How much of it is done, from 0 to 1; None if nobody knows.
    """

    words: str = ""
    share: float | None = None


class ProgressReport:
    """Tells how far something has come: on a terminal by a bar in one line that changes, elsewhere by a line every ten seconds or each ten
    per cent, whichever comes first. What ends within a second says nothing.

    Parameters
    ----------
    what
        What is done, such as "Deleting jobs".
    tells
        Returns how far it is, for each look anew. Called in a thread.
    total
        How much there is to do.
    left
        Returns how much is still to be done, in the place of ``total``. Called once, in a thread, when something is done, and only if it
        takes longer than a second.
    is_quiet
        Whether to say nothing at all.
    """

    def __init__(
        self,
        what: str,
        tells: Callable[[], Told] | None = None,
        *,
        total: int | None = None,
        left: Callable[[], int] | None = None,
        is_quiet: bool = False,
    ) -> None:
        self.done: int | None = None
        """How much is done, if that can be counted."""
        self.total: int | None = total
        """How much there is to do, if that is known."""
        self._what = what
        self._tells = tells
        self._left = left
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._printing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="adjourn-progress", daemon=True)

    def __enter__(self) -> Self:
        if not self._is_quiet:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if not self._is_quiet:
            self._thread.join()

    def __call__(self, done: int) -> None:
        """Say how much is done."""
        self.done = done

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let something else be printed meanwhile."""
        with self._printing:
            self._clear()
            yield

    def _run(self) -> None:
        said_at, said = self._began, 0
        while not self._ended.wait(GLANCE):
            self._count_left()
            told, now = self.told(), time.monotonic()
            step = said if told.share is None else int(told.share * STEPS + 1e-9)
            if not self._is_terminal and now < said_at + PAUSE and step <= said:
                continue
            said_at, said = now, step
            with self._printing:
                self._say(told, now - self._began)
        with self._printing:
            self._clear()

    def _say(self, told: Told, seconds: float) -> None:
        parts = [f"{seconds:.0f} s", *([told.words] if told.words else [])]
        if self.done is not None:
            of = "" if self.total is None else f" of {max(self.total, self.done):,}"
            parts[0] = f"{self.done:,}{of} in {parts[0]}"
        text = ", ".join(parts)
        if told.share is not None:
            text = f"{told.share:.0%}, {text}"
            if self._is_terminal:
                full = round(told.share * WIDTH)
                text = f"[{'=' * full}{' ' * (WIDTH - full)}] {text}"
        start, end = ("\r\x1b[K", "") if self._is_terminal else ("", "\n")
        print(f"{start}{self._what}: {text}", end=end, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._is_terminal and not self._is_quiet and time.monotonic() >= self._began + GLANCE:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _count_left(self) -> None:
        if self._left is None or self.done is None:
            return
        count, self._left = self._left, None
        # Of what is done meanwhile, a little may be counted twice, or not at all.
        with contextlib.suppress(AdjournException):
            self.total = self.done + count()

    def told(self) -> Told:
        """Return how far it is."""
        if self._tells is not None:
            try:
                return self._tells()
            except AdjournException:
                # What is being done will meet the same error, and report it.
                return Told()
        if self.done is None or not self.total:
            return Told()
        return Told(share=min(self.done / self.total, 1.0))
