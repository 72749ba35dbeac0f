"""Groups with a callback, chains, and waiting for the end of a job, beside jobs without workflows."""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time

import psycopg
from common import empty, make_adjourn, server, show, spread

import adjourn


async def plain(app: adjourn.App, jobs: int) -> float:
    """Drain jobs that wait for nobody, and return how many a second."""
    task = app.tasks["async_noop"]
    await task.batch_defer_async(*({} for _ in range(jobs)))
    began = time.perf_counter()
    await app.run_worker_async(wait=False, concurrency=100, install_signal_handlers=False)
    return jobs / (time.perf_counter() - began)


async def group(app: adjourn.App, jobs: int, dsn: str) -> tuple[float, float, float]:
    """Drain a group and its callback; return the seconds to store it, jobs a second, and after how many ms the callback began."""
    flow = app.workflow()
    last = flow.add(app.tasks["async_noop"], depends_on=flow.map(app.tasks["async_noop"], [{}] * jobs))
    began = time.perf_counter()
    stored = await flow.defer_async()
    storing = time.perf_counter() - began
    began = time.perf_counter()
    await app.run_worker_async(wait=False, concurrency=100, install_signal_handlers=False)
    rate = jobs / (time.perf_counter() - began)
    query = """
        select extract(epoch from c.started_at - max(f.finished_at)) from adjourn.adjourn_finished_jobs f, adjourn.adjourn_finished_jobs c
        where c.id = %(last)s and f.id <> c.id group by c.started_at
    """
    with psycopg.connect(dsn) as connection:
        (delay,) = connection.execute(query, {"last": stored.job_id(last)}).fetchone() or (0,)
    return storing, rate, 1e3 * float(delay)


async def chain(app: adjourn.App, jobs: int) -> float:
    """Run jobs one after the other, and return how many a second."""
    flow = app.workflow()
    flow.chain(*[app.tasks["async_noop"]] * jobs)
    await flow.defer_async()
    began = time.perf_counter()
    await app.run_worker_async(wait=False, concurrency=100, install_signal_handlers=False)
    return jobs / (time.perf_counter() - began)


async def waits(app: adjourn.App, clients: int, rounds: int, *, gets_result: bool) -> list[float]:
    """Have clients defer a job and wait for its end or its result, again and again; return the milliseconds of each round."""
    took: list[float] = []

    async def client(rounds: int) -> None:
        for _ in range(rounds):
            began = time.perf_counter()
            if gets_result:
                job_id = await app.tasks["returns"].defer_async()
                assert await app.job_manager.get_result_async(job_id, 60) == 3
            else:
                job_id = await app.tasks["async_noop"].defer_async()
                await app.job_manager.wait_for_job_async(job_id, 60)
            took.append(1e3 * (time.perf_counter() - began))

    worker = asyncio.create_task(app.run_worker_async(concurrency=100, install_signal_handlers=False))
    # The worker registers in the first round, and the waits connect.
    await client(5)
    took.clear()
    await asyncio.gather(*(client(rounds) for _ in range(clients)))
    worker.cancel()
    await asyncio.wait([worker])
    return took


async def run(dsn: str, arguments: argparse.Namespace) -> None:
    rates: list[float] = []
    groups: list[tuple[float, float, float]] = []
    chains: list[float] = []
    app = make_adjourn(dsn)

    @app.task(name="returns", store_result=True)
    async def returns() -> int:
        return 3

    async with app.open_async():
        for _ in range(arguments.repeat):
            empty(dsn)
            rates.append(await plain(app, arguments.jobs))
            empty(dsn)
            groups.append(await group(app, arguments.jobs, dsn))
            empty(dsn)
            chains.append(await chain(app, 1000))
        storing, grouped, delays = ([each[n] for each in groups] for n in range(3))
        ratio = [new / old for new, old in zip(grouped, rates, strict=True)]
        rows = [
            [f"{arguments.jobs:,} jobs without a workflow: jobs/s", spread(rates)],
            ["a group of as many, and its callback: jobs/s", spread(grouped)],
            ["    as a share of those without", spread(ratio, 2)],
            ["    stored within, s", spread(storing, 2)],
            ["    callback begins after the last of the group, ms", spread(delays, 1)],
            ["a chain of 1,000: jobs/s", spread(chains)],
        ]
        for gets_result, what in ((False, "end"), (True, "result")):
            for clients, rounds in ((1, 200), (64, 20)):
                empty(dsn)
                took = await waits(app, clients, rounds, gets_result=gets_result)
                cuts = statistics.quantiles(took, n=100)
                name = f"{clients} clients defer a job and wait for its {what}: p50, p99, ms"
                rows.append([name, f"{cuts[49]:.1f}, {cuts[98]:.1f}"])
    show("Workflows, one worker with concurrency 100", ["what", "median [range]"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs of a group (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        asyncio.run(run(dsn, arguments))


if __name__ == "__main__":
    main()
