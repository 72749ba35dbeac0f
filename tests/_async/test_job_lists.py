"""Looking at jobs where there are many: what is read of the history, and that no plan reads all of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn.types import JSONDumps, JSONLoads, Row, Statement

SCHEMA = "many_jobs"
WEEKS = 52
ROWS = 100_000
LIVE = 1_000
FILL = """
    do $$ declare v_from timestamptz; begin
        for v_from in
            select (date_trunc('week', now() at time zone 'UTC') - n * interval '1 week') at time zone 'UTC'
            from generate_series(1, {weeks} - 1) n
        loop
            execute format('create table {schema}.old_%s partition of {schema}.adjourn_finished_jobs for values from (%L) to (%L)',
                to_char(v_from at time zone 'UTC', 'YYYYMMDD'), v_from, v_from + interval '1 week');
        end loop;
    end $$;
    insert into {schema}.adjourn_finished_jobs (
        id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, status, finished_at
    )
    select n, 'old', 'task', 0, '{{}}', 0, 0, 1, false, now(), case when n % 100 = 0 then 'failed' else 'succeeded' end,
           now() - ({rows} - n) * (interval '{weeks} weeks' / {rows})
    from generate_series(1, {rows}) n;
    insert into {schema}.adjourn_jobs (id, queue, task_name, priority, args, hold)
    select n, 'new', 'task', 0, '{{}}', 0 from generate_series({rows} + 1, {rows} + {live}) n;
"""
READ = """
    select coalesce(sum(seq_scan), 0)::bigint as whole, coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint as rows
    from pg_stat_xact_all_tables
    where schemaname = '{schema}' and relname <> 'adjourn_jobs'
"""


class OneSession:
    """Stands for a connector, with one session: its statements are prepared there, and share a transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self.json_dumps: JSONDumps = json.dumps
        self.json_loads: JSONLoads = json.loads
        self.applies_schema = "nobody"
        self.session = session

    def get_async_connector(self) -> Any:
        return self

    async def execute_async(self, statement: Statement, parameters: Any = None, *, connection: Any = None) -> list[Row]:
        return await self.session.execute_async(statement, parameters)

    async def text_async(self, text: str) -> list[Row]:
        return await self.session.execute_async(
            Statement("test", text.format(schema=SCHEMA, weeks=WEEKS, rows=ROWS, live=LIVE))
        )


@pytest.fixture
async def one(dsn: str) -> AsyncIterator[OneSession]:
    """A session, and a schema that is empty."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn), schema=SCHEMA)
    await app.open_async()
    session = OneSession(await app.connector.session_async())
    await session.text_async("drop schema if exists {schema} cascade")
    await app.schema_manager.apply_schema_async()
    await app.close_async()
    yield session
    await session.text_async("rollback; drop schema {schema} cascade")
    await session.session.close_async()


def looks(manager: AsyncJobManager) -> dict[str, tuple[Callable[[], Awaitable[Any]], Any]]:
    """Each way of looking that is to be fast, with what it finds."""

    async def status_async(job_id: int) -> str:
        try:
            return (await manager.get_job_status_async(job_id)).value
        except exceptions.NoResult:
            return "nothing"

    async def ids_async(**options: Any) -> list[int]:
        return [job.id or 0 for job in await manager.list_jobs_async(**options)]

    async def names_async(**options: Any) -> list[str]:
        return [
            row["name"]
            for rows in (await manager.list_queues_async(**options), await manager.list_tasks_async(**options))
            for row in rows
        ]

    middle = ROWS // 2
    return {
        "status": (lambda: status_async(100), "failed"),
        "status of a live job": (lambda: status_async(ROWS + 1), "todo"),
        "status of no job": (lambda: status_async(10 * ROWS), "nothing"),
        "id": (lambda: ids_async(id=middle), [middle]),
        "id and a status": (lambda: ids_async(id=middle, status="todo"), []),
        "id of no job": (lambda: ids_async(id=10 * ROWS), []),
        "first page": (lambda: ids_async(limit=20), list(range(1, 21))),
        "middle page": (lambda: ids_async(limit=20, after_id=middle), list(range(middle + 1, middle + 21))),
        "page over the end": (
            lambda: ids_async(limit=20, after_id=ROWS - 10),
            list(range(ROWS - 9, ROWS + 11)),
        ),
        "last page": (lambda: ids_async(limit=20, after_id=ROWS + LIVE - 3), [ROWS + LIVE - n for n in (2, 1, 0)]),
        "waiting jobs": (lambda: ids_async(limit=2, status="todo"), [ROWS + 1, ROWS + 2]),
        "running jobs": (lambda: ids_async(status="doing"), []),
        "jobs that wait for a worker": (lambda: ids_async(limit=2, waits_for="worker"), [ROWS + 1, ROWS + 2]),
        "jobs that wait for a task": (lambda: ids_async(waits_for="task"), []),
        "jobs that wait for a time": (lambda: ids_async(order="due"), []),
        "queues and tasks whose jobs wait": (lambda: names_async(waits_for="worker"), ["new", "task"]),
        "live queues and tasks": (lambda: names_async(live_only=True), ["new", "task"]),
    }


async def test_no_look_reads_the_history_however_often_it_is_repeated_and_whenever_its_plan_was_made(
    one: OneSession,
) -> None:
    manager = AsyncJobManager(one, SCHEMA)
    # Often enough for the driver to prepare the statements, and for the server to keep the plans of empty tables.
    for _ in range(12):
        for look, _found in looks(manager).values():
            await look()
    await one.text_async(FILL)
    for analyse in ("select 1", "analyze {schema}.adjourn_jobs, {schema}.adjourn_finished_jobs"):
        await one.text_async(analyse)
        await one.text_async("begin")
        for name, (look, found) in looks(manager).items():
            for _ in range(8):
                (before,) = await one.text_async(READ)
                assert await look() == found, name
                (after,) = await one.text_async(READ)
                assert after["whole"] == before["whole"], name + " reads a table of finished jobs as a whole"
                assert after["rows"] - before["rows"] < 1_000, name + " reads many finished jobs"
        await one.text_async("commit")
