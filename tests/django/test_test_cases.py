"""What a Django project's own tests do with jobs: these are such tests."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from unittest import mock

import freezegun
import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.test import TestCase, override_settings, testcases
from django.test import TransactionTestCase as DjangoTransactionTestCase

import adjourn
from adjourn import testing
from adjourn.contrib.django import app
from adjourn.contrib.django.models import Job, Schedule, Worker
from adjourn.contrib.django.test import (
    EmptyTablesMixin,
    TransactionTestCase,
    empty_tables,
    make_job,
    run_jobs,
    run_jobs_async,
)
from adjourn.exceptions import AlreadyEnqueued, UnknownOption
from support.shop import tasks
from support.shop.models import Order

DatabaseOperationForbidden: type[Exception] = vars(testcases)["DatabaseOperationForbidden"]  # the types do not know it
LIVE = ("adjourn_jobs", "adjourn_finished_jobs", "adjourn_workers", "adjourn_schedules", "adjourn_headless_locks")
told: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def shop_tasks(site_observer: psycopg.Connection) -> Iterator[None]:
    """Tasks of these tests alone, on a database without rows."""
    deletions = "".join(f"DELETE FROM adjourn.{table};" for table in LIVE)
    site_observer.execute(f"{deletions} DELETE FROM shop_order".encode())
    app.task(name="tests.tell")(tell)
    app.task(name="tests.spoil")(spoil)
    yield
    del app.tasks["tests.tell"], app.tasks["tests.spoil"]
    connections.close_all()


def tell(order_id: int) -> None:
    """Tell when the order is billed for good."""
    Order.objects.filter(pk=order_id).update(name="told")
    transaction.on_commit(lambda: told.append(Order.objects.get(pk=order_id).name))


def spoil(order_id: int) -> None:
    """Break the transaction."""
    Order.objects.filter(pk=order_id).update(name="spoilt")
    Order.objects.create(pk=order_id)


class InOneTransaction(TestCase):
    """A ``TestCase``: all that a test does is rolled back."""

    def setUp(self) -> None:
        told.clear()
        self.order = Order.objects.create(name="new")
        assert Job.objects.count() == 0

    def name(self) -> str:
        self.order.refresh_from_db()
        return self.order.name

    def test_a_job_is_there_at_once_and_run_on_demand(self) -> None:
        tasks.bill.defer(order_id=self.order.pk)
        assert Job.objects.get().args == {"order_id": self.order.pk}
        assert self.name() == "new"
        assert run_jobs().succeeded == 1
        assert self.name() == "billed"
        assert Job.objects.get().status == "succeeded"

    def test_the_assertions_of_the_kit_see_it(self) -> None:
        tasks.bill.configure(queue="mail").defer(order_id=5)
        testing.assert_deferred(app, tasks.bill, args={"order_id": 5}, queue="mail", count=1)

    def test_asynchronous_tasks_work_in_the_same_transaction(self) -> None:
        tasks.bill_async.defer(order_id=self.order.pk)
        run_jobs()
        assert self.name() == "billed"

    def test_jobs_that_jobs_defer_run_too(self) -> None:
        tasks.ship.defer(order_id=self.order.pk)
        assert run_jobs().succeeded == 2

    async def test_an_asynchronous_test_runs_them_likewise(self) -> None:
        await tasks.bill_async.defer_async(order_id=self.order.pk)
        assert await Job.objects.acount() == 1
        drained = await run_jobs_async()
        assert drained.succeeded == 1
        await self.order.arefresh_from_db()
        assert self.order.name == "billed"

    def test_what_is_to_be_done_at_the_commit_is_done_after_a_body_that_succeeds(self) -> None:
        app.tasks["tests.tell"].defer(order_id=self.order.pk)
        run_jobs()
        assert told == ["told"]

    def test_a_job_that_fails_takes_back_what_it_did_and_nothing_else(self) -> None:
        app.tasks["tests.spoil"].defer(order_id=self.order.pk)
        tasks.ship.defer(order_id=self.order.pk, fails=True)
        tasks.bill.configure(priority=-1).defer(order_id=self.order.pk)
        drained = run_jobs(raise_failures=False)
        assert (drained.succeeded, drained.failed) == (1, 2)
        assert isinstance(drained.failures[0].error, IntegrityError)
        assert self.name() == "billed"
        assert [*Job.objects.order_by("pk").values_list("status", flat=True)] == ["failed", "failed", "succeeded"]

    def test_a_failure_is_raised(self) -> None:
        tasks.ship.defer(order_id=self.order.pk, fails=True)
        with pytest.raises(RuntimeError, match="parcel"):
            run_jobs()

    def test_a_scheduled_job_runs_when_it_is_due_by_pythons_clock(self) -> None:
        tasks.bill.configure(schedule_in={"hours": 1}).defer(order_id=self.order.pk)
        assert run_jobs().succeeded == 0
        now = datetime.datetime.now(datetime.UTC)
        with freezegun.freeze_time(now + datetime.timedelta(minutes=61), ignore=["psycopg"]):
            assert run_jobs().succeeded == 1

    def test_a_queueing_lock_is_taken_and_the_test_goes_on(self) -> None:
        once = tasks.bill.configure(queueing_lock="once")
        once.defer(order_id=self.order.pk)
        with pytest.raises(AlreadyEnqueued):
            once.defer(order_id=self.order.pk)
        assert run_jobs().succeeded == 1

    def test_one_deferral_is_one_query(self) -> None:
        with self.assertNumQueries(1):
            tasks.bill.defer(order_id=1)

    def test_settings_count_at_once(self) -> None:
        with override_settings(ADJOURN_DATABASE_ALIAS="sqlite"), pytest.raises(DatabaseOperationForbidden):
            Job.objects.count()
        with override_settings(ADJOURN_READONLY_MODELS=False):
            Job.objects.create(task_name="t")
        assert Job.objects.count() == 1


class JobsOfAnyKind(TestCase):
    """`make_job` makes what no `defer` can."""

    def test_a_job_of_last_year(self) -> None:
        year_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=365)
        job = make_job(tasks.bill, status="failed", finished_at=year_ago, args={"order_id": 1})
        assert (job.task_name, job.attempts, job.finished_at) == (tasks.bill.name, 1, year_ago)
        assert job.enqueued_at <= year_ago
        assert app.job_manager.delete_old_jobs(nb_hours=24, include_failed=True) == 1

    def test_a_job_that_has_lost_its_worker(self) -> None:
        long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        with override_settings(ADJOURN_READONLY_MODELS=False):
            worker = Worker.objects.create(name="gone", last_heartbeat=long_ago, expires_at=long_ago)
        job = make_job(status="doing", worker=worker)
        assert [each.id for each in app.job_manager.get_stalled_jobs()] == [job.pk]

    def test_a_task_gives_its_options_and_a_name_none(self) -> None:
        assert make_job("no.such.task").task_name == "no.such.task"
        assert make_job(priority=3, queue_name="mail").queue_name == "mail"

    def test_a_field_that_does_not_exist_is_named(self) -> None:
        with pytest.raises(UnknownOption, match=r"'staus'; did you mean 'status'"):
            make_job(staus="failed")

    def test_a_lock_that_is_taken_is_told_by_the_database(self) -> None:
        make_job(status="doing", lock="l")
        with pytest.raises(IntegrityError), transaction.atomic():
            make_job(status="doing", lock="l")


class OnADatabaseOfNobody(TestCase):
    """A test that does not list the queue's database must not use it."""

    databases = {"second"}  # noqa: RUF012 - as Django documents it

    def test_a_deferral_is_refused_by_django(self) -> None:
        with pytest.raises(DatabaseOperationForbidden):
            tasks.bill.defer(order_id=1)
        with pytest.raises(DatabaseOperationForbidden):
            Job.objects.count()


