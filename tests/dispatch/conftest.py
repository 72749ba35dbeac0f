"""An app to defer through, and what has become of the jobs."""

from __future__ import annotations

import contextlib
import logging
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest

import adjourn
from dispatch.pairs import DRIVERS, PSYCOPG, Pair
from support.apps import make_app
from support.places import Hurried, LoopThread
from support.prepared import PreparedProcess
from support.sessions import BLOCKED, Sessions
from support.waiting import until

Stored = Callable[[], list[str]]
"""The names that jobs in the database were given, in alphabetical order."""


ON_PSYCOPG = pytest.mark.parametrize("pair", [PSYCOPG], ids=str, indirect=True)
"""For what has to do with psycopg's own pool, or not with any driver."""


@pytest.fixture(params=DRIVERS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """The connector that a test is about: each of adjourn's own."""
    assert isinstance(request.param, Pair)
    return request.param


@pytest.fixture
def app(pair: Pair, database: str, sessions: Sessions) -> Iterator[adjourn.App]:
    """An app that is closed, on two connections at most, and has given back every one when the test is over."""
    yield make_app(pair.connector(database, 2, 10))
    assert sessions.settle(0) == 0


@pytest.fixture
def connections_made(observer: psycopg.Connection) -> Callable[[], int]:
    """Read how many sessions the database has had so far: the server counts, so that none is overlooked.

    Of a session that is not at work, or has ended, it knows for certain.
    """

    def read() -> int:
        row = observer.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return int(row[0])

    return read


@pytest.fixture
async def opened(app: adjourn.App) -> AsyncIterator[adjourn.App]:
    """The app, open on this event loop."""
    async with app.open_async():
        yield app


@pytest.fixture
def stored(observer: psycopg.Connection) -> Stored:
    """Read the names of the jobs that are waiting."""

    def read() -> list[str]:
        rows = observer.execute("SELECT args->>'name' FROM adjourn.adjourn_jobs ORDER BY 1").fetchall()
        return [name for (name,) in rows]

    return read


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    """An event loop in a thread of its own."""
    thread = LoopThread()
    yield thread
    thread.end()


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads give way to one another very often."""
    with Hurried():
        yield


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep psycopg's pools from logging: pytest would keep the errors, and the connections that they refer to."""
    monkeypatch.setattr(logging.getLogger("psycopg.pool"), "disabled", True)


Program = Callable[[str], None]


@pytest.fixture
def program(database: str, sessions: Sessions, prepared: PreparedProcess) -> Program:
    """Run a program, which must end soon, with code 0, in silence, and leave no connection."""

    def run(text: str) -> None:
        text = "from support.program import *\n" + textwrap.dedent(text)
        prepared.run_silently(text, PROGRAM_DSN=database)
        assert sessions.settle(0) == 0

    return run


class Bar:
    """Keeps jobs from being stored: whoever defers waits until it is lifted."""

    def __init__(self, dsn: str, observer: psycopg.Connection) -> None:
        self._dsn = dsn
        self._observer = observer

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Bar the way for as long as the block lasts."""
        with psycopg.connect(self._dsn) as connection:
            connection.execute("LOCK TABLE adjourn.adjourn_jobs IN EXCLUSIVE MODE")
            yield
            connection.rollback()

    def wait_for(self, number: int) -> None:
        """Wait until that many stand before it."""
        until(lambda: len(self._observer.execute(BLOCKED).fetchall()) == number)


@pytest.fixture
def bar(database: str, observer: psycopg.Connection) -> Bar:
    """What keeps jobs from being stored, when a test wants that."""
    return Bar(database, observer)


class Access:
    """Whether the server lets anybody connect to the database; those who are connected already stay."""

    def __init__(self, observer: psycopg.Connection) -> None:
        self._observer = observer

    def permit(self, is_permitted: bool) -> None:
        """Open or bar the way for new connections, of superusers too."""
        change = "UPDATE pg_database SET datallowconn = %s WHERE datname = current_database()"
        self._observer.execute(change, [is_permitted])

    @contextlib.contextmanager
    def barred(self) -> Iterator[None]:
        """Bar the way for as long as the block lasts."""
        self.permit(False)
        try:
            yield
        finally:
            self.permit(True)


@pytest.fixture
def access(observer: psycopg.Connection) -> Iterator[Access]:
    """Lets a test take the server away, as far as new connections are concerned."""
    access = Access(observer)
    yield access
    access.permit(True)
