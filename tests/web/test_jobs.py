"""Jobs in the dashboard: found by filters, looked at, changed one by one and many at once, and what the audit says of it."""

from __future__ import annotations

import contextlib
import datetime
import html
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn._domain.checks import WAITS_FOR
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from adjourn.jobs import Author, Job
from adjourn.limits import Limit
from adjourn.monitor import waits
from adjourn.web import bulk
from adjourn.web.database import Database
from adjourn.web.pages import ACTIONS, searching
from adjourn.web.pages.noting import DONE
from adjourn.web.problems import Unavailable
from support.waiting import until

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "</td></script><script>alert(1)</script>\u202e\u2028\"'&\x1b[31m\\u0000"
SECRET = "hunter2-and-more"


def text_of(page: str) -> str:
    """The text of a page without its elements."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def form_of(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the first form of an action."""
    found = re.search(rf'action="[^"]*/do/{re.escape(action)}"(.*?)</form>', page, re.DOTALL)
    assert found is not None, action
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found[1])
    }


@pytest.fixture
def failed(app: adjourn.App) -> list[int]:
    """Three jobs that failed; the arguments of the first one have secrets."""

    @app.task(name="pay", queue="money")
    def pay(order: int, deep: Any = None) -> None:
        told = deep and deep["a"]["b"]["c"]["password"]
        raise ValueError(f"no connection with {told} for {order}")

    deep = {"a": {"b": {"c": {"password": SECRET}}}}
    ids = [pay.defer(order=1, deep=deep), pay.defer(order=2), pay.defer(order=3)]
    app.run_worker(wait=False)
    return ids


def test_jobs_are_found_by_filters_of_the_address(app: adjourn.App, client: TestClient, failed: list[int]) -> None:
    waiting = app.tasks["send"].defer()
    assert [int(id_) for id_ in re.findall(r'data-row="(\d+)"', client.get("/jobs").text)] == [waiting, *failed[::-1]]
    for query, number in (("status=failed", 1), ("status=failed&queue=none", 0)):
        assert client.get(f"/jobs?{query}").text.count("with all that match") == number, (
            "there is nothing to do with none"
        )
    for query, found in {
        "status=failed,cancelled&order=oldest": failed,
        "status=failed&status=todo&queue=mail": [waiting],
        "task=pay&args=%7B%22order%22:2%7D": [failed[1]],
        "error=ValueError&attempts=1": failed[::-1],
        "after_time=2100-01-01T00:00": [],
        "before_time=2100-01-01T00:00&limit=10": failed[::-1],
    }.items():
        page = client.get(f"/jobs?{query}")
        assert page.status_code == 200, page.text
        assert [int(id_) for id_ in re.findall(r'data-row="(\d+)"', page.text)] == found, query


def test_a_list_says_how_far_it_has_looked_and_looks_further(
    client: TestClient, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.web.pages.jobs.FIRST_LOOK", 2)
    page = client.get("/jobs?task=pay&args=%7B%22order%22:1%7D").text
    assert "Looked at 2 jobs, back to" in text_of(page)
    assert "0 found" in text_of(page)
    further = re.search(r'href="([^"]+)" rel="next">Look further', page)
    assert further is not None
    page = client.get(further[1].replace("&amp;", "&")).text
    assert f'data-row="{failed[0]}"' in page
    assert "at no more: this is the end" in text_of(page)


def test_three_old_jobs_are_found_among_very_many_by_looking_further(
    client: TestClient, observer: psycopg.Connection
) -> None:
    wanted, many = [9, 31_000, 99_000], 250_000
    observer.execute(
        "insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, "
        "enqueued_at, started_at, finished_at, status) select id, 'q', 'pay', 0, case when id = any(%(wanted)s) then %(args)s::jsonb "
        "else '{}' end, 1, 0, 1, false, at, at, at, 'succeeded' from (select id, now() - (%(many)s - id) * interval '1 s' as at "
        "from generate_series(1, %(many)s) id) job",
        {"wanted": wanted, "args": '{"order": 77}', "many": many},
    )
    address, found, looks = "/jobs?args=%7B%22order%22:77%7D&status=succeeded", [], 0
    while True:
        page = client.get(address).text
        looks += 1
        found += [int(id_) for id_ in re.findall(r'data-row="(\d+)"', page)]
        looked = re.search(
            r"Looked at ([\d,]+) jobs(, back to \d+ h ago : (\d+) found|, and at no more: this is the end)",
            text_of(page),
        )
        assert looked is not None, text_of(page)
        further = re.search(r'href="([^"]+)" rel="next">Look further', page)
        if looks == 1:
            # A hundred thousand seconds ago, and a jot more than that if the machine is slow.
            assert found == []
            assert 0 < int(looked[1].replace(",", "")) <= 100_000
            assert looked[3] == "0"
        if further is None:
            break
        address = html.unescape(further[1])
    assert found == wanted[::-1]
    assert looks <= 12


@pytest.mark.parametrize(
    "query",
    [
        *(
            "status=done",
            "worker=x",
            "priority=1e9",
            "attempts=-1",
            "args=%5B1%5D",
            "args={",
            "after_time=soon",
            "limit=1000000000",
        ),
        *(
            "limit=1",
            "order=up",
            "after=live:x",
            "task=a%00b",
            "further=2",
            "args=" + "%7B%22a%22:" * 6 + "1" + "%7D" * 6,
        ),
    ],
)
def test_what_is_no_filter_is_refused_in_words(client: TestClient, query: str) -> None:
    page = client.get(f"/jobs?{query}")
    assert page.status_code == 400
    assert query.split("=")[0] in text_of(page.text)


def test_what_is_refused_keeps_the_form_as_it_was_filled_in(client: TestClient) -> None:
    query = "status=failed&queue=mail&error=Refused&args=ann&attempts=2&order=oldest&column=lock"
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert 'Write {"NAME": "ann"}, with the name of the argument in place of NAME' in html.unescape(answer.text)
    form = re.search(r'<form class="filters".*?</form>', answer.text, re.DOTALL)
    assert form is not None
    for kept in (
        '<option value="failed" selected>',
        'name="queue" size="11" value="mail"',
        'name="error" size="13" value="Refused"',
        'name="args" size="13" value="ann"',
        'name="attempts" inputmode="numeric" value="2"',
        '<option value="oldest" selected>',
        'value="lock"',
    ):
        assert kept in form[0], kept
    assert 'id="jobs"' not in answer.text, "nothing was looked for"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7", 'Write {"NAME": 7}'),
        ('"ann"', 'Write {"NAME": "ann"}'),
        ("{user: 7}", 'Write them in JSON, such as {"user": 7}'),
        ("[1]", 'Write them in JSON, such as {"user": 7}'),
    ],
)
def test_what_is_no_object_of_arguments_is_told_what_to_write(client: TestClient, text: str, told: str) -> None:
    answer = client.get("/jobs", params={"args": text})
    assert (answer.status_code, told in html.unescape(answer.text)) == (400, True)


def test_ids_that_are_none_and_jobs_that_are_gone(client: TestClient) -> None:
    assert [client.get(f"/job?id={each}").status_code for each in ("", "abc", "-1", "99999999999999999999")] == [
        400
    ] * 4
    page = client.get("/job?id=7777777")
    assert (page.status_code, "There is no job 7777777" in page.text) == (404, True)


