"""What became of jobs in the past, as pages show it: charts, histograms and tables of what workers have counted."""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ET
from typing import Any

import attrs
import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.exceptions import ConnectorException
from adjourn.monitor.reader import Reader
from adjourn.web import charts
from adjourn.web.charts import Series
from adjourn.web.histories import RANGES
from adjourn.web.kept import MOST_KEPT
from adjourn.web.page import Site
from support.waiting import until

HOSTILE = "</td><script>alert(1)</script>\u202e\"'&"
NOTHING = "Nothing was counted in the last hour."


def text_of(page: str) -> str:
    """The text of a page without its elements."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.fixture
def site(app: adjourn.App) -> Any:
    return web.create_app(app, auth=web.anybody)


@pytest.fixture
def shared(site: Any) -> Site:
    found: Site = site.state.site
    return found


def queries(shared: Site) -> int:
    return shared.kept.queries


def count(
    observer: psycopg.Connection, minutes: float, task: str, outcome: str, jobs: int, queue: str = "mail"
) -> None:
    """Count some jobs that have ended so many minutes ago, each of which took less than a second and waited for 20 seconds."""
    runs, waits = [0] * 17, [0] * 17
    runs[7], waits[10] = jobs, jobs
    observer.execute(
        "insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, wait_seconds, run_counts, wait_counts) "
        "values (date_trunc('minute', now() - make_interval(secs => 60 * %s)), 0, %s, %s, %s, %s, 0.8 * %s, 20 * %s, %s, %s)",
        (minutes, queue, task, outcome, jobs, jobs, jobs, runs, waits),
    )


def test_what_nobody_has_counted_is_told_as_such(site: Any) -> None:
    with TestClient(site) as client:
        for path in ("/", "/queue?name=mail", "/task?name=send"):
            told = text_of(client.get(path).text)
            assert NOTHING in told, path
            assert "--no-statistics" in told, path


def test_the_overview_has_what_became_of_jobs(site: Any, observer: psycopg.Connection) -> None:
    count(observer, 5, "send", "succeeded", 30)
    count(observer, 5, "fail", "failed", 10)
    count(observer, 7, "fail", "retried", 2)
    count(observer, 300, "send", "succeeded", 1000)
    with TestClient(site) as client:
        page = client.get("/").text
        assert "In 1 hour: 30 succeeded, 2 to be tried again, 10 failed." in page
        assert "In 1 hour: 10 jobs, 25.0 % of those that ended." in page
        assert "half of them at most 20 s, 95 % at most 29 s" in page
        assert "of 100" not in page
        assert "95 % waited at most" in page
        assert "95 % took at most" in page
        pictures = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
        assert len(pictures) == 4
        for each in pictures:
            root = ET.fromstring(each)
            named = root.attrib["aria-labelledby"].split()
            assert [part.attrib["id"] for part in list(root)[:2]] == named
            assert all(part.text for part in list(root)[:2])
        table = text_of(page.split("The same as a table")[1].split("</table>")[0])
        # The time, the runs, and what became of them.
        assert re.search(r"\d\d:\d\d 40 30 10 0 20 s 29 s 750 ms 975 ms", table)
        assert "not over yet" in table
        assert table.count(":") == 60
        assert "In 6 hours: 1,030 succeeded" in client.get("/?range=6h").text


def test_what_has_failed_within_the_hour_is_counted_beyond_the_latest_jobs(
    app: adjourn.App, site: Any, observer: psycopg.Connection
) -> None:
    count(observer, 40, "send", "succeeded", 20_000)
    count(observer, 40, "fail", "failed", 5_000)
    count(observer, 40, "fail", "aborted", 500)
    count(observer, 40, "fail", "retried", 70)
    count(observer, 100, "fail", "failed", 9)
    app.tasks["fail"].defer()
    app.run_worker(wait=False, statistics=False)
    with TestClient(site) as client:
        told = text_of(client.get("/").text)
        assert "Failed, last hour 5,000 of 25,500 that ended" in told
        assert "fail 5,000 5,500 90.9 %" in told
        told = text_of(client.get("/tasks").text)
        assert "fail 5,500 5,000 90.9 % 800 ms" in told
        assert "as workers count it or, if these are more, among the latest 10,000 jobs" in told


def test_what_no_worker_has_counted_is_counted_among_the_latest_jobs(app: adjourn.App, site: Any) -> None:
    app.tasks["fail"].batch_defer({}, {})
    app.run_worker(wait=False, statistics=False)
    with TestClient(site) as client:
        assert "Failed, last hour 2 of 2 that ended" in text_of(client.get("/").text)
        assert "fail 2 2 100.0 %" in text_of(client.get("/tasks").text)


def test_a_queue_and_a_task_have_pages_of_their_own(app: adjourn.App, site: Any, observer: psycopg.Connection) -> None:
    count(observer, 5, "send", "succeeded", 30)
    count(observer, 5, "fail", "failed", 10)
    count(observer, 5, "other", "succeeded", 7, queue="other")
    app.tasks["send"].defer()
    with TestClient(site) as client:
        queue = client.get("/queue?name=mail").text
        assert "In 1 hour: 30 succeeded, 0 to be tried again, 10 failed." in queue
        assert "no worker that is alive serves it" in queue
        assert "Oldest ready" in queue
        assert queue.count('class="histogram"') == 2
        assert "40 runs" in queue
        task = text_of(client.get("/task?name=fail").text)
        assert "Failed in 1 hour 100.0 %" in task
        assert "10 runs" in task
        assert NOTHING in text_of(client.get("/task?name=unknown").text)
        assert client.get("/task").status_code == 400
        assert client.get("/queue?name=" + "x" * 2000).status_code == 400
        lists = client.get("/queues").text, text_of(client.get("/tasks").text)
        assert "Jobs that ended in each 5 minutes of the last hour: from 0 to 40" in lists[0]
        assert "975 ms" in lists[1]
        assert client.get("/queue?name=mail&range=2y").status_code == 400


def test_names_of_others_are_harmless_there(site: Any, observer: psycopg.Connection) -> None:
    count(observer, 5, HOSTILE, "succeeded", 30, queue=HOSTILE)
    with TestClient(site) as client:
        for path in ("/queue", "/task"):
            page = client.get(path, params={"name": HOSTILE}).text
            assert "30 runs" in page
            assert "<script>alert" not in page
            assert "\u202e" not in text_of(page)


def test_who_looks_at_the_same_shares_what_was_read(
    shared: Site, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(observer, 5, "send", "succeeded", 30)
    begun = threading.Barrier(9)
    found: list[int] = []

    def look() -> None:
        begun.wait(20)
        found.append(shared.histories.of(RANGES["1h"], shared.collector.now(), queue="mail").count("succeeded"))

    viewers = [threading.Thread(target=look) for _ in range(8)]
    for each in viewers:
        each.start()
    begun.wait(20)
    for each in viewers:
        each.join(20)
    assert found == [30] * 8
    assert queries(shared) == 1
    for number in range(2 * MOST_KEPT):
        shared.histories.of(RANGES["1h"], shared.collector.now(), queue=f"queue {number}")
    assert len(shared.kept._answers) == MOST_KEPT
    shared.database.close()


def test_what_cannot_be_read_is_told_and_read_again(
    site: Any, shared: Site, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(observer, 5, "send", "succeeded", 30)
    for each in list(RANGES.values()):
        monkeypatch.setitem(RANGES, each.name, attrs.evolve(each, kept=0.0))
    before = Reader.rows

    def rows(reader: Any, name: str, *others: Any, **parameters: Any) -> list[dict[str, Any]]:
        if name == "statistics":
            raise ConnectorException("canceling statement due to statement timeout", sqlstate="57014")
        return before(reader, name, *others, **parameters)

    with TestClient(site) as client:
        assert "30 succeeded" in client.get("/queue?name=mail").text
        with monkeypatch.context() as broken:
            broken.setattr(Reader, "rows", rows)
            page = client.get("/queue?name=mail").text
            assert "Could not be read: canceling statement" in page
            assert "30 succeeded" in page, "what was known is still shown"
        until(lambda: "Could not be read" not in client.get("/queue?name=mail").text)


def test_columns_stand_on_each_other_and_curves_have_gaps() -> None:
    parts = [
        Series(name="good", kind="good", values=[3, 0, 1]),
        Series(name="bad", kind="bad", values=[1, 0, 3]),
    ]
    chart = charts.columns("a", "<Title>", "told", ["1", "2", "3"], parts)
    root = ET.fromstring(chart.picture)
    assert chart.top == 4
    groups = [each for each in root if each.tag == "g"]
    assert [each[0].text for each in groups] == ["1: 3 good, 1 bad", "3: 1 good, 3 bad"]
    for group in groups:
        low, high = (each for each in group if each.tag == "rect")
        assert float(high.attrib["y"]) + float(high.attrib["height"]) == pytest.approx(float(low.attrib["y"]), abs=0.2)
    curve = charts.curves(
        "b", "T", "told", ["1", "2", "3", "4"], [Series(name="x", kind="plain", values=[1, 2, None, 0.5])]
    )
    lines = [each.attrib["points"] for each in ET.fromstring(curve.picture) if each.tag == "polyline"]
    assert [len(each.split()) for each in lines] == [2, 2], "a single value is a dot"
    empty = charts.curves("c", "T", "told", ["1"], [Series(name="x", kind="plain", values=[None])])
    assert (empty.top, "polyline" in empty.picture) == (None, False)


def test_connections_that_nobody_uses_are_closed(shared: Site) -> None:
    with shared.database.reader(), shared.database.reader():
        pass
    shared.database.close()
    assert list(shared.database._free.queue) == [None, None]


def test_times_are_in_the_zone_that_was_chosen(site: Any, observer: psycopg.Connection) -> None:
    count(observer, 5, "send", "succeeded", 30)
    with TestClient(site) as client:
        assert "Times are in UTC." in client.get("/jobs").text
        kolkata = client.get("/?zone=Asia/Kolkata").text
        assert "Times are in Asia/Kolkata." in kolkata
        # The first minute that is shown there is half past something in UTC.
        assert client.cookies.get("adjourn_zone") is None, "an address says it for one page"
        refused = client.get("/?zone=Mars/Base")
        assert refused.status_code == 400
        assert "zone: &#39;Mars/Base&#39; is not a time zone" in refused.text
        kept = client.get("/settings?zone=Asia/Kolkata&keep=1")
        assert kept.status_code == 200
        assert "Times are in Asia/Kolkata." in client.get("/jobs").text
        assert "Times are in UTC." in client.get("/jobs?zone=UTC").text
        client.cookies.clear()
        client.cookies.set("adjourn_zone", "Mars/Base")
        assert "Times are in UTC." in client.get("/jobs").text, "a cookie that makes no sense does not count"
