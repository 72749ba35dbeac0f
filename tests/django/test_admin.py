"""The admin: what its pages show and cost, and what its actions do."""

from __future__ import annotations

import datetime
import html
import json
import re
from collections import Counter
from typing import Any

import psycopg
import pytest
from django.contrib.admin import site as admin_site
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.functional import Promise

import adjourn
from adjourn._domain.checks import WAITS_FOR
from adjourn._domain.pauses import PAUSED
from adjourn.contrib.django import admin, app
from adjourn.contrib.django.admin import actions, paginator
from adjourn.contrib.django.admin.actions import KEPT
from adjourn.contrib.django.models import Job, Schedule, Worker
from adjourn.contrib.django.test import make_job
from adjourn.exceptions import ConnectorException
from adjourn.manager import JobManager
from support.shop.tasks import bill, ship

Shop = psycopg.Connection
JOBS = "/admin/adjourn/job/"
NOW = datetime.datetime.now(datetime.UTC)
EVIL = "<script>alert('x')</script>"
ENDED = ("succeeded", "failed", "cancelled", "aborted")


def client(*permissions: str) -> Client:
    """Log a user in: with these permissions, or one who may do all."""
    name = "-".join(permissions) or "root"
    user, is_new = User.objects.get_or_create(username=name, is_staff=True, is_superuser=not permissions)
    if is_new:
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def root(shop: Shop) -> Client:
    """A user who may do all, and no jobs."""
    return client()


def body(browser: Client, address: str, **data: Any) -> str:
    """The text of a page."""
    response = browser.post(address, data, follow=True) if data else browser.get(address)
    assert response.status_code == 200
    return response.content.decode()


def listed(browser: Client, query: str = "") -> list[int]:
    """The ids of the jobs of a list, in order."""
    return [int(each) for each in re.findall(r'name="_selected_action" value="(\d+)"', body(browser, JOBS + query))]


def messages(page: str) -> list[str]:
    """What a page says at its top."""
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', page, re.DOTALL)
    return (
        []
        if found is None
        else [html.unescape(each) for each in re.findall(r"<li[^>]*>(.*?)</li>", found[1], re.DOTALL)]
    )


def act(browser: Client, action: str, ids: list[int], query: str = "", **more: str) -> list[str]:
    """Choose an action and confirm it; what the list says then."""
    form = {"action": action, "_selected_action": ids, **more}
    asked = body(browser, JOBS + query, index="0", **form)
    assert 'name="confirmed" value="yes"' in asked
    return messages(body(browser, JOBS + query, confirmed="yes", **form))


def in_each_state(shop: Shop, number: int) -> dict[str, list[int]]:
    """So many jobs in each state, which nothing but their state tells apart."""
    made: dict[str, list[int]] = {
        status: [make_job(bill, status=status, args={"order_id": 1}).pk for _ in range(number)]
        for status in (*ENDED, "doing")
    }
    later = NOW + datetime.timedelta(hours=1)
    made["todo"] = bill.batch_defer(*[{"order_id": 1}] * number)
    made["scheduled"] = bill.configure(schedule_at=later).batch_defer(*[{"order_id": 1}] * number)
    return made


def states(shop: Shop, ids: list[int]) -> Counter[str]:
    """Count jobs by state, scheduled ones apart."""
    rows = shop.execute(
        "SELECT CASE WHEN waits_for = 'time' THEN 'scheduled' WHEN abort_requested THEN 'asked' ELSE status END"
        " FROM adjourn.adjourn_all_jobs WHERE id = any(%s)",
        [ids],
    )
    return Counter(state for (state,) in rows)


# Lists


