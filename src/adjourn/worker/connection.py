"""The connection of a worker's exchange: made when it is needed, and given up when the database does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.callings import connecting_as
from adjourn._domain.protocols import AppLike, AsyncSessionLike
from adjourn.exceptions import ConnectorException
from adjourn.worker.watch import RoundTrips, WatchedAsyncSession, within

CLOSE_TIMEOUT = 1.0
"""Seconds that closing a connection may take."""


class Connection:
    """One session at a time, and the operations of a worker on it.

    Parameters
    ----------
    app
        The app, for its connector and schema.
    limit
        Seconds that connecting and each round trip may take.
    name
        The worker's name.
    """

    def __init__(self, app: AppLike, limit: float, name: str) -> None:
        self._app = app
        self._name = name
        self.trips: RoundTrips = RoundTrips(limit, self.give_up)
        self.manager: AsyncWorkerManager | None = None
        """The operations, or None while there is no session."""
        self.is_given_up: bool = False
        """Whether the session was given up during a round trip, which the server may still be working on."""
        self._session: AsyncSessionLike | None = None
        self._closing: set[asyncio.Future[Any]] = set()

    async def manager_async(self) -> AsyncWorkerManager:
        """Connect if need be, and return the operations.

        Raises
        ------
        ConnectorException
            If the database cannot be reached, or does not answer in time.
        """
        if self.manager is None:
            connector = self._app.connector.get_async_connector()
            try:
                with connecting_as("worker", self._name):
                    self._session = await within(self.trips.limit, connector.session_async(), self._close_late)
            except TimeoutError:
                raise silent(self.trips.limit, "let this worker connect") from None
            session = WatchedAsyncSession(self._session, self.trips)
            schema, applying = self._app.job_manager.schema, connector.applies_schema
            self.manager = AsyncWorkerManager(session, self._app.connector.json_loads, schema, applying)
        return self.manager

    def give_up(self) -> None:
        """Give up a round trip that is under way: it raises, and the next one uses another session."""
        if self.trips.is_under_way and self._session is not None:
            self.is_given_up = True
            self._session.abandon()

    async def close(self) -> None:
        """Close the session, if there is one. Never raises because it is broken, and does not wait for the server."""
        self.manager, self.is_given_up = None, False
        session, self._session = self._session, None
        if session is None:
            return
        try:
            await within(CLOSE_TIMEOUT, session.close_async())
        except Exception:  # a broken session may fail to close in any way, and it is of no use any more
            session.abandon()

    def _close_late(self, session: AsyncSessionLike) -> None:
        """Close a session that was made after nobody waited for it any more."""
        closing = asyncio.ensure_future(within(CLOSE_TIMEOUT, session.close_async()))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def silent(seconds: float, what: str = "answered") -> ConnectorException:
    """Return the error that means that the database is silent."""
    return ConnectorException(
        f"The database has not {what} within {seconds:g} seconds (round_trip_timeout), so this connection is given up."
    )
