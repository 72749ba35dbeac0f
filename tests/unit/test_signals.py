"""What signals do to a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from adjourn.worker.shutdown import SIGNALS, on_signals


@pytest.fixture
def earlier() -> Iterator[list[int]]:
    """The signals that reach the handlers that were there before."""
    reached: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: reached.append(number)) for number in SIGNALS}
    yield reached
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    """Send signals to this thread, not to one that another test has left, so that Python finds all of them at once."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        for number in numbers:
            signal.pthread_kill(threading.get_ident(), number)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def test_the_first_signal_stops_and_the_second_goes_to_the_earlier_handler(earlier: list[int]) -> None:
    stops: list[None] = []
    with on_signals(lambda: stops.append(None)):
        send(signal.SIGTERM)
        assert (len(stops), earlier) == (1, [])
        send(signal.SIGTERM)
        assert (len(stops), earlier) == (1, [signal.SIGTERM])


def test_two_signals_at_the_same_moment_are_a_first_and_a_second(earlier: list[int]) -> None:
    stops: list[None] = []
    with on_signals(lambda: stops.append(None)):
        send(*SIGNALS)
    assert len(stops) == 1
    assert len(earlier) == 1


def test_the_earlier_handlers_are_back_afterwards(earlier: list[int]) -> None:
    with on_signals(lambda: None):
        send(signal.SIGINT)
    send(signal.SIGINT)
    assert earlier == [signal.SIGINT]


def test_a_second_signal_at_the_same_moment_is_not_lost_where_it_would_end_the_process() -> None:
    program = """
import os, signal
from adjourn.worker.shutdown import SIGNALS, on_signals
with on_signals(lambda: print("stopping", flush=True)):
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    print("not ended")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "stopping\n", "")


def test_a_second_signal_ends_a_process_that_the_kernel_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", lambda number: None)
    monkeypatch.setattr(os, "_exit", ended.append)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with on_signals(lambda: None):
            send(signal.SIGTERM)
            assert not ended
            send(signal.SIGTERM)
            assert ended == [128 + signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
