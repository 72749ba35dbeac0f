"""Batches of many jobs, which the program and the driver must not look at one by one."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.batches import SLICE
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.events import JobsDeferred
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


async def test_jobs_that_differ_in_arguments_alone_are_stored_as_those_made_one_by_one(app: adjourn.App) -> None:
    common = Job(
        queue='q "1" \\ é',
        task_name="t",
        priority=-3,
        lock="l {a}",
        task_kwargs={"base": "b", "number": None},
        schedule_in=60,
    )
    arguments: list[Any] = [{"number": number, "text": 'a "b" \\ 🙂'} for number in range(COUNT)]
    alike = await app.job_manager.batch_defer_alike_async(common, arguments)
    made = [common.evolve(task_kwargs={"base": "b", **each}) for each in arguments]
    one_by_one = await app.job_manager.batch_defer_jobs_async(made)
    assert len(alike) == len(alike.ids) == COUNT
    for first, second in zip(alike, one_by_one, strict=True):
        assert first == second.evolve(id=first.id, enqueued_at=first.enqueued_at)
    found = {each.id: each for each in await app.job_manager.list_jobs_async()}
    assert len(found) == 2 * COUNT
    for first, second in zip(alike, one_by_one, strict=True):
        row, other = found[first.id], found[second.id]
        assert row.enqueued_at is not None
        assert row.scheduled_at == row.enqueued_at + datetime.timedelta(seconds=60)
        times = {"enqueued_at": row.enqueued_at, "scheduled_at": row.scheduled_at}
        assert row == other.evolve(id=row.id, **times)
    assert alike[1:3].ids == alike.ids[1:3]
    assert alike[-1].id == alike.ids[-1]


@pytest.mark.parametrize(
    "wrong", ["a\0b", "\ud800", float("nan"), object(), b"x"], ids=["NUL", "surrogate", "nan", "object", "bytes"]
)
async def test_one_bad_argument_of_many_is_named_and_nothing_is_stored(app: adjourn.App, wrong: Any) -> None:
    arguments = [{"fine": n, "bad": wrong if n == 100 else n} for n in range(130)]
    work = app.configure_task("work")
    with pytest.raises(exceptions.InvalidTaskArguments, match=r"^Task work: argument 'bad' cannot be stored"):
        await work.batch_defer_async(*arguments)
    assert await app.job_manager.list_jobs_async() == []


async def test_names_of_arguments_are_checked_in_each_job(app: adjourn.App) -> None:
    @app.task(name="adds")
    def add(a: int, b: int = 0) -> None: ...

    batches: list[list[Any]] = [
        [{"a": 1}, {"a": 1, "b": 2}, {"b": 2}],
        [{"a": 1}, {"a": 1, "c": 1}],
        [{"a": 1}, [("a", 1)]],
    ]
    batches.append([{"a": 1}, {"a": 1, 5: 1}])
    for batch in batches:
        with pytest.raises(exceptions.InvalidTaskArguments, match=r"^Task adds: "):
            await add.batch_defer_async(*batch)
    assert await app.job_manager.list_jobs_async() == []
    assert len(await add.batch_defer_async({"a": 1}, {"b": 1, "a": 1}, {"a": 2})) == 3


@pytest.mark.parametrize(
    "text", ['{"a": 1}, {"a": 2}', '{"a": 1}]', '{"a"', '{"a": "\\u0000"}'], ids=["two", "end", "cut", "NUL"]
)
async def test_an_encoder_of_the_users_cannot_change_how_many_jobs_are_stored(database: str, text: str) -> None:
    connector = adjourn.PsycopgConnector(
        database, json_dumps=lambda value: text if value == {"n": 40} else json.dumps(value)
    )
    async with adjourn.App(connector=connector).open_async() as app:
        work = app.configure_task("work")
        with pytest.raises(exceptions.AdjournException):
            await work.batch_defer_async(*({"n": n} for n in range(50)))
        assert await app.job_manager.list_jobs_async() == []
        await work.batch_defer_async(*({"n": n} for n in range(40)))
        assert [job.task_kwargs["n"] for job in await app.job_manager.list_jobs_async()] == list(range(40))


async def test_the_event_of_a_batch_has_its_jobs(app: adjourn.App) -> None:
    told: list[JobsDeferred] = []
    app.events.subscribe(JobsDeferred, told.append)
    ids = await app.configure_task("work", priority=3, task_kwargs={"a": 1}).batch_defer_async({"b": 1}, {"b": 2})
    assert await app.configure_task("work").batch_defer_async() == []
    assert [len(event.jobs) for event in told] == [2]
    assert list(told[0].jobs) == await app.job_manager.list_jobs_async()
    assert [job.id for job in told[0].jobs] == ids


@pytest.mark.parametrize("of_one_task", [True, False])
async def test_others_have_their_turns_while_a_batch_is_prepared(
    app: adjourn.App, of_one_task: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the machine is: here, each slice takes longer than the loop may be kept."""
    monkeypatch.setattr("adjourn._runtime.aio.LONGEST_STEP", 0)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    arguments: list[Any] = [{"n": n} for n in range(COUNT)]
    if of_one_task:
        await app.configure_task("work").batch_defer_async(*arguments)
    else:
        jobs = [Job(queue=f"q{n}", task_name="t", task_kwargs=each) for n, each in enumerate(arguments)]
        await app.job_manager.batch_defer_jobs_async(jobs)
    other.cancel()
    assert turns > COUNT / SLICE


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
