"""What lasting costs: steps, completions, sleeps and events, on one Postgres server with one worker."""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable

import psycopg
from common import empty, make_adjourn, server, show

import adjourn


def nothing() -> int:
    """Return something small."""
    return 1


async def drained(app: adjourn.App, concurrency: int) -> float:
    """Run a worker until no job is left, and return the seconds."""
    began = time.perf_counter()
    await app.run_worker_async(wait=False, install_signal_handlers=False, concurrency=concurrency, listen_notify=False)
    return time.perf_counter() - began


async def plain(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that do nothing."""
    await app.configure_task("async_noop").batch_defer_async(*[{}] * count)
    return count / await drained(app, concurrency)


async def context(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that take a context and do nothing with it."""
    await app.configure_task("context").batch_defer_async(*[{}] * count)
    return count / await drained(app, concurrency)


async def steps(app: adjourn.App, count: int, concurrency: int) -> float:
    """Steps stored, ten a job."""
    await app.configure_task("ten_steps").batch_defer_async(*[{}] * (count // 10))
    return count / await drained(app, concurrency)


async def completions(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that end in a transaction of their own, with an effect."""
    await app.configure_task("completing").batch_defer_async(*[{}] * count)
    return count / await drained(app, concurrency)


async def effects(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that commit the same effect and end as usual."""
    await app.configure_task("committing").batch_defer_async(*[{}] * count)
    return count / await drained(app, concurrency)


async def sleeps(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that begin to sleep."""
    await app.configure_task("sleeping").batch_defer_async(*[{}] * count)
    return count / await drained(app, concurrency)


async def events(app: adjourn.App, count: int, concurrency: int) -> float:
    """Jobs that wait for an event of their own each: sent, woken and ended."""
    await app.configure_task("waiting").batch_defer_async(*({"number": number} for number in range(count)))
    await drained(app, concurrency)
    await app.send_events_async([(f"event {number}", number) for number in range(count)])
    return count / await drained(app, concurrency)


MEASURED: dict[str, Callable[[adjourn.App, int, int], Awaitable[float]]] = {
    "plain jobs": plain,
    "jobs with a context": context,
    "steps": steps,
    "jobs that commit an effect": effects,
    "jobs that end with their effect": completions,
    "jobs that go to sleep": sleeps,
    "events sent, and their jobs ended": events,
}


def make(dsn: str) -> adjourn.App:
    """Return an app with the tasks that are measured."""
    app = make_adjourn(dsn, max_size=20)
    pool: asyncio.LifoQueue[psycopg.AsyncConnection] = asyncio.LifoQueue()

    async def connected() -> psycopg.AsyncConnection:
        if pool.empty():
            return await psycopg.AsyncConnection.connect(dsn)
        return pool.get_nowait()

    @app.task(name="context", pass_context=True)
    async def with_context(context: adjourn.JobContext) -> None:
        pass

    @app.task(name="ten_steps", pass_context=True)
    async def ten_steps(context: adjourn.JobContext) -> None:
        for number in range(10):
            await context.step_async(f"step {number}", nothing)

    @app.task(name="committing")
    async def committing() -> None:
        connection = await connected()
        await connection.execute("insert into effects default values")
        await connection.commit()
        pool.put_nowait(connection)

    @app.task(name="completing", pass_context=True)
    async def completing(context: adjourn.JobContext) -> None:
        connection = await connected()
        await connection.execute("insert into effects default values")
        await context.complete_async(connection)
        await connection.commit()
        pool.put_nowait(connection)

    @app.task(name="sleeping", pass_context=True)
    async def sleeping(context: adjourn.JobContext) -> None:
        await context.sleep_async(1e6)

    @app.task(name="waiting", pass_context=True)
    async def waiting(context: adjourn.JobContext, number: int) -> None:
        await context.wait_for_event_async(f"event {number}")

    return app


async def measure(dsn: str, arguments: argparse.Namespace) -> list[list[str]]:
    rows = []
    for name, function in MEASURED.items():
        rates: list[float] = []
        for _ in range(arguments.repeat):
            empty(dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("drop table if exists effects")
                connection.execute("create table effects (id bigint generated always as identity)")
                connection.execute(
                    "truncate adjourn.adjourn_steps, adjourn.adjourn_sent_events, adjourn.adjourn_event_notes"
                )
            app = make(dsn)
            async with app.open_async():
                rates.append(await function(app, arguments.count, arguments.concurrency))
        rows.append([name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}-{max(rates):,.0f}"])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="jobs or steps (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=20, help="jobs at once (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        rows = asyncio.run(measure(dsn, arguments))
    show("What lasts, a second", ["what", "median", "range"], rows)


if __name__ == "__main__":
    main()
