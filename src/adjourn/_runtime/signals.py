"""Handlers of signals that belong to this process alone: a child that it forks has those from before.

A fork copies handlers. Without this, a child that a task makes would take SIGTERM for a request to stop the worker, which
does not run there, and so ``Process.terminate()`` would not end it. The same is true of handlers that an event loop has set,
and of the file descriptor by which signals wake that loop: it is the parent's.

Programs that a process starts (`subprocess`, the start methods "spawn" and "forkserver") get no handlers from it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, TypeAlias

from adjourn._runtime.private import is_loops_handler

Handler: TypeAlias = Callable[[int, FrameType | None], Any]
_USUAL: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}


class Handlers:
    """A handler that takes the place of others for a while, in the process's main thread.

    Parameters
    ----------
    numbers
        The signals that it handles.
    handler
        The handler.
    """

    def __init__(self, numbers: Iterable[int], handler: Handler) -> None:
        self._handler = handler
        self._before = {number: signal.getsignal(number) for number in numbers}

    @property
    def numbers(self) -> Iterable[int]:
        """The signals that it handles."""
        return self._before

    def install(self) -> None:
        """Set the handler."""
        _installed.append(self)
        for number in self._before:
            signal.signal(number, self._handler)

    def restore(self) -> None:
        """Set the handlers from before, where no other has taken this one's place."""
        for number, before in self._before.items():
            if signal.getsignal(number) is self._handler:
                signal.signal(number, signal.SIG_DFL if before is None else before)

    def remove(self) -> None:
        """Set the handlers from before, and let forked children have what is set from now on."""
        self.restore()
        if self in _installed:  # not in a child
            _installed.remove(self)


def end_on(number: int) -> None:
    """Have a signal end this process if it is the first one of a container.

    For that process the kernel ignores a signal that has no handler.
    """
    if os.getpid() == 1 and signal.getsignal(number) is signal.SIG_DFL:
        Handlers([number], lambda number, frame: os._exit(128 + number)).install()


_installed: list[Handlers] = []
_forking = threading.local()


def _block() -> None:
    """Keep the signals from a child until it has its own handlers; Python forgets those that come before."""
    numbers = {number for each in _installed for number in each.numbers}
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers) if numbers else None


def _unblock() -> None:
    if (mask := getattr(_forking, "mask", None)) is not None:
        _forking.mask = None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _disown() -> None:
    """Give a forked child the handlers that it would have without those of this module."""
    if not _installed:
        return
    signal.set_wakeup_fd(-1)
    for each in reversed(_installed):
        each.restore()
        for number in each.numbers:
            if is_loops_handler(signal.getsignal(number)):
                signal.signal(number, _USUAL.get(number, signal.SIG_DFL))
    _installed.clear()
    _unblock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_disown)
