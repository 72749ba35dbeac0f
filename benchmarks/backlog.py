"""Whether other jobs slow a worker down: finished ones, scheduled ones, ones behind a lock, ones of another queue."""

from __future__ import annotations

import argparse
import asyncio
import logging

import psycopg
from common import make_adjourn, server, show, spread
from drain import drain

BACKLOGS = {
    "none": "",
    "finished jobs": """
        insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim,
            abort_requested, enqueued_at, status, finished_at)
        select -n, 'default', 'old', 0, '{}', 0, 0, 1, false, now(), 'succeeded', now() from generate_series(1, %s) n
    """,
    "scheduled jobs": """
        insert into adjourn.adjourn_jobs (id, queue, task_name, priority, args, scheduled_at, hold)
        select -n, 'default', 'later', 0, '{}', now() + interval '1 day', 1 from generate_series(1, %s) n
    """,
    "jobs behind one lock": """
        insert into adjourn.adjourn_jobs (id, queue, task_name, priority, lock, args, hold)
        select -n, 'other', 'locked', 0, 'the lock', '{}', 2 from generate_series(1, %s) n
    """,
    "jobs of another queue": """
        insert into adjourn.adjourn_jobs (id, queue, task_name, priority, args, hold)
        select -n, 'other', 'elsewhere', -1, '{}', 0 from generate_series(1, %s) n
    """,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="other jobs (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs to drain (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    empty_rate = 0.0
    with server() as dsn:
        for name, insert in BACKLOGS.items():
            rates = []
            for _ in range(arguments.repeat):
                rate, _ = asyncio.run(
                    drain(
                        make_adjourn(dsn),
                        dsn,
                        "async_noop",
                        100,
                        0,
                        arguments.jobs,
                        prepare=lambda insert=insert: fill(dsn, insert, arguments.backlog),
                        queues=["default"],
                    )
                )
                rates.append(rate)
            empty_rate = empty_rate or sorted(rates)[len(rates) // 2]
            ratio = sorted(rates)[len(rates) // 2] / empty_rate
            rows.append([name, spread(rates), f"{ratio:.2f}"])
            print(*rows[-1], sep=" | ", flush=True)
    title = f"Drain of jobs by one worker process, with {arguments.backlog:,} other jobs in the database"
    show(title, ["other jobs", "jobs/s", "ratio to none"], rows)


def fill(dsn: str, insert: str, number: int) -> None:
    """Store the other jobs, and vacuum their tables, as autovacuum would have done by then."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if insert:
            connection.execute(insert, (number,))  # type: ignore[arg-type]
        connection.execute("vacuum analyze adjourn.adjourn_jobs, adjourn.adjourn_finished_jobs")
        connection.execute("checkpoint")


if __name__ == "__main__":
    main()
