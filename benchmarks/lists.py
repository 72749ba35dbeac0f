"""Milliseconds that it takes to list jobs or look one up, with a year of finished jobs."""

from __future__ import annotations

import argparse
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
from common import make_adjourn, server, show

import adjourn
from adjourn import exceptions

WEEKS = 52
PARTITION = """
    do $$ declare v_from timestamptz; begin
        for v_from in
            select (date_trunc('week', now() at time zone 'UTC') - n * interval '1 week') at time zone 'UTC'
            from generate_series(1, {weeks}) n
        loop
            execute format('create table adjourn.adjourn_finished_jobs_%s partition of adjourn.adjourn_finished_jobs '
                'for values from (%L) to (%L)', to_char(v_from at time zone 'UTC', 'YYYYMMDD'), v_from, v_from + interval '1 week');
        end loop;
    end $$
"""
FINISHED = """
    insert into adjourn.adjourn_finished_jobs (
        id, queue, task_name, priority, lock, args, attempts, losses, claim, worker_id, abort_requested, enqueued_at,
        started_at, errors, status, finished_at
    )
    select n, 'queue ' || n %% 10, 'task ' || n %% 50, 0, case when n %% 5 = 0 then 'lock ' || n %% 1000 end,
           jsonb_build_object('n', n), 0, 0, 1, 1 + n %% 100, false, at - interval '10 s', at - interval '1 s', null,
           case when n %% 500 = 0 then 'failed' else 'succeeded' end, at
    from (
        select n, now() - (%(rows)s - n) * (make_interval(weeks => %(weeks)s) / %(rows)s) as at
        from generate_series(1, %(rows)s::bigint) n
    ) numbered
"""
LIVE = """
    insert into adjourn.adjourn_jobs (id, queue, task_name, priority, lock, args, hold)
    select n, 'queue ' || n %% 10, 'task ' || n %% 50, 0, null, '{}', 0
    from generate_series(%(rows)s::bigint + 1, %(rows)s::bigint + %(live)s::bigint) n
"""


def fill(dsn: str, rows: int, live: int) -> None:
    """Store a year of finished jobs, in weekly partitions, and some that are ready to run."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(PARTITION.format(weeks=WEEKS - 1).encode())
        connection.execute(FINISHED, {"rows": rows, "weeks": WEEKS})
        connection.execute(LIVE, {"rows": rows, "live": live})
        connection.execute("vacuum analyze")


def calls(app: adjourn.App, rows: int, live: int) -> dict[str, Callable[[], Any]]:
    """Return the calls that are measured, by name."""
    manager = app.job_manager

    def missing() -> None:
        try:
            manager.get_job_status(2 * rows)
        except exceptions.NoResult:
            return

    return {
        "get_job_status, finished long ago": functools.partial(manager.get_job_status, rows // 10),
        "get_job_status, live": functools.partial(manager.get_job_status, rows + live),
        "get_job_status, no such job": missing,
        "list_jobs(id=), finished long ago": functools.partial(manager.list_jobs, id=rows // 10),
        "list_jobs(id=), no such job": functools.partial(manager.list_jobs, id=2 * rows),
        "list_jobs(limit=50), the first page": functools.partial(manager.list_jobs, limit=50),
        "list_jobs(limit=50, after_id=), a middle page": functools.partial(
            manager.list_jobs, limit=50, after_id=rows // 2
        ),
        "list_jobs(limit=50, after_id=), the last page": functools.partial(
            manager.list_jobs, limit=50, after_id=rows + live - 50
        ),
        "list_jobs(limit=50, status='todo')": functools.partial(manager.list_jobs, limit=50, status="todo"),
        "list_jobs(limit=50, status='failed')": functools.partial(manager.list_jobs, limit=50, status="failed"),
        "list_queues(live_only=True)": functools.partial(manager.list_queues, live_only=True),
        "list_queues()": manager.list_queues,
    }


def measure(call: Callable[[], Any], repeat: int, longest: float) -> list[float]:
    """Return the milliseconds of `repeat` calls, or of fewer if they take more than `longest` seconds together."""
    taken: list[float] = []
    deadline = time.perf_counter() + longest
    while len(taken) < repeat and (not taken or time.perf_counter() < deadline):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="finished jobs, over a year (default: %(default)s)")
    parser.add_argument("--live", type=int, default=10_000, help="jobs that are ready to run (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=50, help="calls of each kind (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        began = time.perf_counter()
        fill(dsn, arguments.rows, arguments.live)
        title = (
            f"Milliseconds per call, {arguments.rows:,} finished jobs (stored in {time.perf_counter() - began:,.0f} s)"
        )
        rows = []
        with make_adjourn(dsn).open() as app:
            for name, call in calls(app, arguments.rows, arguments.live).items():
                first, *others = measure(call, arguments.repeat, longest=10.0)
                others = sorted(others or [first])
                middle, worst = others[len(others) // 2], others[-1]
                rows.append([name, f"{first:,.1f}", f"{middle:,.2f}", f"{worst:,.2f}"])
        show(title, ["call", "first", "median", "slowest"], rows)


if __name__ == "__main__":
    main()
