"""The models: they read adjourn's tables, and refuse to write before anything is sent."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, router, transaction
from django.db import models as django_models
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import adjourn
from adjourn.contrib.django import app, models
from adjourn.contrib.django.exceptions import ReadOnlyModel
from adjourn.contrib.django.models import Event, Job, Schedule, Worker
from adjourn.contrib.django.router import AdjournRouter
from adjourn.contrib.django.test import make_job
from support.shop.models import Order
from support.shop.tasks import bill, ship

Shop = psycopg.Connection
NOW = datetime.datetime.now(datetime.UTC)
MODELS = (Job, Event, Schedule, Worker)
JOB = {"task_name": "t"}


def test_the_names_of_procrastinate_are_the_same_models() -> None:
    names = ("ProcrastinateJob", "ProcrastinateEvent", "ProcrastinatePeriodicDefer", "ProcrastinateWorker")
    assert [getattr(models, name) for name in names] == list(MODELS)


def test_a_job_has_the_fields_that_it_was_deferred_with(shop: Shop) -> None:
    later = NOW + datetime.timedelta(hours=1)
    job_id = ship.configure(
        queue="mail", priority=3, lock="l", queueing_lock="q", schedule_at=later, task_kwargs={"fails": True}
    ).defer(order_id=7)
    job = Job.objects.get(args__order_id=7)
    assert job.pk == job_id
    assert (job.queue_name, job.priority, job.lock, job.queueing_lock) == ("mail", 3, "l", "q")
    assert (job.status, job.waits_for, job.scheduled_at, job.attempts) == ("todo", "time", later, 0)
    assert (job.started_at, job.finished_at, job.worker, job.errors) == (None, None, None, None)
    assert str(job) == f"support.shop.tasks.ship[{job_id}](fails=True, order_id=7)"
    assert job.job == app.job_manager.list_jobs(id=job_id)[0]
    assert job.procrastinate_job == job.job
    assert Job.objects.latest() == job
    assert [event.type for event in job.events.all()] == ["deferred", "scheduled"]


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_of_a_job_are_aware_whatever_the_settings_are(shop: Shop, use_tz: bool) -> None:
    with override_settings(USE_TZ=use_tz, TIME_ZONE="Europe/Berlin"):
        connection.close()
        job_id = bill.configure(schedule_at=NOW).defer(order_id=1)
        job = Job.objects.get(pk=job_id)
        assert (job.scheduled_at.tzinfo is None) is not use_tz
        assert job.job.scheduled_at == NOW
        assert job.job.scheduled_at.tzinfo is not None
    connection.close()


def test_a_finished_job_has_its_worker_errors_and_events(shop: Shop) -> None:
    error = {"exception": "E", "attempt": 1, "started_at": NOW.isoformat(), "ended_at": NOW.isoformat()}
    job = make_job(ship, status="failed", errors=[error], finished_at=NOW, result=None)
    assert (job.attempts, job.errors, job.finished_at) == (1, [error], NOW)
    assert [event.type for event in Event.objects.filter(job=job).order_by("pk")] == ["deferred", "started", "failed"]
    running = make_job(ship, status="doing")
    assert running.worker is not None
    assert list(running.worker.jobs.all()) == [running]


def test_rows_are_counted_and_joined_as_those_of_any_model(shop: Shop) -> None:
    for status in ("todo", "failed", "failed", "doing"):
        make_job(ship, status=status)
    counts = Job.objects.order_by("status").values_list("status").annotate(count=django_models.Count("pk"))
    assert list(counts) == [("doing", 1), ("failed", 2), ("todo", 1)]
    with CaptureQueriesContext(connection) as queries:
        (job,) = Job.objects.select_related("worker").filter(worker__name__startswith="made")
        assert job.worker.dead is False
    assert len(queries) == 1


def test_schedules_have_their_last_tick_and_job(shop: Shop) -> None:
    tick = int(NOW.timestamp()) - 60
    job_id = app.job_manager.defer_periodic_job(
        adjourn.jobs.Job(queue="q", task_name="t"), "p", tick, cron="* * * * *", timezone="Europe/Berlin"
    )
    schedule = Schedule.objects.get()
    assert (schedule.task_name, schedule.periodic_id, schedule.cron) == ("t", "p", "* * * * *")
    assert (schedule.timezone, schedule.defer_timestamp) == ("Europe/Berlin", tick)
    assert schedule.job == schedule.last_job == Job.objects.get(pk=job_id)


INTERNAL = {
    "adjourn_workers": {"hungry", "apart", "is_done", "overdue", "running", "running_claims"},
    "adjourn_schedules": {"recent_ticks", "recent_job_ids"},
}
"""Columns that workers keep for themselves."""


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_every_column_of_its_table_or_view(shop: Shop, model: Any) -> None:
    name = model._meta.db_table.rpartition(".")[2].strip('"')
    rows = shop.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'adjourn' AND table_name = %s", [name]
    )
    columns = {column for (column,) in rows} - INTERNAL.get(name, set())
    assert {field.column for field in model._meta.concrete_fields} == columns


def test_a_job_has_its_terms_its_headers_and_its_progress(shop: Shop) -> None:
    soon = NOW + datetime.timedelta(hours=1)
    job_id = bill.configure(expires_at=soon, max_attempts=7, headers={"tenant": "acme"}).defer(order_id=1)
    said = {"current": 3, "total": 4, "message": "half", "at": NOW.isoformat()}
    shop.execute("UPDATE adjourn.adjourn_jobs SET progress = %s::jsonb", [json.dumps(said)])
    job = Job.objects.get(expires_at=soon)
    assert (job.pk, job.max_attempts, job.headers, job.progress) == (job_id, 7, {"tenant": "acme"}, said)
    assert (job.is_live, job.claim, job.reason, job.workflow_id) == (True, 0, None, None)
    (listed,) = app.job_manager.list_jobs()
    assert job.job == listed
    assert (job.job.expires_at, job.job.progress) == (soon, listed.progress)


def test_a_job_has_its_workflow_and_why_it_was_cancelled(shop: Shop) -> None:
    flow = app.workflow("orders")
    first = flow.add(ship, task_kwargs={"order_id": 1})
    flow.add(bill, depends_on=first, task_kwargs={"order_id": 1})
    flow_id = flow.defer().id
    assert Job.objects.filter(workflow_id=flow_id).count() == 2
    app.job_manager.cancel_workflow(flow_id)
    app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    reasons = {job.reason for job in Job.objects.filter(workflow_id=flow_id, status="cancelled", is_live=False)}
    assert f"workflow {flow_id} was cancelled" in reasons
    job = Job.objects.exclude(reason=None).first()
    assert job is not None
    assert job.job == app.job_manager.list_jobs(id=job.pk)[0]


WRITES: dict[str, Callable[[Any], Any]] = {
    "create": lambda rows: rows.create(),
    "bulk_create": lambda rows: rows.bulk_create([rows.model()]),
    "bulk_update": lambda rows: rows.bulk_update([rows.model(pk=1)], ["id"]),
    "get_or_create": lambda rows: rows.get_or_create(pk=7),
    "update_or_create": lambda rows: rows.update_or_create(pk=7),
    "update": lambda rows: rows.update(id=8),
    "filter().update": lambda rows: rows.filter(pk=7).update(id=8),
    "filter().delete": lambda rows: rows.filter(pk=7).delete(),
    "save": lambda rows: rows.model(pk=7).save(),
    "delete": lambda rows: rows.model(pk=7).delete(),
    "select_for_update": lambda rows: rows.select_for_update(),
}
AWAITED: dict[str, Callable[[Any], Any]] = {
    "acreate": lambda rows: rows.acreate(),
    "abulk_create": lambda rows: rows.abulk_create([rows.model()]),
    "abulk_update": lambda rows: rows.abulk_update([rows.model(pk=1)], ["id"]),
    "aget_or_create": lambda rows: rows.aget_or_create(pk=7),
    "aupdate_or_create": lambda rows: rows.aupdate_or_create(pk=7),
    "aupdate": lambda rows: rows.aupdate(id=8),
    "filter().adelete": lambda rows: rows.filter(pk=7).adelete(),
    "asave": lambda rows: rows.model(pk=7).asave(),
    "adelete": lambda rows: rows.model(pk=7).adelete(),
}


@pytest.mark.parametrize("model", MODELS)
def test_what_writes_is_refused_before_anything_is_sent_and_the_transaction_goes_on(shop: Shop, model: Any) -> None:
    with transaction.atomic():
        Order.objects.create(name="kept")
        with CaptureQueriesContext(connection) as queries:
            for name, write in WRITES.items():
                with pytest.raises(ReadOnlyModel, match=rf"^{model.__name__}\.{name.rpartition('.')[2]}: .*read-only"):
                    write(model.objects)
        assert len(queries) == 0
    assert Order.objects.get().name == "kept"


@pytest.mark.parametrize("model", MODELS)
def test_so_are_the_awaited_forms(model: Any) -> None:
    async def write_all() -> None:
        for write in AWAITED.values():
            with pytest.raises(ReadOnlyModel, match=rf"^{model.__name__}\."):
                await write(model.objects)

    asyncio.run(write_all())


def test_a_refusal_names_what_to_use_instead() -> None:
    with pytest.raises(ReadOnlyModel, match=r"task\.defer"):
        Job.objects.create(task_name="t")
    with pytest.raises(ReadOnlyModel, match="cancel_job_by_id"):
        Job.objects.all().delete()
    with pytest.raises(ReadOnlyModel, match=r"@app\.periodic"):
        Schedule().save()


@override_settings(ADJOURN_READONLY_MODELS=False)
def test_tests_may_write(shop: Shop) -> None:
    job = Job.objects.create(**JOB)
    job.status, job.finished_at = "failed", NOW - datetime.timedelta(days=400)
    job.save()
    assert shop.execute("SELECT id, status FROM adjourn.adjourn_finished_jobs").fetchall() == [(job.pk, "failed")]
    assert shop.execute("SELECT count(*) FROM adjourn.adjourn_jobs").fetchone() == (0,)
    assert Job.objects.filter(pk=job.pk).update(status="todo", lock="l", priority=2) == 1
    rows = shop.execute("SELECT id, status, waits_for, priority FROM adjourn.adjourn_all_jobs").fetchall()
    assert rows == [(job.pk, "todo", "lock", 2)]
    assert Job.objects.get_or_create(pk=job.pk) == (job, False)
    Job.objects.bulk_create([Job(**JOB), Job(**JOB, status="succeeded")])
    with pytest.raises(TypeError, match="plain value"):
        Job.objects.update(priority=django_models.F("priority") + 1)
    assert job.delete() == (1, {"adjourn.Job": 1})
    assert Job.objects.all().delete() == (2, {"adjourn.Job": 2})
    worker = Worker.objects.create(name="w", expires_at=NOW)
    assert Worker.objects.update(dead=True) == 1
    worker.delete()
    assert not Worker.objects.exists()


def test_a_worker_runs_what_a_test_has_made(shop: Shop) -> None:
    order = Order.objects.create()
    job = make_job(bill, args={"order_id": order.pk}, lock="l", queueing_lock="q")
    app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    order.refresh_from_db()
    job.refresh_from_db()
    assert (order.name, job.status) == ("billed", "succeeded")


@pytest.mark.parametrize("status", ["todo", "doing", "cancelled"])
def test_a_test_may_make_jobs_with_terms_progress_and_a_reason(shop: Shop, status: str) -> None:
    said = {"current": 1, "total": None, "message": None, "at": NOW.isoformat()}
    reason = "job 4 failed" if status == "cancelled" else None
    columns = {"progress": said, "expires_at": NOW + datetime.timedelta(hours=1), "max_attempts": 2}
    job = make_job(status=status, reason=reason, **columns)
    assert {name: getattr(job, name) for name in columns} == columns
    assert (job.reason, job.is_live) == (reason, status != "cancelled")
    with override_settings(ADJOURN_READONLY_MODELS=False):
        job.priority = 9
        job.save()
    again = Job.objects.get(pk=job.pk)
    assert ({name: getattr(again, name) for name in columns}, again.priority) == (columns, 9)


@pytest.mark.parametrize("field", ["waits_for", "is_live", "claim"])
def test_what_the_database_makes_of_a_job_cannot_be_given(shop: Shop, field: str) -> None:
    with pytest.raises(adjourn.exceptions.InvalidOption, match=rf"make_job: {field}.*the database"):
        make_job(**{field: None})


@pytest.mark.parametrize("automatic", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_no_migration_is_missing(shop: Shop, automatic: str) -> None:
    with override_settings(DEFAULT_AUTO_FIELD=automatic):
        call_command("makemigrations", "adjourn", check=True, dry_run=True, verbosity=0)


def test_the_router_speaks_for_adjourn_alone() -> None:
    with override_settings(DATABASE_ROUTERS=["adjourn.contrib.django.router.AdjournRouter"]):
        assert router.db_for_read(Job) == "default"
        assert [router.allow_migrate(alias, "adjourn", adjourn=True) for alias in ("default", "second")] == [
            True,
            False,
        ]
        assert not router.allow_migrate_model("default", Job), "dumpdata would take it"
    with override_settings(ADJOURN_DATABASE_ALIAS="second"):
        assert AdjournRouter().db_for_write(Job) == "second"
        assert Job.objects.all().db == "second"
    assert AdjournRouter().db_for_read(Order) is None
    assert AdjournRouter().allow_migrate("default", "shop") is None
