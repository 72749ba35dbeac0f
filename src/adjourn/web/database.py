"""Reads an app's database on connections of the dashboard's own, at most two, each query within a time; and opens transactions for
actions, one at a time."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import Any

import attrs

from adjourn.app import App
from adjourn.exceptions import ConnectorException
from adjourn.monitor.reader import LONGEST_QUERY, Reader
from adjourn.types import Row
from adjourn.web.problems import Unavailable

NAME = "adjourn web"
"""What the server calls these connections."""
READERS = 2
PATIENCE = 3.0
"""Seconds that a page waits for a connection."""
CONNECTING = 2.5
"""Seconds after which a server that has not let anybody in is taken for silent, however long the connector would wait."""


@attrs.define(eq=False)
class Asking:
    """A connection that the server was asked for.

    Attributes
    ----------
    began
        When, by this process's clock.
    made
        The connection, or why there is none.
    is_left
        Whether who has asked waits no more.
    """

    began: float = attrs.field(factory=time.monotonic)
    made: Future[Reader] = attrs.field(factory=lambda: Future[Reader]())
    is_left: bool = False


class Database:
    """The database of an app.

    Parameters
    ----------
    app
        The app. It need not be open.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._free: queue.LifoQueue[Reader | None] = queue.LifoQueue()
        self._changing = threading.BoundedSemaphore(1)
        self._lock = threading.Lock()
        self._asking: set[Asking] = set()
        self._closings = 0
        for _ in range(READERS):
            self._free.put(None)

    def rows(self, name: str, seconds: float = LONGEST_QUERY, /, **parameters: Any) -> list[Row]:
        """Execute a query of ``sql/monitor``, and return its rows. It only reads.

        Parameters
        ----------
        name
            The query's name.
        seconds
            How long it may take, 2 by default.
        **parameters
            Its parameters.

        Raises
        ------
        Unavailable
            If no connection is free in time.
        ConnectorException
            If the database cannot be reached, refuses, or does not answer in time.
        """
        with self.reader() as reader:
            return reader.rows(name, seconds, **parameters)

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """Lend a session that only reads, for several queries.

        Raises
        ------
        Unavailable
            If no connection is free in time.
        ConnectorException
            If the database cannot be reached, or lets nobody in within `CONNECTING` seconds.
        """
        reader = self._taken()
        kept: Reader | None = None
        try:
            yield reader
            kept = reader
        except ConnectorException:
            # It may be broken; a new one is quickly made.
            with contextlib.suppress(ConnectorException):
                reader.close()
            raise
        except BaseException:
            kept = reader
            raise
        finally:
            self._free.put(kept)

    def _taken(self) -> Reader:
        """Take a connection that nobody uses, or make one in its place."""
        asked_at = self._asked_at()
        try:
            reader = self._free.get(timeout=PATIENCE if asked_at is None else _left(asked_at))
        except queue.Empty:
            if asked_at is not None:
                raise _silent() from None
            raise Unavailable("All connections of the dashboard are busy. Try again in some seconds.") from None
        if reader is not None:
            return reader
        asking = Asking()
        try:
            # While the server lets somebody else wait, one does not wait longer than they do.
            limit = asking.began if (asked_at := self._asked_at()) is None else asked_at
            with self._lock:
                self._asking.add(asking)
            # How long a connector tries is its own affair, and its users'.
            threading.Thread(
                target=self._connect, args=(asking, self._closings), name="adjourn web connects", daemon=True
            ).start()
        except BaseException:
            with self._lock:
                self._asking.discard(asking)
            self._free.put(None)
            raise
        wait([asking.made], _left(limit))
        with self._lock:
            asking.is_left = not asking.made.done()
        if asking.is_left:
            raise _silent()
        try:
            return asking.made.result()
        except BaseException:
            self._free.put(None)
            raise

    def _connect(self, asking: Asking, closings: int) -> None:
        """Make a connection, for who has asked for it, or for the next one."""
        reader, failure = None, None
        try:
            reader = Reader(self._app, "monitor", NAME)
        except BaseException as error:
            # It is raised where somebody waits for it.
            failure = error
        with self._lock:
            self._asking.discard(asking)
            if not asking.is_left:
                if reader is None:
                    asking.made.set_exception(failure)
                else:
                    asking.made.set_result(reader)
                return
            is_late = closings != self._closings
        if reader is not None and is_late:
            with contextlib.suppress(ConnectorException):
                reader.close()
        self._free.put(None if is_late else reader)

    def _asked_at(self) -> float | None:
        """Return since when somebody waits for the server to let them in; None if nobody does."""
        with self._lock:
            return min((asking.began for asking in self._asking), default=None)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Any]:
        """Begin a transaction for an action, and lend its connection, which managers take as ``connection``.

        Raises
        ------
        Unavailable
            If another action of this process takes too long.
        """
        if not self._changing.acquire(timeout=PATIENCE):
            raise Unavailable("Another action is being carried out. Nothing was done; try again in some seconds.")
        try:
            with self._app.connector.transaction() as connection:
                yield connection
        finally:
            self._changing.release()

    def close(self) -> None:
        """Close the connections that nobody uses, and those that are made too late."""
        with self._lock:
            self._closings += 1
        free: list[Reader | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        for reader in free:
            try:
                if reader is not None:
                    reader.close()
            finally:
                self._free.put(None)


def _left(asked_at: float) -> float:
    """Return the seconds that one waits yet for a server that was asked at some time."""
    return max(0.0, asked_at + CONNECTING - time.monotonic())


def _silent() -> ConnectorException:
    return ConnectorException(f"The database has not answered within {CONNECTING:g} s: it lets nobody in.")
