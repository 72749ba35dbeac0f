"""A dashboard of an app with two tasks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web


@pytest.fixture
def app(database: str) -> Iterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @app.task(name="send", queue="mail")
    def send() -> None:
        """Do nothing."""

    @app.task(name="fail", queue="mail")
    def fail() -> None:
        raise ValueError("this always fails")

    with app.open():
        yield app


@pytest.fixture
def client(app: adjourn.App) -> Iterator[TestClient]:
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        yield client
