"""What it costs to look: milliseconds and buffers of each look, with 10 million finished jobs and a million live ones.

Buffers are pages of 8 kB that the server reads, from its cache or not. They tell what a look costs whatever the machine does
meanwhile. A look whose buffers are beyond its bound is marked.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
from common import show
from lists import FINISHED, PARTITION, WEEKS
from starlette.testclient import TestClient

import adjourn
from adjourn import embedded, web
from adjourn.doctor import examine
from adjourn.exceptions import ConnectorException
from adjourn.monitor import statistics as figures
from adjourn.monitor.exports import Exports
from adjourn.monitor.monitor import Monitor
from adjourn.monitor.reader import Reader
from adjourn.types import Statement
from adjourn.web.collector import FEEDS
from adjourn.web.failures import KEPT, LISTED, LOOK, MOST

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    # Otherwise its reads would be counted with those of the looks.
    "autovacuum": "off",
}
EVERY_LOOK = 5_000
"""The most buffers of all that is read every two seconds."""
BOUNDS: dict[str, int] = {
    "latency": 2_000,
    "crew": 2_000,
    "working": 2_500,
    "server": 100,
    "counters": 500,
    "pauses": 100,
}
"""The most buffers of what is read every two or five seconds: ten for each of 200 pairs of a queue and a priority, and rows of jobs that run."""
FAILURES = 5 * (LOOK + MOST)
"""The most buffers of why jobs fail: one for each row that is looked at, and its way in an index for each whose error is read."""
WORKERS, RUNNING = 10, 500
LIVE = """
    insert into adjourn.adjourn_jobs (id, queue, task_name, priority, lock, args, hold, worker_id, claim, started_at, scheduled_at, enqueued_at)
    select %(rows)s::bigint + n, 'queue ' || n %% 30, 'task ' || n %% 50, n %% 3, lock, jsonb_build_object('n', n), hold,
           case when hold = 0 and n <= %(running)s then 1 + n %% %(workers)s end, case when n <= %(running)s then 1 else 0 end,
           case when hold = 0 and n <= %(running)s then now() - interval '5 s' end,
           case when hold = 1 then now() + (n %% 1000 - 10) * interval '1 minute' end,
           now() - (%(live)s::bigint - n) * interval '10 ms'
    from (
        select n, case when n %% 100 < 70 then 0 when n %% 100 < 80 then 1 when n %% 100 < 96 then 2 when n %% 100 = 96 then 5
                       when n %% 100 = 97 then 8 when n %% 100 = 98 then 4 else 3 end as hold,
               case when n %% 100 between 80 and 87 then 'the long line' when n %% 100 between 88 and 95 then 'lock ' || n %% 5000
                    when n %% 100 = 99 then 'unplaced ' || n end as lock
        from generate_series(1, %(live)s::bigint) n
    ) numbered
"""
HEADS = """
    insert into adjourn.adjourn_jobs (id, queue, task_name, priority, lock, args, hold)
    select %(rows)s::bigint + %(live)s::bigint + row_number() over (), 'queue 0', 'task 0', 0, lock, '{}', 0
    from (select distinct lock from adjourn.adjourn_jobs where hold = 2) behind
"""
CREW = """
    insert into adjourn.adjourn_workers (name, queues, hungry, running, details, expires_at)
    select 'worker ' || n, null, false, array(select id from adjourn.adjourn_jobs where worker_id = n),
           jsonb_build_object('host', 'host ' || n, 'pid', n, 'concurrency', 100), now() + interval '1 day'
    from generate_series(1, %(workers)s) n
"""
STATISTICS = """
    insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, wait_seconds, run_counts, wait_counts)
    select date_trunc('hour', now()) - n * step, level, 'queue ' || task %% 30, 'task ' || task, outcome, 100, 10, 100,
           array_fill(6::bigint, array[17]), array_fill(6::bigint, array[17])
    from (values (1, interval '1 minute', 0, 120), (2, interval '10 minutes', 12, 288), (3, interval '1 hour', 48, 14 * 24), (4, interval '1 day', 14, 89)) kept(level, step, first, last)
    cross join lateral generate_series(first, last) n
    cross join generate_series(0, 49) task
    cross join (values ('succeeded'), ('failed')) outcomes(outcome)
