"""An app to test a program of, in memory and on Postgres, committed and in a transaction: the same tests pass on each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import testing
from adjourn.testing import InMemoryConnector

KINDS = ("memory", "postgres", "transaction")


class Shop:
    """A program with tasks, and the kit's calls on its app.

    Attributes
    ----------
    app
        Its app.
    sent
        What its tasks have done.
    connection
        The connection of the test's transaction; None without one.
    """

    def __init__(self, app: adjourn.App, connection: Any) -> None:
        self.app = app
        self.connection = connection
        self.sent: list[Any] = []

        @app.task(name="send")
        def send(number: int) -> int:
            self.sent.append(number)
            return number * 2

        @app.task(name="order")
        async def order(number: int) -> None:
            await send.defer_async(number=number)

        self.send, self.order = send, order

    def configured(self, task: Any, **options: Any) -> Any:
        """Return a deferrer of a task's jobs, in the test's transaction if there is one."""
        return task.configure(connection=self.connection, **options)

    def drain(self, **options: Any) -> testing.Drained:
        return testing.drain(self.app, connection=self.connection, **options)

    def deferred(self, *args: Any, **filters: Any) -> list[adjourn.Job]:
        return testing.deferred(self.app, *args, connection=self.connection, **filters)

    def assert_deferred(self, *args: Any, **filters: Any) -> list[adjourn.Job]:
        return testing.assert_deferred(self.app, *args, connection=self.connection, **filters)

    def travel(self, **delta: float) -> None:
        testing.travel(self.app, connection=self.connection, **delta)

    def periodic(self, **options: Any) -> list[adjourn.Job]:
        return testing.periodic(self.app, connection=self.connection, **options)


@contextlib.contextmanager
def app_of(kind: str, request: pytest.FixtureRequest) -> Iterator[tuple[adjourn.App, Any]]:
    """Make an app, and a connection with a transaction if the kind has one."""
    if kind == "memory":
        yield adjourn.App(connector=InMemoryConnector()), None
        return
    dsn = request.getfixturevalue("database")
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, min_size=1, max_size=2))
    if kind == "postgres":
        with app.open():
            yield app, None
        return
    with psycopg.connect(dsn) as connection:
        yield app, connection
        connection.rollback()


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A program on each kind of app."""
    with app_of(request.param, request) as (app, connection):
        yield Shop(app, connection)
