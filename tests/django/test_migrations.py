"""``manage.py migrate`` applies adjourn's schema, adopts one that is there, and drops it only if no job is lost."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import NotSupportedError, OperationalError, connections, transaction
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

import adjourn
from adjourn import sql
from adjourn.contrib.django import app
from adjourn.contrib.django.operations import ApplySchema, BuildIndexes
from support.databases import new_database
from support.shop.tasks import bill
from support.site import move

Site = psycopg.Connection
OBJECTS = "SELECT count(*) FROM pg_class WHERE relname LIKE 'adjourn_%' AND relnamespace = to_regnamespace('adjourn')"
PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('adjourn.adjourn_finished_jobs')"


@pytest.fixture
def empty(server_dsn: str, site: str) -> Iterator[Site]:
    """A project whose database has nothing yet."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with new_database(server_dsn, f"adjourn_empty_{worker}") as address:
        move("default", address)
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                yield connection
        finally:
            connections.close_all()
            move("default", site)


def migrate(*arguments: str, **options: Any) -> str:
    """Run ``manage.py migrate``."""
    output = io.StringIO()
    call_command("migrate", *(arguments or ("adjourn",)), stdout=output, **options)
    return output.getvalue()


def value(site: Site, query: str) -> Any:
    """The one value that a query returns."""
    row = site.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_migrate_makes_the_schema_with_partitions(empty: Site) -> None:
    assert "adjourn.0001_initial... OK" in migrate()
    assert value(empty, "SELECT max(version) FROM adjourn.adjourn_migrations") == sql.latest_version()
    assert value(empty, PARTITIONS) > 5
    app.schema_manager.check_version()
    assert app.schema_manager.apply_schema() == []


def test_a_schema_that_is_there_is_adopted(empty: Site) -> None:
    own = adjourn.App(connector=adjourn.SyncPsycopgConnector(empty.info.dsn))
    assert own.schema_manager.apply_schema()
    before = value(empty, "SELECT string_agg(xmin::text, ',' ORDER BY oid) FROM pg_class WHERE relname LIKE 'adjourn%'")
    migrate()
    after = value(empty, "SELECT string_agg(xmin::text, ',' ORDER BY oid) FROM pg_class WHERE relname LIKE 'adjourn%'")
    assert before == after


def test_zero_refuses_while_a_job_waits_and_else_drops_the_schema(empty: Site) -> None:
    migrate()
    bill.defer(order_id=1)
    objects = value(empty, OBJECTS)
    with pytest.raises(IrreversibleError, match=r"1 jobs wait or run.*ADJOURN_ALLOW_DROP"):
        migrate("adjourn", "zero")
    assert value(empty, OBJECTS) == objects
    assert len(list(app.job_manager.list_jobs())) == 1
    app.job_manager.cancel_job_by_id(next(iter(app.job_manager.list_jobs())).id or 0, delete_job=True)
    migrate("adjourn", "zero")
    assert value(empty, "SELECT to_regnamespace('adjourn')") is None
    migrate()
    bill.defer(order_id=1)
    with override_settings(ADJOURN_ALLOW_DROP=True):
        migrate("adjourn", "zero")
    assert value(empty, "SELECT to_regnamespace('adjourn')") is None


