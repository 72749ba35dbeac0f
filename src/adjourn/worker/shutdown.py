"""Turns SIGINT and SIGTERM into a graceful stop; a second one does what it does by default."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

logger: logging.Logger = logging.getLogger("adjourn.worker")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` on the first of the signals while the context is entered.

    The handlers of before are put back on the first signal, and on the way out. Only a process's main thread can
    have handlers; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        name = signal.Signals(number).name
        logger.info("Stop asked for by %s", name, extra={"action": "stopping_worker", "signal": name})
        stop()

    logger.debug("Installing signal handlers", extra={"action": "install_signal_handlers"})
    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
        logger.debug("Signal handlers are as they were", extra={"action": "uninstall_signal_handlers"})
