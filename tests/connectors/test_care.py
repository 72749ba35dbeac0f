"""The care of a database, and lists of workers, with every driver."""

from __future__ import annotations

import psycopg
import pytest

import adjourn
from adjourn._async.managers import partitions
from adjourn.types import Statement
from dispatch.pairs import ADAPTED, DRIVERS, Pair


@pytest.mark.parametrize("pair", [*DRIVERS, ADAPTED], ids=str)
async def test_a_schema_is_applied_renamed_mended_tried_and_waited_for(
    dsn: str, pair: Pair, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ATTEMPTS", 1)
    former, app = (adjourn.App(connector=pair.connector(dsn, 3, 20), schema=name) for name in ("care_before", "care"))
    try:
        async with former.open_async(), app.open_async():
            await former.schema_manager.apply_schema_async()
            await former.schema_manager.try_out_async()
            observer.execute("alter schema care_before rename to care")
            assert not await app.check_connection_async()
            (said,) = await app.schema_manager.apply_schema_async()
            assert said.endswith("functions of schema care anew, which held its former name")
            await app.schema_manager.try_out_async()
            await app.job_manager.register_worker_async("w", ["a", "b"])
            (worker,) = await app.job_manager.list_workers_async()
            assert (worker.name, worker.queues, worker.alive, worker.running) == ("w", ("a", "b"), True, 0)
            assert await app.job_manager.list_jobs_async() == []
            await drop_a_week_async(app)
            with psycopg.connect(dsn, application_name="a reader") as reader:
                reader.execute("select from care.adjourn_finished_jobs")
                (said,) = await app.schema_manager.apply_schema_async()
                assert f"session {reader.info.backend_pid} ('a reader'" in said
            (said,) = await app.schema_manager.apply_schema_async()
            assert said.startswith("made partition adjourn_finished_jobs_")
    finally:
        observer.execute("drop schema if exists care cascade")
        observer.execute("drop schema if exists care_before cascade")


async def drop_a_week_async(app: adjourn.App) -> None:
    """Drop the partition of the last week that there is one for."""
    connector = app.connector.get_async_connector()
    last = "select max(relname::text) as name from pg_class where relnamespace = 'care'::regnamespace and relkind = 'r'"
    (row,) = await connector.execute_async(Statement("last", f"{last} and relname ~ 'jobs_[0-9]'"))
    await connector.execute_async(Statement("drop", f"drop table care.{row['name']}"))
