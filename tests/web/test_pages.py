"""The pages, with a real database behind them."""

from __future__ import annotations

import contextlib
import functools
import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.jobs import Author
from adjourn.limits import Limit, Rate
from adjourn.monitor import Monitor
from adjourn.monitor.reasons import Held
from adjourn.monitor.slots import SlotCount
from adjourn.web import figures
from support.waiting import until

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "</td><script>alert(1)</script>\u202e\u2028\"'&\x1b[31m"


def text_of(page: str) -> str:
    """The text of a page without its elements."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_overview_shows_the_queue_that_waits_longest(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    page = client.get("/")
    assert page.status_code == 200
    assert "<bdi>mail</bdi>" in page.text
    assert "No worker is registered" in page.text


def test_what_is_due_and_what_no_worker_has_placed_is_late_while_no_worker_runs(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    app.configure_task("any", queue="due", schedule_in={"hours": 1}, allow_unknown=True).defer()
    app.configure_task("any", queue="unplaced", lock="free", allow_unknown=True).defer()
    app.configure_task("any", queue="later", schedule_in={"hours": 1}, allow_unknown=True).defer()
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '241 s'")
    observer.execute("update adjourn.adjourn_jobs set scheduled_at = now() - interval '121 s' where queue = 'due'")
    told = text_of(client.get("/").text)
    assert "Oldest ready job 4 min in queue unplaced" in told, told
    queues = text_of(client.get("/queues").text)
    assert re.search(r"due 2 min 0 0 0 .*no worker no worker that is alive serves it", queues), queues
    assert "later" not in queues
    page = text_of(client.get("/queue?name=due").text)
    assert "Oldest ready 2 min Ready 0 Scheduled 1" in page
    assert "Not placed yet 1" in text_of(client.get("/queue?name=unplaced").text)
    assert "Scheduled 1" in text_of(client.get("/queue?name=later").text)
    with contextlib.closing(Monitor(app)) as monitor:
        found = {queue.name: queue for queue in monitor.look().queues}
    assert found.keys() == {"due", "unplaced"}
    assert (found["due"].ready, 121 <= found["due"].latency < 151) == (0, True)
    assert 241 <= found["unplaced"].latency < 271


def test_a_paused_queue_is_not_the_one_that_waits_longest(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    app.tasks["send"].defer()
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '3 min'")
    app.job_manager.pause_queue("mail")
    assert "Oldest ready job none nothing waits that could run" in text_of(client.get("/").text)
    app.job_manager.resume_queue("mail")
    until(lambda: "Oldest ready job 3 min in queue mail" in text_of(client.get("/").text))


def test_an_empty_database_is_told_as_such(client: TestClient) -> None:
    told = {
        "/": "No queue has a job that is ready or runs.",
        "/queues": "No queue has a job that is ready or runs",
        "/workers": "No worker is registered.",
        "/limits": "There are no limits",
        "/workflows": "There are no workflows.",
    }
    for path, text in told.items():
        assert text in text_of(client.get(path).text), path


def test_a_queue_is_paused_and_resumed(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    assert "Pause" in client.get("/queues").text
    done = client.post("/do/queue.pause", data={"queue": "mail"}, headers=SAME_SITE)
    assert "Queue mail is paused." in done.text
    assert [(pause.scope, pause.name) for pause in app.job_manager.list_pauses()] == [("queue", "mail")]
    done = client.post("/do/queue.resume", data={"queue": "mail"}, headers=SAME_SITE)
    assert "Queue mail is resumed." in done.text
    assert app.job_manager.list_pauses() == []


def test_a_pause_is_told_with_its_end_its_reason_and_who_did_it(app: adjourn.App, client: TestClient) -> None:
    fields = {"queue": "mail", "seconds": "2h", "reason": "the <b>printer</b> burns"}
    done = client.post("/do/queue.pause", data=fields, headers=SAME_SITE)
    assert "Queue mail is paused for 2 h." in done.text
    assert "&lt;b&gt;printer" in done.text
    (pause,) = app.job_manager.list_pauses()
    assert pause.ends_at is not None
    assert 7100 < (pause.ends_at - pause.paused_at).total_seconds() <= 7200
    (note,) = app.job_manager.actions.list_audit()
    assert (note.action, note.outcome) == ("queue.pause", "for 7200 s, because the <b>printer</b> burns")
    told = f"by {pause.paused_by} , because the &lt;b&gt;printer&lt;/b&gt; burns , ends"
    for path in ("/", "/queues", "/queue?name=mail"):
        page = text_of(client.get(path).text)
        assert told in page
        assert "no job starts until then" in page
    app.job_manager.acting_for(Author(name="bob@host", how="shell")).pause_task("send", reason="of tests")
    for path in ("/tasks", "/task?name=send"):
        until(lambda path=path: "by bob@host , because of tests" in text_of(client.get(path).text))  # type: ignore[misc]
    for field, value in (("seconds", "0"), ("seconds", "x"), ("reason", "x" * 1001)):
        refused = client.post("/do/queue.pause", data={"queue": "mail", field: value}, headers=SAME_SITE)
        assert refused.status_code == 400
        assert field in refused.text


@pytest.mark.parametrize("scope", ["queue", "task"])
def test_a_pause_of_somebody_else_is_changed_on_purpose_only(app: adjourn.App, client: TestClient, scope: str) -> None:
    bob = app.job_manager.acting_for(Author(name="bob@host", how="shell"))
    (bob.pause_queue if scope == "queue" else bob.pause_task)("send", seconds=600, reason="the <b>printer</b> burns")
    address, fields = f"/do/{scope}.pause", {scope: "send", "reason": "mine"}
    stale = client.post(address, data=fields, headers=SAME_SITE)
    assert stale.status_code == 409
    assert "is paused already by bob@host, because the &lt;b&gt;printer&lt;/b&gt; burns" in stale.text
    assert f"/{scope}?name=send" in stale.text
    assert [pause.reason for pause in app.job_manager.list_pauses()] == ["the <b>printer</b> burns"]
    page = client.get(f"/{scope}?name=send").text
    assert "Change the pause" in page
    assert 'name="again"' in page
    done = client.post(address, data={**fields, "again": "1", "seconds": "3600"}, headers=SAME_SITE)
    assert "is paused for 60 min" in done.text
    assert [pause.reason for pause in app.job_manager.list_pauses()] == ["mine"]


@pytest.mark.parametrize("scope", ["queue", "task"])
def test_who_pauses_on_the_page_of_a_queue_or_a_task_comes_back_to_it(client: TestClient, scope: str) -> None:
    assert f'name="page" value="{scope}"' in client.get(f"/{scope}?name=send").text
    for action in ("pause", "resume"):
        done = client.post(f"/do/{scope}.{action}", data={scope: "send", "page": scope}, headers=SAME_SITE)
        assert (done.url.path, "name=send" in str(done.url)) == (f"/{scope}", True)
        done = client.post(f"/do/{scope}.{action}", data={scope: "other"}, headers=SAME_SITE)
        assert done.url.path == f"/{scope}s"


RESUMES = r'action="[^"]*/do/(queue|task).resume".*?</form>'


@pytest.mark.parametrize(
    ("path", "scopes"),
    [
        ("/", ["queue", "task"]),
        ("/queue?name=mail&range=24h", ["queue", "task"]),
        ("/task?name=send", ["task"]),
        ("/jobs?queue=mail&status=todo", ["queue", "task"]),
        ("/job?id={id}", ["queue", "task"]),
    ],
)
def test_what_a_pause_holds_up_is_told_beside_what_ends_it(
    app: adjourn.App, client: TestClient, path: str, scopes: list[str]
) -> None:
    path = path.format(id=app.tasks["send"].defer())
    app.tasks["fail"].configure(queue="other").defer()
    bob = app.job_manager.acting_for(Author(name="bob@host", how="shell"))
    bob.pause_queue("mail", reason="of tests")
    bob.pause_task("send", reason="of tests")
    for left in (scopes, scopes[1:]):

        def resumes() -> list[re.Match[str]]:
            return list(re.finditer(RESUMES, client.get(path).text, re.DOTALL))

        until(lambda left=left: [each[1] for each in resumes()] == left)  # type: ignore[misc]
        found = resumes()
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', found[0][0]))
        fields = {name: html.unescape(value) for name, value in fields.items()}
        done = client.post(f"/do/{left[0]}.resume", data=fields, headers=SAME_SITE)
        assert "is resumed." in done.text
        back = str(done.url).replace(str(client.base_url), "")
        assert back.startswith(path), "one is where one was"
        if len(left) == 1:
            break
    assert app.job_manager.list_pauses() == [] or scopes == ["task"]


def test_the_list_and_the_page_of_a_job_say_which_pause_keeps_it(app: adjourn.App, client: TestClient) -> None:
    id_, other = app.tasks["send"].defer(), app.tasks["fail"].configure(queue="other").defer()
    app.job_manager.acting_for(Author(name="bob@host", how="shell")).pause_task("send", reason="of tests")
    told = "Task send , 0 ms ago by bob@host , because of tests : no job of it starts until it is resumed. Resume"
    told = told.replace("0 ms", "[0-9.]+ m?s")
    for path in (f"/job?id={id_}", "/jobs", "/jobs?task=send"):
        assert re.search(told, text_of(client.get(path).text)), path
    assert "Waits for the end of a pause" in text_of(client.get(f"/job?id={id_}").text)
    for path in (f"/job?id={other}", "/jobs?queue=other"):
        assert "no job of it starts" not in text_of(client.get(path).text)


def test_who_may_not_resume_is_told_of_a_pause_alone(app: adjourn.App) -> None:
    id_ = app.tasks["send"].defer()
    app.job_manager.pause_queue("mail")
    app.job_manager.pause_task("send")
    with TestClient(web.create_app(app, auth=web.anybody, permissions={"view"})) as client:
        for path in ("/", "/queues", "/queue?name=mail", "/tasks", "/task?name=send", "/jobs", f"/job?id={id_}"):
            page = client.get(path).text
            assert "starts until it is resumed" in text_of(page) or path == "/tasks"
            assert ".resume" not in page


PAUSED = ("paused", "warn", "no job starts until it is resumed")
OWN = functools.partial(Held, scope="queue", name="mail")
ALONE = ("no worker", "bad", "no worker that is alive serves it")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"pause": {"at": 0}, "latency": 90.0}, [PAUSED]),
        ({"pause": {"at": 0, "ends_at": 60}}, [("paused", "warn", "no job starts until then")]),
        ({"pause": {"at": 0}, "held": [OWN(jobs=20)]}, [PAUSED, ("limited", "warn", "its limit holds back 20 jobs")]),
        (
            {"pause": {"at": 0}, "held": [OWN(jobs=1)], "workers": 0},
            [PAUSED, ALONE, ("limited", "warn", "its limit holds back 1 job")],
        ),
        ({"workers": 0}, [ALONE]),
        ({"workers": 0, "slots": SlotCount(), "latency": 90.0}, [ALONE, ("late", "bad", "")]),
        (
            {"latency": 90.0, "slots": SlotCount(number=4, taken=4)},
            [("late", "bad", "all 4 slots of its workers are busy")],
        ),
        (
            {"latency": 12.0, "slots": SlotCount(number=4, taken=4, others=Counter(reports=3))},
            [("waiting", "warn", "all 4 slots of its workers are busy, 3 with jobs of queue reports")],
        ),
        (
            {"latency": 12.0, "slots": SlotCount(number=4, taken=4, others=Counter(news=1, reports=3))},
            [
                (
                    "waiting",
                    "warn",
                    "all 4 slots of its workers are busy, 4 with jobs of other queues, 3 of them of queue reports",
                )
            ],
        ),
        (
            {"latency": 12.0, "slots": SlotCount(number=1, taken=1)},
            [("waiting", "warn", "the one slot of its workers is busy")],
        ),
        (
            {"latency": 12.0, "held": [OWN(jobs=1)]},
            [("waiting", "warn", "its workers have free slots"), ("limited", "warn", "its limit holds back 1 job")],
        ),
        (
            {"latency": 12.0, "slots": SlotCount(number=4, taken=4), "held": [OWN(jobs=2)]},
            [
                ("waiting", "warn", "all 4 slots of its workers are busy"),
                ("limited", "warn", "its limit holds back 2 jobs"),
            ],
        ),
        ({"latency": 12.0}, [("waiting", "warn", "its workers have free slots")]),
        (
            {"held": [Held(scope="task", name="send", jobs=1000, is_capped=True)]},
            [("limited", "warn", "the limit of task send holds back 1,000 jobs or more")],
        ),
        (
            {"held": [Held(scope="key", name="tenant", jobs=3), OWN(jobs=1)]},
            [("limited", "warn", "limit tenant holds back 3 jobs; so does 1 other limit")],
        ),
        ({"held": [OWN(jobs=2)]}, [("limited", "warn", "its limit holds back 2 jobs")]),
        (
            {"ready": 0, "paused_tasks": [{"task": "send", "jobs": 3, "is_capped": False}]},
            [("paused task", "warn", "task send is paused: 3 jobs wait")],
        ),
        (
            {"paused_tasks": [{"task": name, "jobs": 1000, "is_capped": True} for name in ("a", "b", "c")]},
            [("paused task", "warn", "task a is paused: 1,000 jobs or more wait; so are 2 other tasks here")],
        ),
        (
            {"ready": 0, "unknown": [{"task": "gone", "jobs": 3, "is_capped": False, "seconds": 300.0}]},
            [("unknown task", "bad", "no worker knows task gone: 3 jobs wait, the first for 5 min")],
        ),
        (
            {
                "unknown": [
                    {"task": "gone", "jobs": 10_000, "is_capped": True, "seconds": 30.0},
                    {"task": "old", "jobs": 1, "is_capped": False, "seconds": 2.0},
                ]
            },
            [
                (
                    "unknown task",
                    "bad",
                    (
                        "no worker knows task gone: 10,000 jobs or more wait, the first for 30 s; "
                        "nor 1 other task of which jobs wait"
                    ),
                ),
            ],
        ),
        ({}, [("working", "good", "")]),
        ({"ready": 0}, [("idle", "", "")]),
    ],
)
def test_a_queue_is_told_with_all_its_states_and_their_reasons(
    facts: dict[str, Any], told: list[tuple[str, str, str]]
) -> None:
    usual = {"pause": None, "latency": 0.0, "ready": 5, "running": 0, "workers": 1, "slots": SlotCount(number=4)}
    assert figures.judged({**usual, "held": [], "unknown": [], "paused_tasks": [], **facts}) == told


def test_jobs_of_a_task_that_no_worker_knows_are_told_wherever_one_looks(app: adjourn.App, client: TestClient) -> None:
    app.configure_task("gone", queue="letters", allow_unknown=True).defer()
    app.tasks["send"].defer()
    assert "no worker knows" not in text_of(client.get("/").text)
    app.run_worker(wait=False)
    told = "no worker knows task gone: 1 job waits, the first for"
    for path in ("/", "/queues", "/queue?name=letters"):
        until(lambda path=path: told in text_of(client.get(path).text))  # type: ignore[misc]
        assert 'class="badge bad">unknown task' in client.get(path).text
    assert "No worker knows it: 1 job waits" in text_of(client.get("/task?name=gone").text)
    assert re.search("gone .* no worker knows it: 1 job", text_of(client.get("/tasks").text))
    assert "no worker knows" not in text_of(client.get("/queue?name=mail").text)


def test_a_job_of_an_unknown_task_says_at_once_what_is_known(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    gone = app.configure_task("gone", queue="letters", allow_unknown=True)
    first, usual = gone.defer(), app.tasks["send"].defer()
    told = "This dashboard's app does not declare task gone ."
    page = text_of(client.get(f"/job?id={first}").text)
    assert "Waits for a worker" in page
    assert told in page
    assert "does not declare" not in text_of(client.get(f"/job?id={usual}").text)
    app.run_worker(wait=False)
    second = gone.defer()
    page = text_of(client.get(f"/job?id={second}").text)
    assert "No worker that serves its queue knows task gone ." in page
    assert told not in page
    observer.execute("delete from adjourn.adjourn_jobs where id = %s", (first,))
    assert told in text_of(client.get(f"/job?id={second}").text)


@pytest.mark.parametrize("has_worker", [False, True])
def test_a_paused_task_is_shown_where_its_jobs_wait(app: adjourn.App, client: TestClient, has_worker: bool) -> None:
    for queue in ("mail", "news"):
        app.tasks["send"].configure(queue=queue).defer()
    app.tasks["fail"].configure(queue="other").defer()
    app.job_manager.pause_task("send")
    if has_worker:
        app.run_worker(wait=False)
    for path in ("/queues", "/queue?name=mail", "/queue?name=news"):
        until(lambda path=path: "task send is paused: 1 job waits" in text_of(client.get(path).text))  # type: ignore[misc]
    assert "is paused: " not in text_of(client.get("/queue?name=other").text)


def test_a_form_that_is_sent_twice_acts_once(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].defer()
    page = client.get("/tasks").text
    form = re.search(r'/do/task.pause".*?name="request_id" value="([^"]+)"', page, re.DOTALL)
    assert form is not None
    fields = {"task": "send", "request_id": form[1]}
    for _ in range(2):
        # The second one would say that the task was paused already.
        assert "Task send is paused." in client.post("/do/task.pause", data=fields, headers=SAME_SITE).text


def test_tasks_are_told_with_their_failures(app: adjourn.App, client: TestClient) -> None:
    for _ in range(2):
        app.tasks["fail"].defer()
    app.tasks["send"].defer()
    app.run_worker(wait=False)
    told = text_of(client.get("/tasks").text)
    assert "fail 2 2 100.0 %" in told
    assert "send 1 0 0.0 %" in told
    assert told.index("fail 2") < told.index("send 1")
    assert "fail 2 2 100.0 %" in text_of(client.get("/").text)


def test_a_worker_is_shown_with_what_it_said_that_it_runs(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["send"].defer()
    worker_id = app.job_manager.workers.register_worker("alpha", ["mail"], 60)
    silent = app.job_manager.workers.register_worker("beta", None, 60)
    assert app.job_manager.workers.fetch_job(["mail"], worker_id) is not None
    observer.execute(
        "UPDATE adjourn.adjourn_workers SET running = array[%s::bigint] WHERE id = %s", (job_id, worker_id)
    )
    observer.execute("UPDATE adjourn.adjourn_workers SET expires_at = now() - interval '1s' WHERE id = %s", (silent,))
    told = text_of(client.get("/workers").text)
    assert told.index("beta") < told.index("alpha"), "those that are silent come first"
    assert f"send mail {job_id} 1" in told
    assert "1 worker is silent" in told


@pytest.mark.parametrize("is_ending", [True, False])
def test_a_worker_that_was_stopped_and_still_runs_jobs_is_told_as_ending(
    app: adjourn.App, client: TestClient, is_ending: bool
) -> None:
    manager = SyncWorkerManager(app.connector.get_sync_connector(), app.connector.json_loads)
    app.tasks["send"].defer()
    worker_id = manager.register_worker("alpha", ["mail"], 60)
    (job,) = manager.exchange(worker_id, (), limit=1, queues=["mail"]).jobs
    manager.heartbeat(
        worker_id, 60, (), [(job.id or 0, job.claim)], json.dumps({"concurrency": 1, "ending": is_ending})
    )
    told = text_of(client.get("/workers").text)
    assert (" ending " in told, " working " in told) == (is_ending, not is_ending)


def dies(app: adjourn.App, name: str, details: str | None = None, queue: str = "mail") -> int:
    """Have a worker claim what it can, and be declared dead by another."""
    manager = SyncWorkerManager(app.connector.get_sync_connector(), app.connector.json_loads)
    worker_id = manager.register_worker(name, [queue], 60)
    manager.exchange(worker_id, (), limit=10, queues=[queue])
    manager.heartbeat(worker_id, -1, (), (), details)
    assert manager.rescue(5, 0, "rescuer", "worker").died == 1
    return worker_id


def test_workers_that_were_declared_dead_are_shown_with_their_host_and_what_became_of_their_jobs(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    assert "Declared dead" not in text_of(client.get("/workers").text)
    again, once = app.tasks["send"].defer(), app.tasks["fail"].configure(max_attempts=0).defer()
    dead = dies(app, "alpha", '{"host": "web-3", "pid": 4242, "rss": 71000000}')
    idle = dies(app, HOSTILE, queue="idle")
    client.app.state.site.collector.forget("deaths")  # type: ignore[attr-defined]
    page = client.get("/workers").text
    told = text_of(page)
    assert "2 workers were declared dead in the last day" in told
    assert re.search(rf"alpha number {dead} web-3 pid 4242 .* by rescuer 71.0 MB 1 run again, 1 failed", told), told
    assert re.search(rf"number {idle} \u2013 .* by rescuer \u2013 none", told), told
    assert "here again" not in told
    (lead,) = set(re.findall(r'href="([^"]*jobs\?change=[^"]*)"', page))
    jobs = text_of(client.get(html.unescape(lead)).text)
    assert f"Only the 2 jobs that worker {dead}, which was declared dead , had, as they are now" in jobs
    assert {str(again), str(once)} <= set(jobs.split())
    audit = client.get("/audit").text
    assert re.search(rf"rescuer worker declared a worker dead worker.died alpha \(worker {dead}\)", text_of(audit))
    assert "alpha on web-3, pid 4242, last heartbeat 2" in text_of(audit)
    assert client.get("/audit", params={"target": f"worker {dead}"}).text.count("worker.died") == 1


def test_a_note_of_a_death_that_was_written_by_hand_is_left_out_of_the_workers_and_in_the_audit(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    dead = dies(app, "alpha")
    for details in (None, "null", "[]", "{}", '{"worker_id": "x", "name": 7}'):
        observer.execute(
            "insert into adjourn.adjourn_audit (actor, how, action, target, jobs, details, outcome) "
            "values ('ann', 'program', 'worker.died', %s, 0, %s::jsonb, 'written by hand')",
            (f"worker {dead}" if details else None, details),
        )
    client.app.state.site.collector.forget("deaths")  # type: ignore[attr-defined]
    assert "1 worker was declared dead in the last day" in text_of(client.get("/workers").text)
    assert text_of(client.get("/audit").text).count("written by hand") == 5
    assert client.get("/audit", params={"target": f"worker {dead}"}).text.count("worker.died") == 5


def test_a_worker_that_was_only_silent_is_told_to_be_here_again(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    said = '{"host": "web-3", "pid": 4242}'
    dies(app, "alpha", said)
    now = app.job_manager.workers.register_worker("alpha", None, 60)
    observer.execute("update adjourn.adjourn_workers set details = %s where id = %s", (said, now))
    assert f"here again as number {now}" in text_of(client.get("/workers").text)


def test_a_worker_that_died_days_ago_is_in_the_audit_alone(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    dies(app, "alpha")
    observer.execute("update adjourn.adjourn_audit set at = now() - interval '25 h'")
    assert "Declared dead" not in text_of(client.get("/workers").text)
    assert "declared a worker dead" in text_of(client.get("/audit").text)


def test_the_page_of_a_job_leads_to_the_worker_with_which_an_attempt_was_lost(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job_id = app.tasks["send"].defer()
    dead = dies(app, "alpha")
    page = client.get(f"/job?id={job_id}").text
    assert f"Worker number {dead} was declared dead : it was killed, or silent for too long." in text_of(page)
    assert f'href="/audit?target=worker+{dead}"' in page or f'href="/audit?target=worker%20{dead}"' in page
    assert "of which nothing is kept" not in page
    assert (" given up " in text_of(page), " took " in text_of(page)) == (True, False), (
        "nobody knows for how long it ran"
    )


def test_the_page_of_a_job_says_why_it_waits_as_the_page_of_its_queue_does(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    job_id, busy = app.tasks["send"].defer(), app.configure_task("any", queue="reports", allow_unknown=True).defer()
    later = app.tasks["send"].configure(schedule_in={"hours": 1}).defer()

    def told(job: int = job_id) -> str:
        observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '70 s'")
        return text_of(client.get(f"/job?id={job}").text)

    assert "Waits for a worker of queue mail : no worker that is alive serves it" in told()
    assert "no worker that is alive serves it" not in told(later)
    observer.execute("update adjourn.adjourn_jobs set scheduled_at = now() - interval '1 min' where id = %s", (later,))
    assert "Waits for its time and a worker of queue mail : no worker that is alive serves it" in told(later)
    worker_id = app.job_manager.workers.register_worker("alpha", None, 60)
    assert app.job_manager.workers.fetch_job(["reports"], worker_id) is not None
    observer.execute(
        "UPDATE adjourn.adjourn_workers SET running = array[%s::bigint], details = '{\"concurrency\": 1}'", (busy,)
    )
    assert "of queue mail : the one slot of its workers is busy, 1 with jobs of queue reports" in told()
    observer.execute("update adjourn.adjourn_workers set details = '{\"concurrency\": 2}'")
    assert "of queue mail : its workers have free slots" in told()
    app.job_manager.pause_queue("mail")
    assert "its workers have free slots" not in told()


def test_the_reason_why_a_queue_waits_is_that_its_workers_are_busy_elsewhere(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    app.tasks["send"].defer()
    busy = app.tasks["send"].configure(queue="reports").defer()
    worker_id = app.job_manager.workers.register_worker("alpha", None, 60)
    assert app.job_manager.workers.fetch_job(["reports"], worker_id) is not None
    observer.execute(
        "UPDATE adjourn.adjourn_workers SET running = array[%s::bigint], details = '{\"concurrency\": 1}'", (busy,)
    )
    observer.execute("UPDATE adjourn.adjourn_jobs SET enqueued_at = now() - interval '5 min'")
    told = text_of(client.get("/queues").text)
    assert "late the one slot of its workers is busy, 1 with jobs of queue reports" in told


def test_the_overview_does_not_call_well_what_limits_hold_back(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="ship", limits=[Limit(key="tenant", concurrency=1)])
    def ship(tenant: str) -> None:
        """Do nothing."""

    ship.batch_defer({"tenant": "a"}, {"tenant": "b"})
    page = client.get("/").text
    assert "Oldest ready job none 2 jobs held back by limits" in text_of(page)
    assert '<div class="tile warn">' in page


def test_what_a_limit_of_a_task_or_a_key_holds_back_is_told_where_the_jobs_wait(
    app: adjourn.App, client: TestClient, observer: psycopg.Connection
) -> None:
    @app.task(name="ship", queue="ships", limits=[Limit(key="tenant", concurrency=1)])
    def ship(tenant: str) -> None:
        """Do nothing."""

    app.job_manager.set_limit(task="send", concurrency=1)
    ids = ship.batch_defer({"tenant": "a"}, {"tenant": "b"})
    letter = app.tasks["send"].configure(queue="letters").defer()
    # As a worker leaves it that finds the place taken.
    sql = "update adjourn.adjourn_jobs set hold = 7, gate_id = (select id from adjourn.adjourn_limits where name = 'send') where id = %s"
    observer.execute(sql, (letter,))
    for queue, told in (
        ("ships", "limit ship holds back 2 jobs"),
        ("letters", "the limit of task send holds back 1 job"),
    ):
        for path in ("/queues", f"/queue?name={queue}"):
            assert told in text_of(client.get(path).text), path
    assert "the limit of task" not in text_of(client.get("/queue?name=ships").text)
    assert "Waits for a place under limit ship" in text_of(client.get(f"/job?id={ids[0]}").text)
    assert "Waits for a place under the limit of task send" in text_of(client.get(f"/job?id={letter}").text)


def test_limits_are_told_with_what_is_taken(app: adjourn.App, client: TestClient) -> None:
    app.job_manager.set_limit(queue="mail", concurrency=3)
    app.job_manager.set_limit(task="send", rate=Rate(10, 60))
    told = text_of(client.get("/limits").text)
    assert "0 of 3" in told
    assert "10 in 60 s" in told
    assert "None" not in told


def test_a_workflow_is_drawn_and_listed(app: adjourn.App, client: TestClient) -> None:
    flow = app.workflow(name="nightly")
    first = flow.add(app.tasks["send"])
    second = flow.add(app.tasks["fail"], depends_on=first)
    flow.add(app.tasks["send"], depends_on=[first, second], run_if="all_done")
    stored = flow.defer()
    page = client.get("/workflows").text
    assert f"workflow?id={stored.id}" in page
    page = client.get(f"/workflow?id={stored.id}").text
    assert page.count('class="node ') == 3
    assert page.count('class="edge"') == 3
    app.run_worker(wait=False)
    page = client.get(f"/workflow?id={stored.id}").text
    assert re.findall(r'class="node (\w+)"', page) == ["succeeded", "failed", "succeeded"]


def test_the_database_is_examined(client: TestClient) -> None:
    until(lambda: "without fault" in client.get("/database").text)
    told = text_of(client.get("/database").text)
    assert re.search(
        r"Jobs that have ended are kept in \d+ weeks? from \d{4}-\d\d-\d\d on, about [\d,]+ jobs? in all\.", told
    )
    assert re.search(r"There are \d+ partitions ahead, until \d{4}-\d\d-\d\d\. The default partition is empty\.", told)


def test_names_of_others_are_harmless(app: adjourn.App, client: TestClient, observer: psycopg.Connection) -> None:
    app.tasks["send"].configure(queue=HOSTILE, lock=HOSTILE).defer()
    app.configure_task(HOSTILE, queue=HOSTILE).defer()
    worker_id = app.job_manager.workers.register_worker(HOSTILE, [HOSTILE], 60)
    observer.execute("UPDATE adjourn.adjourn_jobs SET task_name = %s", (HOSTILE,))
    job = app.job_manager.workers.fetch_job([HOSTILE], worker_id)
    assert job is not None
    observer.execute("UPDATE adjourn.adjourn_workers SET running = array[%s::bigint]", (job.id,))
    app.job_manager.set_limit(queue=HOSTILE, concurrency=3)
    app.job_manager.pause_task(HOSTILE)
    for path in ("/", "/queues", "/tasks", "/workers", "/limits"):
        page = client.get(path).text
        assert "&lt;script&gt;alert(1)" in page, path
        assert "<script>alert" not in page, path
        # What a form sends back is as it is; what people read is spelled out.
        shown = re.sub(r'value="[^"]*"|data-row="[^"]*"', "", page)
        assert not set("\u202e\u2028\x1b") & set(shown), path


def test_a_queue_with_a_hostile_name_can_be_paused(app: adjourn.App, client: TestClient) -> None:
    app.tasks["send"].configure(queue=HOSTILE).defer()
    page = client.get("/queues").text
    value = re.search(r'name="queue" value="([^"]*)"', page)
    assert value is not None
    client.post("/do/queue.pause", data={"queue": HOSTILE}, headers=SAME_SITE)
    assert [pause.name for pause in app.job_manager.list_pauses()] == [HOSTILE]


def test_pages_have_nothing_inline(app: adjourn.App, client: TestClient) -> None:
    for page in ("/", "/queues", "/tasks", "/workers", "/limits", "/workflows", "/database", "/nowhere"):
        text = client.get(page).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), page
        assert re.findall(r"<script[^>]*>[^<]", text) == [], page
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), page


def test_static_files_are_kept_for_ever_under_names_of_their_content(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["cache-control"] == "no-store"
    for name in re.findall(r"/static/[\w.]+", page.text):
        answer = client.get(name)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert client.get("/static/adjourn.0123456789ab.css").status_code == 404
    assert len(client.get(re.findall(r"/static/adjourn\.\w+\.js", page.text)[0]).content) <= 25_000


def test_what_is_wrong_in_an_address_is_named(client: TestClient) -> None:
    wrong = {
        "/workflow": "id: it is missing",
        "/workflow?id=abc": "id: 'abc' is not a whole number",
        "/workflow?id=-1": "id: -1 is out of range",
        "/workflow?id=9223372036854775808": "id: 9223372036854775808 is out of range",
        "/queues?find=" + "x" * 3000: "find: it has 3,000 characters",
        "/queues?find=a%00b": "find: it has a NUL character",
        "/queues?find=%ff": "parameters: they are not text in UTF-8",
        "/queues?find=" + "x" * 20_000: "parameters: the address has more than 16,384 characters",
    }
    for address, text in wrong.items():
        answer = client.get(address)
        assert answer.status_code == 400, address
        assert text in text_of(answer.text).replace("&#39;", "'"), address
    assert client.get("/workflow?id=42").status_code == 404
    assert client.get("/nowhere").status_code == 404


@pytest.fixture
def gone() -> Iterator[TestClient]:
    """A dashboard of a database that is not there."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo="host=127.0.0.1 port=1 dbname=gone"))
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        yield client


