"""The contact of a worker's exchange to the database: its connection, and the outages of that."""

from __future__ import annotations

import asyncio
import math
import time

from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.protocols import AppLike
from adjourn.events import ConnectionLost, ConnectionRestored
from adjourn.worker.connection import Connection, silent
from adjourn.worker.doubt import Doubt
from adjourn.worker.leaving import stopping
from adjourn.worker.outage import Outage
from adjourn.worker.reports import Reports


class Contact:
    """One connection, which is replaced when it fails.

    Parameters
    ----------
    app
        The app, for its connector and schema.
    limit
        Seconds that connecting and each round trip may take.
    name
        The worker's name.
    doubt
        What may have happened in round trips whose answer never came.
    reports
        Who is told of outages.
    """

    def __init__(self, app: AppLike, limit: float, name: str, doubt: Doubt, reports: Reports) -> None:
        self.connection: Connection = Connection(app, limit, name)
        self._doubt = doubt
        self._reports = reports
        self._outage = Outage()
        self.silence: float = 0.0
        """Seconds that have passed in vain attempts to exchange, since the last one that succeeded."""
        self.served_at: float = -math.inf
        """When the last round trip has succeeded, by the monotonic clock."""

    @property
    def is_under_way(self) -> bool:
        """Whether a round trip is under way."""
        return self.connection.trips.is_under_way

    @property
    def error(self) -> BaseException | None:
        """Why the database does not serve this worker, if it does not."""
        return self._outage.error

    def pass_time(self, seconds: float) -> None:
        """Let time pass: give up a round trip that takes too long."""
        self.connection.trips.pass_time(seconds)
        if self._outage.failures or self.is_under_way:
            self.silence += seconds

    async def manager_async(self) -> tuple[AsyncWorkerManager, bool]:
        """Connect if need be, and return the operations, and whether the connection is a new one."""
        if (manager := self.connection.manager) is not None:
            return manager, False
        return await self.connection.manager_async(), True

    def serves(self) -> None:
        """Note that the database has served this worker."""
        self.silence = 0.0
        self.served_at = time.monotonic()
        if self._outage.failures:
            duration = self._outage.duration
            self._outage.end()
            self._reports.tell(ConnectionRestored, duration=duration)

    def explained(self, error: BaseException, *, is_stopping: bool = False) -> BaseException:
        """Return why a round trip has failed: if it was given up, what its driver raises does not say so."""
        if not self.connection.is_given_up:
            return error
        self.connection.is_given_up = False
        reason = stopping() if is_stopping else silent(self.connection.trips.limit)
        reason.__cause__ = error
        return reason

    async def back_off(self, error: BaseException, waiting: int, *, is_stopping: bool) -> None:
        """Tell that a round trip has failed, close the connection, and wait a while.

        Parameters
        ----------
        error
            What it has raised.
        waiting
            How many outcomes are not stored yet.
        is_stopping
            Whether the worker is stopping.
        """
        if self.connection.is_given_up:
            error = self.explained(error, is_stopping=is_stopping)
            self._doubt.gave_up()
        delay = self._outage.fail(error)
        self._reports.tell(
            ConnectionLost,
            error=error,
            failures=self._outage.failures,
            is_news=self._outage.is_news,
            retry_in=delay,
            waiting=waiting,
        )
        await self.connection.close()
        await asyncio.sleep(delay)

    def fail(self, error: BaseException) -> None:
        """Note why the worker cannot take its leave, if nothing else has failed before."""
        if not self._outage.failures:
            self._outage.fail(error)
