"""Jobs per second that one worker process drains under limits, beside plain jobs and locks; and how fair and how exact limits are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import time
from typing import Any

import pgqueuer_side
import psycopg
from common import empty, make_adjourn, parser_of, server, show

import adjourn
from adjourn import Limit, Rate

JOBS = 10_000
FAIR = 5_000
CLEAR = (
    "truncate adjourn.adjourn_limits, adjourn.adjourn_open_limits, adjourn.adjourn_starts, adjourn.adjourn_due_rates"
)


def app_of(
    dsn: str, limits: list[Limit], queue_limits: dict[str, Limit] | None = None
) -> tuple[adjourn.App, Any, list[tuple[float, str]]]:
    """Return an app, its task and what the task notes: when it ran for which key."""
    app = make_adjourn(dsn)
    app.queue_limits = queue_limits or {}
    runs: list[tuple[float, str]] = []

    @app.task(name="limited", queue="q", limits=limits)
    async def limited(key: str) -> None:
        runs.append((time.monotonic(), key))

    return app, limited, runs


async def drained(
    dsn: str, keys: int, limits: list[Limit], queue_limits: dict[str, Limit] | None = None, locks: int = 0
) -> float:
    """Return jobs per second."""
    empty(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(CLEAR)
    app, task, runs = app_of(dsn, limits, queue_limits)
    async with app.open_async():
        for start in range(0, JOBS, 5_000):
            numbers = range(start, min(start + 5_000, JOBS))
            deferrers = [task.configure(lock=f"lock {n % locks}" if locks else None) for n in numbers]
            jobs = [each.make_job((), {"key": str(n % keys)}) for each, n in zip(deferrers, numbers, strict=True)]
            await app.job_manager.batch_defer_jobs_async(jobs)
        began = time.perf_counter()
        while len(runs) < JOBS:
            await app.run_worker_async(concurrency=100, wait=False, install_signal_handlers=False)
        return JOBS / (time.perf_counter() - began)


async def first_and_last(dsn: str, limits: list[Limit]) -> tuple[int, int]:
    """Store many jobs of one key, then a few of three others; return at which place the first and the last of these ran."""
    empty(dsn)
    app, task, runs = app_of(dsn, limits)
    async with app.open_async():
        await task.batch_defer_async(*({"key": "large"} for _ in range(FAIR)))
        await task.batch_defer_async(*({"key": f"small {number % 3}"} for number in range(300)))
        while len(runs) < FAIR + 300:
            await app.run_worker_async(concurrency=5, wait=False, install_signal_handlers=False)
    places = [place for place, (_, key) in enumerate(runs, 1) if key != "large"]
    return places[0], places[-1]


async def worst_window(dsn: str, keys: int, rate: Rate, jobs: int) -> tuple[int, float]:
    """Return the most claims of a key in a period, by the database's clock, and the seconds that all took."""
    empty(dsn)
    app, task, runs = app_of(dsn, [Limit(key="key", rate=rate)])
    async with app.open_async():
        await task.batch_defer_async(*({"key": str(number % keys)} for number in range(jobs)))
        began = time.perf_counter()
        worker = asyncio.create_task(app.run_worker_async(concurrency=100, install_signal_handlers=False))
        while len(runs) < jobs:  # noqa: ASYNC110 - the tasks fill a list
            await asyncio.sleep(0.002)
        seconds = time.perf_counter() - began
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select args ->> 'key', extract(epoch from started_at)::float8 from adjourn.adjourn_finished_jobs"
        ).fetchall()
    # What is stored is when the transaction of the claim began.
    margin = 0.05 * rate.period
    worst = max(
        sum(1 for other, later in rows if other == key and at <= later < at + rate.period - margin)
        for key, at in rows[:400]
    )
    return worst, seconds


def main() -> None:
    """Measure, and print tables."""
    options = parser_of(__doc__).parse_args()
    logging.disable(logging.WARNING)
    three = [Limit(key="key", concurrency=3)]
    hundred = {"q": Limit(concurrency=100)}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("plain", {"keys": 1, "limits": []}),
        ("1,000 locks", {"keys": 1, "limits": [], "locks": 1000}),
        ("3 at once of each of 1,000 keys", {"keys": 1000, "limits": three}),
        ("3 at once of each of 100 keys", {"keys": 100, "limits": three}),
        ("100 at once in the queue", {"keys": 1, "limits": [], "queue_limits": hundred}),
        ("both", {"keys": 1000, "limits": three, "queue_limits": hundred}),
    ]
    with server() as dsn:
        found: dict[str, list[float]] = {name: [] for name, _ in cases}
        # It has no limits of keys, and Procrastinate has none at all.
        peer: dict[str, list[float]] = {"PgQueuer: plain": [], "PgQueuer: 100 at once of an entrypoint": []}
        for _ in range(options.repeat):
            for name, case in cases:
                found[name].append(asyncio.run(drained(dsn, **case)))
            for name, limit in zip(peer, (0, 100), strict=True):
                empty(dsn)
                peer[name].append(asyncio.run(pgqueuer_side.drain(dsn, JOBS, 100, False, limit)))
        plain = sorted(found["plain"])[len(found["plain"]) // 2]
        rows = [
            [name, f"{sorted(each)[len(each) // 2]:,.0f}", f"{sorted(each)[len(each) // 2] / plain:.2f}"]
            for name, each in found.items()
        ]
        rows += [[name, f"{statistics.median(each):,.0f}", ""] for name, each in peer.items()]
        show("Jobs per second of one worker, concurrency 100", ["", "jobs a second", "of plain ones"], rows)
        rows = []
        for name, limits in (("no limit", []), ("10 at once of each key", [Limit(key="key", concurrency=10)])):
            first, last = asyncio.run(first_and_last(dsn, limits))
            rows.append([name, f"{first:,}", f"{last:,}"])
        show(
            f"300 jobs of three keys behind {FAIR:,} of another: places in the order of runs",
            ["", "first", "last"],
            rows,
        )
        rows = []
        for name, keys, rate, jobs in (
            ("10 in a second, 20 keys", 20, Rate(10, 1), 600),
            ("100 in half a second, one key", 1, Rate(100, 0.5), 600),
            ("1 in 0.1 seconds, one key", 1, Rate(1, 0.1), 50),
            ("1 in 0.02 seconds, one key", 1, Rate(1, 0.02), 200),
        ):
            worst, seconds = asyncio.run(worst_window(dsn, keys, rate, jobs))
            possible = (jobs / keys / rate.limit - 1) * rate.period
            rows.append([name, f"{worst} of {rate.limit}", f"{seconds:.1f} of {possible:.1f}"])
        show("Rates", ["", "most starts in a period", "seconds, of those possible"], rows)


if __name__ == "__main__":
    main()
