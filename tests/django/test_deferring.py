"""Deferring on Django's own connection: a job is committed and rolled back with whatever transaction is open there."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test import RequestFactory, SimpleTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from adjourn.contrib.django import DjangoApp, DjangoConnector, app
from adjourn.exceptions import AlreadyEnqueued, ConnectorException, InvalidOption, SchemaOutOfDate, WrongCaller
from support.shop import views
from support.shop.models import Order
from support.shop.tasks import bill, ship

Shop = psycopg.Connection


def stored(shop: Shop) -> tuple[int, int]:
    """How many orders and jobs others see."""
    row = shop.execute(
        "SELECT (SELECT count(*) FROM shop_order), (SELECT count(*) FROM adjourn.adjourn_jobs)"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_no_thread_stores_the_jobs_of_another_whose_transaction_they_belong_to() -> None:
    assert not app.connector.shares_commits


class LostError(Exception):
    """What ends a transaction."""


def test_outside_of_a_transaction_a_job_is_stored_at_once(shop: Shop) -> None:
    bill.defer(order_id=1)
    assert stored(shop) == (0, 1)


def test_in_a_transaction_a_job_is_committed_with_it(shop: Shop) -> None:
    with transaction.atomic():
        ship.defer(order_id=Order.objects.create().pk)
        assert stored(shop) == (0, 0)
        assert [job.task_name for job in app.job_manager.list_jobs()] == [ship.name]
    assert stored(shop) == (1, 1)


def test_an_exception_takes_the_job_and_the_object(shop: Shop) -> None:
    with pytest.raises(LostError), transaction.atomic():
        ship.defer(order_id=Order.objects.create().pk)
        raise LostError
    assert stored(shop) == (0, 0)


def test_an_inner_savepoint_takes_its_job_along(shop: Shop) -> None:
    with transaction.atomic():
        bill.defer(order_id=Order.objects.create().pk)
        with pytest.raises(LostError), transaction.atomic():
            bill.defer(order_id=2)
            raise LostError
    assert stored(shop) == (1, 1)


def test_atomic_requests_do_the_same(shop: Shop) -> None:
    request = RequestFactory()
    in_transaction = transaction.atomic(views.order)
    assert in_transaction(request.get("/order/")).status_code == 200
    with pytest.raises(RuntimeError):
        in_transaction(request.get("/order/?fails=1"))
    assert stored(shop) == (1, 1)


@pytest.mark.parametrize("is_taken_before", [True, False])
def test_a_transaction_goes_on_after_a_taken_queueing_lock(shop: Shop, is_taken_before: bool) -> None:
    locked = bill.configure(queueing_lock="one")
    if is_taken_before:
        locked.defer(order_id=1)
    with transaction.atomic():
        if not is_taken_before:
            locked.defer(order_id=1)
        with pytest.raises(AlreadyEnqueued):
            locked.defer(order_id=2)
        with pytest.raises(AlreadyEnqueued):
            locked.batch_defer({"order_id": 3}, {"order_id": 4})
        Order.objects.create()
    assert stored(shop) == (1, 1)


def test_in_a_transaction_that_django_knows_to_be_broken_nothing_is_sent(shop: Shop) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        # Django raises it before it sends anything.
        with pytest.raises(TransactionManagementError, match="until the end of the 'atomic' block"):
            bill.defer(order_id=1)
    assert stored(shop) == (0, 0)


def test_in_a_transaction_that_only_the_server_knows_to_be_broken_the_error_says_so(shop: Shop) -> None:
    with pytest.raises(LostError), transaction.atomic():
        with contextlib.suppress(Exception), connection.cursor() as cursor:
            cursor.execute("select 1/0")
        with pytest.raises(ConnectorException, match="current transaction is aborted") as caught:
            bill.defer(order_id=1)
        assert caught.value.sqlstate == "25P02"
        raise LostError


def test_without_a_schema_the_error_says_so_in_a_transaction_as_well(shop: Shop) -> None:
    with override_settings(ADJOURN_SCHEMA="nowhere"):
        with pytest.raises(SchemaOutOfDate, match=r"manage\.py migrate"):
            bill.defer(order_id=1)
        with pytest.raises(SchemaOutOfDate, match=r"manage\.py migrate"), transaction.atomic():
            bill.defer(order_id=1)
        with pytest.raises(SchemaOutOfDate, match=r"manage\.py migrate"):
            app.schema_manager.check_version()
        with pytest.raises(SchemaOutOfDate, match=r"manage\.py migrate"):
            app.run_worker(wait=False)


def test_a_defer_is_one_query_that_django_sees(shop: Shop) -> None:
    seen: list[str] = []

    def wrapper(execute: Callable[..., Any], text: str, *arguments: Any) -> Any:
        seen.append(text)
        return execute(text, *arguments)

    with CaptureQueriesContext(connection) as queries, connection.execute_wrapper(wrapper):
        bill.defer(order_id=1)
    assert len(queries) == 1
    assert "insert into" in queries[0]["sql"]
    assert len(seen) == 1


def test_a_simple_test_case_forbids_a_defer_as_any_query(shop: Shop) -> None:
    class Case(SimpleTestCase):
        def runTest(self) -> None:  # noqa: N802 - unittest's name
            bill.defer(order_id=1)

    case = Case()
    Case.setUpClass()
    try:
        with pytest.raises(AssertionError, match="Database queries"):
            case.runTest()
    finally:
        Case.doClassCleanups()


def test_workers_are_told_of_a_job_at_the_commit(shop: Shop) -> None:
    shop.execute("LISTEN " + _channel())
    try:
        with transaction.atomic():
            bill.defer(order_id=1)
        assert [note.payload for note in shop.notifies(timeout=5, stop_after=1)] == [""]
    finally:
        shop.execute("UNLISTEN *")


def _channel() -> str:
    from adjourn import sql

    return sql.channel("adjourn")


def test_manual_transactions_count_as_transactions(shop: Shop) -> None:
    transaction.set_autocommit(False)
    try:
        bill.defer(order_id=1)
        assert stored(shop) == (0, 0)
        transaction.commit()
        bill.defer(order_id=2)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert stored(shop) == (0, 1)


def test_another_connection_of_django_goes_first(shop: Shop, database: str) -> None:
    with transaction.atomic(using="second"):
        bill.configure(connection=connections["second"]).defer(order_id=1)
    assert stored(shop) == (0, 0)
    with psycopg.connect(database) as other:
        assert other.execute("SELECT args FROM adjourn.adjourn_jobs").fetchall() == [({"order_id": 1},)]


def test_a_connection_of_the_driver_goes_first(shop: Shop, database: str) -> None:
    with psycopg.connect(database) as given:
        bill.configure(connection=given).defer(order_id=1)
        given.rollback()
        bill.configure(connection=given).defer(order_id=2)
    assert stored(shop) == (0, 0)
    with psycopg.connect(database) as other:
        assert other.execute("SELECT args FROM adjourn.adjourn_jobs").fetchall() == [({"order_id": 2},)]


async def test_an_asynchronous_connection_of_the_driver_goes_first(shop: Shop, database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as given:
        await bill.configure(connection=given).defer_async(order_id=1)
        await given.rollback()
    with psycopg.connect(database) as other:
        assert other.execute("SELECT args FROM adjourn.adjourn_jobs").fetchall() == []


def test_a_database_that_is_not_postgres_is_refused(shop: Shop) -> None:
    with (
        override_settings(ADJOURN_DATABASE_ALIAS="sqlite"),
        pytest.raises(ImproperlyConfigured, match="not PostgreSQL"),
    ):
        bill.defer(order_id=1)


# Asynchronous code


async def test_a_coroutine_defers_by_awaiting(shop: Shop) -> None:
    await bill.defer_async(order_id=1)
    assert stored(shop) == (0, 1)
    await sync_to_async(connections.close_all)()


async def test_a_blocking_defer_on_an_event_loop_is_refused(shop: Shop) -> None:
    with pytest.raises(WrongCaller, match="defer_async"):
        bill.defer(order_id=1)
    assert stored(shop) == (0, 0)


async def test_a_defer_joins_a_transaction_under_sync_to_async(shop: Shop) -> None:
    def order() -> None:
        with transaction.atomic():
            Order.objects.create()
            bill.defer(order_id=1)
            raise LostError

    with pytest.raises(LostError):
        await sync_to_async(order)()
    assert stored(shop) == (0, 0)
    await sync_to_async(connections.close_all)()


async def test_defers_at_the_same_time_each_use_their_own_connection(shop: Shop) -> None:
    async def request(fails: bool) -> None:
        async with ThreadSensitiveContext():
            try:
                await sync_to_async(transaction.set_autocommit)(False)
                await asyncio.gather(*(bill.defer_async(order_id=number) for number in range(3)))
                await sync_to_async(transaction.rollback if fails else transaction.commit)()
            finally:
                await sync_to_async(connections.close_all)()

    await asyncio.gather(*(request(fails=number % 2 == 0) for number in range(6)))
    assert stored(shop) == (0, 9)


# Times


@pytest.fixture(params=[True, False], ids=["USE_TZ", "naive"])
def berlin(request: pytest.FixtureRequest, shop: Shop) -> Iterator[bool]:
    with override_settings(USE_TZ=request.param, TIME_ZONE="Europe/Berlin"):
        connections.close_all()
        yield request.param
    connections.close_all()


def test_times_are_aware_and_right(berlin: bool) -> None:
    # The hour that there is twice in Berlin.
    moment = datetime.datetime(2031, 10, 26, 0, 30, tzinfo=datetime.UTC)
    for hours in (0, 1):
        bill.configure(schedule_at=moment + datetime.timedelta(hours=hours)).defer(order_id=hours)
    found = [job.scheduled_at for job in app.job_manager.list_jobs()]
    assert found == [moment, moment + datetime.timedelta(hours=1)]
    assert all(each is not None and each.utcoffset() is not None for each in found)
    now = app.job_manager.get_time()
    assert abs(datetime.datetime.now(datetime.UTC) - now) < datetime.timedelta(seconds=60)


def test_a_naive_time_is_refused(berlin: bool) -> None:
    with pytest.raises(InvalidOption, match="schedule_at"):
        bill.configure(schedule_at=datetime.datetime(2031, 1, 1)).defer(order_id=1)


# The app


def test_opening_and_closing_does_nothing(shop: Shop) -> None:
    with app.open():
        bill.defer(order_id=1)
    bill.defer(order_id=2)
    assert stored(shop) == (0, 2)
    with pytest.raises(ImproperlyConfigured, match="ADJOURN_POOL"):
        app.open(object())


async def test_opening_and_closing_asynchronously_does_nothing() -> None:
    async with app.open_async():
        pass
    await app.close_async()
    with pytest.raises(ImproperlyConfigured, match="ADJOURN_POOL"):
        await app.open_async(object())


def test_a_session_connects_beside_django(shop: Shop) -> None:
    session = DjangoConnector().session()
    try:
        with transaction.atomic():
            bill.defer(order_id=1)
            assert app.job_manager.list_jobs()
            assert app.with_connector(DjangoConnector()).job_manager.list_jobs()
            assert app.schema_manager.apply_schema() == []
    finally:
        session.close()


def test_an_app_for_a_test_has_the_clean_up_of_the_real_one() -> None:
    from adjourn.testing import InMemoryConnector

    own = DjangoApp(connector=InMemoryConnector(), worker_defaults={"concurrency": 3})
    assert [each.__name__ for each in own.worker_defaults["task_middleware"]] == ["clean_up", "clean_up_async"]  # type: ignore[union-attr]
    assert own.worker_defaults["concurrency"] == 3


def test_settings_count_at_once() -> None:
    with override_settings(ADJOURN_WORKER_DEFAULTS={"concurrency": 7}, ADJOURN_IMPORT_PATHS=["support.shop.tasks"]):
        assert app.worker_defaults["concurrency"] == 7
        assert app.import_paths == ("support.shop.tasks",)
    assert "concurrency" not in app.worker_defaults
    with override_settings(ADJOURN_PERIODIC_DEFAULTS={"max_delay": 5}):
        assert app.periodic_defaults == {"max_delay": 5}
