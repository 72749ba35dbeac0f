"""Waiting in a thread. The same names as in `adjourn._runtime.aio`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Lock = threading.Lock


class Gate:
    """Lets calls in while it is open, and waits for those inside when it is closed."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())

    def enter(self) -> bool:
        """Go in, and say whether the gate was open."""
        with self._changed:
            if self._closed:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """Go out again."""
        with self._changed:
            self._inside -= 1
            if self._closed and not self._inside:
                self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Let nobody in any more, wait at most so many seconds, and say whether all have left."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._inside, timeout)


def guarded(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function. Nothing can cancel it, so there is nothing to guard against."""
    return call(*args, **kwargs)


def uninterrupted(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function."""
    return call(*args, **kwargs)


def answer(question: Callable[[], T]) -> T:
    """Call a function of the user's."""
    return question()