def test_what_is_too_long_for_a_page_is_a_file_with_its_secrets_hidden(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="long", store_result=True)
    def long(text: str, password: str) -> str:
        return f"{text} {password}"

    text = "<script>alert(1)</script>" * 4000
    number = long.defer(text=text, password=SECRET)
    app.run_worker(wait=False)
    page = client.get(f"/job?id={number}")
    assert len(page.text) < 400_000
    assert page.text.count("characters more") == 2
    addresses = [html.unescape(each) for each in re.findall(r'href="([^"]+)" download', page.text)]
    assert addresses == [f"/job?id={number}&file=args", f"/job?id={number}&file=result"]
    for address in addresses:
        file = client.get(address)
        name = address.rpartition("=")[2]
        assert file.headers["Content-Type"] == "application/octet-stream"
        assert file.headers["Content-Disposition"] == f'attachment; filename="job-{number}-{name}.json"'
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert SECRET not in file.text
        found = json.loads(file.text)
        assert (found["text"] if name == "args" else found) == (text if name == "args" else f"{text} ***")
    short = app.tasks["send"].defer()
    assert "download" not in client.get(f"/job?id={short}").text
    assert client.get(f"/job?id={short}&file=result").status_code == 404
    assert client.get(f"/job?id={short}&file=errors").status_code == 400


def test_a_job_that_has_expired_was_not_begun(app: adjourn.App, client: TestClient) -> None:
    number = app.configure_task("any", expires_in=3600).defer()
    app.job_manager.run("expire_due", {"until": datetime.datetime.max.replace(tzinfo=datetime.UTC), "limit": 9})
    page = text_of(client.get(f"/job?id={number}").text)
    assert "Attempts not begun" in page


