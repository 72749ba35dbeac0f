"""Statistics of tables that are out of date, as after a quiet hour, do not make statements read whole tables."""

from __future__ import annotations

import contextlib
from typing import Any

import anyio
import psycopg
import pytest

import adjourn
from adjourn import Batch, Limit, Rate, RetryStrategy
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.unique import Unique

OTHERS = 20_000
"""Jobs of a queue that the worker does not serve: more than the statements of a test read together if each finds its rows by an index."""
EACH = 6
"""Jobs of each kind."""


@pytest.fixture
def app(database: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(database), queue_limits={"narrow": Limit(concurrency=2)})


def fill(observer: psycopg.Connection) -> None:
    observer.execute(
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold)"
        " select 'other', 't', 0, '{}', 0 from generate_series(1, %s)",
        [OTHERS],
    )


def fill_waiting(observer: psycopg.Connection) -> None:
    """Store jobs that wait behind a lock, for a place under a limit, and for a worker that knows their task."""
    observer.execute(
        "insert into adjourn.adjourn_limits (scope, name, concurrency, is_declared) values ('key', 'other', 1, false)"
    )
    for columns, values in {
        "hold, lock": "2, 'other'",
        "hold, special, limit_id, limit_key, gate_id, gate_key": "7, true, l.id, 'other', l.id, 'other'",
        "hold, unknown_since": "5, now() - interval '2 hours'",
    }.items():
        observer.execute(
            f"insert into adjourn.adjourn_jobs (queue, task_name, priority, args, {columns})"
            f" select 'other', 'plain', 0, '{{}}', {values} from generate_series(1, {OTHERS}), adjourn.adjourn_limits l".encode()
        )


def fill_finished(observer: psycopg.Connection) -> None:
    observer.execute(
        "insert into adjourn.adjourn_finished_jobs"
        " (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, status, finished_at)"
        " select nextval('adjourn.adjourn_jobs_id_seq'), 'other', 't', 0, '{}', 0, 0, 1, false, now(), 'succeeded', now()"
        " from generate_series(1, %s)",
        [OTHERS],
    )


async def rows_read_async(observer: psycopg.Connection) -> int:
    """Return how many rows of the jobs, and entries of their indexes, sessions have read that have ended since the tables are there."""
    others = "select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    with anyio.fail_after(30):
        while observer.execute(others).fetchone():
            await anyio.sleep(0.02)
    observer.execute("select pg_stat_force_next_flush()")
    (row,) = observer.execute(
        "select sum(seq_tup_read) + (select sum(idx_tup_read) from pg_stat_user_indexes where relname ~ 'adjourn_(finished_)?jobs')"
        " from pg_stat_user_tables where relname ~ 'adjourn_(finished_)?jobs'"
    )
    return int(row[0])


def declare_tasks(app: adjourn.App) -> None:
    @app.task(name="plain")
    async def plain() -> None:
        pass

    @app.task(name="result", store_result=True)
    async def result() -> int:
        return 1

    @app.task(name="fails", retry=RetryStrategy(max_attempts=1))
    async def fails() -> None:
        raise ValueError("no")

    @app.task(name="keyed", limits=[Limit(key="key", concurrency=1)])
    async def keyed(key: str) -> None:
        pass

    @app.task(name="rated", limits=[Limit(rate=Rate(5, 0.05))])
    async def rated() -> None:
        pass

    @app.task(name="batch", batch=Batch(5, wait=0.01))
    async def batch(calls: Any) -> None:
        pass

    @app.task(name="steps", pass_context=True)
    async def steps(context: adjourn.JobContext) -> None:
        async def one() -> int:
            return 1

        await context.step_async("one", one)
        await context.sleep_async(0.01)
        await context.wait_for_event_async("any", timeout=0.01)


async def defer_async(app: adjourn.App, kind: str) -> None:
    """Defer jobs of a kind."""
    name = kind.split()[0]
    if kind == "workflow":
        flow = app.workflow("flow")
        group = flow.map(app.tasks["result"], [{}] * EACH)
        flow.add(app.tasks["plain"], depends_on={"all": group})
        flow.chain(*[app.tasks["plain"]] * 3)
        await flow.defer_async()
    elif kind == "plain unique":
        for _ in range(EACH):
            unique = Unique(period=60, on_conflict="skip")
            await app.tasks["plain"].configure(unique=unique, task_kwargs={}).defer_async()
    elif kind == "keyed":
        await app.tasks[name].batch_defer_async(*({"key": str(number % 3)} for number in range(EACH)))
    else:
        all_options: dict[str, dict[str, Any]] = {
            "plain locked": {"lock": "lock"},
            "plain narrow": {"queue": "narrow"},
            "plain expires": {"expires_in": 60},
            "plain later": {"schedule_in": {"milliseconds": 10}},
        }
        await app.tasks[name].configure(**all_options.get(kind, {})).batch_defer_async(*[{}] * EACH)


def empty_again(observer: psycopg.Connection) -> None:
    """Have the statistics say that there are no jobs, and the pages of many be there, as if one behind them were left."""
    fill(observer)
    observer.execute("delete from adjourn.adjourn_jobs")
    observer.execute("vacuum (analyze, truncate false) adjourn.adjourn_jobs")


async def read_by_a_worker_async(app: adjourn.App, observer: psycopg.Connection, kind: str) -> int:
    """Defer jobs of a kind, run them, and return how many rows that has read."""
    before = await rows_read_async(observer)
    async with app.open_async():
        await defer_async(app, kind)
        await app.run_worker_async(queues=["default", "narrow"], wait=False, install_signal_handlers=False)
    return await rows_read_async(observer) - before


@pytest.mark.parametrize("known", ["when it was empty", "since"])
@pytest.mark.parametrize(
    "kind",
    [
        "plain", "plain locked", "plain narrow", "plain expires", "plain later", "plain unique",
        "result", "fails", "keyed", "rated", "batch", "steps", "workflow",
    ],
)  # fmt: skip
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
        observer.execute("vacuum (analyze, truncate false) adjourn.adjourn_jobs")
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
        observer.execute("vacuum (analyze, truncate false) adjourn.adjourn_jobs")
        fill(observer)
    else:
        observer.execute("vacuum analyze adjourn.adjourn_jobs")
    observer.execute(
        "with dead as ("
        " insert into adjourn.adjourn_workers (name, expires_at) select 'dead', now() - interval '1 hour' from generate_series(1, 20)"
        " returning id)"
        " insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, worker_id, claim) select 'default', 't', 0, '{}', 0, id, 1 from dead"
    )
    before = await rows_read_async(observer)
    assert observer.execute("select * from adjourn.adjourn_rescue_v1(5, '0 s')").fetchone() == (20, 0)
    assert await rows_read_async(observer) - before < 2.9 * OTHERS
    assert observer.execute("select count(*) from adjourn.adjourn_workers").fetchone() == (0,)


async def test_a_workflow_that_runs_again_reads_no_other_jobs(app: adjourn.App, observer: psycopg.Connection) -> None:
    declare_tasks(app)
    fill_finished(observer)
    fill(observer)
    for table in ("finished_jobs", "jobs"):
        observer.execute(f"delete from adjourn.adjourn_{table}".encode())
    observer.execute("vacuum (analyze, truncate false)")
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
    assert await rows_read_async(observer) - before < 0.9 * OTHERS
