"""Changes of very many jobs by the dashboard, and what is known of one whose dashboard was killed."""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn.exceptions import InvalidOption
from adjourn.web import bulk
from support.sessions import Sessions
from support.waiting import until

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
MANY = 25_000


def text_of(page: str) -> str:
    """The text of a page without its elements."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def form_of(page: str, action: str = "bulk.start") -> dict[str, str]:
    """The hidden fields of the form of an action."""
    found = re.search(rf'action="[^"]*/do/{re.escape(action)}"(.*?)</form>', page, re.DOTALL)
    assert found is not None, page
    fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found[1])
    return {name: html.unescape(value) for name, value in fields}


def fail(observer: psycopg.Connection, first: int, number: int, status: str = "failed") -> None:
    """Have jobs that have failed a minute ago."""
    observer.execute(
        "insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, "
        "enqueued_at, started_at, finished_at, status) select id, 'mail', 'send', 0, '{}', 1, 0, 1, false, now() - interval '1 h', "
        "now() - interval '2 min', now() - interval '1 min', %s from generate_series(%s::bigint, %s::bigint) id",
        (status, first, first + number - 1),
    )


def count(observer: psycopg.Connection, status: str) -> int:
    (row,) = observer.execute("select count(*) from adjourn.adjourn_all_jobs where status = %s", (status,))
    return int(row[0])


def figures(page: str) -> dict[str, int]:
    """What the page of a change says in numbers."""
    return {
        name: int(number.replace(",", ""))
        for name, number in re.findall(r"<dt>([\w ]+)</dt><dd[^>]*>([\d,]+)</dd>", page)
    }


def page_of(client: TestClient, preview: str, **more: str) -> str:
    """Begin a change, wait for its end, and return its page."""
    done = client.post("/do/bulk.start", data={**form_of(preview), **more}, headers=SAME_SITE)
    assert done.status_code == 200, text_of(done.text)
    address = f"{done.url.path}?{done.url.query.decode()}"
    until(lambda: not re.search(">(running|stopping)<", client.get(address).text), 120)
    return client.get(address).text


def test_as_many_jobs_as_the_preview_counts_run_again_and_no_later_ones(
    app: adjourn.App, client: TestClient, database: str, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSE", 0.0)
    fail(observer, 1, MANY)
    fail(observer, MANY + 1, 10, "succeeded")
    preview = client.get("/bulk?what=retry&status=failed&queue=mail").text
    assert "Run again: 25,000 jobs" in text_of(preview)
    assert "at least" not in text_of(preview)
    # One of a higher id fails after that, and so does one that ran all the time.
    fail(observer, MANY + 100, 3)
    observer.execute(
        "update adjourn.adjourn_finished_jobs set finished_at = now(), status = 'failed' where id = %s", (MANY + 1,)
    )
    # Somebody is about to change some.
    with psycopg.connect(database) as other:
        other.execute("select 1 from adjourn.adjourn_finished_jobs where id = any(%s) for update", ([77, 24_000],))
        shown = figures(page_of(client, preview, typed="25000"))
    assert (shown["Matched before"], shown["Done"], shown["Skipped"]) == (MANY, MANY - 2, 2)
    assert (count(observer, "todo"), count(observer, "failed")) == (MANY - 2, 4 + 2)
    notes = app.job_manager.actions.list_audit(limit=1000)
    assert sum(note.jobs for note in notes) == MANY - 2
    assert (notes[0].outcome or "").startswith("ended: 24,998 jobs changed, 2 skipped because")
    assert "25,000 of 25,000 so far" in (notes[1].outcome or "")


def test_what_is_stopped_after_the_second_batch_leaves_the_rest(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(observer, 1, MANY)
    batch, batches = bulk.Bulks._batch, 0

    def stopping(self: bulk.Bulks, change: bulk.Bulk, position: str | None) -> str | None:
        nonlocal batches
        batches += 1
        if batches == 2:
            page = client.get(f"/bulk?id={change.id}").text
            client.post("/do/bulk.stop", data=form_of(page, "bulk.stop"), headers=SAME_SITE)
        return batch(self, change, position)

    monkeypatch.setattr(bulk.Bulks, "_batch", stopping)
    ended = page_of(client, client.get("/bulk?what=retry&status=failed").text, typed=str(MANY))
    assert "It was stopped before the end: 1,000 jobs changed, 24,000 jobs left as before." in text_of(ended)
    assert (count(observer, "todo"), count(observer, "failed")) == (1000, MANY - 1000)
    (again,) = re.findall(r'href="([^"]*)">Go on with those that are left', ended)
    assert "Run again: 24,000 jobs" in text_of(client.get(html.unescape(again)).text)


def test_more_jobs_than_a_change_takes_are_told_as_such(app: adjourn.App, observer: psycopg.Connection) -> None:
    fail(observer, 1, 2600)
    with TestClient(web.create_app(app, auth=web.anybody, bulk_limit=2100)) as client:
        preview = client.get("/bulk?what=retry&status=failed").text
        assert "Run again: 2,100 jobs" in text_of(preview)
        assert (
            "More match than the 2,100 that a change takes here: it begins with the oldest, ends after these"
            in text_of(preview)
        )
        assert "The newest of all that match" in text_of(preview)
        assert "2,100 jobs changed, at least" not in text_of(ended := page_of(client, preview, typed="2100"))
        assert "ended at its limit asked for by anybody" in text_of(ended)
        assert (
            "It ended after 2,100 jobs, as many as one change takes here: 2,100 jobs changed, an unknown number of jobs left as before"
            in text_of(ended)
        )
        assert "stopped" not in text_of(ended), "nobody has stopped it"
        assert count(observer, "failed") == 500
        assert app.job_manager.actions.list_audit()[0].outcome is not None
        told = str(app.job_manager.actions.list_audit()[0].outcome)
        assert "ended after 2,100 jobs, as many as one change takes here" in told
        assert bulk.is_end(told)
        preview = client.get("/bulk?what=retry&status=failed").text
        assert "Run again: 500 jobs" in text_of(preview)
        assert "More" not in text_of(preview)


def test_a_change_of_as_many_jobs_as_it_may_take_has_done_them_all(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    fail(observer, 1, 10)
    with TestClient(web.create_app(app, auth=web.anybody, bulk_limit=10)) as client:
        ended = page_of(client, client.get("/bulk?what=retry&status=failed").text)
        assert "done asked for by anybody" in text_of(ended)
        assert "left as before" not in text_of(ended)
        assert app.job_manager.actions.list_audit()[0].outcome == "ended: 10 jobs changed"


@pytest.mark.parametrize("limit", [0, -1, 1_000_001, "5", True, None])
def test_what_is_no_number_of_jobs_for_a_change_is_refused(app: adjourn.App, limit: Any) -> None:
    with pytest.raises(InvalidOption, match=r"bulk_limit=.*from 1 to 1,000,000"):
        web.create_app(app, auth=web.anybody, bulk_limit=limit)


def test_what_is_wrong_with_a_change_leads_back_to_its_form(client: TestClient, observer: psycopg.Connection) -> None:
    fail(observer, 1, 1200)
    preview = client.get("/bulk?what=retry&status=failed&queue=mail").text
    for typed in ("7", "many", "", "1,200", "9" * 50):
        refused = client.post("/do/bulk.start", data={**form_of(preview), "typed": typed}, headers=SAME_SITE)
        assert refused.status_code == 400
        assert 'id="wrong" role="alert">typed: ' in refused.text
        assert f'name="typed" inputmode="numeric" size="8" required autocomplete="off" value="{typed}"' in refused.text
        assert "Run again: 1,200 jobs" in text_of(refused.text)
    for query in ("what=retry&queue=mail&priority=high", "what=explode&queue=mail", "queue=mail&chosen=1"):
        refused = client.get(f"/bulk?{query}")
        back = re.search(r'<a href="([^"]*)">Back to the form of the jobs</a>', refused.text)
        assert (refused.status_code, back is not None) == (400, True), query
        assert back is not None
        form = client.get(html.unescape(back[1])).text
        assert 'name="queue" size="11" value="mail"' in form
    lost = {**form_of(preview), "priority": "high", "typed": "1200"}
    refused = client.post("/do/bulk.start", data=lost, headers=SAME_SITE)
    assert 'queue=mail&amp;priority=high">Back to the form of the jobs</a>' in refused.text
    assert count(observer, "failed") == 1200


# A dashboard that is killed


@contextmanager
def dashboard(path: Path, database: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `adjourn web` in a process of its own, and return it with its address."""
    (path / "killed.py").write_text(
        f"import adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(conninfo={database!r}))\n", "utf-8"
    )
    command = [sys.executable, "-m", "adjourn", "--app", "killed.app", "web", "--bind", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield process, found[0].rstrip("/")
                return
        raise AssertionError(said)
    finally:
        process.kill()
        process.communicate(timeout=30)


def get(address: str, form: dict[str, str] | None = None) -> tuple[str, str]:
    """Return the address and the text of a page."""
    data = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(address, data, {"X-Adjourn-Request": "1"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.url, answer.read().decode()


def test_the_audit_says_how_far_a_change_came_whose_dashboard_was_killed(
    app: adjourn.App,
    client: TestClient,
    database: str,
    observer: psycopg.Connection,
    sessions: Sessions,
    tmp_path: Path,
) -> None:
    fail(observer, 1, MANY)
    with dashboard(tmp_path, database) as (process, address):
        _, preview = get(f"{address}/bulk?what=retry&status=failed")
        url, page = get(f"{address}/do/bulk.start", {**form_of(preview), "typed": str(MANY)})
        id_ = re.search(r"/bulk\?id=(\w+)", url)
        assert id_ is not None, page
        until(lambda: count(observer, "todo") >= 1000)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    sessions.steady()  # the server may still be at its last transaction
    done = count(observer, "todo")
    assert 1000 <= done < MANY, "it was killed before its end"
    assert count(observer, "failed") == MANY - done
    notes = app.job_manager.actions.list_audit(target=f"bulk {id_[1]}", limit=1000)
    assert sum(note.jobs for note in notes) == done, "what is done and what is noted are one transaction"
    assert f"{done:,} of 25,000 so far" in (notes[0].outcome or "")
    audit = text_of(client.get("/audit", params={"target": f"bulk {id_[1]}"}).text)
    assert f"{done:,} of 25,000 so far" in audit
    # Another process knows no more of it than the audit does, and says that.
    gone = client.get(f"/bulk?id={id_[1]}")
    assert gone.status_code == 404
    told = text_of(gone.text)
    assert f"the last note of it says: jobs {done - 499} to {done}, {done:,} of 25,000 so far." in told
    assert "No note says that it has ended" in told
    listed = text_of(client.get(f"/jobs?change={id_[1]}").text)
    assert f"Only the {done:,} jobs that a change of many jobs has changed" in listed
    # To do the same again does the rest.
    assert f"Run again: {MANY - done:,} jobs" in text_of(client.get("/bulk?what=retry&status=failed").text)


# What is refused


def test_a_dashboard_that_only_reads_has_no_pages_of_changes(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=web.anybody, read_only=True)) as reading:
        assert [reading.get(f"/bulk{query}").status_code for query in ("", "?what=retry", "?id=12345678")] == [404] * 3
        assert reading.get("/events/bulk").status_code == 404
        for path in ("/jobs?status=failed", "/jobs", "/audit", "/"):
            page = reading.get(path)
            assert (page.status_code, "/bulk" in page.text) == (200, False), path


@pytest.mark.parametrize(
    ("what", "given", "told"),
    [
        ("priority", {"to": "high"}, "to: 'high' is not a whole number"),
        ("priority", {"to": "99999999999"}, "to: 99999999999 is out of range"),
        ("priority", {}, "to: it is missing"),
        ("reschedule", {"to": "<soon>"}, "to: '<soon>' is no time"),
        ("move", {"to": "x" * 256}, "to: "),
        ("run_now", {"typed": "9"}, "typed: type 3"),
        ("run_now", {"typed": "many"}, "typed: 'many' is not a whole number"),
    ],
)
def test_a_wrong_value_leads_back_to_what_was_filled_in(
    app: adjourn.App,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    given: dict[str, str],
    told: str,
) -> None:
    monkeypatch.setattr("adjourn.web.pages.bulk.MOST_UNTYPED", 2 if "typed" in given else 1000)
    app.tasks["send"].batch_defer({}, {}, {})
    preview = client.get("/bulk", params={"what": what, "queue": "mail", "task": "send"}).text
    answer = client.post("/do/bulk.start", data={**form_of(preview), **given}, headers=SAME_SITE)
    assert answer.status_code == 400
    assert told in text_of(answer.text)
    assert ": 3 jobs" in text_of(answer.text), "it is the preview"
    (name,) = given or ["to"]
    field = re.search(rf'<input name="{name}"[^>]*>', answer.text)
    assert field is not None
    assert f'value="{html.escape(given.get(name, ""))}"' in field[0]
    assert 'aria-invalid="true" aria-describedby="wrong"' in field[0]
    assert 'id="wrong" role="alert"' in answer.text
    assert "data-page" not in answer.text, "what is new would be asked for where only forms are sent to"
    # It can be sent again as it is, but for that value.
    again = form_of(answer.text)
    assert (again["queue"], again["task"], again["what"]) == ("mail", "send", what)
    value = {"priority": "7", "reschedule": "2100-01-31T12:00", "move": "slow", "run_now": "3"}[what]
    shown = figures(page_of(client, answer.text, **{name: value}))
    assert (shown["Done"], shown["Skipped"]) == (3, 0)


def test_a_wrong_value_of_another_form_leads_back_to_its_page(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as client:
        fields = form_of(client.get("/task?name=send").text, "job.defer")
        given = {**fields, "args": '{"a": "<b>"', "lock": "one", "priority": "7", "queue": "slow"}
        answer = client.post("/do/job.defer", data=given, headers=SAME_SITE)
        assert (answer.status_code, "args: it is no JSON" in text_of(answer.text)) == (400, True)
        assert ">{&#34;a&#34;: &#34;&lt;b&gt;&#34;</textarea>" in answer.text
        for kept in ('name="lock" maxlength="255" value="one"', 'value="7"', 'value="slow"'):
            assert kept in answer.text
        id_ = app.tasks["send"].defer()
        fields = form_of(client.get(f"/job?id={id_}").text, "job.priority")
        answer = client.post("/do/job.priority", data={**fields, "priority": "x"}, headers=SAME_SITE)
        assert (answer.status_code, "priority: 'x' is not" in text_of(answer.text)) == (400, True)
        assert f"Job {id_}" in text_of(answer.text)
        for scope, name in (("queue", "mail"), ("task", "send")):
            fields = form_of(client.get(f"/{scope}?name={name}").text, f"{scope}.pause")
            given = {**fields, "seconds": "an hour", "reason": "of rain"}
            answer = client.post(f"/do/{scope}.pause", data=given, headers=SAME_SITE)
            assert (answer.status_code, "seconds: " in text_of(answer.text)) == (400, True)
            assert ('value="an hour"' in answer.text, 'value="of rain"' in answer.text) == (True, True)
    assert not app.job_manager.list_jobs(lock="one")
