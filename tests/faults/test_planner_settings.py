"""Settings of a role or database that change plans, or what fires and what ends a session: all kinds of jobs run, and no statement of a worker
reads the jobs of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn import Limit
from support.kinds import KINDS, OTHERS, declare_tasks, defer_async, empty_again, fill, fill_waiting, rows_read_async
from support.settings import role_has
from support.waiting import BOUND

SETTINGS: dict[str, dict[str, str]] = {
    "generic plans": {"plan_cache_mode": "force_generic_plan"},
    "custom plans": {"plan_cache_mode": "force_custom_plan", "default_statistics_target": "1"},
    "compiled": {"jit": "on", "jit_above_cost": "0"},
    "no scans of tables": {"enable_seqscan": "off", "enable_bitmapscan": "off"},
    "no scans of indexes": {"enable_indexscan": "off", "enable_indexonlyscan": "off"},
    "no loops": {"enable_nestloop": "off", "enable_material": "off", "enable_memoize": "off"},
    "no hashes": {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_hashagg": "off"},
    "slow disks": {"random_page_cost": "40", "work_mem": "64kB", "effective_cache_size": "8kB"},
    "odd costs": {
        "random_page_cost": "0.1",
        "seq_page_cost": "10",
        "cpu_tuple_cost": "10",
        "cpu_index_tuple_cost": "10",
    },
    "joins as written": {"from_collapse_limit": "1", "join_collapse_limit": "1", "geqo_threshold": "2"},
    "serializable": {"default_transaction_isolation": "serializable", "row_security": "off"},
    "no path": {"search_path": "nowhere", "session_replication_role": "replica"},
}
"""What a role may begin its sessions with."""

LIMITS = {"lock_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms"}


@pytest.fixture
def app(database: str) -> adjourn.App:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database), queue_limits={"narrow": Limit(concurrency=2)})
    declare_tasks(app)
    return app


@pytest.fixture(params=SETTINGS)
def settings(request: pytest.FixtureRequest, app: adjourn.App, observer: psycopg.Connection) -> Iterator[None]:
    """Have the role begin its sessions with the settings of one test, beside many jobs of others that statistics do not know of."""
    empty_again(observer)
    fill(observer)
    fill_waiting(observer)
    with role_has(observer, **SETTINGS[request.param]):
        yield


async def run_async(app: adjourn.App) -> None:
    async with asyncio.timeout(BOUND):
        await app.run_worker_async(queues=["default", "narrow"], wait=False, install_signal_handlers=False)


def left(observer: psycopg.Connection) -> list[tuple[object, ...]]:
    return observer.execute("select task_name, hold from adjourn.adjourn_jobs where queue <> 'other'").fetchall()


async def test_a_worker_runs_all_kinds_of_jobs_and_reads_no_jobs_of_others(
    app: adjourn.App, settings: None, observer: psycopg.Connection
) -> None:
    before = await rows_read_async(observer)
    async with app.open_async():
        for kind in KINDS:
            await defer_async(app, kind)
        await run_async(app)
    read = await rows_read_async(observer) - before
    assert left(observer) == []
    # All of a lock without a head once, and some hundreds of the best ready jobs for each that a limit has not admitted.
    assert read < 2.9 * OTHERS


async def test_limits_of_a_role_for_requests_do_not_keep_its_workers_from_running_jobs(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    async with app.open_async():
        for kind in KINDS:
            await defer_async(app, kind)
    with role_has(observer, **LIMITS):
        async with app.open_async():
            await run_async(app)
    assert left(observer) == []


async def test_what_is_paused_stays_so_for_a_worker_of_a_role_for_which_triggers_do_not_fire(
    database: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    declare_tasks(app)
    async with app.open_async():
        await defer_async(app, "plain narrow")
        await defer_async(app, "plain")
        await app.job_manager.pause_queue_async("narrow")
        with role_has(observer, session_replication_role="replica"):
            await run_async(app)
        assert {queue for queue, _ in observer.execute("select queue, id from adjourn.adjourn_jobs").fetchall()} == {
            "narrow"
        }
        assert observer.execute("select distinct queue from adjourn.adjourn_finished_jobs").fetchall() == [("default",)]


async def test_workers_that_somebody_deletes_without_triggers_come_back_while_they_have_jobs(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    async with app.open_async():
        await defer_async(app, "plain")
    observer.execute("with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('gone', now() + interval '1 hour') returning id)"
        " update adjourn.adjourn_jobs set worker_id = w.id, claim = 1 from w")  # fmt: skip
    with observer.transaction():
        observer.execute("set local session_replication_role = replica")
        observer.execute("delete from adjourn.adjourn_workers")
    assert observer.execute("select dead from adjourn.adjourn_workers").fetchall() == [(True,)]
