"""Batches that are too large for a driver to send as arrays."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector
from support.addresses import address

FUTURE = datetime.datetime(2100, 1, 1, 1, 2, 3, 456789, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
COUNT = 1203
"""More than one slice."""
CONNECTORS: dict[str, Callable[[str], Any]] = {
    "in memory": lambda dsn: InMemoryConnector(),
    "psycopg": adjourn.PsycopgConnector,
    "psycopg2": adjourn.AsyncPsycopg2Connector,
    "asyncpg": lambda dsn: SQLAlchemyConnector(dsn=address(dsn, "asyncpg")),
}


@pytest.fixture(params=CONNECTORS)
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=CONNECTORS[request.param](database))
    await app.open_async()
    yield app
    await app.close_async()


async def test_all_that_a_job_has_is_stored_and_the_ids_come_in_order(app: adjourn.App) -> None:
    def job(number: int) -> Job:
        is_third = number % 3 == 0
        return Job(
            queue=f"q{number % 7}",
            task_name='it\'s "quoted" \\ {a,b} NULL äöü 🙂',
            priority=number - 600,
            lock=f"l{number}" if is_third else None,
            queueing_lock=f"k{number}" if is_third else None,
            task_kwargs={"number": number, "text": 'a "b" \\ \n é 🙂', "float": 1.5, "none": None},
            headers={"é": '"'} if number == 8 else None,
            scheduled_at=FUTURE if number == 5 else None,
            schedule_in=number if number == 6 else 0.5 if number == 7 else None,
        )

    jobs = [job(number) for number in range(COUNT)]
    stored = await app.job_manager.batch_defer_jobs_async(jobs)
    assert [each.id for each in stored] == sorted(each.id for each in stored if each.id is not None)
    found = {each.id: each for each in await app.job_manager.list_jobs_async()}
    assert len(found) == COUNT
    for asked, returned in zip(jobs, stored, strict=True):
        row = found[returned.id]
        assert returned == asked.evolve(id=returned.id, status="todo", enqueued_at=row.enqueued_at)
        time = row.scheduled_at
        if asked.schedule_in is not None:
            assert row.enqueued_at is not None
            time = row.enqueued_at + datetime.timedelta(seconds=asked.schedule_in)
        elif asked.scheduled_at is not None:
            time = asked.scheduled_at
        assert row == returned.evolve(
            enqueued_at=row.enqueued_at, scheduled_at=time, schedule_in=None, abort_requested=False
        )


async def test_all_are_stored_or_none(app: adjourn.App) -> None:
    await app.configure_task("t", queueing_lock="k700").defer_async()
    jobs = [Job(queue="q", task_name="t", queueing_lock=f"k{number}") for number in range(COUNT)]
    with pytest.raises(exceptions.AlreadyEnqueued) as raised:
        await app.job_manager.batch_defer_jobs_async(jobs)
    assert isinstance(raised.value.__cause__, exceptions.UniqueViolation)
    assert raised.value.__cause__.queueing_lock == "k700"
    jobs = [Job(queue="q", task_name="t", task_kwargs={"x": object() if n == 900 else n}) for n in range(COUNT)]
    with pytest.raises(exceptions.InvalidTaskArguments, match="argument 'x'"):
        await app.job_manager.batch_defer_jobs_async(jobs)
    assert len(await app.job_manager.list_jobs_async()) == 1


def test_a_blocking_call_stores_a_large_batch_too(database: str) -> None:
    with adjourn.App(connector=adjourn.PsycopgConnector(database)).open() as app:
        ids = app.configure_task("work").batch_defer(*({"n": n} for n in range(COUNT)))
        assert [job.task_kwargs["n"] for job in app.job_manager.list_jobs()] == list(range(COUNT))
        assert ids == [job.id for job in app.job_manager.list_jobs()]


def test_a_large_batch_on_the_callers_connection_is_stored_with_its_transaction(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    with app.open(), psycopg.connect(database) as connection:
        work = app.configure_task("work", connection=connection)
        assert len(work.batch_defer(*({"n": n} for n in range(COUNT)))) == COUNT
        connection.rollback()
        assert len(app.job_manager.list_jobs()) == 0
        work.batch_defer(*({"n": n} for n in range(COUNT)))
        connection.commit()
        assert len(app.job_manager.list_jobs()) == COUNT
