"""Applying the schema."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import exceptions, sql
from adjourn.types import Statement

SCHEMA = "a \"b\" %s 'c'"


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn), schema=SCHEMA)
    await app.open_async()
    await execute_async(app, f"drop schema if exists {identifier()} cascade")
    yield app
    await execute_async(app, f"drop schema if exists {identifier()} cascade")
    await app.close_async()


def identifier() -> str:
    return '"' + SCHEMA.replace('"', '""') + '"'


async def execute_async(app: adjourn.App, text: str) -> None:
    await app.connector.get_async_connector().execute_async(Statement("test", text))


async def test_a_schema_is_applied_once_and_says_what_was_done(app: adjourn.App) -> None:
    manager = app.schema_manager
    assert await manager.get_version_async() == 0
    with pytest.raises(exceptions.SchemaOutOfDate, match="no adjourn schema"):
        await manager.check_version_async()
    done = await manager.apply_schema_async()
    assert done == [f"applied version 1 (initial) to schema {SCHEMA}"]
    assert await manager.apply_schema_async() == []
    assert await manager.get_version_async() == sql.latest_version()
    await manager.check_version_async()


async def test_a_schema_of_any_name_holds_jobs(app: adjourn.App) -> None:
    await app.schema_manager.apply_schema_async()
    job_id = await app.configure_task("any", lock="l", queueing_lock="q").defer_async(x="100 %")
    (job,) = await app.job_manager.list_jobs_async()
    assert (job.id, job.task_kwargs) == (job_id, {"x": "100 %"})
    assert await app.job_manager.cancel_job_by_id_async(job_id)


async def test_an_older_schema_is_told_from_a_missing_one(app: adjourn.App) -> None:
    await app.schema_manager.apply_schema_async()
    await execute_async(app, f"update {identifier()}.adjourn_migrations set version = version - 1")
    await execute_async(app, f"drop function {identifier()}.adjourn_exchange_v1")
    await execute_async(app, f"insert into {identifier()}.adjourn_migrations (version, name) values (-1, 'older')")
    with pytest.raises(exceptions.SchemaOutOfDate, match=r"schema --apply"):
        await app.schema_manager.check_version_async()


async def test_a_failed_application_leaves_nothing_behind(app: adjourn.App) -> None:
    await execute_async(app, f"create schema {identifier()}")
    await execute_async(app, f"create table {identifier()}.adjourn_jobs (id int)")
    with pytest.raises(exceptions.ConnectorException, match="already exists"):
        await app.schema_manager.apply_schema_async()
    assert await app.schema_manager.get_version_async() == 0


async def test_a_role_without_the_right_is_told_which_grant_it_lacks(app: adjourn.App, dsn: str) -> None:
    await execute_async(app, "drop role if exists adjourn_test_powerless")
    await execute_async(app, "create role adjourn_test_powerless login")
    powerless = adjourn.App(connector=adjourn.PsycopgConnector(dsn, user="adjourn_test_powerless"), schema=SCHEMA)
    await powerless.open_async()
    try:
        with pytest.raises(exceptions.ConnectorException, match="grant create on database"):
            await powerless.schema_manager.apply_schema_async()
    finally:
        await powerless.close_async()
        await execute_async(app, "drop role adjourn_test_powerless")


async def test_the_schema_can_be_read_as_text(app: adjourn.App) -> None:
    assert 'create table "adjourn".adjourn_jobs' in type(app.schema_manager).get_schema()
    elsewhere = adjourn.App(connector=app.connector, schema="elsewhere")
    assert 'create table "elsewhere".adjourn_jobs' in elsewhere.schema_manager.get_schema()
    assert app.schema_manager.get_migrations_path().endswith("migrations")
