"""An app on an empty database, and a worker that runs beside the test."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

import adjourn
from adjourn.testing import InMemoryConnector
from support.bench import Bench


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))
    async with app.open_async():
        yield app


@pytest.fixture(params=["in memory", "postgres"])
async def app_in_both(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    """An open app whose jobs are in memory, and one whose jobs are in Postgres. A module has all its tests use them by its own ``app``."""
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database, max_size=4)
    app = adjourn.App(connector=given)
    async with app.open_async():
        yield app


@pytest.fixture
def pass_time(app: adjourn.App, observer: psycopg.Connection) -> Callable[[float], None]:
    """Lets time pass at once."""

    def pass_time(seconds: float) -> None:
        if isinstance(app.connector, InMemoryConnector):
            app.connector.advance(seconds=seconds)
            return
        ago = datetime.timedelta(seconds=seconds)
        for change in (
            (
                "update adjourn.adjourn_jobs set enqueued_at = enqueued_at - %(ago)s, scheduled_at = scheduled_at - %(ago)s,"
                " ready_at = ready_at - %(ago)s"
            ),
            "update adjourn.adjourn_steps set until = until - %(ago)s, at = at - %(ago)s",
            "update adjourn.adjourn_sent_events set expires_at = expires_at - %(ago)s",
        ):
            observer.execute(change, {"ago": ago})

    return pass_time


@pytest.fixture
async def bench(app: adjourn.App) -> Bench:
    return Bench(app)
