"""The pages, with a real database behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def app(database: str) -> Iterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @app.task(name="send", queue="mail")
    def send() -> None:
        """Do nothing."""

    with app.open():
        yield app


@pytest.fixture
def client(app: adjourn.App) -> Iterator[TestClient]:
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        yield client


def test_the_overview_shows_the_queue_that_waits_longest(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    page = client.get("/")
    assert page.status_code == 200
    assert "<bdi>mail</bdi>" in page.text
    assert "No worker is registered" in page.text


def test_a_queue_is_paused_and_resumed(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    assert "Pause" in client.get("/queues").text
    done = client.post("/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE)
    assert "Queue mail is paused." in done.text
    assert [(pause.scope, pause.name) for pause in app.job_manager.list_pauses()] == [("queue", "mail")]
    done = client.post("/do/queue.resume", data={"queue": "mail"}, headers=SAME_SITE)
    assert "Queue mail is resumed." in done.text
    assert app.job_manager.list_pauses() == []
