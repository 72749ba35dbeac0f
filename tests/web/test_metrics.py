"""The figures of the exporter at ``/metrics`` of the dashboard."""

from __future__ import annotations

import sys

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read
from starlette.requests import Request
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.exceptions import InvalidOption
from adjourn.monitor import exports
from adjourn.testing import InMemoryConnector
from support.waiting import until


def who(request: Request) -> web.User | None:
    name = request.headers.get("x-name")
    return None if name is None else web.User(name, {"view"} if name == "ann" else set())


def scraped(client: TestClient, path: str = "/metrics", **options: object) -> str:
    """What is answered once the database has answered in time."""
    text = ""

    def is_up() -> bool:
        nonlocal text
        text = client.get(path, **options).text  # type: ignore[arg-type]
        return "adjourn_up 1.0" in text

    until(is_up)
    return text


def latencies(text: str) -> dict[str, float]:
    return {
        sample.labels["queue"]: sample.value
        for family in read(text)
        for sample in family.samples
        if sample.name == "adjourn_queue_latency_seconds"
    }


def test_they_are_not_there_unless_asked_for(app: adjourn.App, client: TestClient) -> None:
    assert client.get("/metrics").status_code == 404


def test_they_are_those_of_the_exporter(app: adjourn.App, observer: psycopg.Connection) -> None:
    app.tasks["send"].defer()
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '3 min'")
    with TestClient(web.create_app(app, auth=web.anybody, metrics=True)) as client:
        scraped(client)
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["cache-control"] == "no-store"
        assert 180 <= latencies(answer.text)["mail"] < 300
        told = {family.name for family in read(answer.text)}
        assert told == {each.name.removesuffix("_total") for each in exports.DECLARED}
        other = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert "openmetrics" in other.headers["content-type"]
        assert {family.name for family in read_openmetrics(other.text)} == told  # type: ignore[no-untyped-call]


def test_who_may_see_the_pages_may_read_them(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=who, metrics=True, read_only=True)) as client:
        for headers, status in (({}, 403), ({"x-name": "bob"}, 403), ({"x-name": "ann"}, 200)):
            answer = client.get("/metrics", headers=headers)
            assert answer.status_code == status
            assert ("adjourn_up" in answer.text) is (status == 200)
        assert client.post("/metrics", headers={"x-name": "ann", "X-Adjourn-Request": "1"}).status_code == 405
    closed = TestClient(web.create_app(app, metrics=True))
    assert closed.get("/metrics").status_code == 403


def test_a_password_is_asked_for_as_scrapers_send_it(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=web.Password("prom", "a-long-password"), metrics=True)) as client:
        assert client.get("/metrics").status_code == 401
        scraped(client, auth=("prom", "a-long-password"))


def test_each_of_several_apps_has_its_own(app: adjourn.App) -> None:
    site = web.create_app({"shop": app, "other": app}, auth=web.anybody, metrics=True)
    with TestClient(site) as client:
        for name in ("shop", "other"):
            scraped(client, f"/{name}/metrics")
    with pytest.raises(InvalidOption, match="metrics"):
        web.create_app({"metrics": app}, auth=web.anybody)


def test_the_connection_is_closed_with_the_dashboard(app: adjourn.App, observer: psycopg.Connection) -> None:
    def sessions() -> int:
        (row,) = observer.execute("select count(*) from pg_stat_activity where datname = current_database()")
        return int(row[0])

    before = sessions()
    with TestClient(web.create_app(app, auth=web.anybody, metrics=True)) as client:
        scraped(client)
        assert sessions() == before + 1
    until(lambda: sessions() == before)


def test_what_they_need_is_said(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidOption, match="in-memory"):
        web.create_app(adjourn.App(connector=InMemoryConnector()), auth=web.anybody, metrics=True)
    monkeypatch.delitem(sys.modules, "adjourn.contrib.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(InvalidOption, match=r"metrics=True: .*pip install 'adjourn\[prometheus\]'"):
        web.create_app(app, auth=web.anybody, metrics=True)
    web.create_app(app, auth=web.anybody)
