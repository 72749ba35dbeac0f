"""What pictures of the pages have shown to be wrong."""

from __future__ import annotations

import datetime
import html
import re
import xml.etree.ElementTree as ET
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn._drivers.errors import unreachable
from adjourn.jobs import Job
from adjourn.web.graphs import GraphNode, graph
from adjourn.web.pages.job import attempts
from support.waiting import until

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def text_of(page: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", "", page).split()))


def tried(*starts: float) -> list[dict[str, Any]]:
    """Return what is known of attempts that began so many seconds before now and took no time."""
    errors = tuple(
        {
            "attempt": number,
            "exception": "ValueError",
            "message": f"error {number}",
            "traceback": "",
            "started_at": (NOW - datetime.timedelta(seconds=start)).isoformat(),
            "ended_at": (NOW - datetime.timedelta(seconds=start)).isoformat(),
        }
        for number, start in enumerate(starts, 1)
    )
    job = Job(
        id=1,
        status="failed",
        queue="a",
        lock=None,
        queueing_lock=None,
        task_name="a",
        attempts=len(errors),
        errors=errors,
    )
    return attempts(job, NOW, str)


def test_the_bar_of_each_attempt_is_seen() -> None:
    for each in tried(90_000, 4000, 1, 0):
        assert each["width"] >= 1
        assert 0 <= each["from"] <= 100 - each["width"]
    assert tried(5)[0]["width"] == pytest.approx(1.5)


def test_the_latest_attempt_is_the_first(app: adjourn.App, client: TestClient, observer: psycopg.Connection) -> None:
    id_ = app.tasks["fail"].defer()
    observer.execute(
        "update adjourn.adjourn_jobs set attempts = 12, errors = %s where id = %s",
        (
            '[{"attempt": 1, "message": "begin"}, {"attempt": 4, "message": "four"}, {"attempt": 12, "message": "twelve"}]',
            id_,
        ),
    )
    told = text_of(client.get(f"/job?id={id_}").text)
    parts = ["twelve", "7 attempts of which nothing is kept", "four", "2 attempts of which", "begin"]
    places = [told.index(part, told.index("Attempts The latest one first")) for part in parts]
    assert places == sorted(places)


def test_a_job_is_marked_in_the_line_of_its_lock(app: adjourn.App, client: TestClient) -> None:
    ids = [app.tasks["send"].configure(lock="a").defer() for _ in range(3)]
    page = client.get(f"/job?id={ids[1]}").text
    (mine,) = re.findall(r'<li class="mine">.*?</li>', page)
    assert f"id={ids[1]}" in mine


def test_several_statuses_stay_in_the_form(client: TestClient) -> None:
    page = client.get("/jobs?status=failed,succeeded").text
    assert '<option value="failed,succeeded" selected><bdi>failed or succeeded</bdi></option>' in page
    assert page.count(" selected>") == 2
    assert client.get("/jobs?status=failed").text.count(" selected>") == 2


def test_what_is_copied_is_there(app: adjourn.App, client: TestClient) -> None:
    page = client.get(f"/job?id={app.tasks['send'].defer()}").text
    (copied,) = re.findall(r'data-copy="([^"]+)"', page)
    assert page.count(f'id="{copied}"') == 1


def test_a_worker_whose_heartbeat_is_late_is_not_said_to_be_well(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    app.job_manager.workers.register_worker("w", None, 600)
    assert "heartbeat is late" not in client.get("/workers").text
    observer.execute("update adjourn.adjourn_workers set last_heartbeat_at = now() - interval '700 s'")
    app.job_manager.workers.register_worker("other", None, 600)
    with TestClient(client.app) as again:
        again.app.state.site.collector.forget("crew")  # type: ignore[attr-defined]
        told = text_of(again.get("/workers").text)
    assert re.search(r"w number \d+ heartbeat is late", told)
    assert told.count("heartbeat is late") == 1


def test_a_picture_of_a_workflow_says_states_in_words_and_is_no_wider_than_its_names() -> None:
    nodes = [
        GraphNode(id=1, text="a", status="cancelled", number="1"),
        GraphNode(id=2, text="shop.inventory", status="todo", number="2", parents=[1]),
    ]
    picture = graph(nodes, "A workflow")
    root = ET.fromstring(picture)
    assert [each.text for each in root.iter("text")] == ["a", "1 cancelled", "shop.inventory", "2 waiting"]
    first, second = (float(each.attrib["width"]) for each in root.iter("rect"))
    assert first == second < 140
    long = graph([GraphNode(id=1, text="a" * 300, status="todo")], "A workflow")
    assert max(float(each.attrib["width"]) for each in ET.fromstring(long).iter("rect")) < 200


def test_the_lines_of_libpq_are_sentences() -> None:
    told = str(unreachable("a", "it failed: refused\n\tIs it there,\n\tor not\n\tat all?\n", None, "the dsn"))
    assert "refused. Is it there, or not at all? Check that the server runs there" in told


def test_where_a_job_waits_there_is_one_at_least(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].configure(queue="other").defer()
    client.get("/queues")  # jobs are counted every ten seconds
    app.tasks["send"].defer()
    collector = client.app.state.site.collector  # type: ignore[attr-defined]
    collector.forget("latency")
    told = text_of(client.get("/queues").text)
    assert re.search(r"mail [\d.]+ m?s 1\+", told), told


def test_a_table_that_was_never_analysed_has_about_as_many_rows_as_were_stored(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    observer.execute("update pg_class set reltuples = -1 where oid = 'adjourn.adjourn_jobs'::regclass")
    app.tasks["send"].batch_defer(*({} for _ in range(40)))

    def rows() -> int:
        client.app.state.site.collector.forget("database")  # type: ignore[attr-defined]
        found = re.search(r'<bdi>jobs</bdi>.*?"Rows, about" class="number">([\d,]+)<', client.get("/database").text)
        return int(found[1].replace(",", "")) if found else 0

    until(lambda: rows() >= 40)


def test_what_the_doctor_said_has_its_age(app: adjourn.App, client: TestClient) -> None:
    until(
        lambda: "What the doctor says workers" in text_of(client.get("/").text) or "Looked at" in client.get("/").text
    )
    assert re.search(r"All checks, and what to do Looked at [\d.]+ m?s ago", text_of(client.get("/").text))


def test_a_heartbeat_that_is_late_and_jobs_that_run_apart_are_told(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    observer.execute(
        "insert into adjourn.adjourn_workers (name, hungry, running, last_heartbeat_at, expires_at, apart) values "
        "('late', false, '{}', now() - interval '16 s', now() + interval '14 s', false), "
        "('apart', false, '{}', now(), now() + interval '30 s', true)"
    )
    assert "Workers 2 1 heartbeat late" in text_of(client.get("/").text)
    told = text_of(client.get("/workers").text)
    assert re.search(r"late [^.]*heartbeat is late", told), told
    assert re.search(r"apart [^.]*runs jobs apart", told), told


def test_a_schedule_whose_last_job_waits_is_not_on_time(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job = app.tasks["send"].defer()
    observer.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, last_job_id) values "
        "('send', '', '* * * * *', 'UTC', now(), %s)",
        (job,),
    )
    assert "on time" in text_of(client.get("/schedules").text)
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '9 min'")
    told = text_of(client.get("/schedules").text)
    assert "its job waits 9 min" in told
    assert "on time" not in told
