"""Tools for waiting in a thread. `adjourn._runtime.aio` has the same names."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

IS_BLOCKING: bool = True
"""Whether calls of this colour block the calling thread."""

Lock = threading.Lock
sleep = time.sleep


def this_task() -> Any:
    """Return None: nothing can be cancelled."""
    return None


class Gate:
    """Admits calls while it is open; closing it waits for the calls inside."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())

    def enter(self) -> bool:
        """Enter, and return whether the gate was open."""
        with self._changed:
            if self._closed:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """Leave."""
        with self._changed:
            self._inside -= 1
            if self._closed and not self._inside:
                self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Refuse new calls, wait at most ``timeout`` seconds, and return whether all calls have left."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._inside, timeout)


class Turns:
    """Lets ``number`` callers proceed at a time; the others follow in the order in which they came."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[threading.Event] = deque()
        self._changing = threading.Lock()

    def take(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for a turn, and return whether it came. If so, `give` it back later."""
        with self._changing:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            if turn.wait(timeout):
                return True
        except BaseException:
            if not self._withdraw(turn):
                self.give()
            raise
        # The turn may have come just after the time was up.
        return not self._withdraw(turn)

    def give(self) -> None:
        """Give a turn back; the caller that has waited longest gets it."""
        with self._changing:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def _withdraw(self, turn: threading.Event) -> bool:
        with self._changing:
            if is_waiting := turn in self._waiting:
                self._waiting.remove(turn)
            return is_waiting


def guarded(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function. Nothing can cancel it, so there is nothing to guard against."""
    return call(*args, **kwargs)


def uninterrupted(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function."""
    return call(*args, **kwargs)


def answer(question: Callable[[], T]) -> T:
    """Call the user's function."""
    return question()


def pause(seconds: float) -> None:
    """Wait for some seconds."""
    time.sleep(seconds)


class Pace:
    """Does nothing: a thread keeps nobody from theirs."""

    def keep(self) -> None:
        """Go on."""


def run_sync(call: Callable[[], T]) -> T:
    """Call a blocking function."""
    return call()


class Waker:
    """Ends a wait for a socket, from any thread: the one under way, or else the next."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._is_set = False
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def set(self) -> None:
        """End the wait."""
        with self._changing:
            if not self._is_set:
                self._is_set = True
                if self._ends is not None:
                    self._ends[1].send(b"\0")

    def readable(self, descriptor: int, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until something arrives at a socket, and return whether it did."""
        receiver = self._receiver()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            selector.register(receiver, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(timeout)}
        with self._changing:
            if self._is_set:
                self._is_set = False
                receiver.recv(1)
        return descriptor in ready

    def _receiver(self) -> socket.socket:
        with self._changing:
            if self._ends is None:
                # Most sessions never wait, so make the pair only for those that do.
                self._ends = socket.socketpair()
                if self._is_set:
                    self._ends[1].send(b"\0")
            return self._ends[0]

    def close(self) -> None:
        """Close the pair, when no wait is under way."""
        with self._changing:
            ends, self._ends = self._ends, None
        for end in ends or ():
            end.close()
