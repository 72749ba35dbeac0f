"""Milliseconds by which periodic tasks are late when many schedules are due at the same second."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import statistics
import time
from typing import Any

import psycopg
from common import empty, make_adjourn, server, show

from adjourn import events
from adjourn.worker.scheduler import Scheduler

EVERY = 5
"""Seconds between the ticks of each schedule."""


def schedule(dsn: str, schedules: int, seconds: float, late: Any) -> None:
    """Be the scheduler of one worker, and pass on how late each tick was that this worker deferred."""
    logging.disable(logging.CRITICAL)
    app = make_adjourn(dsn)

    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    for number in range(schedules):
        app.periodic(cron=f"* * * * * */{EVERY}", periodic_id=str(number))(tick)
    found: list[tuple[int, float]] = []

    def note(event: events.PeriodicJobDeferred) -> None:
        found.append((int(event.tick.timestamp()), time.time() - event.tick.timestamp()))

    app.events.subscribe(events.PeriodicJobDeferred, note)

    async def run() -> None:
        async with app.open_async():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(Scheduler(app).run(), seconds)

    asyncio.run(run())
    late.put(found)


def measured(dsn: str, workers: int, schedules: int, seconds: float) -> list[float]:
    """Return how many milliseconds late each tick was, without the first of each schedule, which are late anyway."""
    empty(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("truncate adjourn.adjourn_schedules")
    spawning = multiprocessing.get_context("spawn")
    late = spawning.Queue()
    arguments = (dsn, schedules, seconds, late)
    processes = [spawning.Process(target=schedule, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [each for _ in processes for each in late.get()]
    for process in processes:
        process.join()
    ticks = sorted({tick for tick, _ in found})[2:]
    return [1e3 * delay for tick, delay in found if tick in ticks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="schedules (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="seconds of each row (default: %(default)s)")
    given = parser.parse_args()
    rows = []
    with server() as dsn:
        for workers in (1, 8):
            late = measured(dsn, workers, given.schedules, given.seconds)
            quantiles = statistics.quantiles(late, n=100)
            rows.append(
                [str(workers), str(len(late)), *(f"{each:,.0f}" for each in (quantiles[49], quantiles[98], max(late)))]
            )
    show(
        f"{given.schedules} schedules due at the same second: late by, ms",
        ["workers", "ticks", "p50", "p99", "longest"],
        rows,
    )


if __name__ == "__main__":
    main()
