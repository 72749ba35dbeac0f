"""The schema as text, applied by whatever can execute SQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
import sqlalchemy
import sqlalchemy.ext.asyncio

import adjourn
from adjourn import exceptions, sql
from adjourn.embedded import binaries
from adjourn.schema import SchemaManager, SchemaVersion, versions

SCHEMA = "by other \"means\" 'of'"
Execute = Callable[[str, str], None]


@pytest.fixture
def app(dsn: str, observer: psycopg.Connection) -> Iterator[adjourn.App]:
    """An app whose schema is not there yet."""
    quoted = '"' + SCHEMA.replace('"', '""') + '"'
    observer.execute(f"drop schema if exists {quoted} cascade".encode())
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn), schema=SCHEMA)

    @app.task(name="work")
    def work() -> None: ...

    yield app
    observer.execute(f"drop schema if exists {quoted} cascade".encode())


def assert_complete(app: adjourn.App) -> None:
    """Let a worker run a job, in a schema to which nothing is to be done."""

    async def main() -> None:
        async with app.open_async():
            await app.schema_manager.check_version_async()
            assert await app.schema_manager.apply_schema_async() == []
            job_id = await app.tasks["work"].defer_async()
            await app.run_worker_async(wait=False)
            assert await app.job_manager.get_job_status_async(job_id) is adjourn.jobs.Status.SUCCEEDED

    asyncio.run(main())


def version(app: adjourn.App) -> int:
    with app.open():
        return app.schema_manager.get_version()


def failing_at_its_end(text: str) -> str:
    """Have a version record itself where it cannot."""
    failing = text.replace("adjourn_migrations (version, name)", "nowhere (version, name)")
    assert failing != text
    return failing


# psql


def psql() -> str | None:
    """Find psql: on the PATH, or beside the server that the tests run on."""
    places = [str(place / "psql") for place in binaries.candidates()]
    return next((found for name in ("psql", *places) if (found := shutil.which(name))), None)


def piped_into_psql(dsn: str, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    program = psql()
    if program is None:
        pytest.skip("there is no psql on the PATH or beside the server's programs")
    command = [program, "--no-psqlrc", *options, dsn]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def printed(*arguments: str) -> str:
    """Return what ``adjourn schema --read`` prints."""
    command = [sys.executable, "-m", "adjourn", "schema", "--read", *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ADJOURN_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_what_the_command_prints_makes_a_complete_database_with_psql(app: adjourn.App, dsn: str) -> None:
    text = printed("--schema", SCHEMA)
    done = piped_into_psql(dsn, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert version(app) == sql.latest_version()
    assert_complete(app)
    again = piped_into_psql(dsn, text)
    assert again.returncode == 0
    assert "there is nothing to do" in again.stderr
    assert "ERROR" not in again.stderr
    assert_complete(app)


def test_text_that_fails_halfway_leaves_nothing_behind_with_psql(
    app: adjourn.App, dsn: str, observer: psycopg.Connection
) -> None:
    done = piped_into_psql(dsn, failing_at_its_end(sql.whole_schema(SCHEMA)))
    assert "does not exist" in done.stderr
    assert observer.execute("select from pg_namespace where nspname = %s", [SCHEMA]).fetchall() == []


def test_without_a_name_the_schema_is_adjourn() -> None:
    assert printed() == SchemaManager.get_schema() == sql.whole_schema("adjourn")


def test_a_schema_s_name_goes_with_reading_only() -> None:
    command = [sys.executable, "-m", "adjourn", "schema", "--version", "--schema", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--schema goes with --read and --roles only" in done.stderr


# Drivers


def by_psycopg(dsn: str, text: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(text.encode())


def by_psycopg_in_autocommit(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(text.encode())


def by_psycopg2(dsn: str, text: str) -> None:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(text)
    finally:
        connection.close()


def by_asyncpg(dsn: str, text: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(main())


def by_sqlalchemy(driver: str, *, as_clause: bool = False) -> Execute:
    def execute(dsn: str, text: str) -> None:
        engine = sqlalchemy.create_engine(dsn.replace("postgresql:", f"postgresql+{driver}:"))
        try:
            with engine.begin() as connection:
                if as_clause:
                    connection.execute(sqlalchemy.text(text))
                else:
                    connection.exec_driver_sql(text)
        finally:
            engine.dispose()

    return execute


def by_sqlalchemy_on_asyncpg(dsn: str, text: str) -> None:
    async def main() -> None:
        engine = sqlalchemy.ext.asyncio.create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql(text)
        finally:
            await engine.dispose()

    asyncio.run(main())


DRIVERS: dict[str, Execute] = {
    "psycopg": by_psycopg,
    "psycopg in autocommit": by_psycopg_in_autocommit,
    "psycopg2": by_psycopg2,
    "asyncpg": by_asyncpg,
    "SQLAlchemy, psycopg": by_sqlalchemy("psycopg"),
    "SQLAlchemy, psycopg2": by_sqlalchemy("psycopg2"),
    "SQLAlchemy's text(), psycopg": by_sqlalchemy("psycopg", as_clause=True),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_whole_schema_as_one_text_makes_a_complete_database(app: adjourn.App, dsn: str, driver: str) -> None:
    for _ in range(2):  # the second time does nothing
        DRIVERS[driver](dsn, app.schema_manager.get_schema())
    assert_complete(app)


@pytest.mark.parametrize("driver", [*DRIVERS, "SQLAlchemy, asyncpg"])
def test_versions_one_by_one_make_a_complete_database(app: adjourn.App, dsn: str, driver: str) -> None:
    # A driver that prepares everything takes one statement at a time, and a version is one.
    execute = DRIVERS.get(driver, by_sqlalchemy_on_asyncpg)
    for each in versions(SCHEMA):
        execute(dsn, each.sql)
        assert version(app) == each.number
    assert_complete(app)


# Versions: a second one is made up


@pytest.fixture
def two(tmp_path: Path) -> list[SchemaVersion]:
    """The first version of the schema, and another."""
    for folder in ("migrations", "functions"):
        shutil.copytree(Path(sql.__file__).parent / folder, tmp_path / folder)
    (tmp_path / "functions" / "twice_v1.sql").write_text(
        "create function @schema.adjourn_twice_v1(p_n integer) returns integer language sql as 'select 2 * p_n';\n"
    )
    for file in (tmp_path / "migrations").glob("000[2-9]*"):
        file.unlink()
    (tmp_path / "migrations" / "0002_colours.sql").write_text(
        "alter table @schema.adjourn_jobs add colour text;\n\\ir ../functions/twice_v1.sql\n"
    )
    return sql.versions(SCHEMA, tmp_path)


def test_a_version_is_applied_once_and_only_after_those_before_it(
    app: adjourn.App, dsn: str, two: list[SchemaVersion], observer: psycopg.Connection
) -> None:
    first, second = two
    with pytest.raises(psycopg.errors.RaiseException, match="apply the versions from 1 on before version 2"):
        by_psycopg(dsn, second.sql)
    assert version(app) == 0
    by_psycopg(dsn, first.sql)
    assert version(app) == 1
    for _ in range(2):
        by_psycopg(dsn, second.sql)
        assert version(app) == 2
    by_psycopg(dsn, first.sql)
    assert version(app) == 2
    quoted = '"' + SCHEMA.replace('"', '""') + '"'
    assert observer.execute(f"select {quoted}.adjourn_twice_v1(4)".encode()).fetchone() == (8,)
    assert observer.execute(f"select name from {quoted}.adjourn_migrations order by 1".encode()).fetchall() == [
        ("colours",),
        ("initial",),
    ]
    assert_complete(app)


def test_a_version_that_fails_leaves_the_one_before(app: adjourn.App, dsn: str, two: list[SchemaVersion]) -> None:
    first, second = two
    by_psycopg(dsn, first.sql)
    with pytest.raises(psycopg.errors.UndefinedTable):
        by_psycopg_in_autocommit(dsn, failing_at_its_end(second.sql))
    assert version(app) == 1
    by_psycopg(dsn, second.sql)
    assert version(app) == 2


def test_what_others_have_begun_the_app_goes_on_with(
    app: adjourn.App, dsn: str, two: list[SchemaVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_psycopg(dsn, two[0].sql)
    monkeypatch.setattr(sql, "versions", lambda schema: two)
    monkeypatch.setattr(sql, "latest_version", lambda: 2)
    with app.open():
        with pytest.raises(exceptions.SchemaOutOfDate):
            app.schema_manager.check_version()
        assert app.schema_manager.apply_schema() == [f"applied version 2 (colours) to schema {SCHEMA}"]
        app.schema_manager.check_version()
