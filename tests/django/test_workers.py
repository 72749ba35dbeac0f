"""Workers of a Django project: what jobs defer is part of their transactions, and connections end with jobs."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.test import override_settings
from psycopg.sql import SQL, Identifier

from adjourn import JobContext, Limit, PsycopgConnector
from adjourn.contrib.django import DjangoConnector, app, connector_params
from adjourn.contrib.django.connections import clean_up
from adjourn.testing import InMemoryConnector
from support.sessions import Sessions
from support.shop import framework
from support.shop.models import Order
from support.shop.tasks import bill, bill_async, leave_block, leave_open, look, see_context, seen, ship
from support.waiting import until_async

Shop = psycopg.Connection
IS_THOROUGH = bool(os.environ.get("ADJOURN_TEST_THOROUGH"))
JOBS = 500 if IS_THOROUGH else 25
"""How many jobs of each kind the test of numbers of connections runs."""


def run(**options: Any) -> None:
    """Run the jobs that are there."""
    app.run_worker(wait=False, install_signal_handlers=False, **options)


def outcomes() -> list[tuple[str, str]]:
    """What became of the jobs."""
    return [(job.task_name.rpartition(".")[2], str(job.status)) for job in app.job_manager.list_jobs()]


@pytest.fixture(params=[0, None], ids=["CONN_MAX_AGE=0", "CONN_MAX_AGE=None"])
def max_age(request: pytest.FixtureRequest, shop: Shop) -> Iterator[int | None]:
    settings = connections.settings["default"]
    before = settings["CONN_MAX_AGE"]
    settings["CONN_MAX_AGE"] = request.param
    yield request.param
    settings["CONN_MAX_AGE"] = before


def test_a_job_and_what_it_defers_are_one_transaction(shop: Shop) -> None:
    order = Order.objects.create(name="new")
    ship.defer(order_id=order.pk, fails=True)
    run()
    assert outcomes() == [("ship", "failed")]
    order.refresh_from_db()
    assert order.name == "new"
    ship.defer(order_id=order.pk)
    run()
    assert outcomes() == [("ship", "failed"), ("ship", "succeeded"), ("bill", "succeeded")]
    order.refresh_from_db()
    assert order.name == "billed"


def test_asynchronous_jobs_use_the_asynchronous_orm(shop: Shop) -> None:
    orders = [Order.objects.create() for _ in range(5)]
    for order in orders:
        bill_async.defer(order_id=order.pk)
    run(concurrency=5)
    assert {status for _, status in outcomes()} == {"succeeded"}
    assert Order.objects.filter(name="billed").count() == 5


def test_jobs_see_the_app_of_the_project(shop: Shop) -> None:
    see_context.defer()
    run()
    see_context.defer()
    app.with_connector(DjangoConnector()).run_worker(wait=False)
    see_context.defer()
    # As Procrastinate's documentation has it.
    own = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
    own.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    assert seen == ["the app", "another app", "the app"]


def test_the_connector_of_a_worker_can_take_the_place_of_djangos(shop: Shop) -> None:
    bill.defer(order_id=1)
    with app.replace_connector(DjangoConnector().get_worker_connector()) as replaced:
        replaced.run_worker(wait=False)
    assert outcomes() == [("bill", "succeeded")]


def test_an_app_in_memory_runs_its_jobs(shop: Shop) -> None:
    order = Order.objects.create()
    with app.replace_connector(InMemoryConnector()) as replaced:
        bill.defer(order_id=order.pk)
        replaced.run_worker(wait=False)
    order.refresh_from_db()
    assert order.name == "billed"
    assert outcomes() == []


def test_an_ended_session_costs_at_most_the_job_that_notices(max_age: int | None, shop: Shop) -> None:
    look.defer(order_id=0)
    bill.defer(order_id=1)

    def end(call_next: Any, context: JobContext, worker: Any) -> Any:
        if context.job.task_name == bill.name:
            shop.execute("SELECT pg_terminate_backend(%s)", [int(seen[0])])
            look.defer(order_id=1)
            look.defer(order_id=2)
        return call_next()

    # Called within the clean-up, which has looked at the connection already.
    run(task_middleware=[end])
    expected = [("look", "succeeded")] * 2
    if max_age is None:
        # The session that was ended is the one that the job and its defers use.
        assert outcomes()[1] == ("bill", "failed")
        look.defer(order_id=3)
        look.defer(order_id=4)
        run()
    assert outcomes()[-2:] == expected


def test_within_one_worker_the_jobs_after_an_ended_session_succeed(max_age: int | None, shop: Shop) -> None:
    look.defer(order_id=0)
    for number in range(4):
        bill.defer(order_id=number)

    async def end(call_next: Any, context: JobContext, worker: Any) -> Any:
        if len(seen) == 1 and context.job.task_name == bill.name:
            shop.execute("SELECT pg_terminate_backend(%s)", [int(seen[0])])
            seen.append("ended")
        return await call_next()

    run(worker_middleware=[end])
    statuses = [status for _, status in outcomes()]
    assert statuses.count("failed") <= (0 if max_age == 0 else 1)
    assert statuses[-3:] == ["succeeded"] * 3


@pytest.mark.parametrize("task", [leave_open, leave_block])
def test_a_transaction_that_a_job_leaves_open_is_rolled_back_and_told(
    task: Any, max_age: int | None, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    task.defer()
    order = Order.objects.create()
    bill.defer(order_id=order.pk)
    with caplog.at_level(logging.WARNING, logger="adjourn.django"):
        run()
    (record,) = [each for each in caplog.records if getattr(each, "action", "") == "transaction_left_open"]
    assert task.name in record.getMessage()
    assert shop.execute("SELECT name FROM shop_order").fetchall() == [("billed",)]


def test_a_connection_in_a_transaction_is_never_closed(shop: Shop) -> None:
    class Worker:
        app = None
        worker_id = 1

    class Context:
        job = None

    def job() -> str:
        Order.objects.create(name="in it")
        return "result"

    with transaction.atomic():
        before = connection.connection
        assert clean_up(job, Context(), Worker()) == "result"  # type: ignore[arg-type]
        assert connection.connection is before
        assert Order.objects.count() == 1
        transaction.set_rollback(True)
    assert Order.objects.count() == 0


def test_no_session_is_left_after_a_worker(max_age: int | None, site_sessions: Sessions) -> None:
    for number in range(JOBS):
        bill.defer(order_id=number)
        bill_async.defer(order_id=number)
    connections.close_all()
    # Its own: the pool's first connection, and two beside the pool. And one for each job that runs; threads may keep theirs
    # while the jobs that run are asynchronous.
    bound = 3 + 20 * (1 if max_age == 0 else 2)
    counts: list[int] = []

    async def count(call_next: Any, context: JobContext, worker: Any) -> Any:
        counts.append(site_sessions.count())
        if counts[-1] > bound:
            # A session ends a moment after its client has closed it.
            await until_async(lambda: site_sessions.count() <= bound)
        return await call_next()

    run(worker_middleware=[count], concurrency=20)
    assert len(counts) == 2 * JOBS
    assert {status for _, status in outcomes()} == {"succeeded"}
    connections.close_all()
    assert site_sessions.settle(0) == 0


def test_middleware_of_ones_own_comes_after_the_clean_up(shop: Shop) -> None:
    order = Order.objects.create()
    bill.defer(order_id=order.pk)

    def own(call_next: Any, context: JobContext, worker: Any) -> Any:
        seen.append("own")
        return call_next()

    async def own_async(call_next: Any, context: JobContext, worker: Any) -> Any:
        seen.append("own async")
        return await call_next()

    with override_settings(ADJOURN_WORKER_DEFAULTS={"task_middleware": [own]}):
        run()
        assert seen == ["own"]
        bill_async.defer(order_id=order.pk)
        run(task_middleware=[own_async])
    assert seen == ["own", "own async"]
    assert {status for _, status in outcomes()} == {"succeeded"}


def test_the_settings_say_whether_results_are_stored(shop: Shop) -> None:
    order = Order.objects.create()
    for store_results in (False, True):
        with override_settings(ADJOURN_STORE_RESULTS=store_results, ADJOURN_RESULT_TTL=60):
            job_id = bill.defer(order_id=order.pk)
            run()
        (job,) = app.job_manager.list_jobs(id=job_id)
        assert job.has_result is store_results
        if store_results:
            assert job.finished_at is not None
            assert job.result_expires_at == job.finished_at + datetime.timedelta(seconds=60)


def test_the_settings_limit_queues_for_the_tasks_of_both_kinds(shop: Shop) -> None:
    order = Order.objects.create()
    running: list[int] = []

    async def count(call_next: Any, context: JobContext, worker: Any) -> Any:
        row = shop.execute(
            "SELECT count(*) FROM adjourn.adjourn_jobs WHERE worker_id IS NOT NULL AND queue = 'default'"
        ).fetchone()
        assert row is not None
        running.append(row[0])
        return await call_next()

    with override_settings(ADJOURN_QUEUE_LIMITS={"default": Limit(concurrency=1)}):
        run()  # workers store the limits
        for _ in range(3):
            bill.defer(order_id=order.pk)
            framework.note.enqueue(1, two=2)
        run(worker_middleware=[count], concurrency=6)
    try:
        assert running == [1] * 6
        limited = [limit.name for limit in app.job_manager.list_limits() if limit.scope == "queue"]
        assert limited == ["default"]
    finally:
        shop.execute("DELETE FROM adjourn.adjourn_limits")


# The parameters of connections


def test_the_parameters_of_a_connector_are_those_of_the_moment(shop: Shop) -> None:
    parameters = connector_params()
    assert not {"context", "cursor_factory"} & set(parameters)
    assert parameters["prepare_threshold"] is None
    with psycopg.connect(**parameters) as other:
        assert other.info.dbname == shop.info.dbname
    assert connector_params("second")["dbname"] != parameters["dbname"]


def test_a_worker_takes_the_options_of_its_pool_from_the_settings(shop: Shop) -> None:
    with override_settings(ADJOURN_POOL={"min_size": 2, "max_size": 3, "timeout": 4}):
        connector = DjangoConnector().get_worker_connector()
        assert isinstance(connector, PsycopgConnector)
        with app.with_connector(connector).open():
            pool = connector.pool
            assert (pool.min_size, pool.max_size, pool.timeout) == (2, 3, 4)
    with override_settings(ADJOURN_POOL={"max_siz": 3}), pytest.raises(ImproperlyConfigured, match="'max_size'"):
        DjangoConnector().get_worker_connector()


def test_a_worker_assumes_the_role_that_django_does(shop: Shop) -> None:
    role, options = 'a worker\'s "role"', connections.settings["default"]["OPTIONS"]
    shop.execute(SQL("CREATE ROLE {}").format(Identifier(role)))
    options["assume_role"] = role
    try:
        session = DjangoConnector().session()
        try:
            with app.with_connector(DjangoConnector().get_worker_connector()).open() as other:
                query = "select current_user as name"
                assert other.connector.execute_query_one(query) == {"name": role}
            from adjourn.types import Statement

            assert session.execute(Statement("query", query), {}) == [{"name": role}]
        finally:
            session.close()
    finally:
        del options["assume_role"]
        shop.execute(SQL("DROP ROLE {}").format(Identifier(role)))