"""
SCHEDULES = """
    insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, next_tick, last_job_id)
    select 'task ' || n, '', '0 * * * *', 'UTC', now() - interval '1 hour', now() + interval '1 minute', n from generate_series(1, 100) n
"""
PAUSES = "insert into adjourn.adjourn_pauses (scope, name) values ('queue', 'queue 29'), ('task', 'task 49')"
LIMITS = """
    insert into adjourn.adjourn_limits (scope, name, concurrency, is_declared)
    select 'key', 'limit ' || n, n, true from generate_series(1, 20) n
"""
AUDIT = """
    insert into adjourn.adjourn_audit (actor, how, action, target, jobs, outcome)
    select 'ann', 'password', 'job.retry', n::text, 1, 'done' from generate_series(1, 10000) n
"""


@attrs.frozen(kw_only=True)
class Look:
    """Something that reads, and the most buffers that it may take; None where the specification of the look has no bound."""

    name: str
    call: Callable[[], Any]
    bound: int | None = None
    pause: float = 0.0


@contextlib.contextmanager
def server(dsn: str | None) -> Iterator[str]:
    """Yield the address of a database with the schema."""
    with contextlib.ExitStack() as stack:
        if dsn is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "data")
            path.parent.chmod(0o755)
            dsn = stack.enter_context(embedded.Server(path, settings=SETTINGS)).dsn
        with make_app(dsn).open() as app:
            app.schema_manager.apply_schema()
        yield dsn


def make_app(dsn: str) -> adjourn.App:
    """Return an app that knows the tasks of the jobs, on one connection."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, min_size=1, max_size=1))
    for number in range(50):
        app.task(name=f"task {number}")(print)
    return app


