"""Jobs of a Django project that end in the transaction that stores their effects, on Django's own connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from adjourn import JobContext
from adjourn.contrib.django import app
from adjourn.exceptions import InvalidConnection, JobLost
from support.shop.models import Order

Shop = psycopg.Connection
Body = Callable[[JobContext], Any]


@pytest.fixture
def perform(shop: Shop) -> Iterator[Callable[[Body], list[str]]]:
    """Run one job that does this, and return what became of it, with the names of the orders that are stored."""

    def perform(body: Body) -> list[str]:
        @app.task(name="completing", pass_context=True)
        def completing(context: JobContext) -> None:
            body(context)

        completing.defer()
        app.run_worker(wait=False, install_signal_handlers=False)
        (job,) = app.job_manager.list_jobs()
        return [str(job.status), *Order.objects.values_list("name", flat=True).order_by("name")]

    yield perform
    app.tasks.pop("completing", None)


def in_atomic(context: JobContext) -> None:
    with transaction.atomic():
        Order.objects.create(name="one")
        context.complete(connection)


def in_transaction(context: JobContext) -> None:
    with context.transaction():
        Order.objects.create(name="one")


def in_nested(context: JobContext) -> None:
    with transaction.atomic(), transaction.atomic():
        Order.objects.create(name="one")
        context.complete(connection)


@pytest.mark.parametrize("body", [in_atomic, in_transaction, in_nested])
def test_a_job_ends_in_djangos_transaction(perform: Callable[[Body], list[str]], body: Body) -> None:
    assert perform(body) == ["succeeded", "one"]


@pytest.mark.parametrize("body", [in_atomic, in_transaction, in_nested])
def test_what_is_rolled_back_has_neither_an_effect_nor_an_end(perform: Callable[[Body], list[str]], body: Body) -> None:
    def fails(context: JobContext) -> None:
        with transaction.atomic():
            body(context)
            raise ValueError("roll back")

    assert perform(fails) == ["failed"]


def test_a_block_that_is_rolled_back_alone_takes_the_end_with_it(perform: Callable[[Body], list[str]]) -> None:
    def rolls_back(context: JobContext) -> None:
        with transaction.atomic():
            Order.objects.create(name="kept")
            # Django 6.1 has given it another name.
            point = getattr(transaction, "savepoint_create", transaction.savepoint)()
            in_atomic(context)
            transaction.savepoint_rollback(point)

    # Nothing was stored of the end, so the run has failed.
    assert perform(rolls_back) == ["failed", "kept"]


def test_a_job_that_was_lost_meanwhile_has_no_effect(perform: Callable[[Body], list[str]], shop: Shop) -> None:
    refused: list[type[BaseException]] = []

    def is_lost(context: JobContext) -> None:
        shop.execute("update adjourn.adjourn_jobs set claim = claim + 1")
        try:
            in_transaction(context)
        except JobLost as error:
            refused.append(type(error))
            shop.execute("update adjourn.adjourn_jobs set claim = claim - 1")
            raise

    assert perform(is_lost) == ["failed"]
    assert refused == [JobLost]


def test_a_connection_without_a_transaction_is_refused(perform: Callable[[Body], list[str]]) -> None:
    refused: list[str] = []

    def alone(context: JobContext) -> None:
        try:
            context.complete(connection)
        except InvalidConnection as error:
            refused.append(str(error))

    # A task that goes on after that has not ended its job.
    assert perform(alone) == ["failed"]
    assert "autocommit" in refused[0]


def test_an_asynchronous_task_completes_where_djangos_orm_works(shop: Shop) -> None:
    @app.task(name="completing", pass_context=True)
    async def completing(context: JobContext) -> None:
        with pytest.raises(InvalidConnection, match="no asynchronous transactions"):
            async with context.transaction_async():
                pass
        await sync_to_async(in_transaction)(context)

    try:
        completing.defer()
        app.run_worker(wait=False, install_signal_handlers=False)
    finally:
        app.tasks.pop("completing", None)
    (job,) = app.job_manager.list_jobs()
    assert (job.status, Order.objects.get().name) == ("succeeded", "one")
