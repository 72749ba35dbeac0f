"""Milliseconds from `defer` to the first line of the task, on a worker that has nothing else to do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import statistics
import time
from typing import Any

from common import empty, make_adjourn, make_procrastinate, server, show


async def latencies(app: Any, dsn: str, count: int) -> list[float]:
    """Defer jobs at random intervals, and return how long each waited, in milliseconds."""
    empty(dsn)
    waited: list[float] = []

    @app.task(name="stamp")
    async def stamp(sent: float) -> None:
        waited.append((time.perf_counter() - sent) * 1e3)

    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(concurrency=10, install_signal_handlers=False))
        await asyncio.sleep(1)
        for _ in range(count):
            await asyncio.sleep(random.uniform(0.01, 0.05))
            await stamp.defer_async(sent=time.perf_counter())
        await asyncio.sleep(1)
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    return waited


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="jobs (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    with server() as dsn:
        for name, make in (("adjourn", make_adjourn), ("Procrastinate", make_procrastinate)):
            waited = asyncio.run(latencies(make(dsn), dsn, arguments.count))
            quantiles = statistics.quantiles(waited, n=100)
            rows.append([name, str(len(waited)), f"{quantiles[49]:.1f}", f"{quantiles[98]:.1f}", f"{max(waited):.1f}"])
    show("From defer to start, ms", ["library", "jobs", "p50", "p99", "longest"], rows)


if __name__ == "__main__":
    main()
