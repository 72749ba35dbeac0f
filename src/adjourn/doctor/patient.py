"""The database that is examined: a session that only reads, and what is known of it."""

from __future__ import annotations

import contextlib
import datetime
import functools
import time
from collections.abc import Collection
from typing import Any

from adjourn._domain.callings import connecting_as
from adjourn._domain.statistics import Durations
from adjourn._sync.managers.statements import schema_version
from adjourn.app import App
from adjourn.doctor.thresholds import Thresholds
from adjourn.monitor.commands import command_of, naming
from adjourn.monitor.reader import Reader
from adjourn.monitor.statistics import PeriodFigures, statistics
from adjourn.periodic import PeriodicTask
from adjourn.sql import reading
from adjourn.types import Row


class Patient:
    """A database, as checks see it.

    Parameters
    ----------
    app
        The app, for its connector, its schema and its tasks.
    role
        What the role of the session is there for: a kind of `adjourn.schema.grants`.
    thresholds
        From which numbers on something counts.
    deadline
        Until when all has to be found out, by `time.monotonic`.
    """

    def __init__(self, app: App, role: str, thresholds: Thresholds, deadline: float) -> None:
        self.app: App = app
        self.role: str = role
        self.thresholds: Thresholds = thresholds
        self.schema: str = app.job_manager.schema
        self._deadline = deadline
        self._reader = Reader(app, "doctor")

    def close(self) -> None:
        """Close the session."""
        self._reader.close()

    def abandon(self) -> None:
        """Give the session up at once. From any thread, at any time."""
        self._reader.session.abandon()

    @property
    def is_lost(self) -> bool:
        """Whether the session has ended, or was given up because the server said nothing for too long."""
        return self._reader.is_lost

    def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        """Execute a query, in a transaction that only reads, and return its rows.

        Raises
        ------
        ConnectorException
            If the database refuses, or does not answer in time.
        """
        return self._reader.rows(name, self.seconds_left, **parameters)

    def row(self, name: str, /, **parameters: Any) -> Row:
        """Execute a query that returns one row."""
        (row,) = self.rows(name, **parameters)
        return row

    def settings(self, *names: str) -> dict[str, str]:
        """Return some of the server's settings, those that it knows."""
        return {row["name"]: row["setting"] for row in self.rows("settings", names=list(names))}

    @property
    def seconds_left(self) -> float:
        """How many seconds are left."""
        return max(0.001, self._deadline - time.monotonic())

    @functools.cached_property
    def server(self) -> Row:
        """The server, and the role of this session there."""
        return self.row("server")

    @functools.cached_property
    def version(self) -> int:
        """The version of adjourn's schema, 0 for none."""
        return schema_version(self._reader, self.schema)

    @property
    def can_listen(self) -> bool:
        """Whether sessions hear notifications."""
        return self._reader.session.can_listen

    @functools.cached_property
    def workers(self) -> list[Row]:
        """The workers that have registered."""
        return self.rows("workers")

    @functools.cached_property
    def crew(self) -> tuple[list[Row], list[Row]]:
        """The workers with what each has said of itself, and the jobs that they have."""
        return self.rows("crew"), self.rows("working")

    @functools.cached_property
    def limits(self) -> list[Row]:
        """The limits, with what waits for each."""
        return self.rows("limits")

    def command(self, words: str) -> str:
        """Return a command line of ``adjourn`` that names the app, to be pasted into a shell."""
        return command_of(self.app.path, words)

    @property
    def applying(self) -> str:
        """How the schema is applied, in words."""
        return naming(self.app.path, self.app.schema_manager.connector.applies_schema)

    @functools.cached_property
    def waiting_jobs(self) -> Row:
        """What is said of jobs that wait for something special."""
        return self.row("waiting_jobs")

    def usual(self, hours: float) -> dict[str, Durations]:
        """Return how long runs of each task took in the last hours."""
        return {each.task: each.run for each in self._past(3600 * hours, by_task=True) if each.task is not None}

    def past(self, hours: float) -> dict[str, PeriodFigures]:
        """Return what has become of the jobs of each queue in the last hours."""
        return {each.queue: each for each in self._past(3600 * hours, by_queue=True) if each.queue is not None}

    def ended_in(self, seconds: float) -> dict[str, int]:
        """Return how many jobs of each queue have ended in the last seconds, and some more."""
        return {each.queue: each.ended for each in self._past(seconds, by_queue=True) if each.queue is not None}

    def _past(self, seconds: float, *, by_queue: bool = False, by_task: bool = False) -> list[PeriodFigures]:
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
        return statistics(self._reader, start=start, step=2 * max(seconds, 60.0), by_queue=by_queue, by_task=by_task)

    @property
    def periodic_tasks(self) -> Collection[PeriodicTask]:
        """The periodic tasks that the app knows."""
        return self.app.periodic_registry.periodic_tasks.values()

    def listener(self) -> contextlib.AbstractContextManager[Listener]:
        """Return a context manager with a second session that hears notifications."""
        return contextlib.closing(Listener(self.app))

    def notify(self, channel: str, payload: str) -> None:
        """Send a notification, which nobody keeps."""
        self._reader.tell(reading.NOTIFY, {"channel": channel, "payload": payload}, self.seconds_left)


class Listener:
    """A session that waits for one notification."""

    def __init__(self, app: App) -> None:
        with connecting_as("doctor"):
            self._session = app.connector.session()
        self.can_listen: bool = self._session.can_listen

    def listen(self, channel: str) -> None:
        """Start to receive what is sent on a channel."""
        self._session.listen(channel)

    def hears(self, payload: str, seconds: float) -> bool:
        """Wait for a payload, so many seconds at most, and tell whether it came."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if payload in self._session.wait_for_notifications(left):
                return True
        return False

    def close(self) -> None:
        """Close the session."""
        self._session.close()