def test_zero_leaves_what_is_not_adjourns(empty: Site) -> None:
    empty.execute(
        "CREATE SCHEMA adjourn; CREATE TABLE adjourn.own (id int); CREATE FUNCTION adjourn.f() RETURNS int RETURN 1"
    )
    migrate()
    migrate("adjourn", "zero")
    assert value(empty, "SELECT count(*) FROM adjourn.own") == 0
    assert value(empty, "SELECT adjourn.f()") == 1
    assert value(empty, OBJECTS) == 0
    assert value(empty, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'adjourn_%'") == 0


def test_other_databases_are_left_alone(empty: Site, shop: Site) -> None:
    with override_settings(ADJOURN_DATABASE_ALIAS="second"):
        migrate()
        assert value(empty, "SELECT to_regnamespace('adjourn')") is None
        migrate("adjourn", "zero")
    migrate("adjourn", database="sqlite")
    with override_settings(DATABASE_ROUTERS=[Nowhere()]):
        migrate()
    assert value(empty, "SELECT to_regnamespace('adjourn')") is None


class Nowhere:
    """A router that migrates adjourn to no database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Say where."""
        return False if app_label == "adjourn" and hints.get("adjourn") else None


@pytest.mark.skipif(not os.environ.get("ADJOURN_TEST_THOROUGH"), reason="it takes five seconds: run scripts/test-all")
def test_a_table_in_use_is_not_waited_for_long(empty: Site) -> None:
    migrate()
    with psycopg.connect(empty.info.dsn) as other:
        other.execute("LOCK TABLE adjourn.adjourn_jobs IN ACCESS SHARE MODE")
        with pytest.raises(OperationalError, match=r"Run `manage\.py migrate` again"):
            migrate("adjourn", "zero")
    assert value(empty, OBJECTS)


def test_partitions_that_have_to_wait_are_left_to_workers(empty: Site) -> None:
    migrate()
    before = value(empty, PARTITIONS)
    empty.execute("DROP TABLE " + value(empty, PARTITION_NAME))
    empty.execute("DELETE FROM django_migrations WHERE app = 'adjourn'")
    with psycopg.connect(empty.info.dsn) as other:
        other.execute("SELECT count(*) FROM adjourn.adjourn_finished_jobs")
        migrate()
        assert value(empty, PARTITIONS) == before - 1
    assert app.schema_manager.apply_schema()
    assert value(empty, PARTITIONS) == before


PARTITION_NAME = (
    "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'adjourn.adjourn_finished_jobs'::regclass"
    " AND inhrelid::regclass::text NOT LIKE '%default'"
)


def test_every_version_of_the_schema_has_its_operation() -> None:
    loader = MigrationLoader(None)
    migrations = [loader.get_migration(*key) for key in loader.graph.leaf_nodes("adjourn")]
    plan = loader.graph.forwards_plan((migrations[0].app_label, migrations[0].name))
    operations = [
        operation.version if isinstance(operation, ApplySchema) else operation.describe()
        for label, name in plan
        if label == "adjourn"
        for operation in loader.get_migration(label, name).operations
        if isinstance(operation, ApplySchema | BuildIndexes)
    ]
    expected: list[int | str] = []
    for version in sql.versions():
        expected += [version.number, *([BuildIndexes().describe()] if version.online_indexes else [])]
    assert operations == expected, "add a migration to adjourn.contrib.django"


def test_indexes_are_built_by_an_operation_outside_of_transactions(empty: Site) -> None:
    migrate()
    own = "adjourn.adjourn_finished_jobs"
    empty.execute(f"CREATE INDEX adjourn_finished_jobs_when ON ONLY {own} USING brin (finished_at)".encode())
    operation = BuildIndexes()
    assert operation.deconstruct() == ("BuildIndexes", [], {})
    operation.state_forwards("adjourn", None)
    connection = connections["default"]
    with pytest.raises(NotSupportedError, match="atomic = False"), connection.schema_editor() as editor:
        operation.database_forwards("adjourn", editor, None, None)
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        operation.database_forwards("adjourn", editor, None, None)
    assert editor.collected_sql == ["-- The indexes are built partition by partition, outside of transactions."]
    assert len(app.schema_manager.list_unbuilt_indexes()) == 1
    with connection.schema_editor(atomic=False) as editor:
        with override_settings(DATABASE_ROUTERS=[Nowhere()]):
            operation.database_forwards("adjourn", editor, None, None)
        assert len(app.schema_manager.list_unbuilt_indexes()) == 1
        operation.database_forwards("adjourn", editor, None, None)
        operation.database_backwards("adjourn", editor, None, None)
    assert app.schema_manager.list_unbuilt_indexes() == []


@pytest.mark.parametrize("field", ["django.db.models.AutoField", "django.db.models.BigAutoField"])
def test_there_is_nothing_to_make_migrations_of(field: str, shop: Site) -> None:
    with override_settings(DEFAULT_AUTO_FIELD=field):
        call_command("makemigrations", "adjourn", check_changes=True, dry_run=True, verbosity=0)


def test_sqlmigrate_shows_the_whole_schema(shop: Site) -> None:
    output = io.StringIO()
    call_command("sqlmigrate", "adjourn", "0001", stdout=output)
    assert "adjourn_exchange_v1" in output.getvalue()
    call_command("sqlmigrate", "adjourn", "0001", backwards=True, stdout=output)
    assert "drop schema" in output.getvalue()


def test_an_operation_tells_what_it_does() -> None:
    operation = ApplySchema(version=1)
    assert operation.describe() == "Apply version 1 of adjourn's schema"
    assert operation.deconstruct() == ("ApplySchema", [], {"version": 1})
    assert operation.references_model("job", "adjourn")
    assert not operation.elidable


def test_a_later_version_stays_when_its_migration_is_undone(shop: Site) -> None:
    with transaction.atomic(), connections["default"].schema_editor() as editor:
        ApplySchema(version=2).database_backwards("adjourn", editor, None, None)
    app.schema_manager.check_version()


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(CommandError):
        call_command("adjourn", "nope")
