"""Milliseconds from `defer` to the first line of the task, on a worker that has nothing else to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import statistics
import time
from typing import Any

import pgqueuer_side
from common import empty, make_adjourn, make_procrastinate, measure, parser_of, report, server


async def latencies(app: Any, pauses: list[float]) -> list[float]:
    """Defer jobs after these pauses, and return how long each waited, in milliseconds."""
    waited: list[float] = []

    @app.task(name="stamp")
    async def stamp(sent: float) -> None:
        waited.append((time.perf_counter() - sent) * 1e3)

    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(concurrency=10, install_signal_handlers=False))
        await asyncio.sleep(1)
        for pause in pauses:
            await asyncio.sleep(pause)
            await stamp.defer_async(sent=time.perf_counter())
        await asyncio.sleep(1)
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    return waited


def quantiles(waited: list[float]) -> dict[str, float]:
    """Return what the table shows."""
    found = statistics.quantiles(waited, n=100, method="inclusive")
    return {"p50": found[49], "p99": found[98], "longest": max(waited)}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=200, help="jobs in each run (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    pauses = [random.uniform(0.01, 0.05) for _ in range(arguments.count)]
    with server() as dsn:
        sides = {
            "adjourn": lambda: quantiles(asyncio.run(latencies(make_adjourn(dsn), pauses))),
            "PgQueuer": lambda: quantiles(asyncio.run(pgqueuer_side.latencies(dsn, pauses))),
            "Procrastinate": lambda: quantiles(asyncio.run(latencies(make_procrastinate(dsn), pauses))),
        }
        found = measure(sides, arguments.repeat, lambda: empty(dsn))
    report("From defer to the start of the task", found, "ms", arguments.json, digits=1)


if __name__ == "__main__":
    main()
