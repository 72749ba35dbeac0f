"""Finds the code that called into this package, for default task names and for warnings that show the caller's line."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from types import FrameType


def caller_module() -> str | None:
    """Return the name of the module outside this package that called into it."""
    for frame in _frames():
        if not _is_ours(frame):
            name: str | None = frame.f_globals.get("__name__")
            return name
    return None


def caller_stacklevel() -> int:
    """Return the ``stacklevel`` that makes a warning of the calling function point outside this package."""
    return sum(1 for _ in itertools.takewhile(_is_ours, _frames())) - 1


def _frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    frame = frame and frame.f_back  # skip this generator's own frame
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    package = __name__.partition(".")[0]
    return str(frame.f_globals.get("__name__")).partition(".")[0] == package