class InManyTransactions(TransactionTestCase):
    """A ``TransactionTestCase``: Django empties the tables of models, and the mixin ours."""

    def check_and_fill(self) -> None:
        for model in (Job, Worker, Schedule, Order):
            assert model._default_manager.count() == 0, model
        order = Order.objects.create()
        tasks.bill.defer(order_id=order.pk)
        tasks.bill.configure(lock="l").defer(order_id=order.pk)
        make_job(status="doing")
        make_job(status="failed")
        app.job_manager.defer_periodic_job(adjourn.jobs.Job(queue="other", task_name="t"), "", 60)
        assert run_jobs(queues=["default"], raise_failures=False).succeeded == 2

    def test_1(self) -> None:
        self.check_and_fill()

    def test_2(self) -> None:
        self.check_and_fill()

    def test_a_real_worker_runs_what_was_committed(self) -> None:
        order = Order.objects.create()
        tasks.bill.defer(order_id=order.pk)
        app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
        order.refresh_from_db()
        assert order.name == "billed"


class WithTheMixin(EmptyTablesMixin, DjangoTransactionTestCase):
    """The mixin leaves a database alone that a test must not use."""

    databases = {"second"}  # noqa: RUF012 - as Django documents it

    def test_nothing_is_emptied(self) -> None:
        with mock.patch("adjourn.contrib.django.test.empty_tables") as emptied:
            self._fixture_teardown()
        emptied.assert_not_called()


def test_a_database_that_is_no_postgres_is_left_alone() -> None:
    with override_settings(ADJOURN_DATABASE_ALIAS="sqlite"):
        empty_tables()
        with pytest.raises(DatabaseError):
            Job.objects.count()
