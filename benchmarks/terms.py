"""Jobs per second that one worker process drains if they expire some day, or are taken by batch tasks, beside plain jobs; and how fast expired jobs end."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import psycopg
from common import empty, make_adjourn, parser_of, server, show

import adjourn
from adjourn import Batch

JOBS = 10_000


async def drained(dsn: str, **options: Any) -> tuple[float, float]:
    """Return jobs per second, of a batch defer and of the worker."""
    empty(dsn)
    app = make_adjourn(dsn)
    done = 0

    @app.task(name="plain", **options)
    async def task(**arguments: int) -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        began = time.perf_counter()
        await task.batch_defer_async(*({"n": n} for n in range(JOBS)))
        deferred = time.perf_counter() - began
        began = time.perf_counter()
        await app.run_worker_async(concurrency=100, wait=False, install_signal_handlers=False)
        assert done == JOBS
        return JOBS / deferred, JOBS / (time.perf_counter() - began)


async def batched(dsn: str, size: int) -> tuple[float, float]:
    """Return jobs per second of a batch task, and how many of them a call had."""
    empty(dsn)
    app = make_adjourn(dsn)
    calls: list[int] = []

    @app.task(name="batch", batch=Batch(size))
    async def task(jobs: list[adjourn.BatchItem]) -> None:
        calls.append(len(jobs))

    async with app.open_async():
        await task.batch_defer_async(*({"n": n} for n in range(JOBS)))
        began = time.perf_counter()
        await app.run_worker_async(concurrency=100, wait=False, install_signal_handlers=False)
        assert sum(calls) == JOBS
        return JOBS / (time.perf_counter() - began), JOBS / len(calls)


async def expired(dsn: str, *, paused: bool) -> float:
    """Return how many expired jobs end a second: as a worker meets them or, in a paused queue, by its upkeep."""
    empty(dsn)
    app = make_adjourn(dsn)

    @app.task(name="late", expires_in=0.001)
    async def task(**arguments: int) -> None: ...

    async with app.open_async():
        await task.batch_defer_async(*({"n": n} for n in range(JOBS)))
        if paused:
            await app.job_manager.pause_queue_async("default")
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await app.run_worker_async(concurrency=100, wait=False, install_signal_handlers=False)
        seconds = time.perf_counter() - began
        if paused:
            await app.job_manager.resume_queue_async("default")
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from adjourn.adjourn_finished_jobs where status = 'cancelled'"
        ).fetchone()
    assert row == (JOBS,), row
    return JOBS / seconds


def main() -> None:
    """Print the tables."""
    options = parser_of(__doc__).parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        rows = []
        for name, given in (("plain", {}), ("expires_in=3600", {"expires_in": 3600}), ("plain again", {})):
            best = [asyncio.run(drained(dsn, **given)) for _ in range(options.repeat)]
            rows.append([name, *(f"{max(each):,.0f}" for each in zip(*best, strict=True))])
        show("Jobs per second of one worker, concurrency 100", ["", "deferred a second", "drained a second"], rows)
        rows = []
        for size in (1, 10, 100, 500):
            found = [asyncio.run(batched(dsn, size)) for _ in range(options.repeat)]
            rows.append([f"Batch({size})", f"{max(rate for rate, _ in found):,.0f}", f"{found[-1][1]:,.0f}"])
        show("Batch tasks", ["", "jobs a second", "jobs of a call"], rows)
        rows = [
            [what, f"{asyncio.run(expired(dsn, paused=paused)):,.0f}"]
            for what, paused in (("claimed", False), ("paused", True))
        ]
        show("Expired jobs", ["", "ended a second"], rows)


if __name__ == "__main__":
    main()