def fill(dsn: str, rows: int, live: int) -> None:
    """Store a year of finished jobs, live ones of each kind, and what else there is to see."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        numbers = {"rows": rows, "live": live, "weeks": WEEKS, "running": RUNNING, "workers": WORKERS}
        connection.execute(PARTITION.format(weeks=WEEKS - 1).encode())
        for text in (FINISHED, LIVE, HEADS, CREW, STATISTICS, SCHEDULES, PAUSES, LIMITS, AUDIT):
            began = time.perf_counter()
            done = connection.execute(text.encode(), numbers)
            print(f"{done.rowcount:,} rows in {time.perf_counter() - began:,.0f} s", file=sys.stderr, flush=True)
        connection.execute("select setval('adjourn.adjourn_jobs_id_seq', %s)", [rows + 2 * live])
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


# What is read


def feeds(app: adjourn.App, stack: contextlib.ExitStack) -> Iterator[Look]:
    """What the dashboard reads again and again while somebody looks."""
    reader = Reader(app, "monitor")
    stack.callback(reader.close)

    def every_two_seconds() -> None:
        for name, seconds in FEEDS.items():
            if seconds == 2.0:
                reader.rows(name)

    yield Look(name="dashboard: all that is read every 2 s", call=every_two_seconds, bound=EVERY_LOOK)
    for name, seconds in FEEDS.items():
        call = functools.partial(reader.rows, name)
        yield Look(name=f"dashboard: {name}, every {seconds:g} s", call=call, bound=BOUNDS.get(name))
    sizes = {"look": LOOK, "most": MOST, "listed": LISTED}
    for words, queue, task in (
        ("all jobs", None, None),
        ("a task", None, "task 7"),
        ("a queue", "queue 3", None),
        ("a task that has not failed", None, "no task"),
    ):
        call = functools.partial(reader.rows, "failures", queue=queue, task=task, **sizes)
        yield Look(name=f"dashboard: why jobs fail, {words}, every {KEPT:g} s", call=call, bound=FAILURES)


def pages(app: adjourn.App, stack: contextlib.ExitStack, rows: int, live: int) -> Iterator[Look]:
    """Each page, when what it shows of feeds has been read."""
    client = stack.enter_context(TestClient(web.create_app(app, auth=web.anybody)))

    def get(path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)

    for path in (
        *(
            "/",
            "/queues",
            "/tasks",
            "/task?name=task+7",
            "/jobs",
            f"/job?id={rows // 2}",
            f"/job?id={rows + live // 2}",
            f"/job?id={rows + 96}",
        ),
        *(
            "/jobs?status=failed",
            "/jobs?status=todo",
            "/jobs?queue=queue+3",
            "/jobs?task=task+7&status=failed",
            "/jobs?order=oldest",
        ),
        *("/workers", "/schedules", "/limits", "/workflows", "/database", "/audit"),
    ):
        yield Look(name=f"page {path}", call=functools.partial(get, path))


def commands(app: adjourn.App, stack: contextlib.ExitStack) -> Iterator[Look]:
    """What the commands read."""
    exports, monitor = Exports(app, 1.0), Monitor(app)
    stack.callback(exports.close)
    stack.callback(monitor.close)
    yield Look(name="adjourn metrics: a scrape", call=exports.families, pause=1.1)
    yield Look(name="adjourn top: a look", call=monitor.look)
    yield Look(name="adjourn doctor", call=functools.partial(examine, app, timeout=60))


def calls(app: adjourn.App, stack: contextlib.ExitStack, rows: int) -> Iterator[Look]:
    """What programs call."""
    manager = app.job_manager
    search = manager.search_jobs
    now = datetime.datetime.now(datetime.UTC)
    hour = {
        "finished_after": now - datetime.timedelta(days=30, hours=1),
        "finished_before": now - datetime.timedelta(days=30),
    }
    for words, found in {
        "the newest": functools.partial(search, limit=50),
        "statuses=['failed']": functools.partial(search, limit=50, statuses=["failed"]),
        "an hour of last month": functools.partial(search, limit=50, **hour),  # type: ignore[arg-type]
        "a lock of live jobs": functools.partial(search, limit=50, lock="the long line", statuses=["todo"]),
        "args of one old job: 100,000 looked at": functools.partial(search, limit=50, args={"n": rows // 3}),
    }.items():
        yield Look(name=f"search_jobs: {words}", call=found)
    listed: dict[str, dict[str, Any]] = {
        "limit=50": {},
        "status='failed'": {"status": "failed"},
        "status='todo'": {"status": "todo"},
        "status='doing'": {"status": "doing"},
        "queue=, status='todo'": {"queue": "queue 3", "status": "todo"},
        "lock=, status='todo'": {"lock": "lock 88", "status": "todo"},
        "id=": {"id": rows // 2},
    }
    for words, options in listed.items():
        yield Look(name=f"list_jobs: {words}", call=functools.partial(manager.list_jobs, **{"limit": 50, **options}))
    connector = app.connector.get_sync_connector()
    for words, arguments in {"all queues": "null", "two queues": "array['queue 1', 'queue 2']"}.items():
        text = Statement("backlog", f"select adjourn.adjourn_backlog_v1({arguments}) as jobs")
        yield Look(
            name=f"adjourn_backlog_v1: {words}", call=functools.partial(connector.execute, text, {}), bound=20_000
        )
    reader = Reader(app, "monitor")
    stack.callback(reader.close)
    for words, span, more in (
        ("an hour by the minute", datetime.timedelta(hours=1), {}),
        ("a day", datetime.timedelta(days=1), {}),
        ("a day by task", datetime.timedelta(days=1), {"by_task": True, "step": 2 * 24 * 3600}),
        ("a week", datetime.timedelta(days=7), {}),
        ("90 days, one queue", datetime.timedelta(days=89), {"queue": "queue 3"}),
        ("90 days", datetime.timedelta(days=89), {}),
    ):
        call = functools.partial(figures, reader, start=now - span, **more)  # type: ignore[arg-type]
        yield Look(name=f"statistics: {words}", call=call)


# How it is measured


def looks(dsn: str, stack: contextlib.ExitStack, rows: int, live: int) -> Iterator[Look]:
    """Return all looks, each on sessions that the stack closes."""
    app = stack.enter_context(make_app(dsn).open())
    yield from feeds(app, stack)
    yield from pages(app, stack, rows, live)
    yield from commands(app, stack)
    yield from calls(app, stack, rows)


def buffers_of(dsn: str) -> int:
    """Return how many pages the sessions of the database have read; those that are open may have told nothing yet."""
    with psycopg.connect(dsn, autocommit=True, dbname="template1") as connection:
        name = psycopg.conninfo.conninfo_to_dict(dsn).get("dbname", "postgres")
        others = "select from pg_stat_activity where datname = %s and backend_type = 'client backend'"
        while connection.execute(others.encode(), [name]).fetchone():
            time.sleep(0.02)
        row = connection.execute(
            "select blks_hit + blks_read from pg_stat_database where datname = %s", [name]
        ).fetchone()
    assert row is not None
    return int(row[0])


def taken(dsn: str, number: int, times: int, rows: int, live: int) -> tuple[str, list[float], int, int | None]:
    """Take one look so many times, on new sessions: its name, the milliseconds, the buffers of all, and the bound."""
    before = buffers_of(dsn)
    with contextlib.ExitStack() as stack:
        look = list(looks(dsn, stack, rows, live))[number]
        milliseconds = []
        for _ in range(times):
            time.sleep(look.pause)
            began = time.perf_counter()
            try:
                look.call()
            except ConnectorException as error:
                print(f"{look.name}: {error}", file=sys.stderr, flush=True)
            milliseconds.append(1000 * (time.perf_counter() - began))
    return look.name, milliseconds, buffers_of(dsn) - before, look.bound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=10_000_000, help="finished jobs, over a year (default: %(default)s)"
    )
    parser.add_argument("--live", type=int, default=1_000_000, help="jobs that wait or run (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=9, help="looks of each kind (default: %(default)s)")
    parser.add_argument("--only", default="", help="those looks only that have this in their names")
    parser.add_argument("--json", type=Path, help="write what was found to this file, too")
    parser.add_argument(
        "--dsn", help="use this database, in which a run with --dsn has stored these jobs already or this one does"
    )
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows, live = arguments.rows, arguments.live
    with server(arguments.dsn) as dsn:
        with psycopg.connect(dsn) as connection:
            is_filled = connection.execute("select from adjourn.adjourn_finished_jobs limit 1").fetchone() is not None
            (version,) = connection.execute(
                "select split_part(current_setting('server_version'), ' ', 1)"
            ).fetchone() or ("",)
        if not is_filled:
            fill(dsn, rows, live)
        with contextlib.ExitStack() as stack:
            names = [look.name for look in looks(dsn, stack, rows, live)]
        found: dict[str, dict[str, Any]] = {}
        for number, name in enumerate(names):
            if arguments.only not in name:
                continue
            # What sessions read at their beginning, and the first look, is in both.
            _, (first, *_), once, _ = taken(dsn, number, 2, rows, live)
            _, milliseconds, all_of_them, bound = taken(dsn, number, 2 + arguments.repeat, rows, live)
            buffers = max(0, round((all_of_them - once) / arguments.repeat))
            middle = statistics.median(milliseconds[2:])
            found[name] = {
                "first": first,
                "median": middle,
                "slowest": max(milliseconds[2:]),
                "buffers": buffers,
                "bound": bound,
            }
            print(f"{name}: {middle:,.1f} ms, {buffers:,} buffers", file=sys.stderr, flush=True)
    title = f"With {rows:,} finished and {live:,} live jobs, Postgres {version}"
    show(
        title,
        ["look", "first, ms", "median, ms", "slowest, ms", "buffers", "at most"],
        [
            [
                name,
                *(f"{row[key]:,.1f}" for key in ("first", "median", "slowest")),
                f"{row['buffers']:,}{' !' if row['bound'] is not None and row['buffers'] > row['bound'] else ''}",
                "" if row["bound"] is None else f"{row['bound']:,}",
            ]
            for name, row in found.items()
        ],
    )
    if arguments.json is not None:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
        facts = {"title": title, "command": sys.argv, "machine": machine, "found": found}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