def test_secrets_are_hidden_in_arguments_and_in_tracebacks(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    for path in ("/jobs", "/jobs?status=failed", f"/job?id={failed[0]}", "/bulk?what=retry&task=pay", "/audit"):
        page = client.get(path)
        assert page.status_code == 200, page.text
        assert SECRET not in page.text, path
    assert "no connection with *** for 1" in text_of(client.get(f"/job?id={failed[0]}").text)
    refused = client.post("/do/job.reveal", data={"id": failed[0]}, headers=SAME_SITE)
    assert refused.status_code == 403
    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as able:
        fields = form_of(able.get(f"/job?id={failed[0]}").text, "job.reveal")
        assert SECRET in able.post("/do/job.reveal", data=fields, headers=SAME_SITE).text
        assert SECRET not in able.get(f"/job?id={failed[0]}").text
        assert "view_args" in able.get("/audit").text


def test_sensitive_arguments_are_hidden_whoever_has_stored_the_job(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="transfer", sensitive=["to"])
    def transfer(to: str, number: int) -> str:
        if number:
            raise ValueError(f"no account {to!r}")
        return f"sent to {to}"

    ids = [transfer.defer(to="DE02120300", number=number) for number in (0, 1)]
    # One of a program that does not know the task, and one of a task that this program does not know.
    ids.append(
        app.job_manager.defer_job(
            Job(task_name="transfer", queue="q", task_kwargs={"to": "DE02120300", "number": 1})
        ).id
        or 0
    )
    app.run_worker(wait=False)
    headers = {"adjourn-sensitive": "to"}
    unknown = Job(task_name="elsewhere", queue="q", task_kwargs={"to": "DE02120300"}, headers=headers)
    ids.append(app.job_manager.defer_job(unknown).id or 0)
    for path in ("/jobs", *(f"/job?id={each}" for each in ids), "/bulk?what=retry&task=transfer"):
        page = client.get(path)
        assert page.status_code == 200, page.text
        assert "***" in page.text, path
        assert "DE02120300" not in page.text, path
    # Filters are looked for, and shown without the value that was asked for.
    assert "DE02120300" not in text_of(
        client.get("/bulk", params={"task": "transfer", "args": '{"to": "DE02120300"}'}).text
    )


def test_hostile_texts_are_shown_and_do_nothing(app: adjourn.App, client: TestClient) -> None:
    name = HOSTILE[:200]
    job_id = app.configure_task(name, queue=name, lock=name, queueing_lock=name, allow_unknown=True).defer(
        **{HOSTILE: [HOSTILE, "x" * 100_000]}
    )
    for path in (f"/job?id={job_id}", "/jobs", "/bulk?what=cancel&status=todo"):
        # What a form sends back is what it was.
        page = re.sub(r'value="[^"]*"', "", client.get(path).text)
        assert "<script>alert" not in page
        assert not {"\u202e", "\x1b"} & set(page)
        assert len(page) < 120_000
    assert client.get("/jobs", params={"queue": name, "lock": name}).text.count(f'data-row="{job_id}"') == 1


def test_a_traceback_is_folded_by_its_frames_and_has_no_secrets(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection, failed: list[int]
) -> None:
    told = (
        f'Traceback (most recent call last):\n  File "/srv/shop/{SECRET}/tasks.py", line 3, in pay\n    bank.pay("{SECRET}")\n'
        f'  File "/venv/lib/python3.13/site-packages/bank.py", line 8, in pay\n    raise ValueError("<b>{SECRET}</b>")\nValueError: <b>{SECRET}</b>'
    )
    observer.execute(
        "update adjourn.adjourn_finished_jobs set errors = jsonb_set(errors, '{0,traceback}', to_jsonb(%s::text)) where id = %s",
        (told, failed[0]),
    )
    page = client.get(f"/job?id={failed[0]}").text
    (trace,) = re.findall(r'<div class="trace" id="trace-1">(.*?)</div>', page, re.DOTALL)
    assert SECRET not in page
    assert [is_open for is_open, _ in re.findall(r"<details( open)?><summary>(.*?)\n</summary>", trace)] == [
        " open",
        "",
    ]
    parts = re.sub(r"<[^>]*>", "", trace.replace("<pre>\n", "<pre>"))
    masked = re.escape(told).replace(re.escape(SECRET), r"\S+")
    assert re.fullmatch(masked, html.unescape(parts)), parts
    assert '<button type="button" class="copy" data-copy="trace-1"' in page


def test_each_thing_is_done_with_a_job_once_it_is_asked_for(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    def do(action: str, job_id: int, **more: str) -> str:
        fields = form_of(client.get(f"/job?id={job_id}").text, action)
        done = client.post(f"/do/{action}", data={**fields, **more}, headers=SAME_SITE)
        assert done.status_code == 200, done.text
        return text_of(done.text)

    def job(job_id: int) -> adjourn.jobs.Job:
        (found,) = app.job_manager.list_jobs(id=job_id)
        return found

    one = failed[0]
    assert f"Job {one} runs again." in do("job.retry", one)
    assert job(one).status == "todo"
    do("job.priority", one, priority="7")
    do("job.move", one, queue="slow")
    do("job.reschedule", one, at="2100-01-31T12:00")
    changed = job(one)
    assert (changed.priority, changed.queue, changed.scheduled_at and changed.scheduled_at.year) == (7, "slow", 2100)
    do("job.run_now", one)
    assert job(one).scheduled_at is None
    do("job.cancel", one)
    done = do("job.retry", one, at="2100-01-31T12:00", zone="Europe/Berlin")
    assert f"Job {one} is to run at 2100-01-31 12:00 CET or later." in done
    assert job(one).scheduled_at == datetime.datetime(2100, 1, 31, 11, tzinfo=datetime.UTC)
    do("job.cancel", one)
    assert job(one).status == "cancelled"
    do("job.delete", one)
    assert app.job_manager.list_jobs(id=one) == []
    running = app.tasks["send"].defer()
    worker = app.job_manager.register_worker()
    app.job_manager.fetch_job(["mail"], worker)
    do("job.abort", running)
    assert job(running).abort_requested
    assert "Only the end of its worker" in text_of(client.get(f"/job?id={running}").text)
    told = [note.action for note in app.job_manager.actions.list_audit(target=str(one))]
    assert told[::-1] == [
        f"job.{each}"
        for each in ("retry", "priority", "move", "reschedule", "run_now", "cancel", "retry", "cancel", "delete")
    ]
    assert "job.abort" in text_of(client.get("/audit").text)


def test_a_long_list_offers_what_can_be_done_with_all_that_match_also_above_it(
    app: adjourn.App, client: TestClient
) -> None:
    app.tasks["send"].batch_defer(*[{}] * 10)
    assert client.get("/jobs?status=todo").text.count("Do something with all that match") == 1
    app.tasks["send"].defer()
    page = client.get("/jobs?status=todo").text
    assert page.count("Do something with all that match") == 2
    assert page.index("Do something with all that match") < page.index("<table")


def test_a_retry_in_a_list_leads_back_to_the_list(client: TestClient, failed: list[int]) -> None:
    fields = form_of(client.get("/jobs?status=failed&queue=money").text, "job.retry")
    done = client.post("/do/job.retry", data=fields, headers=SAME_SITE)
    assert (done.url.path, "queue=money" in str(done.url.query)) == ("/jobs", True)
    assert f"Job {failed[2]} runs again." in text_of(done.text)
    assert f'data-row="{failed[2]}"' not in done.text


@pytest.mark.parametrize(
    "error", [ConnectorException("gone"), Unavailable("No connection is free.")], ids=["lost", "busy"]
)
def test_what_is_done_is_told_as_done_where_nothing_can_be_read_after_it(
    app: adjourn.App, failed: list[int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    job = next(iter(app.job_manager.list_jobs(failed[2])))
    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as client:
        client.follow_redirects = False
        again = form_of(client.get(f"/job?id={job.id}").text, "job.retry")
        defer = form_of(client.get(f"/task?name={job.task_name}").text, "job.defer")
        defer |= {"queue": job.queue, "args": json.dumps(job.task_kwargs)}
        read, acted = Database.rows, Database.changing
        is_done = False

        @contextlib.contextmanager
        def changing(self: Database) -> Iterator[Any]:
            nonlocal is_done
            with acted(self) as connection:
                yield connection
            is_done = True

        def rows(self: Database, *arguments: Any, **parameters: Any) -> Any:
            if is_done:
                raise error
            return read(self, *arguments, **parameters)

        monkeypatch.setattr(Database, "changing", changing)
        monkeypatch.setattr(Database, "rows", rows)
        for action, fields in (("job.retry", again), ("job.defer", defer), ("job.defer", defer)):
            is_done = False
            assert client.post(f"/do/{action}", data=fields, headers=SAME_SITE).status_code == 303
    # A form that is sent again, as one does after an error, acts once.
    assert len([each for each in app.job_manager.list_jobs(task=job.task_name) if (each.id or 0) > max(failed)]) == 1


@pytest.mark.parametrize("scope", ["queue", "task"])
def test_who_wants_a_job_to_run_is_told_of_the_pause_that_keeps_it(
    app: adjourn.App, client: TestClient, failed: list[int], scope: str
) -> None:
    job = next(iter(app.job_manager.list_jobs(failed[2])))
    name = job.queue if scope == "queue" else job.task_name
    pause = app.job_manager.pause_queue if scope == "queue" else app.job_manager.pause_task
    pause(name)
    told = f"{scope.capitalize()} {name} is paused: no job of it starts until it is resumed."
    fields = form_of(client.get(f"/job?id={job.id}").text, "job.retry")
    assert f"Job {job.id} runs again. {told}" in text_of(
        client.post("/do/job.retry", data=fields, headers=SAME_SITE).text
    )
    later = app.tasks[job.task_name].configure(queue=job.queue, schedule_in={"hours": 1}).defer(**job.task_kwargs)
    pause(name, seconds=3600)
    fields = form_of(client.get(f"/job?id={later}").text, "job.run_now")
    assert f"{told[: told.index('it is resumed')]}the pause ends." in text_of(
        client.post("/do/job.run_now", data=fields, headers=SAME_SITE).text
    )
    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as storing:
        fields = form_of(storing.get(f"/task?name={job.task_name}").text, "job.defer")
        fields |= {"queue": job.queue, "args": json.dumps(job.task_kwargs)}
        done = storing.post("/do/job.defer", data=fields, headers=SAME_SITE)
    assert "no job of it starts until the pause ends" in text_of(done.text)


def test_who_wants_many_jobs_to_run_is_told_of_the_pauses_that_keep_them(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    app.job_manager.pause_queue("money")
    app.job_manager.pause_queue("mail")
    until(lambda: 'name="queue" value="money"' in client.get("/bulk?what=retry&queue=money").text)
    preview = client.get("/bulk?what=retry&queue=money").text
    assert "Some of these jobs will wait: paused Queue money ," in text_of(preview)
    assert "Queue mail" not in text_of(preview)
    done = client.post("/do/bulk.start", data=form_of(preview, "bulk.start"), headers=SAME_SITE)
    ended = wait_for(app, client, done.text)
    assert "Some of these jobs wait: paused Queue money ," in text_of(ended)
    # It is another queue that matters to who moves them.
    preview = client.get("/bulk?what=move&queue=money").text
    assert "will wait" not in text_of(preview)
    fields = {**form_of(preview, "bulk.start"), "to": "mail"}
    done = client.post("/do/bulk.start", data=fields, headers=SAME_SITE)
    assert "Some of these jobs wait: paused Queue mail ," in text_of(wait_for(app, client, done.text))
    preview = client.get("/bulk?what=cancel&queue=mail").text
    assert "Cancel: 3 jobs" in text_of(preview)
    assert "will wait" not in text_of(preview)


def test_a_job_that_began_meanwhile_is_left_alone(app: adjourn.App, client: TestClient) -> None:
    job_id = app.tasks["send"].defer()
    fields = form_of(client.get(f"/job?id={job_id}").text, "job.cancel")
    app.job_manager.fetch_job(None, app.job_manager.register_worker())
    done = client.post("/do/job.cancel", data=fields, headers=SAME_SITE)
    assert done.status_code == 409
    assert f"Job {job_id} has begun to run on worker" in text_of(done.text)
    assert app.job_manager.get_job_status(job_id).value == "doing"
    assert app.job_manager.actions.list_audit(target=str(job_id)) == []


def test_a_form_that_is_sent_several_times_at_once_acts_once(
    app: adjourn.App, client: TestClient, failed: list[int], observer: psycopg.Connection, database: str
) -> None:
    fields = form_of(client.get(f"/job?id={failed[0]}").text, "job.retry")

    def send(_: int) -> str:
        done = client.post("/do/job.retry", data=fields, headers=SAME_SITE)
        return f"{done.status_code} {f'Job {failed[0]} runs again.' in text_of(done.text)}"

    with psycopg.connect(database) as other, ThreadPoolExecutor(4) as threads:
        # The first one cannot end before the others are there.
        other.execute("select 1 from adjourn.adjourn_finished_jobs where id = %s for update", (failed[0],))
        sent = [threads.submit(send, number) for number in range(4)]
        time.sleep(0.3)
        other.commit()
        answers = [each.result() for each in sent]
    assert answers == ["200 True"] * 4
    assert [note.action for note in app.job_manager.actions.list_audit(target=str(failed[0]))] == ["job.retry"]
    assert app.job_manager.get_job_status(failed[0]).value == "todo"


def test_a_job_whose_task_no_worker_knows_is_told_what_to_do(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="careless")
    def careless() -> None:
        app.configure_task("other", allow_unknown=False).defer()

    id_ = app.configure_task("gone", allow_unknown=True).defer()
    careless_id = careless.defer()
    app.run_worker(wait=False)
    told = text_of(client.get(f"/job?id={id_}").text)
    assert (
        "No worker that serves its queue knows task gone . Deploy the workers with the module that declares it" in told
    )
    assert "it runs by itself" in told
    app.run_worker(wait=False, unknown_task_timeout=0)
    page = client.get(f"/job?id={id_}").text
    told = text_of(page)
    assert "It failed because no worker knew task gone . Deploy the workers with the module that declares it" in told
    assert "Then run it again" in told
    found = re.search(r'href="([^"]+)">all that failed like this', page)
    assert found
    listed = client.get(html.unescape(found[1])).text
    assert f"/job?id={id_}" in listed
    app.task(name="gone")(lambda: None)
    assert "This dashboard's app declares it." in text_of(client.get(f"/job?id={id_}").text)
    careless_page = text_of(client.get(f"/job?id={careless_id}").text)
    assert "TaskNotFound" in careless_page, "it has another error of the same class"
    assert "no worker knew" not in careless_page


def test_a_job_in_a_line_shows_the_line(app: adjourn.App, client: TestClient) -> None:
    ids = [app.tasks["send"].configure(lock="one").defer() for _ in range(3)]
    app.job_manager.fetch_job(None, app.job_manager.register_worker())
    told = text_of(client.get(f"/job?id={ids[2]}").text)
    assert "2 behind the first, 1 of them before this job" in told
    assert told.index(f"{ids[0]} send running") < told.index(f"{ids[2]} send this job")


def wait_for(app: adjourn.App, client: TestClient, page: str) -> str:
    """Wait for the end of a change, and return its page."""
    id_ = re.search(r"bulk (\w{8})|bulk\+(\w{8})", page)
    assert id_ is not None, page
    address = f"/bulk?id={id_[1] or id_[2]}"
    until(lambda: not re.search(">(running|stopping)<", client.get(address).text))
    return client.get(address).text


def test_many_jobs_are_changed_as_the_preview_said(
    app: adjourn.App,
    client: TestClient,
    failed: list[int],
    observer: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    preview = client.get("/bulk?what=retry&queue=money").text
    assert "Run again: 3 jobs" in text_of(preview)
    fields = form_of(preview, "bulk.start")
    later = app.tasks["pay"].defer(order=9)
    app.run_worker(wait=False)
    done = client.post("/do/bulk.start", data=fields, headers=SAME_SITE)
    told = text_of(wait_for(app, client, done.text))
    assert "Done 3 Skipped 0 Matched before 3" in told
    assert {job.id for job in app.job_manager.list_jobs(status="todo")} == set(failed)
    assert app.job_manager.get_job_status(later).value == "failed"
    notes = app.job_manager.actions.list_audit()
    assert [(note.action, note.jobs) for note in notes[::-1]] == [
        ("bulk.retry", 2),
        ("bulk.retry", 1),
        ("bulk.retry", 0),
    ]
    assert notes[0].outcome == "ended: 3 jobs changed"
    told = text_of(client.get("/audit").text)
    assert "ran many jobs again bulk.retry change " in told
    assert "status failed or cancelled or aborted" in told
    assert "ended: 3 jobs changed" in told
    assert "{" not in told, "nobody reads JSON"


def test_the_end_of_a_change_is_noted_in_words() -> None:
    author = Author(name="ann", how="auth")
    change = bulk.Bulk(id="1", name="retry", wanted={}, shown={}, author=author, expected=9, is_capped=False, done=1)
    assert bulk._told_end(change, "done") == "ended: 1 job changed"
    change.skipped = 2
    some = "1 job changed, 2 skipped because they had changed meanwhile or were being changed"
    assert bulk._told_end(change, "done") == f"ended: {some}"
    rest = "6 jobs left as before. To go on, do the same again with this filter"
    assert bulk._told_end(change, "stopped") == f"stopped before the end: {some}, {rest}"
    change.is_abandoned = True
    assert bulk._told_end(change, "stopped") == f"stopped because the dashboard ended: {some}, {rest}"
    change.is_capped = True
    assert f"{some}, at least {rest}" in bulk._told_end(change, "stopped")
    change.error = "the server is gone"
    assert bulk._told_end(change, "failed").startswith("stopped by an error (the server is gone): 1 job changed")
    change.done, change.skipped = bulk.MOST_JOBS, 0
    told = bulk._told_end(change, "stopped")
    assert told.startswith(
        "ended after 100,000 jobs, as many as one change takes here: 100,000 jobs changed, an unknown number of jobs left as before."
    )


def test_every_action_has_its_words() -> None:
    stored = {name for name in (action.name for action in ACTIONS) if not name.startswith("bulk.")} - {"job.reveal"}
    typed = {
        "job.change",
        "bulk.change",
        "limit.set",
        "limit.reset",
        *(f"workflow.{name}" for name in ("cancel", "abort", "retry")),
    }
    assert set(DONE) == stored | {"view_args"} | {f"bulk.{name}" for name in bulk.KINDS} | typed | {"worker.died"}


def test_jobs_that_wait_for_their_time_are_listed_by_it(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    ids = [app.tasks["send"].configure(schedule_in={"minutes": minutes}).defer() for minutes in (30, 10, 20)]
    other = app.configure_task("other", queue="slow", schedule_in={"minutes": 15}, allow_unknown=True).defer()
    app.tasks["send"].defer()

    def listed(address: str) -> list[int]:
        return [int(each) for each in re.findall(r'data-row="(\d+)"', client.get(address).text)]

    assert listed("/jobs?order=due") == [ids[1], other, ids[2], ids[0]]
    assert listed("/jobs?order=due&status=todo&task=send") == [ids[1], ids[2], ids[0]]
    observer.execute("update adjourn.adjourn_jobs set attempts = 1 where id = %s", (ids[0],))
    assert listed("/jobs?order=due&status=retrying") == [ids[0]]
    for status in ("failed", "todo,doing"):
        refused = client.get(f"/jobs?order=due&status={status}")
        assert (refused.status_code, "only jobs that wait have a time" in refused.text) == (400, True)
    assert client.get("/jobs?order=due&after=x").status_code == 400
    for _ in range(12):
        app.tasks["send"].configure(schedule_in={"hours": 1}).defer()
    first = client.get("/jobs?order=due&limit=10").text
    (further,) = (html.unescape(each) for each in re.findall(r'href="([^"]+)" rel="next"', first))
    found = re.findall(r'data-row="(\d+)"', first) + re.findall(r'data-row="(\d+)"', client.get(further).text)
    assert len(found) == len(set(found)) == 16
    assert "this is the end" in text_of(client.get(further).text)


def test_jobs_are_found_by_what_they_wait_for(app: adjourn.App, client: TestClient) -> None:
    send = app.tasks["send"]
    soon, ready = send.configure(schedule_in={"minutes": 10}).defer(), send.defer()
    album = [send.configure(lock="album").defer() for _ in range(3)]
    tomorrow = send.configure(schedule_in={"days": 1}, lock="album").defer()

    def listed(address: str) -> list[int]:
        return [int(each) for each in re.findall(r'data-row="(\d+)"', client.get(address).text)]

    assert listed("/jobs?waits_for=time") == [tomorrow, soon]
    assert listed("/jobs?waits_for=time&order=due") == [soon, tomorrow]
    assert listed("/jobs?waits_for=retry&order=due") == listed("/jobs?waits_for=time&status=failed") == []
    # Until a worker that is alive has decided which of them goes first all wait for their lock.
    assert listed("/jobs?waits_for=lock&order=oldest") == album
    assert listed("/jobs?waits_for=worker") == [ready]
    page = client.get("/jobs?waits_for=lock&lock=album").text
    assert '<option value="lock" selected>its lock</option>' in page
    assert "Looked at 6 jobs" in text_of(page)
    (lead,) = {html.unescape(each) for each in re.findall(r'href="(/bulk\?[^"]+)"', page)}
    preview = text_of(client.get(f"{lead}&what=priority").text)
    assert "waits for its lock lock album" in preview
    assert "Set the priority: 3 jobs" in preview
    refused = client.get("/jobs?waits_for=lock&order=due")
    assert (refused.status_code, "have no time when they are due" in refused.text) == (400, True)
    refused = client.get("/jobs?waits_for=tea")
    assert (refused.status_code, "pass time, event, retry" in refused.text) == (400, True)
    client.get("/")
    until(lambda: "behind locks" in client.get("/").text)
    for path in ("/", "/queues"):
        assert '<a href="/jobs?waits_for=lock">3 behind locks</a>' in client.get(path).text


def test_every_wait_has_its_words() -> None:
    assert tuple(waits.WAITS_FOR) == WAITS_FOR


def test_the_audit_is_found_by_who_did_it(app: adjourn.App, client: TestClient) -> None:
    app.job_manager.acting_for(Author(name="bob@host", how="shell")).pause_queue("mail", reason="of tests")
    client.post("/do/queue.resume", data={"queue": "mail"}, headers=SAME_SITE)
    page = client.get("/audit?actor=bob%40host").text
    told = text_of(page)
    assert "What bob@host did." in told
    assert "paused a queue queue.pause mail" in told
    assert "because of tests" in told
    assert "resumed a queue" not in told
    assert '<option value="bob@host">' in page
    assert 'href="/audit?actor=bob%40host"' in client.get("/audit").text
    assert "Nobody has done such a thing." in client.get("/audit?actor=eve").text


def test_fields_offer_the_names_that_are_known(app: adjourn.App, client: TestClient) -> None:
    app.configure_task("elsewhere", queue=HOSTILE[:40], allow_unknown=True).defer()
    client.get("/queues")
    for path in ("/jobs", "/queues", "/tasks"):
        page = client.get(path).text
        assert '<datalist id="queue-names"><option value="' in page
        assert '<option value="send">' in page
        assert "<script>alert" not in page


def test_those_who_look_at_a_job_while_it_goes_on_share_what_is_read(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["send"].configure(schedule_in={"hours": 1}).defer()
    address, look = f"/job?id={job_id}", {"X-Adjourn-Look": "1"}
    page = client.get(address).text
    assert re.findall(r'<section id="(\w+)" data-live', page) == [
        "job",
        "attempts",
        "result",
        "chain",
        "steps",
        "audit",
    ]
    assert "/events/job" in page
    assert "waiting" in client.get(address, headers=look).text
    observer.execute("update adjourn.adjourn_jobs set priority = 77")
    shared = client.get(address, headers=look).text
    assert "77" not in text_of(shared), "it was read within the last two seconds"
    assert "77" in text_of(client.get(address).text), "who comes to the page sees it as it is"
    until(lambda: "77" in text_of(client.get(address, headers=look).text))
    assert client.get("/job?id=999999", headers=look).status_code == 404


def test_a_change_of_many_jobs_leads_to_what_became_of_them(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    other = app.tasks["pay"].configure(queue="elsewhere").defer(order=9)
    page = client.get("/bulk?what=retry&task=pay").text
    done = client.post("/do/bulk.start", data=form_of(page, "bulk.start"), headers=SAME_SITE)
    until(lambda: "What became of the" in client.get(done.url.path + "?" + done.url.query.decode()).text)
    ended = client.get(done.url.path + "?" + done.url.query.decode()).text
    addresses = [html.unescape(each) for each in re.findall(r'href="(/jobs[?]change=[^"]+)"', ended)]
    assert len(addresses) == 2
    listed = client.get(addresses[0]).text
    shown = {int(each) for each in re.findall(r'data-row="(\d+)"', listed)}
    assert shown
    assert shown <= set(failed)
    assert other not in shown
    assert "has changed, as they are now" in text_of(listed)
    assert "No job matches" in client.get(addresses[1]).text
    refused = client.get("/jobs?change=nosuch")
    assert (refused.status_code, "knows such a change" in refused.text) == (400, True)
    assert client.get(f"{addresses[0]}&part=7").status_code == 400
    with TestClient(web.create_app(app, auth=web.anybody)) as another:
        told = another.get(addresses[0]).text
        assert {int(each) for each in re.findall(r'data-row="(\d+)"', told)} == shown, "the audit knows which"
        assert "Only the 3 jobs that a change of many jobs has changed" in text_of(told)
        assert f"/jobs?change={addresses[0].split('=')[1]}" in another.get("/audit").text
        assert another.get(f"{addresses[0]}&part=7").status_code == 400
        gone = another.get(f"/bulk?id={addresses[0].split('=')[1]}")
        assert (gone.status_code, addresses[0] in gone.text) == (404, True)


def test_the_audit_says_in_words_who_did_what(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection, failed: list[int]
) -> None:
    fields = form_of(client.get(f"/job?id={failed[0]}").text, "job.retry")
    client.post("/do/job.retry", data=fields, headers=SAME_SITE)
    client.post("/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE)
    observer.execute(
        "insert into adjourn.adjourn_audit (actor, how, action, target, filter, jobs, outcome) values "
        "('eve', 'auth', 'own.action', %s, %s, 0, 'done')",
        (
            HOSTILE.replace("\\u0000", ""),
            '{"statuses": ["todo"], "finished_before": "2026-01-31T12:00:00+00:00", "args": {"a": "<b>"}, "up_to_id": 7}',
        ),
    )
    page = client.get("/audit?zone=Asia/Tokyo").text
    told = text_of(page)
    assert f"ran a job again job.retry {failed[0]}" in told
    assert "paused a queue queue.pause mail" in told
    assert f'href="/job?id={failed[0]}"' in page
    assert 'href="/queue?name=mail"' in page
    assert "own.action own.action" in told, "what nobody has words for is told by its code"
    assert "status waiting" in told
    assert "ended before 2026-01-31 21:00:00 JST" in told
    assert "<script>alert" not in page
    assert "up_to_id" not in page
    assert "ran a job again" in text_of(client.get(f"/job?id={failed[0]}").text)


@pytest.mark.parametrize(
    ("what", "value", "member", "expected"),
    [
        ("priority", "-7", "priority", -7),
        ("move", "slow", "queue", "slow"),
        ("reschedule", "2100-01-31T12:00", "scheduled_at", datetime.datetime(2100, 1, 31, 12, tzinfo=datetime.UTC)),
        ("retry", "2100-01-31T12:00", "scheduled_at", datetime.datetime(2100, 1, 31, 12, tzinfo=datetime.UTC)),
    ],
)
def test_many_jobs_get_what_somebody_has_said(
    app: adjourn.App, client: TestClient, failed: list[int], what: str, value: str, member: str, expected: object
) -> None:
    if what != "retry":
        app.job_manager.retry_jobs(failed, statuses=["failed"])
    other = app.tasks["send"].defer()
    preview = client.get(f"/bulk?what={what}&queue=money").text
    assert ": 3 jobs" in text_of(preview)
    fields = form_of(preview, "bulk.start")
    if what != "retry":
        refused = client.post("/do/bulk.start", data=fields, headers=SAME_SITE)
        assert (refused.status_code, "to: it is missing" in text_of(refused.text)) == (400, True)
    wrong = {"priority": "high", "move": "x" * 256}.get(what, "soon")
    refused = client.post("/do/bulk.start", data={**fields, "to": wrong}, headers=SAME_SITE)
    assert (refused.status_code, "to:" in text_of(refused.text)) == (400, True)
    done = client.post("/do/bulk.start", data={**fields, "to": value}, headers=SAME_SITE)
    told = text_of(wait_for(app, client, done.text))
    assert "Done 3 Skipped 0 Matched before 3" in told
    jobs = {job.id: job for job in app.job_manager.list_jobs()}
    assert [getattr(jobs[each], member) for each in failed] == [expected] * 3
    assert getattr(jobs[other], member) != expected
    notes = [note.outcome for note in app.job_manager.actions.list_audit() if note.jobs]
    assert len(notes) == 1
    assert notes[0].startswith(f"jobs {failed[0]} to {failed[-1]}, to ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cancelled", "its task is async, and so it is cancelled where it next awaits something"),
        ("looks", "it ends when it looks at context.should_abort() . While it blocks"),
        ("blind", "is given no context to look at: it runs to its own end"),
        ("elsewhere", "One in a thread ends when it looks at context.should_abort() ; while it blocks"),
    ],
)
def test_what_an_abort_can_do_is_told_before_and_after_it(
    app: adjourn.App, client: TestClient, name: str, told: str
) -> None:
    @app.task(name="cancelled")
    async def cancelled() -> None: ...

    @app.task(name="looks", pass_context=True)
    def looks(context: adjourn.JobContext) -> None: ...

    @app.task(name="blind")
    def blind() -> None: ...

    job_id = app.configure_task(name, lock="album", allow_unknown=True).defer()
    page = client.get(f"/job?id={job_id}").text
    assert "Only the end of its worker" not in text_of(page)
    manager = app.job_manager
    worker = manager.register_worker()
    until(lambda: manager.fetch_job(queues=None, worker_id=worker) is not None)
    page = client.get(f"/job?id={job_id}").text
    assert told in text_of(page)
    assert "Only the end of its worker" in text_of(page)
    assert "Until then it keeps its slot and its lock." in text_of(page)
    assert "What asking it to end can do:" in text_of(page)
    done = client.post("/do/job.abort", data=form_of(page, "job.abort"), headers=SAME_SITE)
    assert "It was asked to end." in text_of(done.text)
    assert told in text_of(done.text)
    with TestClient(web.create_app(app, auth=web.anybody, read_only=True)) as looking:
        assert told in text_of(looking.get(f"/job?id={job_id}").text)


def test_a_change_of_many_jobs_is_stopped(
    app: adjourn.App, client: TestClient, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk, "PAUSE", 600.0)
    fields = form_of(client.get("/bulk?what=delete&task=pay").text, "bulk.start")
    page = client.post("/do/bulk.start", data=fields, headers=SAME_SITE).text
    until(lambda: len(app.job_manager.list_jobs(task="pay")) == 2)
    client.post("/do/bulk.stop", data=form_of(page, "bulk.stop"), headers=SAME_SITE)
    ended = wait_for(app, client, page)
    assert "It was stopped before the end: 1 job changed, 2 jobs left as before." in text_of(ended)
    assert len(app.job_manager.list_jobs(task="pay")) == 2
    (again,) = re.findall(r'href="([^"]*)">Go on with those that are left', ended)
    assert "Delete: 2 jobs" in text_of(client.get(html.unescape(again)).text)


def test_the_end_of_the_dashboard_says_how_far_a_change_of_many_jobs_came(
    app: adjourn.App, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk, "PAUSE", 600.0)
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        fields = form_of(client.get("/bulk?what=delete&task=pay").text, "bulk.start")
        client.post("/do/bulk.start", data=fields, headers=SAME_SITE)
        until(lambda: len(app.job_manager.list_jobs(task="pay")) == 2)
    # It has been noted before the dashboard has ended.
    note = app.job_manager.actions.list_audit()[0]
    assert note.outcome == (
        "stopped because the dashboard ended: 1 job changed, 2 jobs left as before. To go on, do the same again with this filter"
    )
    assert note.filter is not None
    assert note.filter["task"] == "pay"


def test_what_is_secret_in_a_filter_is_in_no_address(
    app: adjourn.App, client: TestClient, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk, "PAUSE", 600.0)
    deep = {"password": "opensesame"}
    app.job_manager.cancel_jobs(app.tasks["pay"].batch_defer({"order": 1, "deep": deep}, {"order": 2, "deep": deep}))
    query = {"what": "retry", "args": '{"deep": {"password": "opensesame"}}'}
    page = client.post(
        "/do/bulk.start", data=form_of(client.get("/bulk", params=query).text, "bulk.start"), headers=SAME_SITE
    ).text
    until(lambda: len(app.job_manager.list_jobs(task="pay", status="todo")) == 1)
    client.post("/do/bulk.stop", data=form_of(page, "bulk.stop"), headers=SAME_SITE)
    ended = wait_for(app, client, page)
    assert "1 job changed, 1 job left as before." in text_of(ended)
    assert "opensesame" not in ended
    assert "Go on with those that are left" not in ended


def test_of_many_jobs_the_number_has_to_be_typed(
    client: TestClient, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.web.pages.bulk.MOST_UNTYPED", 2)
    page = client.get("/bulk?what=delete&task=pay").text
    assert "Type 3 to go on" in text_of(page)
    refused = client.post("/do/bulk.start", data=form_of(page, "bulk.start"), headers=SAME_SITE)
    assert (refused.status_code, "type 3" in text_of(refused.text)) == (400, True)
    assert len(re.findall("data-row", client.get("/jobs?status=failed").text)) == 3


def test_a_job_is_stored_by_who_may(app: adjourn.App, client: TestClient, failed: list[int]) -> None:
    assert "Store a job" not in client.get("/task?name=pay").text, "it has to be permitted"
    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as storing:
        page = storing.get("/task?name=pay").text
        assert "It takes order ; besides, deep ." in text_of(page)
        fields = form_of(page, "job.defer")
        for wrong, told in (
            ({"args": "{"}, "it is no JSON"),
            ({"args": "[1]"}, "arguments have names"),
            ({"args": "[" * 15_000}, "it is nested too deeply"),
            ({"args": '{"ordr": 1}'}, "ordr"),
            ({"args": '{"self": 1}'}, "takes no argument"),
            ({"args": '{"order": 1}', "priority": "high"}, "priority"),
            ({"args": '{"order": 1}', "at": "soon"}, "at"),
            ({"args": '{"order": 1}', "queue": "x" * 300}, "queue"),
            ({"args": '{"order": 1}', "lock": "x" * 300}, "Nothing was stored"),
        ):
            refused = storing.post("/do/job.defer", data={**fields, **wrong}, headers=SAME_SITE)
            assert (refused.status_code, told in text_of(refused.text)) == (400, True), (wrong, text_of(refused.text))
        assert storing.post("/do/job.defer", data={"task": "none"}, headers=SAME_SITE).status_code == 404
        assert len(app.job_manager.list_jobs()) == 3
        given = {"args": '{"order": 12345678901234567890}', "queue": "slow", "lock": "l", "priority": "-3"}
        given |= {"at": "2100-01-31T12:00", "zone": "Asia/Tokyo"}
        for _ in range(2):
            done = storing.post("/do/job.defer", data={**fields, **given}, headers=SAME_SITE)
            assert "is stored." in text_of(done.text)
        (job,) = app.job_manager.list_jobs(status="todo")
        assert (job.task_name, job.task_kwargs, job.queue, job.lock, job.priority) == (
            "pay",
            {"order": 12345678901234567890},
            "slow",
            "l",
            -3,
        )
        assert job.scheduled_at == datetime.datetime(2100, 1, 31, 3, tzinfo=datetime.UTC)
        note = app.job_manager.actions.list_audit()[0]
        assert (note.action, note.target, note.outcome) == ("job.defer", str(job.id), "a job of pay")
        assert "stored a job" in text_of(storing.get("/audit").text)


def test_a_job_with_arguments_of_a_great_depth_is_shown(app: adjourn.App, client: TestClient, database: str) -> None:
    job_id = app.configure_task("deep", allow_unknown=True).defer(order=1)
    with psycopg.connect(database) as connection:
        deep = "[" * 900 + "]" * 900
        connection.execute(
            "update adjourn.adjourn_jobs set args = jsonb_build_object('order', %s::text::jsonb)", (deep,)
        )
    for address in (f"/job?id={job_id}", "/jobs", f"/jobs?args={'[' * 2000}"):
        assert client.get(address).status_code == (400 if "args" in address else 200), address[:40]


def test_a_unique_job_that_is_there_is_not_said_to_be_stored(app: adjourn.App) -> None:
    @app.task(name="skips", unique=adjourn.Unique(key="k", on_conflict="skip"))
    def skips(number: int) -> None:
        """Do nothing."""

    @app.task(name="replaces", unique=adjourn.Unique(key="l", on_conflict="replace"))
    def replaces(number: int) -> None:
        """Do nothing."""

    with TestClient(web.create_app(app, auth=web.anybody, permissions=web.PERMISSIONS)) as storing:
        for name, told in (
            ("skips", "is there already, so nothing was stored."),
            ("replaces", "has these arguments now."),
        ):
            for number, said in enumerate(("is stored.", told)):
                fields = {"task": name, "args": f'{{"number": {number}}}'}
                done = storing.post("/do/job.defer", data=fields, headers=SAME_SITE)
                assert said in text_of(done.text), text_of(done.text)
    assert [job.task_kwargs for job in app.job_manager.list_jobs()] == [{"number": 0}, {"number": 1}]


def test_no_action_is_there_for_who_may_not(app: adjourn.App, failed: list[int]) -> None:
    names = [
        f"job.{each}"
        for each in ["retry", "run_now", "cancel", "abort", "delete", "priority", "move", "reschedule", "reveal"]
    ]
    names += ["bulk.start", "bulk.stop", "schedule.run", "schedule.pause", "schedule.resume"]
    fields = {
        "id": failed[0],
        "status": "failed",
        "claim": 1,
        "priority": 1,
        "queue": "q",
        "at": "2100-01-01",
        "what": "retry",
    }
    for options, status in (({"permissions": ["view"]}, 403), ({"read_only": True}, 404)):
        with TestClient(web.create_app(app, auth=web.anybody, **options)) as client:
            page = client.get(f"/job?id={failed[0]}")
            assert '<form method="post"' not in page.text
            assert {client.post(f"/do/{name}", data=fields, headers=SAME_SITE).status_code for name in names} == {
                status
            }
    assert app.job_manager.get_job_status(failed[0]).value == "failed"


def test_filters_have_names_that_pages_know() -> None:
    assert set(searching.TEXTS) < set(searching.NAMES)


def test_schedules_are_told_with_their_jobs_and_run_at_once(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    @app.periodic(cron="0 4 * * *")
    @app.task(name="clean")
    def clean(timestamp: int) -> None: ...

    assert "Declared, and not due yet clean : At 04:00 0 4 * * * UTC" in text_of(client.get("/schedules").text)
    job_id = app.tasks["send"].defer()
    observer.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, last_job_id) values"
        " ('clean', '', '* * * * *', 'UTC', now() - interval '1 hour', %s), ('alien', '', 'never', 'Mars', now(), null)",
        (job_id,),
    )
    page = client.get("/schedules").text
    told = text_of(page)
    assert f"{job_id} waiting" in told
    assert re.search(r"overdue (59|60) min", told)
    assert "cannot be read here" in told
    done = client.post("/do/schedule.run", data=form_of(page, "schedule.run"), headers=SAME_SITE)
    assert "of clean is stored." in text_of(done.text)
    assert [job.task_name for job in app.job_manager.list_jobs(task="clean")] == ["clean"]


def test_a_schedule_whose_last_job_waits_for_longer_than_its_interval_is_told_so(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["send"].defer()
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '8 min'")
    observer.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, last_job_id) values"
        f" ('often', '', '*/2 * * * *', 'UTC', now(), {job_id}), ('nightly', '', '0 3 * * *', 'UTC', now(), {job_id})"
    )
    text = text_of(client.get("/schedules").text)
    assert text.count("its job waits 8 min for a worker") == 1
    assert text.count("on time") == 1


def test_what_came_of_the_last_ticks_of_a_schedule_is_drawn_and_told(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    manager = app.job_manager
    began = int(time.time()) // 60 * 60 - 30 * 60

    def tick(number: int, name: str = "fail", lock: str | None = None) -> int | None:
        job = Job(queue="mail", task_name=name, queueing_lock=lock)
        return manager.defer_periodic_job(job, "", began + 60 * number, cron="* * * * *")

    ids = [tick(number) for number in range(23)]
    # Somebody has left more jobs than ticks.
    observer.execute("update adjourn.adjourn_schedules set recent_job_ids = recent_job_ids || array[7, null]::bigint[]")
    assert "The last 20 ticks, the oldest first: 20 waiting" in client.get("/schedules").text
    observer.execute("update adjourn.adjourn_schedules set recent_job_ids = recent_job_ids[:20]")
    app.run_worker(wait=False)
    observer.execute("update adjourn.adjourn_finished_jobs set status = 'succeeded' where id <> all(%s)", (ids[-2:],))
    observer.execute("delete from adjourn.adjourn_finished_jobs where id = %s", (ids[5],))
    tick(23, lock="one")
    with pytest.raises(AlreadyEnqueued):
        tick(24, lock="one")
    told = "The last 20 ticks, the oldest first: 15 succeeded, 2 failed, 1 waiting, 1 skipped, 1 not stored any more"
    until(lambda: told in client.get("/schedules").text)
    page = client.get("/schedules").text
    picture = page[page.index('<svg class="dots"') :].split("</svg>")[0]
    assert (picture.count('class="good"'), picture.count('class="bad"'), picture.count("hollow")) == (15, 2, 2)
    assert f'<a href="/jobs?job={ids[-2]}&amp;job={ids[-1]}">' in page
    listed = client.get(f"/jobs?job={ids[-2]}&job={ids[-1]}").text
    assert len(re.findall("data-row", listed)) == 2


def test_a_schedule_is_paused_and_resumed_also_before_it_was_due(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    @app.periodic(cron="0 4 * * *", periodic_id="night")
    @app.task(name="clean")
    def clean(timestamp: int) -> None: ...

    page = client.get("/schedules").text
    done = client.post("/do/schedule.pause", data=form_of(page, "schedule.pause"), headers=SAME_SITE)
    assert "The schedule of clean (night) is paused." in text_of(done.text)
    assert [(each.scope, each.name, each.periodic_id) for each in app.job_manager.list_pauses()] == [
        ("schedule", "clean", "night")
    ]
    observer.execute("update adjourn.adjourn_schedules set last_tick = now() - interval '3 days'")
    page = client.get("/schedules").text
    assert "paused" in text_of(page)
    assert "overdue" not in text_of(page).replace("overdue or paused first", "")
    assert "schedule.pause" not in page
    app.job_manager.pause_queue("default")
    done = client.post("/do/schedule.resume", data=form_of(page, "schedule.resume"), headers=SAME_SITE)
    told = "The schedule of clean (night) is resumed. Queue default is paused: no job of it starts until it is resumed."
    assert told in text_of(done.text)
    app.job_manager.resume_queue("default")
    assert app.job_manager.list_pauses() == []
    notes = app.job_manager.actions.list_audit(target="clean (night)")
    assert [(note.action, note.outcome) for note in notes] == [("schedule.resume", "done"), ("schedule.pause", "done")]
    refused = client.post("/do/schedule.pause", data={"task": "none"}, headers=SAME_SITE)
    assert (refused.status_code, "There is no schedule of none" in text_of(refused.text)) == (404, True)


@pytest.mark.parametrize(
    ("action", "state", "remedy"),
    [
        ("retry", "todo", "let this one end, or cancel it"),
        ("run_now", "parents", "see to what it waits for"),
        ("reschedule", "parents", "see to what it waits for"),
        ("priority", "failed", "can be run again"),
        ("move", "failed", "can be run again"),
        ("cancel", "doing", "can be asked to end"),
        ("abort", "todo", "can be cancelled"),
        ("delete", "doing", "ask it to end"),
    ],
)
def test_what_does_not_suit_a_job_is_refused_with_what_to_do_instead(
    app: adjourn.App, client: TestClient, action: str, state: str, remedy: str
) -> None:
    if state == "parents":
        flow = app.workflow()
        second = flow.add(app.tasks["send"], depends_on=flow.add(app.tasks["send"]))
        job_id = flow.defer().job_id(second)
    else:
        job_id = app.tasks["send" if state != "failed" else "fail"].defer()
    if state == "doing":
        app.job_manager.fetch_job(None, app.job_manager.register_worker())
    elif state == "failed":
        app.run_worker(wait=False)
    (job,) = app.job_manager.list_jobs(id=job_id)
    fields = {"id": job_id, "claim": job.claim, "status": str(job.status), "priority": 1, "queue": "q"}
    done = client.post(f"/do/job.{action}", data={**fields, "at": "2100-01-01T00:00"}, headers=SAME_SITE)
    assert done.status_code == 409, done.text
    assert remedy in text_of(done.text)
    assert f'href="/job?id={job_id}"' in done.text
    assert app.job_manager.actions.list_audit(target=str(job_id)) == []


def test_who_lacks_a_permission_is_told_who_gives_it(app: adjourn.App) -> None:
    with TestClient(web.create_app(app, auth=lambda request: web.User("bob", {"view", "bulk"}))) as reader:
        refused = reader.post("/do/job.retry", data={"id": 1, "claim": 1, "status": "failed"}, headers=SAME_SITE)
        for answer in (refused, reader.get("/bulk?what=retry")):
            assert answer.status_code == 403
            told = text_of(answer.text)
            assert "bob may not run finished jobs again." in told
            assert "needs the permission job.retry: ask who runs this dashboard" in told
        told = text_of(reader.get("/settings").text)
        assert "do with all jobs of a filter what one may do with one bulk" in told
        assert (
            "What you may not do reveal the hidden arguments of one job view_args run finished jobs again job.retry"
            in told
        )


def test_what_a_job_waits_for_leads_to_what_tells_more(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="ship", queue="parcels", limits=[Limit(key="tenant", concurrency=1)])
    def ship(tenant: str) -> None:
        """Do nothing."""

    limited = ship.defer(tenant="a")
    assert '<dd><a href="/limits">a place under limit ship</a></dd>' in client.get(f"/job?id={limited}").text
    ready = app.tasks["send"].defer()
    assert '<dd><a href="/queue?name=mail">a worker</a> <span' in client.get(f"/job?id={ready}").text
    app.tasks["send"].configure(lock="album").defer()
    behind = app.tasks["send"].configure(lock="album").defer()
    page = client.get(f"/job?id={behind}").text
    assert '<a href="#chain">its lock</a>' in page
    assert 'id="chain"' in page


def test_a_queue_and_a_task_are_paused_and_resumed_by_a_dashboard_whose_app_is_not_open(database: str) -> None:
    closed = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @closed.task(name="send", queue="mail")
    def send() -> None:
        """Do nothing."""

    with TestClient(web.create_app(closed, auth=web.anybody), follow_redirects=False) as client:
        for scope, name in (("queue", "mail"), ("task", "send")):
            for place, (what, status) in enumerate((("pause", 303), ("pause", 409), ("resume", 303))):
                fields = {
                    "request_id": f"pausing-{scope}-{place}",
                    scope: name,
                    "page": scope,
                    "seconds": "10m",
                    "reason": "it moves",
                }
                answer = client.post(f"/do/{scope}.{what}", data=fields, headers={"X-Adjourn-Request": "1"})
                assert answer.status_code == status, answer.text
                assert status != 409 or "because it moves, and so nothing was done" in html.unescape(answer.text)


@pytest.mark.parametrize(
    "value", ["tea", "LOCK", "lock,task", "lock\0", "%00", "' or 1=1 --", HOSTILE, "x" * 5000, "time&waits_for=tea"]
)
@pytest.mark.parametrize("path", ["/jobs?", "/bulk?what=cancel&"])
def test_what_jobs_cannot_wait_for_is_refused_by_name(client: TestClient, path: str, value: str) -> None:
    text = value if value.startswith(("%", "time&")) else quote(value)
    refused = client.get(f"{path}waits_for={text}")
    assert (refused.status_code, "waits_for" in refused.text) == (400, True)
    assert "<script>alert" not in refused.text
