"""Gives connections up whose server does not answer, with any driver and in both colours.

A server, or a proxy before it, may fall silent without closing anything, and TCP goes on to acknowledge. Then neither
the driver nor the kernel would ever end the wait. So each call says how long its server may take, and a thread, one
for the whole process, looks several times a second at the calls that wait. It shuts down the socket of one whose time
is up: then the driver fails by itself, with any driver, whether it blocks or waits on an event loop.

A program that is blocked, stopped or slow must not be taken for a silent server. If something has arrived that nobody
has read, the server has answered, and its time begins anew.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from adjourn import exceptions
from adjourn._domain.lent import is_lent, limit_of
from adjourn._domain.time_checks import check_seconds
from adjourn._drivers.sockets import HasSocket, hang_up, readable
from adjourn._runtime import forks
from adjourn.types import Statement

RESPONSE_TIMEOUT = 60.0
"""Seconds that a server may take to answer, by default."""

LONG_RESPONSE_TIMEOUT = 3600.0
"""The least seconds for a statement that may rightly take long: a change of the schema, or a deletion of many rows."""

CANCELLATION = 5.0
"""Seconds that a server may take to answer when the call was cancelled; the drivers ask it to end the statement."""

TICK = 0.25
"""Seconds between two looks at the calls that wait."""

LATE = 1.0
"""Seconds by which the thread may be late in a program that was not stopped."""

READ_ONLY = "25006"
"""Postgres's error code for a write on a server in recovery, or one that is to take no writes."""

DOUBTFUL = frozenset({READ_ONLY, "0A000", "XX000", "57P01", "57P02", "57P03"})
"""Error codes after which a connection is not used again: of a server that was demoted or ends, of a feature that is
missing in recovery, or with a plan that does not fit any more, and of a server's process that is not well."""

NO_ANSWER = (
    "The database did not answer within {seconds:g} seconds, so its connection was given up. Whether the statement took "
    "effect is not known. The next call uses another connection. The connector's option response_timeout sets these "
    "seconds."
)


class Cancellable(Protocol):
    """A task of an event loop."""

    def cancelling(self) -> int:
        """Return how often it was cancelled."""


class Wait:
    """A call that waits for its server. It has been begun, and must be ended.

    Parameters
    ----------
    watchdog
        Who watches it.
    seconds
        How long the server may take.
    task
        The task that waits, on an event loop: if it is cancelled, the server has less time.
    """

    line: HasSocket | None = None
    """The connection that the call waits on."""
    lines: Callable[[], Iterable[HasSocket]] | None = None
    """Returns the connections that may be at fault as long as the call has none; those in use elsewhere are not
    touched."""
    message: str | None = None
    """What has happened if the connection was given up."""
    deadline: float | None = None
    """When the server's time is up; None until the watchdog has seen the call for the first time."""
    is_expiring: bool = False

    def __init__(self, watchdog: Watchdog, seconds: float, task: Cancellable | None) -> None:
        self.watchdog = watchdog
        self.seconds = seconds
        self.task = task
        # A task that has gone on after a cancellation is not being cancelled.
        self._survived = 0 if task is None else task.cancelling()

    def on(self, line: HasSocket | None) -> None:
        """Say which connection the call waits on from now on. The server's time begins anew."""
        self.message = self.deadline = None
        self.line = line

    def judge(self, sqlstate: str | None) -> None:
        """Make the connection unusable if this error code says that its server is not to be trusted any more."""
        if sqlstate in DOUBTFUL and self.line is not None:
            hang_up(self.line)

    def end(self) -> None:
        """End it, in whatever way the call has ended."""
        self.watchdog.end(self)

    @property
    def is_given_up(self) -> bool:
        """Whether its connection was given up."""
        return self.message is not None

    def error(self) -> exceptions.ConnectorException:
        """Return what to raise if it was given up."""
        return exceptions.ConnectorException(self.message)

    def is_over(self, now: float) -> bool:
        """Return whether the server's time is up."""
        # The call may go on to another connection meanwhile, in its own thread, and take its deadline away.
        deadline = self.deadline
        if deadline is None:
            deadline = self.deadline = now + self.seconds
        if self.task is not None and self.task.cancelling() > self._survived:
            self.task = None
            deadline = self.deadline = min(deadline, now + CANCELLATION)
        return now >= deadline


