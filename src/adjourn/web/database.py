"""Reads an app's database on connections of the dashboard's own, at most two, each query within a time; and opens transactions for
actions, one at a time."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

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
        """Lend a session that only reads, for several queries."""
        try:
            reader = self._free.get(timeout=PATIENCE)
        except queue.Empty:
            raise Unavailable("All connections of the dashboard are busy. Try again in some seconds.") from None
        kept: Reader | None = None
        try:
            if reader is None:
                reader = Reader(self._app, "monitor", NAME)
            yield reader
            kept = reader
        except ConnectorException:
            # It may be broken; a new one is quickly made.
            if reader is not None:
                with contextlib.suppress(ConnectorException):
                    reader.close()
            raise
        except BaseException:
            kept = reader
            raise
        finally:
            self._free.put(kept)

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
        """Close the connections that nobody uses."""
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