def test_without_a_database_pages_say_so(gone: TestClient) -> None:
    for page in ("/", "/queues", "/workers", "/database"):
        answer = gone.get(page)
        assert answer.status_code == 200
        assert "The database does not answer." in answer.text
        assert "no answer" in answer.text or "stale for" in answer.text
    for page in ("/", "/queue?name=mail", "/task?name=send"):
        answer = gone.get(page)
        assert "was counted" not in answer.text, "nobody knows that"
        assert "has failed" not in answer.text
    assert gone.get("/workflow?id=1").status_code == 503


def test_an_app_in_memory_is_told_that_there_is_nothing_to_see() -> None:
    from adjourn.testing import InMemoryConnector

    app = adjourn.App(connector=InMemoryConnector())
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        assert "in-memory connector" in client.get("/").text


def test_what_limits_hold_back_is_counted_beside_what_waits_otherwise(app: adjourn.App, client: TestClient) -> None:
    @app.task(name="ship", limits=[Limit(key="tenant", concurrency=1)])
    def ship(tenant: str) -> None:
        """Do nothing."""

    ship.batch_defer({"tenant": "a"}, {"tenant": "b"})
    for path in ("/", "/queues"):
        page = client.get(path).text
        assert "2 held back by limits" in text_of(page)
        assert '<a href="/limits">2 held back by limits</a>' in page


def test_a_workflow_links_the_jobs_that_its_jobs_wait_for(app: adjourn.App, client: TestClient) -> None:
    flow = app.workflow(name="nightly")
    first = flow.add(app.tasks["send"])
    flow.add(app.tasks["fail"], depends_on=first)
    stored = flow.defer()
    table = client.get(f"/workflow?id={stored.id}").text.split("<tbody>")[1]
    assert table.count(f'href="/job?id={stored.job_id(first)}"') == 2
    assert '<td data-label="Waits for" class="full">\u2013</td>' in table
