"""Whatever settings a role begins its sessions with, jobs are stored, run and listed right, with every driver."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn.jobs import Job
from dispatch.pairs import ADAPTED, DRIVERS, Pair
from support.bench import Bench
from support.settings import role_has

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


def now(observer: psycopg.Connection) -> datetime.datetime:
    """Return the time of the server."""
    row = observer.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    found: datetime.datetime = row[0]
    return found
