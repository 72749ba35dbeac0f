"""Keys of a terminal, one by one, as they are pressed."""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

ESCAPE = "\x1b"
ENTER = ("\r", "\n")
BACKSPACE = ("\x7f", "\b")


class Keys:
    """The keys of the terminal that is the standard input. Within it nothing is echoed, and no line is waited for; at the end the
    terminal is as it was.
    """

    def __init__(self) -> None:
        self._file = sys.stdin.fileno()
        self._before: list[Any] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Keys:
        import termios  # not on every system
        import tty

        self._before = termios.tcgetattr(self._file)
        tty.setcbreak(self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        import termios

        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> Iterator[str]:
        """Wait so many seconds for a key, and yield those that were pressed. A key that sends a sequence, such as an arrow, is none."""
        ready, _, _ = select.select([self._file], [], [], seconds)
        if not ready:
            return
        text = self._decoder.decode(os.read(self._file, 1024))
        if len(text) > 1 and text.startswith(ESCAPE):
            return
        yield from text
