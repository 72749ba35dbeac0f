"""Whatever settings a role begins its sessions with, jobs are stored, run and listed right, with every driver."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import time
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn._drivers import settings as driver_settings
from adjourn._drivers.errors import explained
from adjourn.exceptions import ConnectorException
from adjourn.jobs import Job
from adjourn.types import Statement
from dispatch.pairs import ADAPTED, DRIVERS, Pair
from support.bench import Bench
from support.settings import role_has
from support.waiting import BOUND

SETTINGS: dict[str, dict[str, str]] = {
    "SQL dates": {"DateStyle": "SQL, DMY", "TimeZone": "Asia/Kolkata"},
    "German dates": {"DateStyle": "German, DMY", "TimeZone": "America/St_Johns", "IntervalStyle": "sql_standard"},
    "Postgres dates": {"DateStyle": "Postgres, MDY", "TimeZone": "<+01>-1", "IntervalStyle": "iso_8601"},
    "LATIN1": {"client_encoding": "LATIN1"},
    "SQL_ASCII": {"client_encoding": "SQL_ASCII"},
    "backslashes": {"standard_conforming_strings": "off", "escape_string_warning": "on", "backslash_quote": "off"},
    "nulls": {"array_nulls": "off", "transform_null_equals": "on"},
    "repeatable read": {"default_transaction_isolation": "repeatable read"},
    "serializable": {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    "no path": {"search_path": "nowhere", "row_security": "off", "session_replication_role": "replica"},
    "late catalog": {"search_path": "nowhere, pg_catalog", "quote_all_identifiers": "on", "exit_on_error": "on"},
    "generic plans": {"plan_cache_mode": "force_generic_plan", "enable_indexscan": "off", "jit_above_cost": "0"},
    "custom plans": {"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off", "work_mem": "64kB"},
    "strict": {"plpgsql.extra_errors": "all", "plpgsql.variable_conflict": "use_variable"},
    "talkative": {"client_min_messages": "debug5", "bytea_output": "escape", "extra_float_digits": "-15"},
}
"""What a role may begin its sessions with."""

PAIRS = [*DRIVERS, ADAPTED]

LATER = datetime.datetime(2999, 2, 3, 4, 5, 6, 789, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=45)))


@pytest.fixture(params=SETTINGS)
def settings(request: pytest.FixtureRequest, database: str, observer: psycopg.Connection) -> Iterator[None]:
    """Have the role begin its sessions with the settings of one test."""
    with role_has(observer, **SETTINGS[request.param]):
        yield


@pytest.fixture(params=PAIRS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """The connectors of one test."""
    found: Pair = request.param
    return found


def make_app(pair: Pair, dsn: str) -> tuple[adjourn.App, list[str]]:
    """Return an app with tasks that take down what was done."""
    app, done = adjourn.App(connector=pair.connector(dsn, 3, 20)), list[str]()

    @app.task(name="grüßen")
    def greet(name: str) -> None:
        done.append(name)

    @app.task(name="fail once", retry=adjourn.RetryStrategy(max_attempts=1), pass_context=True)
    def fail_once(context: adjourn.JobContext) -> None:
        done.append(f"attempt {context.job.attempts}")
        if context.job.attempts == 0:
            raise ValueError("dürfen wir noch einmal?")

    return app, done


def check_listed(jobs: list[Job], before: datetime.datetime, after: datetime.datetime) -> None:
    """Check a job that waits, one that has run, and one that needed two attempts."""
    later, *others, twice = jobs
    assert [job.task_name for job in (later, *others)] == ["grüßen"] * 4
    assert [job.lock for job in jobs] == ["Straße", "Straße", None, None, None]
    assert later.scheduled_at == LATER
    assert later.started_at is None
    assert [job.status for job in (*others, twice)] == ["succeeded"] * 4
    assert twice.attempts == 2
    assert twice.errors[0]["message"] == "dürfen wir noch einmal?"
    for job in (*others, twice):
        times = [job.enqueued_at, job.started_at, job.finished_at]
        for at in times:
            assert at is not None
            assert at.tzinfo is not None
            assert before <= at <= after


async def test_a_worker_does_all_its_work_and_its_jobs_are_listed_right(
    database: str, settings: None, pair: Pair, observer: psycopg.Connection
) -> None:
    app, done = make_app(pair, database)
    before = now(observer)
    async with app.open_async():
        await app.tasks["grüßen"].configure(schedule_at=LATER, lock="Straße").defer_async(name="später")
        await app.tasks["grüßen"].configure(lock="Straße").defer_async(name="Zoë")
        await app.tasks["grüßen"].batch_defer_async({"name": "Jürgen"}, {"name": "Chloé"})
        await app.tasks["fail once"].defer_async()
        await Bench(app).drain()
        jobs = list(await app.job_manager.list_jobs_async())
        server_time = await app.job_manager.get_time_async()
    after = now(observer)
    assert sorted(done) == ["Chloé", "Jürgen", "Zoë", "attempt 0", "attempt 1"]
    check_listed(jobs, before, after)
    assert before <= server_time <= after


def test_blocking_calls_store_jobs_and_list_them_right(
    database: str, settings: None, pair: Pair, observer: psycopg.Connection
) -> None:
    app, _ = make_app(pair, database)
    before = now(observer)
    with app.open():
        app.tasks["grüßen"].configure(schedule_at=LATER, lock="Straße").defer(name="später")
        app.tasks["grüßen"].batch_defer({"name": "Zoë"}, {"name": "Jürgen"})
        later, *others = app.job_manager.list_jobs()
    assert later.scheduled_at == LATER
    assert later.lock == "Straße"
    assert [job.task_kwargs["name"] for job in others] == ["Zoë", "Jürgen"]
    for job in others:
        assert job.enqueued_at is not None
        assert before <= job.enqueued_at <= now(observer)


@pytest.mark.parametrize("name", ["German dates", "SQL_ASCII", "backslashes", "serializable", "no path"])
async def test_pools_and_connections_of_the_user_serve_as_they_are(
    database: str, pair: Pair, name: str, observer: psycopg.Connection
) -> None:
    assert pair.pool_async is not None
    assert pair.connect_async is not None
    if name == "SQL_ASCII" and pair.name in ("sqlalchemy-psycopg", "adapted"):
        pytest.skip("SQLAlchemy itself cannot read the bytes that psycopg returns then, nor can the other driver")
    # psycopg2 has no text for a connection without an encoding.
    lock = "strasse" if (name, pair.name) == ("SQL_ASCII", "psycopg2") else "Straße"
    before = now(observer)
    with role_has(observer, **SETTINGS[name]):
        app, done = make_app(pair, database)
        async with pair.pool_async(database) as pool, app.open_async(pool):
            task = app.tasks["fail once"].configure(lock=lock, schedule_at=LATER)
            first = await task.defer_async()
            async with pair.connect_async(database) as connection:
                await app.tasks["fail once"].configure(lock=lock, connection=connection).defer_async()
                committed = connection.commit()
                if inspect.isawaitable(committed):
                    await committed
            later, at_once = await app.job_manager.list_jobs_async()
            await Bench(app).drain()
            assert await app.job_manager.get_job_status_async(at_once.id or 0) == "succeeded"
    assert (later.id, later.scheduled_at, later.lock) == (first, LATER, lock)
    for job in (later, at_once):
        assert job.enqueued_at is not None
        assert before <= job.enqueued_at <= now(observer)
    assert done == ["attempt 0", "attempt 1"]


async def test_batches_need_no_nulls_in_arrays(database: str, pair: Pair, observer: psycopg.Connection) -> None:
    assert pair.pool_async is not None
    with role_has(observer, array_nulls="off"):
        app, _ = make_app(pair, database)
        async with pair.pool_async(database) as pool, app.open_async(pool):
            assert len(await app.tasks["grüßen"].batch_defer_async({"name": "a"}, {"name": "b"})) == 2
            assert len(list(await app.job_manager.list_jobs_async())) == 2


LIMITS = {
    "statement_timeout": "200ms",
    "lock_timeout": "200ms",
    "idle_in_transaction_session_timeout": "200ms",
    "idle_session_timeout": "200ms",
}


async def test_limits_of_a_role_do_not_end_a_session_of_a_worker(
    database: str, pair: Pair, observer: psycopg.Connection
) -> None:
    sleep = Statement("sleep", "SELECT count(*) AS n FROM pg_sleep(0.3)")
    app, _ = make_app(pair, database)
    with role_has(observer, **LIMITS):
        session = await app.connector.session_async()
        for begin in ("SELECT", "BEGIN"):
            await session.execute_async(Statement("begin", begin))
            assert await session.execute_async(sleep, {}) == [{"n": 1}]
            await asyncio.sleep(0.3)
        assert await session.execute_async(sleep, {}) == [{"n": 1}]
        await session.close_async()


async def test_a_limit_that_the_connector_was_given_holds(database: str) -> None:
    connector = adjourn.PsycopgConnector(database, options="-c statement_timeout=500ms")
    session = await connector.session_async()
    with pytest.raises(ConnectorException, match="statement timeout"):
        await session.execute_async(Statement("sleep", "SELECT FROM pg_sleep(30)"), {})
    await session.close_async()


async def test_a_role_that_may_only_read_reads_and_hears_why_it_cannot_write(
    database: str, pair: Pair, observer: psycopg.Connection
) -> None:
    with role_has(observer, default_transaction_read_only="on"):
        app, _ = make_app(pair, database)
        async with app.open_async():
            assert list(await app.job_manager.list_jobs_async()) == []
            reason = "read-only transaction" if pair is ADAPTED else "default_transaction_read_only = off"
            with pytest.raises(ConnectorException, match=reason):
                await app.tasks["grüßen"].defer_async(name="a")


async def test_a_server_that_does_not_answer_the_first_statement_is_given_up(
    database: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, observer: psycopg.Connection
) -> None:
    if pair is ADAPTED:
        pytest.skip("its pool is its driver's, and its sessions are given up as any call of theirs")
    monkeypatch.setattr(driver_settings, "_setting", lambda _: "(SELECT count(*) FROM pg_sleep(60)")
    connector = pair.connector(database, 2, 1)
    async with asyncio.timeout(BOUND):
        with pytest.raises(ConnectorException):
            await connector.open_async()
        with pytest.raises(ConnectorException):
            await connector.session_async()
        with pytest.raises(ConnectorException):
            await asyncio.to_thread(connector.session)
    # The server has not noticed yet that nobody waits.
    observer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )


def now(observer: psycopg.Connection) -> datetime.datetime:
    """Return the time of the server."""
    row = observer.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    found: datetime.datetime = row[0]
    return found


BOUNDS = {
    "statement_timeout": "too slow",
    "lock_timeout": "blocked",
    "idle_in_transaction_session_timeout": "idle in a transaction",
    "transaction_timeout": "idle in a transaction",
    "idle_session_timeout": "idle",
}
"""Limits that a role may have, and what exceeds each."""


@pytest.mark.parametrize("colour", ["awaited", "blocking"])
@pytest.mark.parametrize("limit", BOUNDS)
async def test_who_exceeds_a_limit_of_a_role_hears_which_one_and_what_to_do(
    database: str, pair: Pair, observer: psycopg.Connection, limit: str, colour: str
) -> None:
    if limit == "transaction_timeout" and observer.info.server_version < 170_000:
        pytest.skip("Postgres has had it since 17")
    if pair is ADAPTED:
        pytest.skip("its errors are its own")
    with role_has(observer, **{limit: "100ms"}):
        app, _ = make_app(pair, database)
        given = (app, pair, database, BOUNDS[limit])
        with pytest.raises(ConnectorException) as caught:
            await (exceed_async(*given) if colour == "awaited" else asyncio.to_thread(exceed_blocking, *given))
    assert f"`alter role ... set {limit} = 0`" in str(caught.value)


def unlimited(dsn: str) -> psycopg.Connection:
    """Connect without the limits of the role."""
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("set idle_in_transaction_session_timeout = 0")
    if connection.info.server_version >= 170_000:
        connection.execute("set transaction_timeout = 0")
    connection.autocommit = False
    return connection


def exceed_blocking(app: adjourn.App, pair: Pair, dsn: str, how: str) -> None:
    """Do by blocking calls what a limit of 0.1 seconds ends."""
    assert pair.connect is not None
    task = app.tasks["grüßen"]
    with (
        app.open(),
        unlimited(dsn) as other,
    ):
        if how == "too slow":
            app.connector.execute_query("SELECT count(*) AS n FROM pg_sleep(30)")
        elif how == "blocked":
            other.execute("LOCK TABLE adjourn.adjourn_jobs")
            task.defer(name="a")
        else:
            with pair.connect(dsn) as connection:
                task.configure(connection=connection).defer(name="a")
                if how == "idle":
                    connection.commit()
                time.sleep(0.5)
                task.configure(connection=connection).defer(name="b")


async def exceed_async(app: adjourn.App, pair: Pair, dsn: str, how: str) -> None:
    """Do by awaited calls what a limit of 0.1 seconds ends."""
    assert pair.connect_async is not None
    task = app.tasks["grüßen"]
    with unlimited(dsn) as other:
        async with app.open_async():
            if how == "too slow":
                await app.connector.execute_query_async("SELECT count(*) AS n FROM pg_sleep(30)")
            elif how == "blocked":
                other.execute("LOCK TABLE adjourn.adjourn_jobs")
                await task.defer_async(name="a")
            else:
                async with pair.connect_async(dsn) as connection:
                    await task.configure(connection=connection).defer_async(name="a")
                    if how == "idle":
                        committed = connection.commit()
                        if inspect.isawaitable(committed):
                            await committed
                    await asyncio.sleep(0.5)
                    await task.configure(connection=connection).defer_async(name="b")


@pytest.mark.parametrize("colour", ["awaited", "blocking"])
async def test_a_limit_that_ends_the_first_statement_of_a_connection_is_named(
    database: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, observer: psycopg.Connection, colour: str
) -> None:
    if pair is ADAPTED:
        pytest.skip("its errors are its own")
    monkeypatch.setattr(driver_settings, "_setting", lambda _: "(SELECT count(*) FROM pg_sleep(60)")
    with role_has(observer, statement_timeout="100ms"):
        app, _ = make_app(pair, database)
        with pytest.raises(ConnectorException, match=r"`alter role \.\.\. set statement_timeout = 0`"):
            await (app.open_async() if colour == "awaited" else asyncio.to_thread(app.open))


def test_a_limit_that_adjourn_sets_itself_is_not_taken_for_the_roles() -> None:
    assert "one of adjourn's own" in explained("canceling statement due to lock timeout", "55P03")
    assert "adjourn's own" not in explained("canceling statement due to statement timeout", "57014")
