"""Why jobs fail, as the pages of tasks and queues say it: the errors, how many there are of each, and since when."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.exceptions import ConnectorException
from adjourn.monitor.reader import Reader
from adjourn.web import failures
from support.waiting import until

HOSTILE = "</td><script>alert(1)</script>\u202e\"'&"


class ServerRefused(Exception):
    """An error of a program."""


@pytest.fixture
def app(database: str) -> Iterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @app.task(name="send", queue="mail")
    def send(text: str = "", refuse: bool = False, password: str = "") -> None:
        if refuse:
            raise ServerRefused(f"refused {password}")
        if text:
            raise ValueError(text)

    @app.task(name="report", queue="mail")
    def report() -> None:
        raise KeyError("May")

    with app.open():
        yield app


def of_failures(client: TestClient, path: str) -> str:
    """What a page says of failures, with its elements."""
    found = re.search(r'<section id="failures".*?</section>', client.get(path).text, re.DOTALL)
    assert found is not None
    return found[0]


def text_of(page: str) -> str:
    """The text of a page without its elements."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def ended(observer: psycopg.Connection, ids: list[int], minutes: float) -> None:
    """Have jobs ended so many minutes ago."""
    observer.execute(
        "update adjourn.adjourn_finished_jobs set finished_at = now() - make_interval(secs => 60 * %s) where id = any(%s)",
        (minutes, ids),
    )


def test_a_task_tells_its_errors_by_their_class_and_since_when(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    send = app.tasks["send"]
    many = [send.defer(text=f"no address {number}") for number in range(3)]
    one = send.defer(refuse=True)
    send.defer()
    app.tasks["report"].defer()
    app.run_worker(wait=False)
    ended(observer, many[:1], 60)
    ended(observer, many[1:], 20)
    ended(observer, [one], 2)
    told = text_of(of_failures(client, "/task?name=send"))
    assert f"ValueError no address 2 3 60 min ago 20 min ago job {many[2]}" in told, "the most frequent first"
    assert f"ServerRefused refused 1 2 min ago 2 min ago job {one}" in told
    assert "These are all that failed and are still stored." in told
    assert "KeyError" not in told


def test_a_queue_tells_them_with_the_task(app: adjourn.App, client: TestClient) -> None:
    app.tasks["report"].batch_defer({}, {})
    app.tasks["send"].defer(refuse=True)
    app.tasks["report"].configure(queue="other").defer()
    app.run_worker(wait=False)
    told = text_of(of_failures(client, "/queue?name=mail"))
    assert "KeyError 'May' report 2" in told
    assert "ServerRefused refused send 1" in told
    assert "KeyError 'May' report 1" in text_of(of_failures(client, "/queue?name=other"))


def test_each_error_leads_to_the_jobs_that_have_it(app: adjourn.App, client: TestClient) -> None:
    send = app.tasks["send"]
    wanted = send.batch_defer({"text": "a"}, {"text": "b"})
    send.defer(refuse=True)
    app.run_worker(wait=False)
    found = re.search(r'href="(/jobs\?[^"]*ValueError[^"]*)"', of_failures(client, "/task?name=send"))
    assert found is not None
    page = client.get(html.unescape(found[1])).text
    assert sorted(map(int, re.findall(r'data-row="(\d+)"', page))) == sorted(wanted)


def test_what_has_not_failed_says_so(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    app.run_worker(wait=False)
    for path in ("/task?name=send", "/task?name=nobody", "/queue?name=mail"):
        told = text_of(of_failures(client, path))
        assert "None of those that are stored has failed." in told, path
        assert "Looked at" not in told, path


def test_it_says_how_far_it_has_looked(
    app: adjourn.App, client: TestClient, monkeypatch: pytest.MonkeyPatch, observer: psycopg.Connection
) -> None:
    monkeypatch.setattr(failures, "LOOK", 4)
    monkeypatch.setattr(failures, "MOST", 2)
    monkeypatch.setattr(failures, "KEPT", 0.0)
    send, report = app.tasks["send"], app.tasks["report"]
    ids = [send.defer(text="x") for _ in range(3)]
    app.run_worker(wait=False)
    ended(observer, ids, 50)
    ended(observer, ids[1:], 30)
    told = text_of(of_failures(client, "/task?name=send"))
    assert "ValueError x 2+ 30 min ago 30 min ago" in told
    assert "Looked at the 2 of them that failed last, back to 30 min ago . There may be earlier ones." in told
    others = [report.defer() for _ in range(4)]
    app.run_worker(wait=False)
    ended(observer, others, 9)
    told = text_of(of_failures(client, "/task?name=send"))
    assert "None has failed lately." in told
    assert (
        "Looked at the last 4 jobs of all that did not succeed, back to 9 min ago . There may be earlier ones." in told
    )


def test_kinds_that_are_not_listed_are_counted(
    app: adjourn.App, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "LISTED", 1)
    app.tasks["report"].batch_defer({}, {})
    app.tasks["send"].batch_defer({"text": "x"}, {"refuse": True})
    app.run_worker(wait=False)
    told = text_of(of_failures(client, "/queue?name=mail"))
    assert "KeyError" in told
    assert "ValueError" not in told
    assert "And 2 other kinds." in told


def test_a_job_that_lost_its_worker_and_one_without_an_error_are_told(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    first, second = app.tasks["send"].batch_defer({"text": "x"}, {"text": "y"})
    app.run_worker(wait=False)
    observer.execute("update adjourn.adjourn_finished_jobs set errors = null where id = %s", (first,))
    observer.execute("delete from adjourn.adjourn_finished_jobs where id = %s", (second,))
    assert f"no error was stored 1 0 s ago 0 s ago job {first}" in re.sub(
        r"\d+ (m?s) ago", "0 s ago", text_of(of_failures(client, "/task?name=send"))
    )


def test_what_errors_say_is_harmless_and_keeps_secrets(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].batch_defer({"text": HOSTILE}, {"refuse": True, "password": "hunter2-and-more"})
    app.run_worker(wait=False)
    for path in ("/task?name=send", "/queue?name=mail"):
        page = of_failures(client, path)
        assert "<script" not in page
        assert "\u202e" not in page
        assert "hunter2" not in page
        assert "refused" in page


def test_it_is_read_once_for_all_who_look(app: adjourn.App) -> None:
    site = web.create_app(app, auth=web.anybody)
    with TestClient(site) as client:
        client.get("/task?name=send")
        before = site.state.site.kept.queries
        for _ in range(5):
            client.get("/task?name=send")
        assert site.state.site.kept.queries == before


def test_what_cannot_be_read_is_told_and_the_page_goes_on(
    app: adjourn.App, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Reader.rows

    def refuses(reader: Reader, name: str, *args: object, **parameters: object) -> object:
        if name == "failures":
            raise ConnectorException("canceling statement due to statement timeout")
        return rows(reader, name, *args, **parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(Reader, "rows", refuses)
    app.tasks["send"].defer()
    page = client.get("/task?name=send")
    assert page.status_code == 200
    assert "Could not be read: canceling statement" in text_of(page.text)
    monkeypatch.setattr(Reader, "rows", rows)
    monkeypatch.setattr(failures, "KEPT", 0.0)
    until(lambda: "Could not be read" not in client.get("/queue?name=mail").text)


def test_the_overview_leads_to_why(app: adjourn.App, client: TestClient) -> None:
    app.tasks["report"].defer()
    app.run_worker(wait=False)
    assert 'href="/task?name=report#why"' in client.get("/").text
