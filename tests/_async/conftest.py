"""An app for both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    """An app that is open, on an empty database."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    await app.open_async()
    yield app
    await app.close_async()
