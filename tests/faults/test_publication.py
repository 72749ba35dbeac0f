"""A database whose tables are all published, as change data capture and upgrades by logical replication have it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

import adjourn
from adjourn import embedded
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.doctor import Level, examine
from adjourn.exceptions import AlreadyEnqueued
from adjourn.jobs import Status
from support.databases import SETTINGS, apply_schema, new_database
from support.waiting import until

# Every table that holds rows, and whether Postgres could publish an update or a delete of one.
IDENTITIES = """
    select c.relname, c.relreplident = 'f' or exists (
        select from pg_index i where i.indrelid = c.oid and case c.relreplident
            when 'd' then i.indisprimary when 'i' then i.indisreplident else false end
    ) as has_identity
    from pg_class c where c.relnamespace = 'adjourn'::regnamespace and c.relkind in ('r', 'p')
"""
LATER_WEEK = "create table adjourn.later_week partition of adjourn.adjourn_finished_jobs for values from ('2200-01-01') to ('2200-01-08')"
OLD_WEEK = (
    "create table adjourn.old_week partition of adjourn.adjourn_finished_jobs for values from ('2001-01-01') to ('2001-01-08')",
    "update adjourn.adjourn_finished_jobs set finished_at = '2001-01-02' where task_name = 'old'",
)


@pytest.fixture(scope="module")
def published() -> Iterator[str]:
    """The address of a database with adjourn's schema, all of whose tables are published, and read by a subscriber."""
    settings = {**SETTINGS, "wal_level": "logical"}
    path = Path(tempfile.gettempdir(), f"adjourn-published-{os.getpid()}")
    with embedded.Server(path, temporary=True, settings=settings) as server:
        apply_schema(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create publication everything for all tables")
            connection.execute("select pg_create_logical_replication_slot('subscriber', 'pgoutput')")
        yield server.dsn


@pytest.fixture
def published_app(published: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(published))


def test_every_table_has_a_replica_identity_also_those_made_later(published: str) -> None:
    with psycopg.connect(published, autocommit=True) as connection:
        connection.execute("select adjourn.adjourn_partition_v1(20)")
        connection.execute(LATER_WEEK)
        identities: dict[str, bool] = dict(connection.execute(IDENTITIES).fetchall())
        connection.execute("drop table adjourn.later_week")
    assert {"adjourn_jobs", "adjourn_headless_locks", "adjourn_finished_jobs_default", "later_week"} <= set(identities)
    assert len([name for name in identities if name.startswith("adjourn_finished_jobs_2")]) == 21
    assert [name for name, has_identity in identities.items() if not has_identity] == []


@pytest.mark.timeout(60)
def test_jobs_run_and_are_changed_under_a_publication_of_all_tables(published_app: adjourn.App, published: str) -> None:
    ran: list[int] = []

    @published_app.task(name="note", retry=1)
    def note(number: int) -> None:
        ran.append(number)
        if number == 3 and ran.count(3) == 1:
            raise RuntimeError("once")

    @published_app.task(name="old")
    def old() -> None:
        pass

    with published_app.open():
        first, second, third = (note.configure(lock="one").defer(number=number) for number in (1, 2, 3))
        note.configure(queueing_lock="one").defer(number=4)
        with pytest.raises(AlreadyEnqueued):
            note.configure(queueing_lock="one").defer(number=5)
        published_app.run_worker(wait=False)
        assert sorted(ran) == [1, 2, 3, 3, 4]

        manager = published_app.job_manager
        manager.retry_job_by_id(first, lock="other")
        manager.retry_job_by_id(second)
        assert manager.cancel_job_by_id(second)
        published_app.run_worker(wait=False)
        assert [manager.get_job_status(each) for each in (first, second, third)] == [
            *(Status.SUCCEEDED, Status.CANCELLED, Status.SUCCEEDED),
        ]

        # One week that is dropped whole, and jobs that are deleted one by one.
        old.batch_defer({}, {})
        published_app.run_worker(wait=False)
        with psycopg.connect(published, autocommit=True) as connection:
            for statement in OLD_WEEK:
                connection.execute(statement)
        assert manager.delete_old_jobs(nb_hours=24) == 2
        assert manager.delete_old_jobs(nb_hours=0, include_cancelled=True) == 4
        assert manager.list_jobs() == []


CAUGHT_UP = """
    select coalesce(bool_and(r.srsubstate = 'r'), false) from pg_subscription_rel r
"""


@pytest.fixture
def subscriber(published: str) -> Iterator[str]:
    """The address of a database of the same server that gets all that is published, until it is promoted."""
    with new_database(published, "subscriber") as address:
        apply_schema(address)
        with psycopg.connect(address, autocommit=True) as connection:
            # As after `pg_dump --schema-only`.
            connection.execute("delete from adjourn.adjourn_migrations")
        yield address
        with psycopg.connect(address, autocommit=True) as connection:
            promote(connection)


def subscribe(published: str, connection: psycopg.Connection) -> None:
    """Copy what is there, and go on with what comes."""
    with psycopg.connect(published, autocommit=True) as publisher:
        publisher.execute("alter publication everything set (publish_via_partition_root = true)")
        # In one server a subscription cannot make its slot itself.
        publisher.execute("select pg_create_logical_replication_slot('moving', 'pgoutput')")
    connection.execute(
        SQL(
            "create subscription moving connection {} publication everything with (create_slot = false, slot_name = 'moving')"
        ).format(Literal(published))
    )


def promote(connection: psycopg.Connection) -> None:
    """End the subscription, if there is one."""
    if connection.execute("select 1 from pg_subscription where subname = 'moving'").fetchone():
        connection.execute("alter subscription moving disable")
        connection.execute("drop subscription moving")


@pytest.mark.timeout(90)
def test_jobs_go_on_at_a_subscriber_once_its_sequences_are_raised(published: str, subscriber: str) -> None:
    apps = [adjourn.App(connector=adjourn.PsycopgConnector(dsn)) for dsn in (published, subscriber)]
    ran: list[tuple[str, int]] = []
    for name, app in zip(("old", "new"), apps, strict=True):

        @app.task(name="note")
        def note(number: int, name: str = name) -> None:
            ran.append((name, number))

    old, new = apps
    locked = [{"number": number} for number in range(10, 15)]
    with psycopg.connect(subscriber, autocommit=True) as connection:
        with old.open():
            old.job_manager.delete_old_jobs(nb_hours=0, include_failed=True, include_cancelled=True)
            old.tasks["note"].defer(number=1)
            subscribe(published, connection)
            old.run_worker(wait=False)
            old.tasks["note"].configure(lock="one").batch_defer(*locked)
            old.tasks["note"].configure(lock="one", schedule_in={"hours": 1}).defer(number=99)
            # One that a worker had begun when it was killed.
            begun = old.tasks["note"].defer(number=2)
            with psycopg.connect(published, autocommit=True) as publisher:
                publisher.execute(
                    "with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('killed', now()) returning id)"
                    " update adjourn.adjourn_jobs j set worker_id = w.id, claim = 1, started_at = now() from w where j.id = %s",
                    [begun],
                )
                (stored,) = publisher.execute("select count(*) from adjourn.adjourn_jobs").fetchone() or (0,)
        with old.open():
            until(lambda: connection.execute(CAUGHT_UP).fetchone() == (True,))
            there = "select count(*), count(worker_id) from adjourn.adjourn_jobs"
            until(lambda: connection.execute(there).fetchone() == (stored, 1))
            until(lambda: connection.execute("select count(*) from adjourn.adjourn_finished_jobs").fetchone() == (1,))
        promote(connection)

        (check,) = examine(new, only=["sequences"], timeout=60).checks
        assert check.level is Level.CRITICAL
        assert {"adjourn_jobs", "adjourn_workers"} <= {finding.text.split()[4] for finding in check.findings}
        for finding in check.findings:
            connection.execute(finding.statement.encode())
        (check,) = examine(new, only=["sequences"], timeout=60).checks
        assert check.level is Level.OK

        with new.open():
            last = new.tasks["note"].configure(lock="one").defer(number=15)
            with contextlib.closing(new.connector.session()) as session:
                assert SyncWorkerManager(session, new.connector.json_loads).rescue(5, 0).counts == (1, 0)
            new.run_worker(wait=False)
            assert new.job_manager.get_job_status(begun) is Status.SUCCEEDED
            assert new.job_manager.get_job_status(last) is Status.SUCCEEDED
            (waiting,) = new.job_manager.list_jobs(status="todo")
            assert waiting.task_kwargs == {"number": 99}
        assert ran[0] == ("old", 1)
        assert [entry for entry in ran[1:] if entry[1] >= 10] == [("new", number) for number in range(10, 16)]
        assert ("new", 2) in ran
