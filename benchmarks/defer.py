"""Jobs per second that one process defers."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pgqueuer_side
import psycopg
import psycopg_pool
from common import empty, make_adjourn, make_procrastinate, measure, parser_of, report, server

THREADS = (8, 32)

INSERT = """
    insert into adjourn.adjourn_jobs
        (queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, scheduled_at, hold)
    values (%(queue)s, %(task_name)s, %(priority)s, %(lock)s, %(queueing_lock)s, %(queueing_lock)s, %(args)s,
            %(scheduled_at)s, 1)
    returning id
"""
JOB = {
    "queue": "default",
    "task_name": "raw",
    "priority": 0,
    "lock": None,
    "queueing_lock": None,
    "args": "{}",
    "scheduled_at": None,
}


def one_thread(defer: Callable[[], Any], count: int) -> float:
    """Return the calls per second of one thread."""
    began = time.perf_counter()
    for _ in range(count):
        defer()
    return count / (time.perf_counter() - began)


def threads(defer: Callable[[], Any], count: int, number: int) -> float:
    """Return the calls per second of several threads together."""

    def work() -> None:
        for _ in range(count // number):
            defer()

    workers = [threading.Thread(target=work) for _ in range(number)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return count / (time.perf_counter() - began)


async def coroutines(defer: Callable[[], Any], count: int, number: int) -> float:
    """Return the calls per second of several coroutines together."""

    async def work() -> None:
        for _ in range(count // number):
            await defer()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(number)))
    return count / (time.perf_counter() - began)


def blocking(app: Any, count: int) -> dict[str, float]:
    """Measure the synchronous calls of an app."""
    with app.open():
        task = app.tasks["sync_noop"]
        task.defer()
        found = {"defer, 1 thread": one_thread(task.defer, count)}
        return found | {f"defer, {number} threads": threads(task.defer, count, number) for number in THREADS}


async def awaited(app: Any, count: int) -> dict[str, float]:
    """Measure the asynchronous calls of an app, and synchronous ones that the bridge runs on its loop."""
    async with app.open_async():
        task = app.tasks["sync_noop"]
        await task.defer_async()
        return {
            "defer_async, 1 coroutine": await coroutines(task.defer_async, count, 1),
            "defer_async, 32 coroutines": await coroutines(task.defer_async, 4 * count, 32),
            "defer, bridged from 1 thread": await asyncio.to_thread(one_thread, task.defer, count),
        }


def of_pgqueuer(dsn: str, count: int) -> dict[str, float]:
    """Measure PgQueuer, whose blocking form has one connection a thread."""
    connected = threading.local()

    def enqueue() -> None:
        if not hasattr(connected, "enqueue"):
            connected.enqueue = pgqueuer_side.blocking(dsn)
        connected.enqueue()

    enqueue()
    found = {"defer, 1 thread": one_thread(enqueue, count)}
    found |= {f"defer, {number} threads": threads(enqueue, count, number) for number in THREADS}
    found["defer_async, 1 coroutine"] = asyncio.run(pgqueuer_side.enqueue(dsn, count, 1))
    return found | {"defer_async, 32 coroutines": asyncio.run(pgqueuer_side.enqueue(dsn, count, 32))}


def raw(dsn: str, count: int) -> dict[str, float]:
    """Measure psycopg alone: each call inserts one job and commits it."""
    with psycopg_pool.ConnectionPool(dsn, kwargs={"autocommit": True}, min_size=8, max_size=10, open=True) as pool:
        pool.wait()

        def insert() -> None:
            with pool.connection() as connection:
                connection.execute(INSERT, JOB).fetchone()

        insert()
        blocking = {"defer, 1 thread": one_thread(insert, count)}
        blocking |= {f"defer, {number} threads": threads(insert, count, number) for number in THREADS}

    async def measure() -> dict[str, float]:
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        async with connection:

            async def insert() -> None:
                await (await connection.execute(INSERT, JOB)).fetchone()

            await insert()
            one = await coroutines(insert, count, 1)
        async with psycopg_pool.AsyncConnectionPool(
            dsn, kwargs={"autocommit": True}, min_size=10, max_size=10, open=False
        ) as pool:
            await pool.wait()

            async def insert_from_pool() -> None:
                async with pool.connection() as connection:
                    await (await connection.execute(INSERT, JOB)).fetchone()

            many = await coroutines(insert_from_pool, count, 32)
        return {"defer_async, 1 coroutine": one, "defer_async, 32 coroutines": many}

    return blocking | asyncio.run(measure())


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="calls in each run (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    count = arguments.count
    with server() as dsn:

        def both(make: Callable[[str], Any]) -> dict[str, float]:
            return blocking(make(dsn), count) | asyncio.run(awaited(make(dsn), count))

        sides: dict[str, Callable[[], dict[str, float]]] = {
            "adjourn": lambda: both(make_adjourn),
            "raw psycopg": lambda: raw(dsn, count),
            "PgQueuer": lambda: of_pgqueuer(dsn, count),
            "Procrastinate": lambda: both(make_procrastinate),
        }
        found = measure(sides, arguments.repeat, lambda: empty(dsn))
    report("Jobs deferred by one process", found, "calls/s", arguments.json)


if __name__ == "__main__":
    main()
