"""Jobs per second of one batch whose ids are returned; how long it keeps the event loop, and how much memory it takes."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from typing import Any

import pgqueuer_side
import psycopg
from common import empty, make_adjourn, make_procrastinate, measure, parser_of, report, server

BARE = """
    with new as (
        insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold)
        select 'default', 'raw', 0, args::jsonb, 1 from unnest(%s::text[]) args returning id
    ) select array_agg(id)::text from new
"""
SIZES = (10_000, 100_000)


async def batches(app: Any, size: int) -> dict[str, float]:
    """Store one batch, and look meanwhile for how long nothing else has run on the event loop."""
    longest, is_over = 0.0, False

    async def look() -> None:
        nonlocal longest
        last = time.thread_time()
        while not is_over:
            await asyncio.sleep(0.0005)
            now = time.thread_time()  # of this thread alone: others may keep the machine
            longest, last = max(longest, now - last), now

    async with app.open_async():
        task = app.tasks["sync_noop"]
        await task.defer_async()
        arguments: list[dict[str, Any]] = [{} for _ in range(size)]
        looking = asyncio.create_task(look())
        await asyncio.sleep(0.01)
        longest, began = 0.0, time.perf_counter()
        ids = await task.batch_defer_async(*arguments)
        seconds = time.perf_counter() - began
        is_over = True
        await looking
    assert len(ids) == size
    print(f"{app.__module__.split('.')[0]}, {size:,}: kept the loop for {longest * 1e3:.1f} ms", file=sys.stderr)
    return {f"batch of {size:,}": size / seconds}


def bare(dsn: str, size: int) -> dict[str, float]:
    """Insert as many rows by one statement that does nothing else."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute(BARE, ["{" + ",".join(['"{}"'] * size) + "}"])
        return {f"batch of {size:,}": size / (time.perf_counter() - began)}


def main() -> None:
    parser = parser_of(__doc__)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    found: dict[str, dict[str, list[float]]] = {}
    with server() as dsn:
        for size in SIZES:
            sides: dict[str, Any] = {
                "adjourn": lambda size=size: asyncio.run(batches(make_adjourn(dsn), size)),
                "bare insert": lambda size=size: bare(dsn, size),
                "PgQueuer": lambda size=size: {
                    f"batch of {size:,}": size / asyncio.run(pgqueuer_side.store_batch(dsn, size))
                },
            }
            if size == SIZES[0]:
                sides["Procrastinate"] = lambda size=size: asyncio.run(batches(make_procrastinate(dsn), size))
            found |= measure(sides, arguments.repeat, lambda: empty(dsn))
    report("Batches with ids", found, "jobs/s", arguments.json)
    print(f"Most memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
