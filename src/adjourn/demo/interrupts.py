"""Ctrl-C and its kin: each ends the demo by way of its ``with`` statements, and none comes at a bad moment."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Have the signals raise `KeyboardInterrupt` while the context is entered."""
    with _handled(interrupt):
        yield


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Let a signal wait until a step is done that must not be left half-way."""
    arrived = []

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    with _handled(remember):
        yield
    if arrived:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # What is ignored, as by nohup, stays so.
    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
