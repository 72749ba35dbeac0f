"""A job that ends in a transaction of its task's own: its effects and its end are stored together, or neither."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import adjourn
from adjourn import events
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.exceptions import InvalidConnection, JobLost
from adjourn.testing import InMemoryConnector
from adjourn.worker import settling
from support.addresses import address
from support.bench import Bench
from support.databases import new_database

pytestmark = pytest.mark.anyio

EFFECT = "insert into effects (n) values (1)"


@pytest.fixture(autouse=True)
def effects(database: str, observer: psycopg.Connection) -> Iterator[Callable[[], int]]:
    """A table for what tasks store, and how much there is."""
    observer.execute("drop table if exists effects")
    observer.execute("create table effects (n integer not null)")

    def count() -> int:
        row = observer.execute("select count(*) from effects").fetchone()
        assert row is not None
        return int(row[0])

    yield count
    observer.execute("drop table effects")


# Every kind of connection


@contextlib.contextmanager
def on_psycopg(dsn: str, is_autocommit: bool) -> Iterator[tuple[Any, Callable[[], Any]]]:
    with psycopg.connect(dsn, autocommit=is_autocommit) as connection:
        yield connection, lambda: connection.execute(EFFECT)


@contextlib.contextmanager
def on_psycopg2(dsn: str, is_autocommit: bool) -> Iterator[tuple[Any, Callable[[], Any]]]:
    with contextlib.closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = is_autocommit
        yield connection, lambda: connection.cursor().execute(EFFECT)
        connection.commit()


@contextlib.contextmanager
def on_engine(dsn: str, is_autocommit: bool) -> Iterator[tuple[Any, Callable[[], Any]]]:
    options = {"isolation_level": "AUTOCOMMIT"} if is_autocommit else {}
    engine = sqlalchemy.create_engine(address(dsn, "psycopg"), **options)
    try:
        with engine.begin() as connection:
            yield connection, lambda: connection.execute(sqlalchemy.text(EFFECT))
    finally:
        engine.dispose()


@contextlib.contextmanager
def on_session(dsn: str, is_autocommit: bool) -> Iterator[tuple[Any, Callable[[], Any]]]:
    options = {"isolation_level": "AUTOCOMMIT"} if is_autocommit else {}
    engine = sqlalchemy.create_engine(address(dsn, "psycopg2"), **options)
    try:
        with Session(engine) as session, session.begin():
            yield session, lambda: session.execute(sqlalchemy.text(EFFECT))
    finally:
        engine.dispose()


@contextlib.asynccontextmanager
async def on_psycopg_async(dsn: str, is_autocommit: bool) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=is_autocommit) as connection:
        yield connection, lambda: connection.execute(EFFECT)


@contextlib.asynccontextmanager
async def on_session_async(dsn: str, is_autocommit: bool) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    options = {"isolation_level": "AUTOCOMMIT"} if is_autocommit else {}
    engine = create_async_engine(address(dsn, "asyncpg"), **options)
    try:
        async with AsyncSession(engine) as session, session.begin():
            yield session, lambda: session.execute(sqlalchemy.text(EFFECT))
    finally:
        await engine.dispose()


@contextlib.asynccontextmanager
async def on_asyncpg(dsn: str, is_autocommit: bool) -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    connection = await asyncpg.connect(dsn)
    try:
        async with contextlib.nullcontext() if is_autocommit else connection.transaction():
            yield connection, lambda: connection.execute(EFFECT)
    finally:
        await connection.close()


def on_engines(dsn: str) -> Any:
    return SQLAlchemyConnector(dsn=address(dsn, "asyncpg"))


BLOCKING: dict[str, tuple[Any, Any]] = {
    "psycopg": (adjourn.PsycopgConnector, on_psycopg),
    "psycopg2": (adjourn.AsyncPsycopg2Connector, on_psycopg2),
    "SQLAlchemy Connection": (adjourn.PsycopgConnector, on_engine),
    "SQLAlchemy Session": (on_engines, on_session),
}
AWAITED: dict[str, tuple[Any, Any]] = {
    "psycopg": (adjourn.PsycopgConnector, on_psycopg_async),
    "SQLAlchemy AsyncSession": (on_engines, on_session_async),
    "asyncpg": (on_engines, on_asyncpg),
}


class Rollback(Exception):
    """Rolls a transaction back."""


async def run_one(app: adjourn.App, task: Any) -> Any:
    """Run a job of the task, and return it when it has ended."""
    bench = Bench(app)
    async with app.open_async():
        job_id = await task.defer_async()
        await bench.drain()
        return await bench.job(job_id)


@pytest.mark.parametrize("kind", BLOCKING)
async def test_effects_and_end_are_one(kind: str, database: str, effects: Callable[[], int]) -> None:
    make, connected = BLOCKING[kind]
    app = adjourn.App(connector=make(database))
    seen: list[int] = []

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with connected(database, is_autocommit=False) as (connection, store):
            store()
            context.complete(connection, result={"ok": 1})
            seen.append(effects())

    job = await run_one(app, work)
    assert (job.status, job.result, job.attempts, job.errors) == ("succeeded", {"ok": 1}, 1, ())
    assert (seen, effects()) == ([0], 1)


@pytest.mark.parametrize("kind", AWAITED)
async def test_effects_and_end_are_one_async(kind: str, database: str, effects: Callable[[], int]) -> None:
    make, connected = AWAITED[kind]
    app = adjourn.App(connector=make(database))

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        async with connected(database, is_autocommit=False) as (connection, store):
            await store()
            await context.complete_async(connection, result=7)

    job = await run_one(app, work)
    assert (job.status, job.result, effects()) == ("succeeded", 7, 1)


@pytest.mark.parametrize("kind", BLOCKING)
async def test_a_rollback_takes_both_back(kind: str, database: str, effects: Callable[[], int]) -> None:
    make, connected = BLOCKING[kind]
    app = adjourn.App(connector=make(database))

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with contextlib.suppress(Rollback), connected(database, is_autocommit=False) as (connection, store):
            store()
            context.complete(connection)
            raise Rollback

    job = await run_one(app, work)
    assert (job.status, effects()) == ("failed", 0)
    assert job.errors[0]["exception"] == "adjourn.exceptions.CompletionRolledBack"


@pytest.mark.parametrize("kind", BLOCKING)
async def test_autocommit_is_refused(kind: str, database: str, effects: Callable[[], int]) -> None:
    make, connected = BLOCKING[kind]
    app = adjourn.App(connector=make(database))

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with (
            connected(database, is_autocommit=True) as (connection, _),
            pytest.raises(InvalidConnection, match="autocommit"),
        ):
            context.complete(connection)
        raise Rollback

    job = await run_one(app, work)
    assert (job.status, job.errors[0]["exception"]) == ("failed", f"{__name__}.Rollback")


@pytest.mark.parametrize("kind", AWAITED)
async def test_autocommit_is_refused_async(kind: str, database: str) -> None:
    make, connected = AWAITED[kind]
    app = adjourn.App(connector=make(database))

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        async with connected(database, is_autocommit=True) as (connection, _):
            with pytest.raises(InvalidConnection, match="autocommit"):
                await context.complete_async(connection)
        raise Rollback

    job = await run_one(app, work)
    assert (job.status, job.errors[0]["exception"]) == ("failed", f"{__name__}.Rollback")


# What is refused


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_stricter_isolation_is_refused(isolation: str, app: adjourn.App, bench: Bench, database: str) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            connection.execute(f"set transaction isolation level {isolation}".encode())
            with pytest.raises(InvalidConnection, match=isolation):
                context.complete(connection)
            # The transaction goes on.
            connection.execute(EFFECT)

    job_id = await work.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert job.errors[0]["exception"] == "adjourn.exceptions.CompletionRolledBack"


@pytest.mark.parametrize("has_schema", [True, False])
async def test_another_database_is_refused(
    has_schema: bool, app: adjourn.App, bench: Bench, server_dsn: str, database: str
) -> None:
    refusals: list[str] = []

    with new_database(server_dsn, f"adjourn_other_{has_schema}".lower()) as other:
        if has_schema:
            with adjourn.App(connector=adjourn.SyncPsycopgConnector(other)).open() as theirs:
                theirs.schema_manager.apply_schema()
                theirs.configure_task("work").defer()

        @app.task(pass_context=True, name="work")
        def work(context: adjourn.JobContext) -> None:
            with psycopg.connect(other) as connection:
                if has_schema:  # the same id, claim and worker there do not help
                    fence = "update adjourn.adjourn_jobs set id = %s, claim = %s, worker_id = %s"
                    connection.execute(fence, [context.job.id, context.job.claim, context.job.worker_id])
                with pytest.raises(InvalidConnection) as caught:
                    context.complete(connection)
            refusals.append(str(caught.value))

        await work.defer_async()
        await bench.drain()
    assert "another database" in refusals[0] if has_schema else "has no adjourn schema" in refusals[0]


async def test_no_connection_is_refused(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with pytest.raises(InvalidConnection, match="connection=None"):
            context.complete(None)
        with pytest.raises(InvalidConnection, match="Pass a connection"):
            context.complete(object())
        raise Rollback

    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.job(job_id)).errors[0]["exception"] == f"{__name__}.Rollback"


async def test_a_result_that_cannot_be_stored_is_refused_and_the_transaction_goes_on(
    app: adjourn.App, bench: Bench, database: str, effects: Callable[[], int]
) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            for bad in (object(), float("nan"), "\0", "\ud800"):
                with pytest.raises(adjourn.exceptions.InvalidResult):
                    context.complete(connection, result=bad)
            connection.execute(EFFECT)
            context.complete(connection, result="good")

    job_id = await work.defer_async()
    await bench.drain()
    assert ((await bench.job(job_id)).result, effects()) == ("good", 1)


async def test_a_run_that_has_lost_its_job_is_refused(
    app: adjourn.App, bench: Bench, database: str, effects: Callable[[], int]
) -> None:
    runs: list[int] = []

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        runs.append(context.job.claim)
        if len(runs) == 1:
            app.job_manager.retry_job_by_id(context.job.id)
        with psycopg.connect(database) as connection:
            connection.execute(EFFECT)
            context.complete(connection)

    job_id = await work.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, effects(), runs) == ("succeeded", 1, [1, 2])
    # The run that was refused has stored nothing.
    assert job.errors == ()


def test_the_error_of_a_lost_job_names_it() -> None:
    assert str(JobLost.of(7)).startswith("Job 7 is no longer this run's")


async def test_in_memory_there_is_no_transaction() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    refusals: list[str] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        for open_async in (context.transaction_async(), contextlib.nullcontext()):
            with pytest.raises(InvalidConnection) as caught:
                async with open_async:
                    await context.complete_async(object())
            refusals.append(str(caught.value))

    await run_one(app, work)
    assert len(refusals) == 2
    assert all("on Postgres" in said for said in refusals)


# What became of it


async def test_a_result_is_stored_as_the_task_stores_them(app: adjourn.App, bench: Bench, database: str) -> None:
    @app.task(pass_context=True, store_result=True, result_ttl=60)
    def storing(context: adjourn.JobContext) -> str:
        with psycopg.connect(database) as connection:
            context.complete(connection)
        return "this is not stored"

    @app.task(pass_context=True)
    def plain(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection)

    first, second = await storing.defer_async(), await plain.defer_async()
    await bench.drain()
    job = await bench.job(first)
    assert (job.result, job.has_result) == (None, True)
    assert job.finished_at is not None
    assert job.result_expires_at is not None
    assert (job.result_expires_at - job.finished_at).total_seconds() == 60
    assert (await bench.job(second)).has_result is False


async def test_a_worker_that_deletes_jobs_deletes_those_too(app: adjourn.App, bench: Bench, database: str) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext, result: int | None) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection, result=result)

    gone, kept = await work.defer_async(result=None), await work.defer_async(result=1)
    await bench.drain(delete_jobs="always")
    assert await app.job_manager.list_jobs_async(id=gone) == []
    assert (await bench.job(kept)).result == 1


async def test_a_transaction_that_is_committed_later_is_waited_for(
    app: adjourn.App, bench: Bench, database: str, effects: Callable[[], int]
) -> None:
    is_over, connection = threading.Event(), psycopg.connect(database)

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        connection.execute(EFFECT)
        context.complete(connection)
        is_over.set()

    job_id = await work.defer_async()
    with contextlib.closing(connection):
        async with bench.working():
            await bench.until(is_over.is_set)
            # Others do not wait for it.
            other = await app.configure_task("builtin:adjourn.builtin_tasks.remove_old_jobs").defer_async(max_hours=1)
            await bench.until(lambda: bench.job(other))
            assert await bench.status(job_id) == "doing"
            connection.commit()
            await bench.ended(job_id)
    assert effects() == 1


@pytest.mark.parametrize("has_timeout", [True, False])
async def test_a_transaction_that_stays_open_fails_the_run_and_may_be_committed_all_the_same(
    has_timeout: bool, app: adjourn.App, bench: Bench, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "PATIENCE", 0.3)
    connection = psycopg.connect(database)
    told: list[events.JobEnded] = []
    app.events.subscribe(events.JobEnded, told.append)

    @app.task(pass_context=True, timeout=0.3 if has_timeout else None)
    def work(context: adjourn.JobContext) -> None:
        context.complete(connection)

    job_id = await work.defer_async()
    with contextlib.closing(connection):
        async with bench.working():
            await bench.until(lambda: told)
            assert isinstance(told[0], events.JobFailed)
            expected = adjourn.exceptions.JobTimeout if has_timeout else adjourn.exceptions.CompletionRolledBack
            assert isinstance(told[0].error, expected)
            assert await bench.status(job_id) == "doing"
            connection.commit()
            job = await bench.ended(job_id)
    assert job.errors == ()


async def test_an_error_after_the_end_is_told_and_not_stored(app: adjourn.App, bench: Bench, database: str) -> None:
    told: list[Any] = []
    app.events.subscribe(events.ErrorAfterCompletion, told.append)
    app.events.subscribe(events.JobEnded, told.append)

    @app.task(pass_context=True, retry=3)
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection)
        raise Rollback

    job_id = await work.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.errors, job.attempts) == ("succeeded", (), 1)
    assert [type(event) for event in told] == [events.ErrorAfterCompletion, events.JobSucceeded]
    assert isinstance(told[0].error, Rollback)


async def test_an_error_that_rolls_back_is_the_one_that_is_stored(
    app: adjourn.App, bench: Bench, database: str
) -> None:
    @app.task(pass_context=True, retry=1)
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection)
            raise Rollback

    job_id = await work.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, [each["exception"] for each in job.errors]) == ("failed", [f"{__name__}.Rollback"] * 2)


async def test_a_transaction_may_be_tried_again(
    app: adjourn.App, bench: Bench, database: str, effects: Callable[[], int]
) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            for _ in range(3):
                with contextlib.suppress(Rollback), connection.transaction():
                    connection.execute(EFFECT)
                    context.complete(connection)
                    raise Rollback
            connection.execute(EFFECT)
            context.complete(connection)

    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.status(job_id), effects()) == ("succeeded", 1)


# Locks


async def test_the_next_job_of_the_lock_runs_at_the_commit(app: adjourn.App, bench: Bench, database: str) -> None:
    @app.task(pass_context=True, lock="l")
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection)

    async with bench.working(fetch_job_polling_interval=600):
        ids = await work.batch_defer_async({}, {}, {})
        for job_id in ids:
            await bench.ended(job_id)


async def test_the_transaction_holds_no_advisory_lock(
    app: adjourn.App, bench: Bench, database: str, observer: psycopg.Connection
) -> None:
    held: list[Any] = []

    @app.task(pass_context=True, lock="l")
    def work(context: adjourn.JobContext) -> None:
        with psycopg.connect(database) as connection:
            context.complete(connection)
            text = "select count(*) from pg_locks where locktype = 'advisory' and pid = %s"
            held.append(observer.execute(text, [connection.info.backend_pid]).fetchone())

    await work.defer_async()
    await bench.drain()
    assert held == [(0,)]


# The connector's own transactions


@pytest.mark.parametrize("make", [adjourn.PsycopgConnector, on_engines])
async def test_a_transaction_of_the_connector_ends_the_job(
    make: Any, database: str, effects: Callable[[], int]
) -> None:
    app = adjourn.App(connector=make(database))

    @app.task(pass_context=True)
    def blocking(context: adjourn.JobContext) -> None:
        with context.transaction() as connection:
            connection.execute(EFFECT)

    @app.task(pass_context=True)
    async def awaited(context: adjourn.JobContext) -> None:
        async with context.transaction_async() as connection:
            await connection.execute(EFFECT)
            await context.complete_async(connection, result="r")

    assert (await run_one(app, blocking)).status == "succeeded"
    assert (await run_one(app, awaited)).result == "r"
    assert effects() == 2


async def test_a_transaction_of_psycopg2s_connector_ends_the_job(database: str, effects: Callable[[], int]) -> None:
    app = adjourn.App(connector=adjourn.AsyncPsycopg2Connector(database))

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        with context.transaction() as connection:
            connection.cursor().execute(EFFECT)

    assert (await run_one(app, work)).status == "succeeded"
    assert effects() == 1


async def test_a_block_that_raises_is_rolled_back(app: adjourn.App, bench: Bench, effects: Callable[[], int]) -> None:
    @app.task(pass_context=True)
    def blocking(context: adjourn.JobContext) -> None:
        with context.transaction() as connection:
            connection.execute(EFFECT)
            context.complete(connection)
            raise Rollback

    @app.task(pass_context=True)
    async def awaited(context: adjourn.JobContext) -> None:
        async with context.transaction_async() as connection:
            await connection.execute(EFFECT)
            raise Rollback

    ids = [await blocking.defer_async(), await awaited.defer_async()]
    await bench.drain()
    jobs = [await bench.job(job_id) for job_id in ids]
    assert [job.errors[0]["exception"] for job in jobs] == [f"{__name__}.Rollback"] * 2
    assert effects() == 0


async def test_a_task_that_is_cut_short_after_the_commit_has_ended(
    app: adjourn.App, bench: Bench, database: str, effects: Callable[[], int]
) -> None:
    """The commit is the end: what the worker would have done after it is not needed."""
    runs: list[int] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        runs.append(1)
        async with context.transaction_async() as connection:
            await connection.execute(EFFECT)
        await asyncio.sleep(600)

    job_id = await work.defer_async()
    async with bench.working(shutdown_graceful_timeout=0):
        await bench.ended(job_id)
    await bench.drain()
    assert (runs, effects(), await bench.status(job_id)) == ([1], 1, "succeeded")
