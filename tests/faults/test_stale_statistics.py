"""Statistics of tables that are out of date, as after a quiet hour, do not make statements read whole tables."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

import adjourn
from adjourn import Limit
from adjourn._sync.managers.exchange import SyncWorkerManager
from support.kinds import (
    EACH,
    KINDS,
    OTHERS,
    declare_tasks,
    defer_async,
    empty_again,
    fill,
    fill_finished,
    fill_waiting,
    gather,
    read_by_a_worker_async,
    rows_read_async,
)


@pytest.fixture
def app(database: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(database), queue_limits={"narrow": Limit(concurrency=2)})


@pytest.mark.parametrize("known", ["when it was empty", "since"])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_statement_of_a_worker_reads_all_jobs(
    app: adjourn.App, observer: psycopg.Connection, kind: str, known: str
) -> None:
    declare_tasks(app)
    empty_again(observer)
    fill(observer)
    if known == "since":
        observer.execute("analyze adjourn.adjourn_jobs")
    read = await read_by_a_worker_async(app, observer, kind)
    assert read < 0.9 * OTHERS
    assert observer.execute("select from adjourn.adjourn_finished_jobs limit 1").fetchone() is not None


@pytest.mark.parametrize("kind", ["plain", "plain locked", "plain narrow", "keyed", "rated", "workflow"])
async def test_no_statement_of_a_worker_reads_all_jobs_that_wait_for_something_else(
    app: adjourn.App, observer: psycopg.Connection, kind: str
) -> None:
    declare_tasks(app)
    empty_again(observer)
    fill_waiting(observer)
    read = await read_by_a_worker_async(app, observer, kind)
    # A worker that begins heals locks, and looks through what is behind one without a head once.
    assert read < 1.9 * OTHERS
    assert observer.execute("select from adjourn.adjourn_finished_jobs limit 1").fetchone() is not None


@pytest.mark.parametrize("queues", ["named", "not paused"])
async def test_no_statement_of_a_worker_reads_all_jobs_that_wait_elsewhere_to_run_apart(
    app: adjourn.App, observer: psycopg.Connection, queues: str
) -> None:
    declare_tasks(app)
    empty_again(observer)
    observer.execute(
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, doubts)"
        " select 'other', 'plain', 0, '{}', 4, 2 from generate_series(1, %s)",
        [OTHERS],
    )
    before = await rows_read_async(observer)
    async with app.open_async():
        if queues == "not paused":
            await app.job_manager.pause_queue_async("other")
        await defer_async(app, "plain")
        observer.execute(
            "update adjourn.adjourn_jobs set hold = 4, doubts = 2"
            " where id = any(array(select id from adjourn.adjourn_jobs order by id desc limit 3))"
        )
        served = ["default", "narrow"] if queues == "named" else None
        await app.run_worker_async(queues=served, wait=False, install_signal_handlers=False)
    assert await rows_read_async(observer) - before < 0.9 * OTHERS
    assert observer.execute("select count(*) from adjourn.adjourn_finished_jobs").fetchone() == (EACH,)


async def test_a_page_of_upkeep_and_a_new_worker_read_no_more_the_more_jobs_wait(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    """Jobs of many locks, of many keys, and of paused queues."""
    declare_tasks(app)
    empty_again(observer)
    async with app.open_async():
        await app.tasks["keyed"].defer_async(key="first")
        await app.job_manager.pause_queue_async("other")
    values = {
        "hold, lock": "h, 'lock ' || n from generate_series(1, {0}) n, (values (0), (2)) v(h)",
        "hold, special, limit_id, limit_key, key_slot": "0, true, l.id, n::text, 0 from generate_series(1, {0}) n, adjourn.adjourn_limits l",
        "hold, special, limit_id, limit_key, gate_id, gate_key": "7, true, l.id, n::text, l.id, n::text"
        " from generate_series(1, {0}) n, adjourn.adjourn_limits l",
        "hold, special": "8, true from generate_series(1, {0})",
    }
    for columns, selected in values.items():
        observer.execute(
            f"insert into adjourn.adjourn_jobs (queue, task_name, priority, args, {columns})"
            f" select 'other', 't', 0, '{{}}', {selected.format(OTHERS)}".encode()
        )
    before = await rows_read_async(observer)
    async with app.open_async():
        with contextlib.closing(app.connector.session()) as session:
            manager = SyncWorkerManager(session, app.connector.json_loads)
            assert manager.register_worker("new", ["default"], 60)
            assert manager.register_worker("another", None, 60)
            _, rest = manager.heal(None, 500)
            manager.heal(rest, 500)
    assert await rows_read_async(observer) - before < 0.5 * OTHERS


async def test_a_key_of_a_limit_reads_no_jobs_of_other_keys(app: adjourn.App, observer: psycopg.Connection) -> None:
    declare_tasks(app)
    async with app.open_async():
        await defer_async(app, "keyed")
        fill(observer)
        observer.execute("delete from adjourn.adjourn_jobs where queue = 'other'")
        gather(observer)
        observer.execute(
            "insert into adjourn.adjourn_jobs"
            " (queue, task_name, priority, args, hold, scheduled_at, special, limit_id, limit_key, key_slot)"
            " select 'other', 'keyed', 0, '{}', 1, now() + interval '1 day', true, l.id, 'other ' || number, 0"
            " from generate_series(1, %s) number, adjourn.adjourn_limits l where l.scope = 'key'",
            [OTHERS],
        )
    before = await rows_read_async(observer)
    async with app.open_async():
        await app.run_worker_async(queues=["default", "narrow"], wait=False, install_signal_handlers=False)
    assert await rows_read_async(observer) - before < 0.9 * OTHERS
    assert observer.execute("select count(*) from adjourn.adjourn_finished_jobs").fetchone() == (EACH,)


@pytest.mark.parametrize("gathered", ["while it was empty", "while it was full"])
async def test_a_rescue_reads_all_jobs_as_often_for_many_workers_as_for_one(
    gathered: str, app: adjourn.App, observer: psycopg.Connection
) -> None:
    fill(observer)
    if gathered == "while it was empty":
        observer.execute("delete from adjourn.adjourn_jobs")
        gather(observer)
        fill(observer)
    else:
        gather(observer)
    observer.execute(
        "with dead as ("
        " insert into adjourn.adjourn_workers (name, expires_at) select 'dead', now() - interval '1 hour' from generate_series(1, 20)"
        " returning id)"
        " insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, worker_id, claim) select 'default', 't', 0, '{}', 0, id, 1 from dead"
    )
    before = await rows_read_async(observer)
    assert observer.execute(
        "select rescued, failed from adjourn.adjourn_rescue_v1(5, '0 s', 'one', 'worker')"
    ).fetchone() == (20, 0)
    assert await rows_read_async(observer) - before < 2.9 * OTHERS
    assert observer.execute("select count(*) from adjourn.adjourn_workers").fetchone() == (0,)


async def test_a_workflow_that_runs_again_reads_no_other_jobs(app: adjourn.App, observer: psycopg.Connection) -> None:
    declare_tasks(app)
    fill_finished(observer)
    fill(observer)
    for table in ("finished_jobs", "jobs"):
        observer.execute(f"delete from adjourn.adjourn_{table}".encode())
    gather(observer)
    fill_finished(observer)
    fill(observer)
    before = await rows_read_async(observer)
    async with app.open_async():
        flow = app.workflow("flow")
        first = flow.add(app.tasks["fails"])
        second = flow.add(app.tasks["plain"], depends_on=first)
        flow.map(app.tasks["result"], [{}] * EACH, depends_on=second)
        stored = await flow.defer_async()
        for again in (False, True):
            if again:
                await app.job_manager.retry_workflow_async(stored.id)
            await app.run_worker_async(queues=["default"], wait=False, install_signal_handlers=False)
    # Autovacuum may gather statistics meanwhile, after which a statement or two may read a table; if each did, it would be far more.
    assert await rows_read_async(observer) - before < 2.9 * OTHERS
