"""Microseconds of a blocking call that runs on the event loop, and the sessions that opening and closing leave open."""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from asgiref.sync import async_to_sync, sync_to_async
from common import empty, make_adjourn, server, show

from adjourn._dispatch import bridge

BLOCK = 20
"""Calls of one kind in a row. The kinds take turns, so that changes in the machine's speed affect all of them."""

Blocking = Callable[[], Any]


async def nothing() -> None:
    """Do nothing, so that the measured time is that of the call itself."""


def timed(call: Blocking) -> list[float]:
    """Return the microseconds that each call of a block takes."""
    found = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1e6)
    return found


async def timed_async(call: Callable[[], Awaitable[Any]]) -> list[float]:
    """Return the microseconds that each awaited call of a block takes."""
    found = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        await call()
        found.append((time.perf_counter() - began) * 1e6)
    return found


async def compare(awaited: Callable[[], Awaitable[Any]], bridged: Blocking, count: int) -> list[float]:
    """Return the median microseconds of a call: awaited, through our bridge, and through asgiref."""
    by_asgiref = async_to_sync(awaited)
    times: list[list[float]] = [[], [], []]
    for number in range(count // BLOCK + 1):
        blocks = [
            await timed_async(awaited),
            await asyncio.to_thread(timed, bridged),
            # asgiref finds the loop only from a thread that it has started itself.
            await sync_to_async(timed, thread_sensitive=False)(by_asgiref),
        ]
        if number:  # the first block only warms up
            for kind, block in zip(times, blocks, strict=True):
                kind.extend(block)
    return [statistics.median(kind) for kind in times]


async def measure(dsn: str, count: int) -> list[list[str]]:
    """Return the rows of the table."""
    loop = asyncio.get_running_loop()
    app = make_adjourn(dsn)
    async with app.open_async():
        task, manager = app.tasks["sync_noop"], app.job_manager
        job_id = await task.defer_async()
        kinds: list[tuple[str, Callable[[], Awaitable[Any]], Blocking]] = [
            ("a call that does nothing", nothing, lambda: bridge.run(loop, nothing, timeout=30)),
            (
                "asking for a job's status",
                lambda: manager.get_job_status_async(job_id),
                lambda: manager.get_job_status(job_id),
            ),
            ("deferring a job, which waits for the disk", task.defer_async, task.defer),
        ]
        rows = []
        for name, awaited, bridged in kinds:
            own, ours, theirs = await compare(awaited, bridged, count)
            values = (own, ours, theirs, ours - own, theirs - own)
            rows.append([name, *(f"{value:,.0f}" for value in values)])
    return rows


def sessions(observer: psycopg.Connection[Any]) -> int:
    """Return the number of other sessions."""
    # Sessions that are being closed may be listed a little longer.
    time.sleep(0.5)
    row = observer.execute(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and backend_type = 'client backend' and pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def cycle(app: Any, is_async: bool) -> None:
    """Open the app, defer a job, and close it."""
    if is_async:
        async with app.open_async():
            await app.tasks["sync_noop"].defer_async()
    else:
        with app.open():
            app.tasks["sync_noop"].defer()


def cycles(dsn: str, count: int) -> list[list[str]]:
    """Open and close one app many times, and return the rows of the table."""
    rows = []
    with psycopg.connect(dsn, autocommit=True) as observer:
        for name in ("sync", "async", "alternating"):
            empty(dsn)
            app = make_adjourn(dsn)

            async def run(name: str = name, app: Any = app) -> None:
                for number in range(count):
                    await cycle(app, {"sync": False, "async": True}.get(name, bool(number % 2)))

            before, began = sessions(observer), time.perf_counter()
            asyncio.run(run())
            took = (time.perf_counter() - began) / count * 1e3
            rows.append([name, f"{count:,}", f"{took:.1f}", str(before), str(sessions(observer))])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="calls of each kind (default: %(default)s)")
    parser.add_argument("--cycles", type=int, default=0, help="also open and close an app this often (default: do not)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        empty(dsn)
        show(
            "A call from a thread to the event loop, us",
            ["call", "awaited", "by the bridge", "by asgiref", "bridge adds", "asgiref adds"],
            asyncio.run(measure(dsn, arguments.count)),
        )
        if arguments.cycles:
            show(
                "Opening, deferring and closing",
                ["opened", "cycles", "ms each", "sessions before", "sessions after"],
                cycles(dsn, arguments.cycles),
            )


if __name__ == "__main__":
    main()
