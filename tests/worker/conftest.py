"""An app on an empty database, and a worker that runs beside the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
from support.bench import Bench


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))
    async with app.open_async():
        yield app


@pytest.fixture
async def bench(app: adjourn.App) -> Bench:
    return Bench(app)
