"""Jobs per second that one worker process drains. Finished jobs are committed and kept."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

from common import empty, make_adjourn, make_procrastinate, server, show, spread

SHAPES = [
    ("async, concurrency 100", "async_noop", 100, 0, 20_000),
    ("async, concurrency 10", "async_noop", 10, 0, 10_000),
    ("async, concurrency 1", "async_noop", 1, 0, 5_000),
    ("sync in threads, concurrency 10", "sync_noop", 10, 0, 10_000),
    ("async, concurrency 100, 100 locks", "async_noop", 100, 100, 5_000),
    ("async, concurrency 100, one lock", "async_noop", 100, 1, 500),
]
PEER_JOBS = 600
"""Procrastinate drains fewer jobs, because as many as adjourn does would take it hours."""


async def drain(
    app: Any,
    dsn: str,
    task: str,
    concurrency: int,
    locks: int,
    jobs: int,
    prepare: Callable[[], None] | None = None,
    **options: Any,
) -> tuple[float, float]:
    """Return jobs per second, and microseconds of this process's CPU for each."""
    empty(dsn)
    if prepare is not None:
        prepare()
    async with app.open_async():
        for start in range(0, jobs, 5_000):
            numbers = range(start, min(start + 5_000, jobs))
            deferrers = [app.configure_task(task, lock=f"lock {n % locks}" if locks else None) for n in numbers]
            await app.job_manager.batch_defer_jobs_async([deferrer.job for deferrer in deferrers])
        began, cpu = time.perf_counter(), _cpu()
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False, **options)
        seconds, cpu = time.perf_counter() - began, _cpu() - cpu
        finished = len(list(await app.job_manager.list_jobs_async(task=task, status="succeeded")))
    assert finished == jobs, f"{finished} of {jobs} jobs succeeded"
    return jobs / seconds, cpu / jobs * 1e6


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each shape (default: %(default)s)")
    parser.add_argument("--only", default="", help="only shapes whose name contains this")
    parser.add_argument("--without-peer", action="store_true", help="do not measure Procrastinate")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    with server() as dsn:
        for name, task, concurrency, locks, jobs in SHAPES:
            if arguments.only not in name:
                continue
            ours, peers = [], []
            for _ in range(arguments.repeat):
                ours.append(asyncio.run(drain(make_adjourn(dsn), dsn, task, concurrency, locks, jobs)))
                # Procrastinate's worker without `wait` ends as soon as the lock blocks all jobs that are left, so only
                # adjourn is measured with one lock.
                if not arguments.without_peer and locks != 1:
                    count = min(jobs, PEER_JOBS)
                    app = make_procrastinate(dsn)
                    peers.append(asyncio.run(drain(app, dsn, task, concurrency, locks, count, listen_notify=False)))
            rates, peer_rates = [rate for rate, _ in ours], [rate for rate, _ in peers]
            ratio = f"{statistics.median(rates) / statistics.median(peer_rates):,.0f} x" if peers else "-"
            cpu = f"{statistics.median(cpu for _, cpu in ours):.0f}"
            rows.append([name, f"{jobs:,}", spread(rates), cpu, spread(peer_rates) if peers else "-", ratio])
            print(*rows[-1], sep=" | ", flush=True)
    show(
        "Drain of no-op jobs by one worker process",
        ["shape", "jobs", "adjourn, jobs/s", "CPU us/job", "Procrastinate, jobs/s", "ratio"],
        rows,
    )


if __name__ == "__main__":
    main()
