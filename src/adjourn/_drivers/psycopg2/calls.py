"""psycopg2 calls that block in one thread while another thread waits for them, and may stop waiting.

psycopg2 cannot be interrupted. It can ask the server to cancel a statement, but holds the interpreter's lock while it
waits for the answer, so that a server that does not answer would freeze the whole program. So this module first checks
whether the server answers at all. If the statement still does not end, it shuts the socket down, and the statement
fails.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import psycopg2

from adjourn import exceptions
from adjourn._drivers.psycopg2 import options as driver
from adjourn._drivers.sockets import hang_up

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds for each attempt to end a call that no caller waits for any more."""

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Call(Generic[T]):
    """A call that one thread makes and another can abandon.

    Parameters
    ----------
    function
        The function to call; its argument is this object.
    undo
        Called with the result of an abandoned call.
    is_owner
        Whether the connection may be broken in order to end the call.
    """

    def __init__(
        self, function: Callable[[Call[T]], T], *, undo: Callable[[T], object] | None = None, is_owner: bool = True
    ) -> None:
        self._function = function
        self._undo = undo
        self._is_owner = is_owner
        self._changing = threading.Lock()
        self._connection: driver.Connection | None = None
        self._is_given_up = False
        self._results: list[T] = []
        self._ended = threading.Event()

    def run(self) -> T:
        """Make the call."""
        try:
            result = self._function(self)
            with self._changing:
                self._results.append(result)
                is_unwanted = self._is_given_up
            if is_unwanted:
                self._undo_result()
            return result
        finally:
            self._ended.set()

    def check(self) -> None:
        """Raise if the call was abandoned."""
        if self._is_given_up:
            raise exceptions.ConnectorException("The call was given up before it had begun.")

    @contextlib.contextmanager
    def holding(self, connection: driver.Connection) -> Iterator[None]:
        """Record which connection the call uses, within this context."""
        with self._changing:
            self.check()
            self._connection = connection
        try:
            yield
        finally:
            with self._changing:
                self._connection = None

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended and left no result to undo."""
        return self._ended.is_set() and not self._results

    def let_go(self) -> None:
        """Record that the caller has stopped waiting. If the call has not begun, it never will; else it ends by
        itself."""
        with self._changing:
            self._is_given_up = True
        if self._ended.is_set():
            self._undo_result()

    def give_up(self) -> None:
        """End an abandoned call within a few seconds. A call that has not begun never will."""
        self.let_go()
        if self._ended.is_set():
            return
        with self._changing:
            address = peer(self._connection) if self._connection is not None else None
        if address is not None and answers(*address):
            with self._changing, contextlib.suppress(psycopg2.Error):
                if self._connection is not None:
                    self._connection.cancel()
        if self._ended.wait(PATIENCE) or not self._is_owner:
            return
        with self._changing:
            if self._connection is not None:
                hang_up(self._connection)
        self._ended.wait(PATIENCE)

    def _undo_result(self) -> None:
        with self._changing:
            results, self._results = self._results, []
        for result in results if self._undo is not None else ():
            assert self._undo is not None
            self._undo(result)


def peer(connection: driver.Connection) -> tuple[int, Any] | None:
    """Return the family and the address of the socket at the server's end of a connection."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as known:
            return known.family, known.getpeername()
    except (OSError, psycopg2.Error):
        return None


def answers(family: int, address: Any) -> bool:
    """Return whether the server at an address takes new connections, as it does even while it is busy."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(address)
            asking.sendall(_SSL_REQUEST)
            return bool(asking.recv(1))
    except OSError:
        return False
