"""A database whose tables are all published, as change data capture and upgrades by logical replication have it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import embedded
from adjourn.exceptions import AlreadyEnqueued
from adjourn.jobs import Status
from support.databases import SETTINGS, apply_schema

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
