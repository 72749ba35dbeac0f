"""Milliseconds that a worker takes which runs what is there and ends, as test suites have it after each test."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import statistics
import time
from typing import Any

from common import empty, make_adjourn, make_procrastinate, server, show

from adjourn.testing import InMemoryConnector


async def one_shots(app: Any, count: int, jobs: int) -> list[float]:
    """Run one worker after the other, each with so many jobs to run, and return how long each took, in milliseconds."""
    took: list[float] = []
    async with app.open_async():
        for _ in range(count):
            for _ in range(jobs):
                await app.configure_task("async_noop").defer_async()
            began = time.perf_counter()
            await app.run_worker_async(wait=False, install_signal_handlers=False)
            took.append((time.perf_counter() - began) * 1e3)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="workers, one after the other (default: %(default)s)")
    parser.add_argument("--without-peer", action="store_true", help="measure adjourn alone")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []

    # A look of the garbage collector at all that was imported here takes 50 ms, in whichever run it falls.
    gc.collect()
    gc.freeze()

    def measure(name: str, app: Any) -> None:
        for jobs in (0, 1, 10):
            took = asyncio.run(one_shots(app, arguments.count, jobs))
            rows.append([name, str(jobs), f"{statistics.median(took):.1f}", f"{max(took):.1f}"])
            print(*rows[-1], sep=" | ", flush=True)

    with server() as dsn:
        empty(dsn)
        measure("adjourn, in memory", make_adjourn(dsn).with_connector(InMemoryConnector()))
        measure("adjourn, Postgres", make_adjourn(dsn))
        if not arguments.without_peer:
            measure("Procrastinate, Postgres", make_procrastinate(dsn))
    show("A worker that does not wait, ms", ["what", "jobs", "median", "longest"], rows)


if __name__ == "__main__":
    main()
