"""One job of each kind that a worker has to do something else for, and how many rows that reads beside many jobs of others."""

from __future__ import annotations

from typing import Any

import anyio
import psycopg

import adjourn
from adjourn import Batch, Limit, Rate, RetryStrategy
from adjourn.unique import Unique
from support.waiting import until

OTHERS = 20_000
"""Jobs of a queue that the worker does not serve: more than the statements of a test read together if each finds its rows by an index."""
EACH = 6
"""Jobs of each kind."""
KINDS = (
    *("plain", "plain locked", "plain narrow", "plain expires", "plain later", "plain unique"),
    *("result", "fails", "keyed", "rated", "batch", "steps", "workflow"),
)
"""What `defer_async` knows."""


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


def gather(observer: psycopg.Connection) -> None:
    """Gather statistics of what is there now, and remove all that is not, but keep the pages.

    A vacuum of the server's own keeps dead rows for a moment, if it looks at another table meanwhile; statements would read these. Where they
    are on few of a table's pages, a vacuum leaves them unless it is told not to.
    """

    def is_clean() -> bool:
        observer.execute("vacuum (analyze, truncate false, index_cleanup on)")
        query = "select sum(n_dead_tup) from pg_stat_user_tables where relname ~ 'adjourn_(finished_)?jobs'"
        return observer.execute(query).fetchone() == (0,)

    try:
        until(is_clean)
    except AssertionError as error:
        query = "select pid, datname, backend_type, state, xact_start, backend_xmin, query from pg_stat_activity where backend_xmin is not null"
        holders = observer.execute(query).fetchall() + observer.execute("select * from pg_prepared_xacts").fetchall()
        raise AssertionError(f"dead rows stay: {holders}") from error


def empty_again(observer: psycopg.Connection) -> None:
    """Have the statistics say that there are no jobs, and the pages of many be there, as if one behind them were left."""
    fill(observer)
    observer.execute("delete from adjourn.adjourn_jobs")
    gather(observer)


async def read_by_a_worker_async(app: adjourn.App, observer: psycopg.Connection, kind: str) -> int:
    """Defer jobs of a kind, run them, and return how many rows that has read."""
    before = await rows_read_async(observer)
    async with app.open_async():
        await defer_async(app, kind)
        await app.run_worker_async(queues=["default", "narrow"], wait=False, install_signal_handlers=False)
    return await rows_read_async(observer) - before
