"""Weeks of finished jobs that are due while others use the table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import adjourn
from adjourn import events
from support.bench import Bench
from support.sessions import BLOCKED
from support.waiting import until

LAST_WEEK = """
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'adjourn.adjourn_finished_jobs'::regclass and c.relname ~ '_\\d+$' order by 1 desc limit 1
"""
LOCKS_OF_ALL = "select mode from pg_locks where relation = 'adjourn.adjourn_finished_jobs'::regclass and pid = %s"


@pytest.fixture
def app(database: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(database))


@pytest.fixture
def due(tables: list[str], observer: psycopg.Connection) -> str:
    """The name of a week whose partition is missing."""
    (name,) = observer.execute(LAST_WEEK).fetchone() or ("",)
    observer.execute(f"drop table adjourn.{name}".encode())
    return str(name)


@pytest.fixture
def reader(database: str) -> Iterator[psycopg.Connection]:
    """A session that reads finished jobs, in a transaction that it leaves open."""
    with psycopg.connect(database, application_name="a long report") as connection:
        connection.execute("select count(*) from adjourn.adjourn_finished_jobs")
        yield connection


def test_applying_the_schema_names_who_reads_finished_jobs_and_succeeds(
    app: adjourn.App, due: str, reader: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with app.open():
        (said,) = app.schema_manager.apply_schema()
        for text in ("no partitions", f"session {reader.info.backend_pid}", "'a long report'", "since 20"):
            assert text in said
        assert {record.__dict__["action"] for record in caplog.records} == {"partitions_wait"}
        reader.rollback()
        assert app.schema_manager.apply_schema() == [f"made partition {due}"]
        assert app.schema_manager.apply_schema() == []


def test_partitions_are_made_as_soon_as_the_reader_ends(
    app: adjourn.App, due: str, reader: psycopg.Connection, observer: psycopg.Connection
) -> None:
    with app.open(), ThreadPoolExecutor(1) as executor:
        applying = executor.submit(app.schema_manager.apply_schema)
        until(lambda: observer.execute(BLOCKED).fetchone() is not None)
        reader.rollback()
        assert applying.result(30) == [f"made partition {due}"]


def test_workers_store_finished_jobs_while_partitions_wait_for_a_reader(
    app: adjourn.App, due: str, reader: psycopg.Connection, observer: psycopg.Connection
) -> None:
    with app.open(), ThreadPoolExecutor(1) as executor:
        applying = executor.submit(app.schema_manager.apply_schema)
        until(lambda: observer.execute(BLOCKED).fetchone() is not None)
        (pid,) = observer.execute(BLOCKED).fetchone() or (0,)
        modes = {mode for (mode,) in observer.execute(LOCKS_OF_ALL, [pid])}
        reader.rollback()
        applying.result(30)
    # A worker's insert takes RowExclusiveLock, which conflicts with neither.
    assert modes <= {"AccessShareLock", "ShareUpdateExclusiveLock"}


def test_two_sessions_make_partitions_at_once(app: adjourn.App, due: str) -> None:
    both = threading.Barrier(2)

    def apply() -> list[str]:
        both.wait(10)
        return app.schema_manager.apply_schema()

    with app.open(), ThreadPoolExecutor(2) as executor:
        first, second = (executor.submit(apply) for _ in range(2))
        assert first.result(30) + second.result(30) == [f"made partition {due}"]


def test_a_role_that_does_not_own_the_tables_is_told_who_makes_partitions(
    database: str, due: str, observer: psycopg.Connection
) -> None:
    observer.execute("drop role if exists adjourn_test_guest")
    observer.execute("create role adjourn_test_guest login")
    observer.execute("grant usage on schema adjourn to adjourn_test_guest")
    observer.execute("grant select on all tables in schema adjourn to adjourn_test_guest")
    guest = adjourn.App(connector=adjourn.PsycopgConnector(database, user="adjourn_test_guest"))
    try:
        with guest.open():
            (said,) = guest.schema_manager.apply_schema()
            assert "only the owner of the tables" in said
    finally:
        observer.execute("drop owned by adjourn_test_guest")
        observer.execute("drop role adjourn_test_guest")
    with adjourn.App(connector=adjourn.PsycopgConnector(database)).open() as app:
        assert app.schema_manager.apply_schema() == [f"made partition {due}"]


async def test_a_worker_says_whom_its_partitions_wait_for(
    app: adjourn.App, due: str, reader: psycopg.Connection, observer: psycopg.Connection
) -> None:
    told: list[events.PartitionsNotMade] = []
    app.events.subscribe(events.PartitionsNotMade, told.append)
    async with app.open_async():
        bench = Bench(app)
        async with bench.working():
            await bench.until(lambda: told)
        (session,) = told[0].waits_for
        assert (session.pid, session.application_name) == (reader.info.backend_pid, "a long report")
        reader.rollback()
        await app.schema_manager.apply_schema_async()


def test_a_week_that_others_read_is_deleted_job_by_job_and_the_readers_are_named(
    app: adjourn.App, observer: psycopg.Connection, reader: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reader.rollback()
    observer.execute(
        "create table adjourn.old_week partition of adjourn.adjourn_finished_jobs"
        " for values from ('2001-01-01') to ('2001-01-08')"
    )
    app.task(name="any")(lambda: None)
    with app.open():
        app.configure_task("any").defer()
        app.run_worker(wait=False)
        observer.execute("update adjourn.adjourn_finished_jobs set finished_at = '2001-01-02', status = 'succeeded'")
        reader.execute("select count(*) from adjourn.adjourn_finished_jobs")
        assert app.job_manager.delete_old_jobs(nb_hours=24) == 1
        (record,) = [each for each in caplog.records if each.__dict__.get("action") == "deleted_old_jobs"]
        assert record.__dict__["dropped"] == []
        assert record.__dict__["busy"] == ["old_week"]
        assert f"session {reader.info.backend_pid} ('a long report'" in record.getMessage()
        reader.rollback()
        assert app.job_manager.delete_old_jobs(nb_hours=24) == 0
    assert observer.execute("select to_regclass('adjourn.old_week')").fetchone() == (None,)
