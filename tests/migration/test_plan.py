"""`plan` says what there is and what stands in the way, and changes nothing."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn.exceptions import SchemaOutOfDate
from adjourn.migration import Migration, MigrationRefused
from support.databases import new_database
from support.procrastinates import INSTALLED, RELEASES, Old, schema_of

LATER = datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC)


def fill(old: Old) -> None:
    """Jobs in each status, with locks and schedules."""
    for status in ("succeeded", "failed"):
        old.defer()
        job = old.fetch(old.register())
        assert job is not None
        old.end(job["id"], status)
    old.cancel(old.defer())
    aborted = old.defer()
    old.fetch(old.register())
    old.cancel(aborted, abort=True)
    old.end(aborted, "aborted")
    old.defer(lock="a")
    old.fetch(old.register())
    old.defer("unknown", queue="mail", lock="a", queueing_lock="q")
    old.defer(at=LATER)
    old.defer_tick(1_000_000)
    old.defer_tick(1_000_060)
    old.defer_tick(1_000_000, task="gone")


def rows_of(old: Old) -> dict[str, object]:
    """Everything in the tables of both, and the objects that there are."""
    found: dict[str, object] = {}
    for name, kind in [
        tuple(row.values())
        for row in old.run(
            "select oid::regclass::text as name, relkind::text as kind from pg_class where relkind in ('r', 'S')"
            " and relnamespace::regnamespace::text in ('public', 'adjourn')"
        )
    ]:
        found[name] = old.run(f"select * from {name} t" + (" order by t::text" if kind == "r" else ""))
    for catalog in ("pg_trigger", "pg_proc", "pg_constraint"):
        found[catalog] = old.run(f"select oid, xmin::text from {catalog} order by oid")
    found["pg_class"] = old.run("select oid, relname from pg_class order by oid")
    return found


RELEASE_NAMES = {INSTALLED: "3.1 or later", "2.15.1": "2", "3.0.2": "3.0", "3.2.2": "3.1 or later"}


@pytest.mark.parametrize("release", RELEASES)
def test_plan_counts_right_and_changes_nothing(migration: Migration, old: Old, release: str) -> None:
    fill(old)
    before = rows_of(old)
    report = migration.plan()
    assert rows_of(old) == before
    facts = report.facts
    expected = {"todo": 5, "doing": 1, "succeeded": 1, "failed": 1, "cancelled": 1, "aborted": 1}
    assert facts["by_status"] == expected
    assert sum(row["jobs"] for row in facts["jobs"] if row["task_name"] == "echo") == 6
    assert facts["release"] == RELEASE_NAMES[release]
    assert len(facts["schedules"]) == 2
    assert report.to_decide == []
    text = report.as_text()
    assert "no task 'unknown'" in text
    assert "no schedule '' of the task 'gone'" in text
    assert json.loads(report.as_json())["by_status"] == expected


def test_an_older_release_is_refused_with_the_one_that_is_needed(migration: Migration, old: Old) -> None:
    old.run("alter table procrastinate_jobs drop column priority")
    with pytest.raises(MigrationRefused, match=r"before 2\.0\.3.*2\.14 or later"):
        migration.plan()


def test_a_database_without_its_tables_is_refused(database: str) -> None:
    with adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=database)).open() as app:
        with pytest.raises(MigrationRefused, match=r"no tables of Procrastinate.*another database"):
            Migration(app).plan()
        with pytest.raises(MigrationRefused, match="in the schema 'elsewhere'"):
            Migration(app, from_schema="elsewhere").plan()


def test_a_database_without_our_schema_is_refused(old: Old, app: adjourn.App, migration: Migration) -> None:
    old.run("drop schema adjourn cascade")
    with pytest.raises(SchemaOutOfDate, match="schema --apply"):
        migration.plan()


@pytest.mark.parametrize("action", ["cascade", "restrict", "no action"])
def test_foreign_keys_of_others_are_refused_by_name(migration: Migration, old: Old, action: str) -> None:
    job_id = old.defer()
    old.run(f"create table orders (job bigint constraint orders_job references procrastinate_jobs on delete {action})")
    old.run("insert into orders values (%s)", job_id)
    before = rows_of(old)
    (told,) = migration.plan().to_decide
    assert 'alter table orders drop constraint "orders_job"' in told
    assert action in told
    with pytest.raises(MigrationRefused, match="orders_job"):
        migration.start()
    assert rows_of(old) == before


def test_what_forgets_or_watches_jobs_is_a_warning(migration: Migration, old: Old) -> None:
    old.run("create table orders (job bigint constraint orders_job references procrastinate_jobs on delete set null)")
    old.run("create function count_them() returns trigger language plpgsql as 'begin return old; end'")
    old.run(
        "create trigger count_deletes after delete on procrastinate_jobs for each row execute function count_them()"
    )
    report = migration.plan()
    assert report.to_decide == []
    assert "orders_job" in report.as_text()
    assert "count_deletes on procrastinate_jobs (count_them) fires" in report.as_text()


def test_ids_that_both_have_are_refused_unless_they_are_mapped(
    migration: Migration, old: Old, app: adjourn.App
) -> None:
    app.tasks["echo"].defer()
    old.defer()
    with pytest.raises(MigrationRefused, match="--map-ids"):
        migration.start()
    assert "--map-ids" in migration.plan().as_text()
    assert migration.plan(map_ids=True).to_decide == []


def test_locks_that_both_have_are_refused(migration: Migration, old: Old, app: adjourn.App) -> None:
    app.configure_task("echo", lock="shared").defer()
    old.defer(lock="shared")
    before = rows_of(old)["pg_trigger"]
    with pytest.raises(MigrationRefused, match="shared"):
        migration.start(map_ids=True)
    assert rows_of(old)["pg_trigger"] == before


def test_ids_beyond_integers_are_a_warning(migration: Migration, old: Old) -> None:
    assert "type integer" not in migration.plan().as_text()
    assert "type integer" in migration.plan(id_gap=2**31).as_text()


@contextlib.contextmanager
def another_role(old: Old, dsn: str) -> Iterator[adjourn.App]:
    """An app of a role that may use both schemas, and owns nothing."""
    old.run("drop role if exists migration_visitor")
    old.run("create role migration_visitor login")
    for schema in ("public", "adjourn"):
        old.run(f"grant all on schema {schema} to migration_visitor")
        for kind in ("tables", "sequences"):
            old.run(f"grant all on all {kind} in schema {schema} to migration_visitor")
    try:
        conninfo = psycopg.conninfo.make_conninfo(dsn, options="-c role=migration_visitor")
        with adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=conninfo)).open() as app:
            yield app
    finally:
        old.run("drop owned by migration_visitor")
        old.run("drop role migration_visitor")


def test_missing_ownership_is_answered_with_the_grant(old: Old, both: str) -> None:
    owner = old.value("select current_user")
    with another_role(old, both) as app:
        before = rows_of(old)
        with pytest.raises(MigrationRefused, match=f'grant "{owner}" to "migration_visitor"'):
            Migration(app).start()
        assert f'grant "{owner}" to "migration_visitor"' in Migration(app).plan().as_text()
        assert rows_of(old) == before


def test_one_of_several_schemas_is_chosen(server_dsn: str) -> None:
    name = 'Old "jobs" 50% @ready'
    with new_database(server_dsn, "migration_schemas") as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        quoted = psycopg.sql.Identifier(name).as_string()
        for each in (quoted, "other"):
            connection.execute(f"create schema {each}".encode())
            connection.execute(f"set search_path = {each}".encode())
            connection.execute(schema_of(INSTALLED).encode())
        with adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=dsn)).open() as app:
            app.schema_manager.apply_schema()
            with pytest.raises(MigrationRefused, match="--from-schema"):
                Migration(app).plan()
            old, migration = Old(dsn, name), Migration(app, from_schema=name)
            jobs = [old.defer(lock="a"), old.defer()]
            assert migration.plan().facts["by_status"] == {"todo": 2}
            migration.start()
            old.defer_tick(1_000_000)
            old.defer(queueing_lock="q")
            reports = list(migration.move())
            assert (reports[-1].facts["moved"], old.jobs()) == (2, [])
            assert len(list(app.job_manager.list_jobs())) == 4
            assert migration.history().facts["copied"] == 0
            with pytest.raises(MigrationRefused, match="under way"):
                Migration(app, from_schema="other").move().__next__()
            assert jobs
            migration.finish(force=True, drop=True)
            assert old.value("select count(*) from pg_class where relnamespace = %s::regnamespace", quoted) == 0
            old.connection.close()
