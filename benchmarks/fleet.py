"""What many idle workers and many named queues cost: round trips of all workers for each job, and milliseconds of a claim."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import psycopg
from common import empty, make_adjourn, server, show, spread

from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._sync.managers.exchange import SyncWorkerManager

BATCH = 100


async def round_trips(app: Any, dsn: str, workers: int, jobs: int) -> tuple[float, list[float]]:
    """Defer jobs one by one to idle workers; return the round trips that each takes all workers, and how long each
    waited, in milliseconds."""
    empty(dsn)
    waited: list[float] = []
    count = 0
    exchange = AsyncWorkerManager.exchange_async

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return await exchange(*args, **options)

    @app.task(name="stamp")
    async def stamp(sent: float) -> None:
        waited.append((time.perf_counter() - sent) * 1e3)

    async with app.open_async():
        options = {"install_signal_handlers": False, "fetch_job_polling_interval": 3600}
        running = [asyncio.create_task(app.run_worker_async(**options)) for _ in range(workers)]
        await asyncio.sleep(2 + workers * 0.1)
        AsyncWorkerManager.exchange_async = counted
        try:
            for _ in range(jobs):
                await stamp.defer_async(sent=time.perf_counter())
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)
        finally:
            AsyncWorkerManager.exchange_async = exchange
        for worker in running:
            worker.cancel()
        for worker in running:
            with contextlib.suppress(asyncio.CancelledError):
                await worker
    assert len(waited) == jobs, f"{len(waited)} of {jobs} jobs ran"
    return count / jobs, waited


def claims(dsn: str, queues: list[str] | None, fill: Callable[[psycopg.Connection], None], repeat: int) -> list[float]:
    """Return the milliseconds of each claim of a hundred jobs."""
    empty(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        fill(connection)
        connection.execute("analyze adjourn.adjourn_jobs")
    app = make_adjourn(dsn)
    took = []
    with app.open():
        session = app.connector.get_sync_connector().session()
        manager = SyncWorkerManager(session, app.connector.json_loads)
        worker_id = manager.register_worker("bench", queues, 3600)
        for _ in range(repeat):
            began = time.perf_counter()
            exchanged = manager.exchange(worker_id, [], limit=BATCH, queues=queues)
            took.append((time.perf_counter() - began) * 1e3)
            assert len(exchanged.jobs) == BATCH, len(exchanged.jobs)
        session.close()
    return took


def filled(queues: int, jobs: int) -> Callable[[psycopg.Connection], None]:
    """Return a function that stores jobs in some of the queues."""

    def fill(connection: psycopg.Connection) -> None:
        connection.execute(
            "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold) "
            "select 'queue ' || n %% %s, 'async_noop', 0, '{}', 0 from generate_series(1, %s) n",
            [queues, jobs],
        )

    return fill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 10, 40], help="idle workers (default: 1 10 40)")
    parser.add_argument("--jobs", type=int, default=50, help="jobs for them (default: %(default)s)")
    parser.add_argument("--queues", type=int, default=10_000, help="named queues (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    idle, claimed = [], []
    with server() as dsn:
        for workers in arguments.workers:
            trips, waited = asyncio.run(round_trips(make_adjourn(dsn), dsn, workers, arguments.jobs))
            quantiles = statistics.quantiles(waited, n=100)
            idle.append([str(workers), f"{trips:.1f}", f"{quantiles[49]:.1f}", f"{quantiles[98]:.1f}"])
            print(*idle[-1], sep=" | ", flush=True)
        names = [f"queue {n}" for n in range(arguments.queues)]
        for used in (3, 100, arguments.queues):
            for served, queues in (("all queues", None), (f"{len(names):,} named", names)):
                took = claims(dsn, queues, filled(used, 50_000), 30)
                claimed.append([f"{used:,}", served, spread(took, 1)])
                print(*claimed[-1], sep=" | ", flush=True)
    show("One job deferred to idle workers", ["workers", "round trips", "p50, ms", "p99, ms"], idle)
    show(f"A claim of {BATCH} of 50,000 jobs", ["queues with jobs", "the worker serves", "ms"], claimed)


if __name__ == "__main__":
    main()
