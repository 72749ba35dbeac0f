"""PgQueuer, as the benchmarks use it: asyncpg for its worker and its coroutines, psycopg for its threads."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any

import asyncpg
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver, SyncPsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries, SyncQueries
from pgqueuer.types import QueueExecutionMode

NAME = "noop"


def _nothing() -> None:
    pass


async def install(dsn: str) -> None:
    """Make PgQueuer's tables."""
    connection = await asyncpg.connect(dsn)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def drain(dsn: str, jobs: int, concurrency: int, is_sync: bool, limit: int = 0) -> float:
    """Return jobs per second that one worker drains, with a limit of jobs at once if there is one. Its settings are the best that we found for
    the concurrency."""
    connection = await asyncpg.connect(dsn)
    worker = PgQueuer(AsyncpgDriver(connection))

    @worker.entrypoint(NAME, concurrency_limit=limit)
    async def run(job: Job) -> None:
        if is_sync:  # as it tells to run what blocks
            await asyncio.to_thread(_nothing)

    await Queries(AsyncpgDriver(connection)).enqueue([NAME] * jobs, [None] * jobs, [0] * jobs)
    began = time.perf_counter()
    await worker.run(
        batch_size=max(1, concurrency // 2),
        max_concurrent_tasks=max(2, concurrency),
        dequeue_timeout=datetime.timedelta(seconds=0.1),
        mode=QueueExecutionMode.drain,
    )
    seconds = time.perf_counter() - began
    left = await connection.fetchval("select count(*) from pgqueuer")
    await connection.close()
    assert not left, f"{left} jobs are left"
    return jobs / seconds


async def store_batch(dsn: str, count: int) -> float:
    """Return the seconds that one batch takes."""
    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    began = time.perf_counter()
    ids = await queries.enqueue([NAME] * count, [None] * count, [0] * count)
    seconds = time.perf_counter() - began
    await connection.close()
    assert len(ids) == count
    return seconds


async def enqueue(dsn: str, count: int, number: int) -> float:
    """Return the calls per second of several coroutines together."""
    async with asyncpg.create_pool(dsn, min_size=min(number, 10), max_size=min(number, 10)) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))

        async def work() -> None:
            for _ in range(count // number):
                await queries.enqueue(NAME, None)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(number)))
        return count / (time.perf_counter() - began)


def unique(dsn: str) -> Any:
    """Return a function that stores a job with a key of its own over one connection, and blocks."""
    queries = SyncQueries(SyncPsycopgDriver(psycopg.connect(dsn, autocommit=True)))
    return lambda number: queries.enqueue([NAME], [None], [0], dedupe_key=[f"{number}"])


def blocking(dsn: str) -> Any:
    """Return a function that stores one job over a connection of its own, and blocks."""
    queries = SyncQueries(SyncPsycopgDriver(psycopg.connect(dsn, autocommit=True)))
    return lambda: queries.enqueue([NAME], [None], [0])


async def latencies(dsn: str, pauses: list[float]) -> list[float]:
    """Store jobs after these pauses, and return how many milliseconds each waited on an idle worker."""
    connection, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    worker = PgQueuer(AsyncpgDriver(connection))
    waited: list[float] = []

    @worker.entrypoint(NAME)
    async def run(job: Job) -> None:
        assert job.payload is not None
        waited.append((time.perf_counter() - float(job.payload)) * 1e3)

    running = asyncio.create_task(worker.run(batch_size=10, max_concurrent_tasks=20))
    await asyncio.sleep(1)
    queries = Queries(AsyncpgDriver(other))
    for pause in pauses:
        await asyncio.sleep(pause)
        await queries.enqueue(NAME, str(time.perf_counter()).encode())
    await asyncio.sleep(1)
    worker.shutdown.set()
    await running
    await connection.close()
    await other.close()
    return waited
