"""A server that says nothing keeps no page waiting, and pages are as before once it answers again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from support.proxy import Proxy, proxied
from support.waiting import until

LONGEST = 3.5
"""Seconds for a page: it waits for three of them at most, and the machine may be busy."""
OF_FEEDS = (
    "/",
    "/queues",
    "/tasks",
    "/queue?name=mail",
    "/task?name=send",
    "/workers",
    "/limits",
    "/workflows",
    "/database",
)
OF_QUERIES = ("/jobs", "/job?id=1", "/schedules", "/workflow?id=1", "/audit", "/bulk?what=retry&status=failed")


@pytest.fixture
def proxy(database: str) -> Iterator[tuple[Proxy, TestClient]]:
    with proxied(database) as (proxy, dsn):
        app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn))
        with TestClient(web.create_app(app, auth=web.anybody)) as client:
            yield proxy, client


def is_told(client: TestClient, path: str) -> bool:
    """Whether a page says that it knows nothing new. It says something in time in any case."""
    began = time.monotonic()
    answer = client.get(path)
    assert time.monotonic() - began < LONGEST, path
    assert answer.status_code == (503 if path in OF_QUERIES else 200), path
    return any(each in answer.text for each in ("no answer", "stale for", "Could not be read", "has not answered"))


@pytest.mark.parametrize("path", ["/", "/jobs", "/queue?name=mail", "/bulk?what=retry&status=failed"])
def test_the_first_page_is_answered_in_time(proxy: tuple[Proxy, TestClient], path: str) -> None:
    proxy[0].silence()
    assert is_told(proxy[1], path)


def test_each_page_is_answered_in_time_and_recovers(proxy: tuple[Proxy, TestClient]) -> None:
    server, client = proxy
    for path in (*OF_FEEDS, "/jobs", "/audit"):
        assert client.get(path).status_code == 200, path
    server.silence()
    assert is_told(client, "/jobs")
    # What was read some seconds ago is shown, and said to be old once it is.
    until(lambda: is_told(client, "/"))
    for path in (*OF_FEEDS, *OF_QUERIES):
        is_told(client, path)
    server.heal()
    until(lambda: client.get("/jobs").status_code == 200)
    until(lambda: "Could not be read" not in client.get("/queues").text and "stale" not in client.get("/queues").text)