@pytest.mark.parametrize("number", [0, 100])
def test_a_list_costs_six_queries_whatever_its_length(root: Client, number: int) -> None:
    for _ in range(number // 20):
        bill.batch_defer(*[{"order_id": 1}] * 20)
    for status in ENDED:
        make_job(ship, status=status, lock="l", args={"order_id": EVIL}, worker_id=7)
    for query in ("", "?all=", "?status=failed", "?q=l", "?p=2"):
        with CaptureQueriesContext(connection) as queries:
            body(root, JOBS + query)
        assert len(queries) <= 6, [each["sql"] for each in queries]


def test_a_list_reads_no_errors_no_results_and_no_long_arguments(root: Client) -> None:
    make_job(ship, status="failed", args={"text": "a" * 100_000}, errors=[{"message": "b" * 100_000}])
    with CaptureQueriesContext(connection) as queries:
        page = body(root, JOBS)
    assert "aaa…" in page
    assert len(page) < 50_000
    (query,) = (each["sql"] for each in queries if "queueing_lock" in each["sql"])
    assert '"errors"' not in query
    assert '"result"' not in query
    assert '"args"' in query.partition("FROM")[0]  # the beginning of the text


def test_jobs_are_listed_newest_first_and_nothing_can_be_added(root: Client) -> None:
    ids = bill.batch_defer(*[{"order_id": 1}] * 60)
    assert listed(root) == ids[:-51:-1]
    assert listed(root, "?p=2") == ids[9::-1]
    assert root.get(f"{JOBS}add/").status_code == 403
    assert root.post(f"{JOBS}{ids[0]}/delete/").status_code == 403
    assert root.post(f"{JOBS}{ids[0]}/change/", {"priority": 9}).status_code == 403


def test_the_filters_find_jobs(root: Client, shop: Shop) -> None:
    made = in_each_state(shop, 1)
    (retry,) = [make_job(ship, attempts=1, scheduled_at=NOW + datetime.timedelta(hours=1), queue_name="mail").pk]
    locked = bill.configure(lock="a lock").defer(order_id=1)
    periodic = make_job("builtin:adjourn.builtin_tasks.remove_old_jobs", status="failed").pk
    assert listed(root, "?status=failed") == [periodic, *made["failed"]]
    assert listed(root, "?waits_for=time") == made["scheduled"]
    assert listed(root, "?waits_for=retry") == [retry]
    assert listed(root, "?waits_for=lock") == [locked]
    assert listed(root, "?lock=a+lock") == [locked]
    assert listed(root, "?queue=mail") == [retry]
    assert listed(root, f"?task={ship.name}") == [retry]
    assert listed(root, f"?worker={Job.objects.get(pk=made['doing'][0]).worker_id}&status=doing")[0] == made["doing"][0]
    assert listed(root, "?worker=x") == listed(root, "?queue=nobody+has+it") == listed(root, "?status=nonsense") == []
    assert listed(root, "?lock=%00") == listed(root, "?worker=%00") == []
    assert listed(root, "?periodic=yes") == []
    assert len(listed(root, "?periodic=no")) == Job.objects.count()
    page = body(root, JOBS)
    assert f"?task={ship.name}" in page, "tasks that the program knows"
    assert "?queue=mail" in page, "queues of live jobs"


def test_a_job_of_a_workflow_and_one_that_waits_for_an_event_are_shown(root: Client, shop: Shop) -> None:
    flow = app.workflow("orders")
    flow.add(bill, depends_on=flow.add(bill, task_kwargs={"order_id": 1}), task_kwargs={"order_id": 1})
    flow.defer()
    waiting = bill.defer(order_id=2)
    shop.execute("UPDATE adjourn.adjourn_jobs SET awaited_event = 'paid', hold = 1 WHERE id = %s", [waiting])
    page = body(root, JOBS)
    assert "for an event" in page
    assert "for other jobs" in page
    assert listed(root, "?waits_for=event") == [waiting]
    assert len(listed(root, "?waits_for=jobs")) == 1


def test_the_page_of_a_job_shows_its_progress_its_terms_and_leads_to_its_workflow(root: Client, shop: Shop) -> None:
    flow = app.workflow("orders")
    first = flow.add(ship.configure(max_attempts=7), task_kwargs={"order_id": 1})
    flow.add(bill, depends_on=first, task_kwargs={"order_id": 1})
    stored = flow.defer()
    bill.defer(order_id=3)
    said = {"current": 3, "total": 4, "message": EVIL, "at": NOW.isoformat()}
    ids = listed(root, f"?workflow={stored.id}")
    assert len(ids) == 2
    shop.execute("UPDATE adjourn.adjourn_jobs SET progress = %s::jsonb WHERE id = %s", [json.dumps(said), ids[1]])
    page = body(root, f"{JOBS}{ids[1]}/change/")
    assert "3 / 4 (75%) &lt;script&gt;" in page
    assert f"{JOBS}?workflow={stored.id}" in page
    assert re.search(r"runs again at most.*?>7<", page, re.IGNORECASE | re.DOTALL)
    with override_settings(ADJOURN_ADMIN_HIDE_ARGS=[ship.name]):
        page = body(root, f"{JOBS}{ids[1]}/change/")
        assert "3 / 4 (75%)" in page
        assert EVIL[1:7] not in page.partition("3 / 4")[2].partition("</div>")[0]
    with override_settings(USE_TZ=False):
        connection.close()
        body(root, f"{JOBS}{ids[1]}/change/")
    connection.close()
    assert listed(root, "?workflow=x") == listed(root, "?workflow=999999999") == []
    app.job_manager.cancel_workflow(stored.id)
    app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    assert listed(root, f"?workflow={stored.id}") == ids
    assert f"workflow {stored.id} was cancelled" in body(root, f"{JOBS}{ids[0]}/change/")


def test_the_page_of_a_worker_shows_what_it_has_said_of_itself(root: Client) -> None:
    with override_settings(ADJOURN_READONLY_MODELS=False):
        worker = Worker.objects.create(name="w", expires_at=NOW, details={"host": "a.host", "pid": 7})
    assert "a.host" in body(root, f"/admin/adjourn/worker/{worker.pk}/change/")


def test_everything_that_a_job_can_wait_for_has_a_label() -> None:
    assert {*Job.WaitsFor.values} == {*WAITS_FOR}


def test_the_search_finds_an_id_a_task_and_a_lock(root: Client) -> None:
    job = make_job("a.task", status="failed", lock="a lock").pk
    make_job("another", status="failed", lock="0")
    for term in (str(job), "a.task", "a+lock", f"+{job}+"):
        assert listed(root, f"?q={term}") == [job]
    for term in ("a.tas", "lock", "99999999999999999999", "%C2%B2"):
        assert listed(root, f"?q={term}") == []


def test_a_long_list_is_counted_only_so_far(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paginator, "MOST", 1000)
    bill.batch_defer(*[{"order_id": 1}] * 1000)
    assert "1,000+" not in body(root, JOBS)
    bill.defer(order_id=1)
    assert "1,000+ jobs" in body(root, JOBS)
    assert len(listed(root, "?p=20")) == 50
    with override_settings(USE_THOUSAND_SEPARATOR=True):
        assert "1,000 jobs" in body(root, JOBS)


# What they show


def test_what_a_job_holds_is_escaped(root: Client) -> None:
    worker = make_job("x", status="doing").worker
    assert worker is not None
    with override_settings(ADJOURN_READONLY_MODELS=False):
        Worker.objects.update(name=EVIL)
    error = {"exception": EVIL, "message": EVIL, "traceback": EVIL, "attempt": 1, "worker_name": EVIL}
    options = {"args": {EVIL: EVIL}, "lock": EVIL, "queueing_lock": EVIL, "queue_name": EVIL, "errors": [error]}
    ids = [
        make_job(EVIL, status="failed", result=EVIL, worker=worker, **options).pk,
        make_job(EVIL, status="doing", worker=worker, **{**options, "errors": None}).pk,
    ]
    pages = [JOBS, f"{JOBS}?lock={EVIL}&queue={EVIL}&task={EVIL}&q={EVIL}"]
    pages += [f"{JOBS}{each}/change/" for each in ids]
    pages += ["/admin/adjourn/worker/", f"/admin/adjourn/worker/{worker.pk}/change/"]
    for address in pages:
        page = body(root, address)
        assert "<script>alert" not in page, address
        assert "&lt;script&gt;alert" in page, address
    with pytest.raises(AssertionError):
        body(root, f"{JOBS}999999/change/")  # it leads back to the list


def test_the_page_of_a_job_shows_its_errors_events_and_the_jobs_of_its_lock(root: Client) -> None:
    error = {
        "exception": "a.Error", "message": "lost", "traceback": "Traceback: here", "attempt": 1, "worker_id": 5,
        "started_at": "2026-01-01T10:00:00+00:00", "ended_at": "2026-01-01T10:00:02.500+00:00",
    }  # fmt: skip
    job = make_job(ship, status="failed", args={"order_id": 7}, errors=[error], lock="l", result={"a": ["b"]})
    other = ship.configure(lock="l").defer(order_id=8)
    body(root, f"{JOBS}{job.pk}/change/")  # Django asks once which models there are
    with CaptureQueriesContext(connection) as queries:
        page = body(root, f"{JOBS}{job.pk}/change/")
    assert len(queries) <= 6, [each["sql"] for each in queries]
    for text in (
        "a.Error",
        "lost",
        "Traceback: here",
        "2026-01-01 10:00:02, after 2.5 s, by 5",
        f"{JOBS}{other}/change/",
    ):
        assert text in page
    for text in ('  "order_id": 7', '  "a": ['):
        assert html.escape(text) in page
    assert re.findall(r"<td>(deferred|started|failed)</td>", page) == ["deferred", "started", "failed"]
    with override_settings(TIME_ZONE="Europe/Berlin"):
        assert "2026-01-01 11:00:02" in body(root, f"{JOBS}{job.pk}/change/")


def test_without_time_zones_times_are_shown_as_they_are_on_the_clock(root: Client) -> None:
    due = datetime.datetime(2101, 7, 1, 10, tzinfo=datetime.UTC)
    job_id = bill.configure(schedule_at=due, expires_at=due + datetime.timedelta(hours=1)).defer(order_id=1)
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
        connection.close()
        page = body(root, f"{JOBS}{job_id}/change/")
        assert "2101-07-01 12:00:00" in page
        assert "1 July 2101" in page or "July 1, 2101, noon" in page
        assert "July 1, 2101, 1 p.m." in page
        assert "2101-07-01 12:00:00" in body(root, JOBS)
    connection.close()


def test_a_worker_that_is_gone_is_told_by_its_number(root: Client) -> None:
    job = make_job(ship, status="failed", worker_id=987654)
    assert "987654, which has ended" in body(root, f"{JOBS}{job.pk}/change/")


def test_secrets_of_tasks_that_are_named_are_shown_nowhere(root: Client) -> None:
    job = make_job(ship, status="failed", args={"password": "hunter2"}, result="hunter2")
    with override_settings(ADJOURN_ADMIN_HIDE_ARGS=[ship.name]):
        for address in (JOBS, f"{JOBS}{job.pk}/change/"):
            page = body(root, address)
            assert "hunter2" not in page
            assert "hidden" in page
    assert "hunter2" in body(root, JOBS)


def test_sensitive_arguments_are_shown_nowhere(root: Client) -> None:
    headers = {"adjourn-sensitive": "to"}
    entry = {"exception": "ValueError", "message": "no 'hunter2'", "traceback": "send('hunter2')", "attempt": 1}
    job = make_job(ship, status="failed", args={"to": "hunter2"}, result="hunter2", headers=headers, errors=[entry])
    page = body(root, f"{JOBS}{job.pk}/change/")
    assert "hunter2" not in page
    assert "no &#x27;***&#x27;" in page


def test_secrets_of_a_task_of_the_framework_are_hidden_by_its_path_too(root: Client) -> None:
    job = make_job("django:shop.letters.send", status="failed", args={"args": ["hunter2"]})
    for name in ("shop.letters.send", job.task_name):
        with override_settings(ADJOURN_ADMIN_HIDE_ARGS=[name]):
            assert not any("hunter2" in body(root, address) for address in (JOBS, f"{JOBS}{job.pk}/change/"))
    with override_settings(ADJOURN_ADMIN_HIDE_ARGS=["letters.send"]):
        assert "hunter2" in body(root, JOBS)


def test_filters_offer_the_tasks_and_queues_of_jobs_that_have_ended(root: Client) -> None:
    make_job("django:shop.letters.send", status="succeeded", queue_name="letters")
    page = body(root, JOBS)
    assert "?task=django%3Ashop.letters.send" in page
    assert "?queue=letters" in page


def test_every_label_is_translated_when_it_is_shown(root: Client) -> None:
    labels: list[Any] = [
        *(action.label for action in actions.JOB_ACTIONS),
        *(text for action in actions.JOB_ACTIONS for text in (action.verb, action.asked.help, action.asked.button)),
    ]
    for model in (Job, Schedule, Worker):
        labels += [model._meta.verbose_name, model._meta.verbose_name_plural]
        labels += [field.verbose_name for field in model._meta.concrete_fields]
        shown = admin_site._registry[model]
        labels += [
            getattr(shown, str(name)).short_description for name in shown.list_display if hasattr(shown, str(name))
        ]
    for choices in (Job.Status, Job.WaitsFor):
        labels += [label for _, label in choices.choices]
        labels += [each._label_ for each in choices]
    labels += [each.title for each in admin.JobAdmin.list_filter]
    assert all(isinstance(each, Promise) for each in labels), [each for each in labels if not isinstance(each, Promise)]


def test_workers_are_alive_silent_or_dead(root: Client) -> None:
    with override_settings(ADJOURN_READONLY_MODELS=False):
        for name, expires, dead in (("a", 3600, False), ("b", -60, False), ("c", -60, True)):
            Worker.objects.create(name=name, expires_at=NOW + datetime.timedelta(seconds=expires), dead=dead)
    page = body(root, "/admin/adjourn/worker/")
    assert re.findall(r">(alive|silent|dead)<", page) == ["dead", "silent", "alive"]


# Actions

MIXED = {
    "retry": ({"failed", "cancelled", "aborted"}, "todo", "run again"),
    "run_now": ({"scheduled"}, "todo", "are due now"),
    "cancel": ({"todo", "scheduled"}, "cancelled", "were cancelled"),
    "abort": ({"doing"}, "asked", "were asked to end"),
    "remove": ({*ENDED}, None, "were deleted"),
}


@pytest.mark.parametrize("action", MIXED)
def test_an_action_on_jobs_in_mixed_states_does_what_it_can_and_says_what_it_has_left(
    root: Client, shop: Shop, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suited, becomes, done = MIXED[action]
    monkeypatch.setattr(actions, "BATCH", 30)
    made = in_each_state(shop, 15)
    ids = [job_id for each in made.values() for job_id in each]
    before = states(shop, ids)
    number = 15 * len(suited)
    told, left = act(root, action, ids)
    expected = before - Counter(dict.fromkeys(suited, 15))
    assert states(shop, ids) == expected + Counter({becomes: number} if becomes else {})
    assert told == f"{number} jobs {done}."
    assert left.startswith(f"{len(ids) - number} jobs were left as they are: ")
    labels = {"todo": "waiting", "scheduled": "waiting", "doing": "running"}
    counted = Counter({label: int(count) for count, label in re.findall(r"(\d+) ([a-z]+)[,.]", left.split(": ")[1])})
    assert counted == sum((Counter({labels.get(state, state): count}) for state, count in expected.items()), Counter())


@pytest.mark.parametrize("action", MIXED)
def test_the_audit_names_who_has_changed_jobs_in_the_admin(root: Client, shop: Shop, action: str) -> None:
    suited, *_ = MIXED[action]
    made = in_each_state(shop, 2)
    ids = [job_id for each in made.values() for job_id in each]
    body(root, JOBS, index="0", action=action, _selected_action=ids)
    assert app.job_manager.actions.list_audit() == [], "it has only asked"
    act(root, action, ids)
    notes = app.job_manager.actions.list_audit()
    assert {(note.author.name, note.author.how, note.author.address) for note in notes} == {
        ("root", "admin", "127.0.0.1")
    }
    assert sum(note.jobs for note in notes) == 2 * len(suited)


def test_the_audit_names_who_has_changed_schedules_in_the_admin(
    root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "periodic_registry", type(app.periodic_registry)())
    task = app.task(name="sweep")(lambda timestamp: None)
    app.periodic(cron="@hourly", periodic_id="a", queueing_lock="q")(task)
    try:
        app.job_manager.defer_periodic_job(
            adjourn.jobs.Job(queue="default", task_name="sweep"), "a", 60, cron="@hourly"
        )
        (id_,) = Schedule.objects.values_list("pk", flat=True)
        for action in ("pause", "resume", "defer_now", "defer_now"):
            body(root, "/admin/adjourn/schedule/", confirmed="yes", action=action, _selected_action=[id_])
        notes = app.job_manager.actions.list_audit()
        assert [note.action for note in notes] == ["schedule.run", "schedule.resume", "schedule.pause"]
        assert {note.author.name for note in notes} == {"root"}
        assert notes[0].outcome == f"stored job {Job.objects.get(queueing_lock='q').pk}"
        paused_by = "root"
        app.job_manager.resume_schedule("sweep", "a")
        body(root, "/admin/adjourn/schedule/", confirmed="yes", action="pause", _selected_action=[id_])
        assert [pause.paused_by for pause in app.job_manager.list_pauses()] == [paused_by]
    finally:
        del app.tasks["sweep"]


def test_an_action_asks_first_and_does_nothing_then(root: Client, shop: Shop) -> None:
    ids = bill.batch_defer(*[{"order_id": 1}] * 3)
    page = body(root, JOBS, index="0", action="cancel", _selected_action=ids)
    assert "Cancel 3 jobs?" in page
    assert states(shop, ids) == {"todo": 3}
    assert "Cancel 1 job?" in body(root, JOBS, index="0", action="cancel", _selected_action=ids[:1])


def test_an_action_on_all_jobs_of_a_filter_works_in_batches(
    root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 10)
    mine = bill.configure(queue="mail").batch_defer(*[{"order_id": 1}] * 60)
    others = bill.batch_defer(*[{"order_id": 1}] * 5)
    told = act(root, "cancel", mine[:1], "?queue=mail", select_across="1")
    assert told == ["60 jobs were cancelled."]
    assert states(shop, others) == {"todo": 5}


def test_an_action_that_takes_long_says_that_there_is_more(
    root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "BATCH", 1)
    monkeypatch.setattr(actions, "LONGEST", -1.0)
    ids = bill.batch_defer(*[{"order_id": 1}] * 3)
    (told,) = act(root, "cancel", ids)
    assert "Repeat the action" in told


def test_a_job_that_is_gone_or_changed_meanwhile_is_told(root: Client) -> None:
    gone, ended = bill.batch_defer({"order_id": 1}, {"order_id": 1})
    form = {"action": "cancel", "_selected_action": [gone, ended]}
    body(root, JOBS, index="0", **form)
    app.job_manager.cancel_job_by_id(gone, delete_job=True)
    app.job_manager.cancel_job_by_id(ended)
    assert messages(body(root, JOBS, confirmed="yes", **form)) == ["1 job was left as it is: 1 cancelled."]


def test_an_error_of_the_database_is_told(root: Client, shop: Shop) -> None:
    job_id = bill.defer(order_id=1)
    shop.execute("ALTER FUNCTION adjourn.adjourn_cancel_jobs_v1 RENAME TO away")
    try:
        (told,) = act(root, "cancel", [job_id])
    finally:
        shop.execute("ALTER FUNCTION adjourn.away RENAME TO adjourn_cancel_jobs_v1")
    assert "adjourn_cancel_jobs_v1" in told


@pytest.mark.parametrize("action", ["retry", "run_now"])
def test_who_wants_jobs_to_run_is_told_of_the_pauses_that_keep_them(root: Client, shop: Shop, action: str) -> None:
    if action == "retry":
        job_id = make_job(bill, status="failed", queue_name="mail", args={"order_id": 1}).pk
    else:
        job_id = bill.configure(queue="mail", schedule_in={"hours": 1}).defer(order_id=1)
    app.job_manager.pause_queue("others")
    app.job_manager.pause_queue("mail")
    app.job_manager.pause_task(bill.name, seconds=3600)
    told = act(root, action, [job_id])[1:]
    app.job_manager.resume_queue("others")
    app.job_manager.resume_queue("mail")
    app.job_manager.resume_task(bill.name)
    assert told == [
        "Queue mail is paused: no job of it starts until it is resumed.",
        f"Task {bill.name} is paused: no job of it starts until the pause ends.",
    ]


def test_what_is_done_is_told_as_done_where_pauses_cannot_be_read(
    root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = make_job(bill, status="failed", args={"order_id": 1}).pk

    def list_pauses(self: JobManager) -> Any:
        raise ConnectorException("gone")

    monkeypatch.setattr(JobManager, "list_pauses", list_pauses)
    assert act(root, "retry", [failed]) == ["1 job runs again."]
    assert states(shop, [failed]) == {"todo": 1}


def test_a_queueing_lock_that_is_taken_does_not_stop_a_retry(root: Client, shop: Shop) -> None:
    failed = make_job(bill, status="failed", queueing_lock="q", args={"order_id": 1}).pk
    bill.configure(queueing_lock="q").defer(order_id=2)
    assert act(root, "retry", [failed]) == ["1 job runs again."]
    assert states(shop, [failed]) == {"todo": 1}


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (["view_job"], set()),
        (["change_job"], {"retry", "run_now", "cancel", "abort"}),
        (["view_job", "delete_job"], {"remove"}),
        (["change_job", "delete_job"], {"retry", "run_now", "cancel", "abort", "remove"}),
    ],
)
def test_a_user_is_offered_the_actions_that_his_permissions_allow(
    shop: Shop, permissions: list[str], offered: set[str]
) -> None:
    browser = client(*permissions)
    todo, failed = bill.defer(order_id=1), make_job(bill, status="failed").pk
    page = body(browser, JOBS)
    assert {*re.findall(r'<option value="(\w+)"', page)} == offered
    buttons = {*re.findall(r'name="action" value="(\w+)"', body(browser, f"{JOBS}{todo}/change/"))}
    assert buttons == offered & {"cancel"}
    buttons = {*re.findall(r'name="action" value="(\w+)"', body(browser, f"{JOBS}{failed}/change/"))}
    assert buttons == offered & {"retry", "remove"}
    body(browser, JOBS, confirmed="yes", action="cancel", _selected_action=[todo])
    assert states(shop, [todo]) == ({"cancelled": 1} if "cancel" in offered else {"todo": 1})


def test_nobody_without_permission_sees_jobs(shop: Shop) -> None:
    assert client("view_order").get(JOBS).status_code == 403


def test_a_periodic_task_is_deferred_by_hand(root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = type(app.periodic_registry)()
    monkeypatch.setattr(app, "periodic_registry", registry)

    def sweep(timestamp: int, room: str) -> None: ...

    task = app.task(name="sweep")(sweep)
    app.periodic(cron="@hourly", periodic_id="a", task_kwargs={"room": "a"}, queueing_lock="q")(task)
    try:
        for name, periodic_id in (("sweep", "a"), ("forgotten", "")):
            job = adjourn.jobs.Job(queue="default", task_name=name)
            app.job_manager.defer_periodic_job(job, periodic_id, 60, cron="@hourly")
        ids = list(Schedule.objects.order_by("pk").values_list("pk", flat=True))
        form = {"action": "defer_now", "_selected_action": ids}
        address = "/admin/adjourn/schedule/"
        assert "Defer the tasks of 2 schedules now?" in body(root, address, index="0", **form)
        assert messages(body(root, address, confirmed="yes", **form)) == [
            "1 job was deferred.",
            "1 was not: this program has no such schedule.",
        ]
        deferred = Job.objects.get(args__room="a")
        assert abs(deferred.args["timestamp"] - deferred.enqueued_at.timestamp()) < 60
        assert "1 was not: a job with its queueing lock waits already." in messages(
            body(root, address, confirmed="yes", **form)
        )
        assert "in " in body(root, f"{address}{ids[0]}/change/")
        browser = client("view_schedule")
        assert "defer_now" not in body(browser, address)
    finally:
        del app.tasks["sweep"]


def test_the_admin_says_of_pauses_what_the_others_say() -> None:
    assert set(KEPT) == set(PAUSED.values())


@pytest.mark.parametrize("action", ["defer_now", "resume"])
def test_who_wants_ticks_to_run_is_told_of_the_pauses_that_keep_their_jobs(
    root: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setattr(app, "periodic_registry", type(app.periodic_registry)())
    task = app.task(name="sweep", queue="rooms")(lambda timestamp: None)
    app.periodic(cron="@hourly")(task)
    manager = app.job_manager
    try:
        for name in ("sweep", "forgotten"):
            manager.defer_periodic_job(adjourn.jobs.Job(queue="default", task_name=name), "", 60, cron="@hourly")
        manager.pause_queue("rooms", seconds=3600)
        manager.pause_queue("default")
        manager.pause_task("forgotten")
        ids = list(Schedule.objects.order_by("pk").values_list("pk", flat=True))
        form = {"confirmed": "yes", "action": action, "_selected_action": ids}
        told = [each for each in messages(body(root, "/admin/adjourn/schedule/", **form)) if "paused" in each]
        rooms = "Queue rooms is paused: no job of it starts until the pause ends."
        forgotten = "Task forgotten is paused: no job of it starts until it is resumed."
        # A job of what this program has no schedule of is not deferred by hand.
        assert told == ([rooms] if action == "defer_now" else [rooms, forgotten])
    finally:
        manager.resume_queue("rooms")
        manager.resume_queue("default")
        manager.resume_task("forgotten")
        del app.tasks["sweep"]


def test_schedules_are_paused_and_resumed(root: Client, shop: Shop) -> None:
    for name in ("sweep", "report"):
        job = adjourn.jobs.Job(queue="default", task_name=name)
        app.job_manager.defer_periodic_job(job, "a", 60, cron="@hourly")
    app.job_manager.pause_schedule("report", "a")
    ids = list(Schedule.objects.order_by("pk").values_list("pk", flat=True))
    address = "/admin/adjourn/schedule/"
    form = {"_selected_action": ids}
    assert body(root, address).count(">paused<") == 1
    assert "Pause 2 schedules?" in body(root, address, index="0", action="pause", **form)
    paused = messages(body(root, address, confirmed="yes", action="pause", **form))
    assert paused == ["1 schedule was paused.", "1 was left as it is."]
    assert {pause.name for pause in app.job_manager.list_pauses()} == {"sweep", "report"}
    assert body(root, address).count(">paused<") == 2
    assert "paused since" in body(root, f"{address}{ids[0]}/change/").lower()
    resumed = messages(body(root, address, confirmed="yes", action="resume", **form))
    assert resumed == ["2 schedules were resumed."]
    assert app.job_manager.list_pauses() == []
    assert 'value="pause"' not in body(client("view_schedule"), address)


def test_a_page_can_be_changed_by_a_subclass(root: Client) -> None:
    class OurJobAdmin(admin.JobAdmin):
        list_per_page = 2

    bill.batch_defer(*[{"order_id": 1}] * 3)
    request = RequestFactory().get(JOBS)
    request.user = User.objects.get(username="root")
    shown: Any = OurJobAdmin(Job, admin_site).changelist_view(request)
    assert len(shown.context_data["cl"].result_list) == 2
