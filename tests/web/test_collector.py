"""One collector reads for all who look, while somebody does, and streams tell them of what is new."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.web import application, collector, pages
from adjourn.web.page import Site
from support.waiting import until

FEEDS = len(pages.queues.PAGE.feeds)


@pytest.fixture
def site(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dashboard that reads often, and stops soon."""
    for feed in collector.FEEDS:
        monkeypatch.setitem(collector.FEEDS, feed, 0.05)
    monkeypatch.setattr(collector, "LINGERS", 0.3)
    return web.create_app(app, auth=web.anybody)


class Stream:
    """A browser that listens to the events of a page."""

    def __init__(self, made: Any, path: str = "/events/queues") -> None:
        self.made, self.path = made, path
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.text = ""
        self.left = anyio.Event()

    async def run(self) -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver")],
            "scheme": "http",
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
        }
        requests = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status, self.headers = message["status"], dict(message["headers"])
            else:
                self.text += message.get("body", b"").decode()

        await self.made(scope, receive, send)


@contextlib.asynccontextmanager
async def streams(made: Any, number: int) -> AsyncIterator[list[Stream]]:
    watching = [Stream(made) for _ in range(number)]
    async with anyio.create_task_group() as group:
        for each in watching:
            group.start_soon(each.run)
        yield watching
        for each in watching:
            each.left.set()


async def until_async(is_so: Any) -> None:
    with anyio.fail_after(20):
        while not is_so():
            await anyio.sleep(0.01)


async def test_a_stream_tells_of_each_look(site: Any) -> None:
    async with streams(site, 1) as (stream,):
        await until_async(lambda: stream.text.count("event: look") >= 3)
    assert stream.status == 200
    assert stream.headers[b"content-type"].startswith(b"text/event-stream")
    assert stream.headers[b"cache-control"] == b"no-store"
    assert stream.headers[b"x-accel-buffering"] == b"no"
    assert stream.text.startswith("retry: 3000\n\n")
    ids = [int(line[4:]) for line in stream.text.splitlines() if line.startswith("id: ")]
    assert ids == sorted(ids)


async def test_fifty_viewers_cost_what_one_does_and_none_costs_nothing(site: Any) -> None:
    shared: Site = site.state.site
    async with streams(site, 50) as watching:
        await until_async(lambda: all(each.text.count("event: look") >= 4 for each in watching))
        looks, queries = shared.collector.sequence, shared.collector.queries
        # A look may be under way, and not all of its feeds are due.
        assert 0 < queries <= (looks + 1) * FEEDS
    await until_async(lambda: not shared.collector.is_running)
    queries = shared.collector.queries
    await anyio.sleep(0.2)
    assert shared.collector.queries == queries
    assert list(shared.database._free.queue) == [None, None], "no connection is left open"


async def test_a_stream_too_many_is_told_to_ask_instead(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MOST_STREAMS", 1)
    async with streams(site, 1) as (stream,):
        await until_async(lambda: "event: look" in stream.text)
        other = Stream(site)
        await other.run()
        assert (other.status, other.headers[b"retry-after"]) == (503, b"30")


async def test_streams_end_when_the_server_is_about_to(site: Any) -> None:
    stream = Stream(site)
    async with anyio.create_task_group() as group:
        group.start_soon(stream.run)
        await until_async(lambda: "event: look" in stream.text)
        with anyio.fail_after(20):
            site.state.site.leave()


def test_without_streams_a_page_has_its_browser_ask(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=web.anybody, streams=False)) as client:
        page = client.get("/queues").text
        assert 'data-page="queues"' in page
        assert "data-events" not in page
        assert client.get("/events/queues").status_code == 404


def test_a_connection_that_was_lost_is_made_again(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "LINGERS", 20.0)
    shared: Site = site.state.site
    with TestClient(site) as client:
        client.get("/queues")
        for _ in range(2):
            reader = shared.database._free.get()
            if reader is not None:
                reader.session.abandon()
            shared.database._free.put(reader)
        until(lambda: shared.collector.sequence > 3 and not shared.collector.stale(("queues",)))
        assert client.get("/queues").status_code == 200


def test_a_query_that_takes_too_long_is_made_less_often(
    app: adjourn.App, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: Site = site.state.site
    monkeypatch.setattr(collector, "LINGERS", 20.0)

    def rows(reader: Any, name: str, *others: Any, **parameters: Any) -> list[dict[str, Any]]:
        if name == "queues":
            raise adjourn.exceptions.ConnectorException(
                "canceling statement due to statement timeout", sqlstate="57014"
            )
        return before(reader, name, *others, **parameters)

    from adjourn.monitor.reader import Reader

    before = Reader.rows
    monkeypatch.setattr(Reader, "rows", rows)
    shared.collector.want(("queues", "server"))
    reading = shared.collector.reading("queues")
    until(lambda: reading.is_slowed)
    assert reading.seconds >= 0.1
    assert not shared.collector.reading("server").error, "one that is slow leaves the others"
    with TestClient(site) as client:
        assert "because it takes too long" in client.get("/queues").text


def test_how_many_jobs_were_ready_is_kept_since_somebody_looks(
    app: adjourn.App, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "LINGERS", 2.0)

    def drawn(page: str) -> str:
        found = re.search(r'aria-label="(Jobs that were ready, since [^"]*)"', page)
        return "" if found is None else found[1]

    with TestClient(site) as client:
        client.get("/")
        app.tasks["send"].batch_defer({}, {}, {})
        until(lambda: re.search(r"since \d\d:\d\d: from 0 to 3, last 3", drawn(client.get("/").text)))
        depths = site.state.site.collector.depths
        # More are not counted: there is no number, and no line.
        made = site.state.site.collector
        made._measure([{"jobs": 10_000, "is_capped": True}])
        assert depths[-1].ready is None
        # Nor is there one between two that are far apart.
        depths.append(collector.DepthAt(depths[-1].at - 100, 5))
        made._measure([{"jobs": 2, "is_capped": False}])
        assert [each.ready for each in list(depths)[-3:]] == [5, None, 2]
    until(lambda: not depths)