class Watchdog:
    """Watches all calls of the process. Its thread runs while there are any, and a little longer.

    Most calls are over before it sees them, so a call costs a microsecond.
    """

    def __init__(self) -> None:
        self._waits: set[Wait] = set()
        self.renew_locks()
        forks.watch(self)

    def renew_locks(self) -> None:
        """Begin anew in a forked child: its parent's calls and thread are not there."""
        self._changing = threading.Lock()
        self._woken = threading.Event()
        self._is_asleep = True
        self._thread: threading.Thread | None = None
        self._waits.clear()

    def begin(self, seconds: float, task: Cancellable | None = None) -> Wait:
        """Begin to watch a call. See `Wait`."""
        wait = Wait(self, seconds, task)
        self._waits.add(wait)
        # The thread says that it sleeps before it looks for the last time, so one of both notices.
        if self._is_asleep:
            self._wake()
        return wait

    def end(self, wait: Wait) -> None:
        """Watch a call no longer. Its connection is not touched any more once this has returned."""
        self._waits.discard(wait)
        # The thread says so before it looks whether the call still waits, so one of both notices.
        if wait.is_expiring:
            with self._changing:
                pass

    def _wake(self) -> None:
        with self._changing:
            self._is_asleep = False
            self._woken.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="adjourn watchdog", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    # The program ends, or can have no more threads now: the next call tries again.
                    self._is_asleep = True

    def _run(self) -> None:
        try:
            self._watch()
        finally:
            self._is_asleep = True  # if it ends by an error, the next call begins another one

    def _watch(self) -> None:
        idle = 0
        while True:
            self._woken.wait()
            began = time.monotonic()
            time.sleep(TICK)
            late = time.monotonic() - began - TICK
            self._look(late if late > LATE else 0)
            idle = 0 if self._waits else idle + 1
            if idle * TICK > 1:
                self._woken.clear()
                self._is_asleep = True
                if self._waits:
                    self._is_asleep = False
                    self._woken.set()

    def _look(self, late: float) -> None:
        """Look at all calls once; the whole program was stopped for ``late`` seconds, and could not read any answer."""
        now = time.monotonic()
        for wait in list(self._waits):
            if late and (deadline := wait.deadline) is not None:
                wait.deadline = deadline + late
            if wait.is_over(now):
                with self._changing:
                    wait.is_expiring = True
                    # It may have ended since, or have gone on to another connection.
                    if wait in self._waits and wait.is_over(now):
                        self._expire(wait, now)
                    wait.is_expiring = False

    def _expire(self, wait: Wait, now: float) -> None:
        wait.deadline = now + wait.seconds
        if wait.line is None:
            in_use = {_descriptor(each.line) for each in list(self._waits)}
            # Another thread may change the collection meanwhile; then the next look does it.
            with contextlib.suppress(RuntimeError):
                for line in wait.lines() if wait.lines is not None else ():
                    if _descriptor(line) not in in_use:
                        wait.message = NO_ANSWER.format(seconds=wait.seconds)
                        hang_up(line)
        elif not _has_arrived(wait.line):
            wait.message = NO_ANSWER.format(seconds=wait.seconds)
            hang_up(wait.line)


def _descriptor(line: HasSocket | None) -> int:
    try:
        return line.fileno() if line is not None else -1
    except Exception:  # each driver has its own error for a closed connection
        return -1


def _has_arrived(line: HasSocket) -> bool:
    descriptor = _descriptor(line)
    return descriptor >= 0 and readable(descriptor)


watchdog = Watchdog()
"""The watchdog of this process."""


@contextlib.contextmanager
def limited(line: HasSocket | None, seconds: float) -> Iterator[None]:
    """Give a connection up if the block, which waits for its server, has not ended after some seconds."""
    wait = watchdog.begin(seconds)
    wait.on(line)
    try:
        yield
    finally:
        wait.end()


@contextlib.contextmanager
def answered(connection: Any, statement: Statement, task: Cancellable | None) -> Iterator[None]:
    """Give a connection up that is lent, if the server does not answer the block's statement in time.

    A connection of the caller's own is the caller's to give up.

    Raises
    ------
    ConnectorException
        If it was given up.
    """
    if not is_lent(connection):
        yield
        return
    wait = watchdog.begin(seconds_for(limit_of(connection), statement), task)
    wait.on(connection)
    try:
        yield
    except exceptions.ConnectorException as error:
        if wait.is_given_up:
            raise wait.error() from error
        raise
    finally:
        wait.end()


def check_response_timeout(name: str, value: Any) -> None:
    """Refuse anything that is not a number of seconds, or None. ``name`` is the connector's.

    Raises
    ------
    InvalidOption
        If it is refused.
    """
    check_seconds(f"{name}: response_timeout", value, above_zero=True, optional=True)


def seconds_for(response_timeout: float | None, statement: Statement | None = None) -> float:
    """Return how long a server may take for a statement."""
    if response_timeout is None:
        return math.inf
    if statement is not None and statement.may_take_long:
        return max(response_timeout, LONG_RESPONSE_TIMEOUT)
    return response_timeout
