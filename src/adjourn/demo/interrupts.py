"""Ctrl-C and similar signals: they end the demo through its ``with`` statements, and never in mid-step."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal like Ctrl-C."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Make the signals raise `KeyboardInterrupt` within this context."""
    with _handled(interrupt):
        yield


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Delay signals until the end of this context, so that they do not interrupt it half-way."""
    arrived = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    with _handled(remember):
        yield
    if arrived:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # A signal that is ignored, for instance because of nohup, stays ignored.
    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
