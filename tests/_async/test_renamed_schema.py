"""A schema that is renamed: its functions hold the old name until they are made anew."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import exceptions
from adjourn.types import Statement

pytestmark = pytest.mark.timeout(60)

NAMES = ("before", "x", "a \"b\" %s 'c' \\d", "after.x")


async def execute_async(app: adjourn.App, text: str) -> list[dict[str, object]]:
    return await app.connector.get_async_connector().execute_async(Statement("test", text))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
async def connector(dsn: str) -> AsyncIterator[adjourn.PsycopgConnector]:
    connector = adjourn.PsycopgConnector(dsn)
    app = adjourn.App(connector=connector)
    await app.open_async()
    yield connector
    for name in NAMES:
        await execute_async(app, f"drop schema if exists {quoted(name)} cascade")
    await app.close_async()


async def rename_async(app: adjourn.App, name: str) -> adjourn.App:
    """Rename an app's schema, and return an app on the schema of the new name."""
    await execute_async(app, f"alter schema {quoted(app.job_manager.schema)} rename to {quoted(name)}")
    return adjourn.App(connector=app.connector, schema=name)


async def run_a_job_async(app: adjourn.App) -> None:
    """Have a job go through all functions that jobs with a lock go through."""
    manager = app.job_manager
    (job_id,) = await app.configure_task("any", lock="l").batch_defer_async({})
    worker = await manager.register_worker_async()
    job = await manager.fetch_job_async(None, worker)
    assert job is not None
    assert await manager.finish_job_async(job, adjourn.jobs.Status.SUCCEEDED)
    await manager.retry_job_by_id_async(job_id)
    assert await manager.cancel_job_by_id_async(job_id)
    assert [each.status for each in await manager.list_jobs_async(id=job_id)] == ["cancelled"]
    assert await manager.delete_old_jobs_async(nb_hours=0, include_cancelled=True) == 1
    await manager.unregister_worker_async(worker)


async def test_applying_the_schema_mends_the_functions_of_a_renamed_one(connector: adjourn.PsycopgConnector) -> None:
    app = adjourn.App(connector=connector, schema=NAMES[0])
    await app.schema_manager.apply_schema_async()
    await run_a_job_async(app)
    for _, name in itertools.pairwise(NAMES):
        app = await rename_async(app, name)
        assert not await app.check_connection_async()
        with pytest.raises(exceptions.SchemaOutOfDate, match=r"it was renamed.*schema --apply"):
            await app.schema_manager.check_version_async()
        (said,) = await app.schema_manager.apply_schema_async()
        assert said.startswith("made ")
        assert said.endswith(f"functions of schema {name} anew, which held its former name")
        await app.schema_manager.check_version_async()
        assert await app.check_connection_async()
        assert await app.schema_manager.apply_schema_async() == []
        await run_a_job_async(app)


async def test_a_call_that_meets_such_a_function_says_so(connector: adjourn.PsycopgConnector) -> None:
    app = adjourn.App(connector=connector, schema=NAMES[0])
    await app.schema_manager.apply_schema_async()
    app = await rename_async(app, "x")
    with pytest.raises(exceptions.SchemaOutOfDate, match=r"'x'.*it was renamed.*schema --apply"):
        await app.configure_task("any").batch_defer_async({}, {})
    with pytest.raises(exceptions.SchemaOutOfDate, match=r"'x'.*it was renamed.*schema --apply"):
        await app.run_worker_async(wait=False)


async def test_functions_that_work_on_another_schema_of_adjourn_are_found(connector: adjourn.PsycopgConnector) -> None:
    former = adjourn.App(connector=connector, schema=NAMES[0])
    await former.schema_manager.apply_schema_async()
    app = await rename_async(former, "x")
    await former.schema_manager.apply_schema_async()
    # Without the check, this would store and run the jobs of the other schema.
    with pytest.raises(exceptions.SchemaOutOfDate, match=r"it was renamed"):
        await app.run_worker_async(wait=False)
    await app.schema_manager.apply_schema_async()
    await run_a_job_async(app)
    await former.schema_manager.check_version_async()
