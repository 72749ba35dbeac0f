"""Jobs per second that one worker process drains, and the CPU that it costs. Finished jobs are committed and kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import graphile_side
import pgqueuer_side
from common import (
    Found,
    beside,
    empty,
    make_adjourn,
    make_procrastinate,
    measure,
    parser_of,
    report,
    server,
)
from cpu import cpu_of_process, cpu_of_server

SHAPES = [
    ("async, concurrency 100", "async_noop", 100, 0, 30_000),
    ("async, concurrency 10", "async_noop", 10, 0, 30_000),
    ("async, concurrency 1", "async_noop", 1, 0, 20_000),
    ("sync in threads, concurrency 100", "sync_noop", 100, 0, 20_000),
    ("sync in threads, concurrency 10", "sync_noop", 10, 0, 20_000),
    ("async, concurrency 100, 100 locks", "async_noop", 100, 100, 10_000),
    ("async, concurrency 100, one lock", "async_noop", 100, 1, 10_000),
]
PEER_JOBS = 600
"""Procrastinate drains fewer jobs, because as many as adjourn does would take it hours."""
MOST_OF_PGQUEUER = 5_000
"""PgQueuer drains no more, because it takes seconds for a thousand at a low concurrency."""


async def drain(
    app: Any,
    dsn: str,
    task: str,
    concurrency: int,
    locks: int,
    jobs: int,
    prepare: Callable[[], None] | None = None,
    arguments: Callable[[int], dict[str, Any]] | None = None,
    **options: Any,
) -> tuple[float, float]:
    """Return jobs per second, and microseconds of CPU for each, of this process and of the server.

    With the arguments of each job, by its number, the jobs are stored as tasks defer them: with the limits of their task.
    """
    empty(dsn)
    if prepare is not None:
        prepare()
    async with app.open_async():
        for start in range(0, jobs, 5_000):
            numbers = range(start, min(start + 5_000, jobs))
            if arguments is not None:
                await app.tasks[task].batch_defer_async(*map(arguments, numbers))
                continue
            deferrers = [app.configure_task(task, lock=f"lock {n % locks}" if locks else None) for n in numbers]
            await app.job_manager.batch_defer_jobs_async([deferrer.job for deferrer in deferrers])
        began, cpu = time.perf_counter(), cpu_of_process() + cpu_of_server(dsn)
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False, **options)
        seconds, cpu = time.perf_counter() - began, cpu_of_process() + cpu_of_server(dsn) - cpu
        finished = len(list(await app.job_manager.list_jobs_async(task=task, status="succeeded")))
    assert finished == jobs, f"{finished} of {jobs} jobs succeeded"
    return jobs / seconds, cpu / jobs * 1e6


@contextlib.contextmanager
def _graphile(is_left_out: bool) -> Iterator[Path | None]:
    """Yield the directory of Graphile Worker, or None if it is left out."""
    if is_left_out:
        yield None
        return
    with graphile_side.installed() as home:
        yield home


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", default="", help="only shapes whose name contains this")
    parser.add_argument("--without-peers", action="store_true", help="do not measure other libraries")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rates: Found = {}
    cpus: Found = {}

    def note(name: str, side: str, found: tuple[float, float]) -> dict[str, float]:
        rate, cpu = found
        cpus.setdefault(name, {}).setdefault(side, []).append(cpu / 1e3)
        return {name: rate}

    with server() as dsn, _graphile(arguments.without_peers) as graphile:
        for name, task, concurrency, locks, jobs in SHAPES:
            if arguments.only not in name:
                continue

            def of(
                make: Any, count: int, name: str = name, shape: Any = (task, concurrency, locks), **options: Any
            ) -> Any:
                return note(
                    name,
                    make.__name__.removeprefix("make_"),
                    asyncio.run(drain(make(dsn), dsn, *shape, count, **options)),
                )

            sides: dict[str, Callable[[], dict[str, float]]] = {"adjourn": lambda of=of, n=jobs: of(make_adjourn, n)}
            # PgQueuer has no locks. Procrastinate's worker without `wait` ends as soon as one lock blocks all jobs that are left.
            if not arguments.without_peers and locks != 1:
                if not locks:
                    call = (dsn, min(jobs, MOST_OF_PGQUEUER), concurrency, task == "sync_noop")
                    sides["PgQueuer"] = lambda name=name, call=call: {name: asyncio.run(pgqueuer_side.drain(*call))}
                if graphile is not None and not locks and task == "async_noop":
                    here = (graphile, dsn, jobs, concurrency, lambda: cpu_of_server(dsn))
                    sides["Graphile Worker"] = lambda name=name, here=here: note(
                        name, "Graphile Worker", graphile_side.drain(*here)
                    )
                sides["Procrastinate"] = lambda of=of, n=jobs: of(
                    make_procrastinate, min(n, PEER_JOBS), listen_notify=False
                )
            rates |= measure(sides, arguments.repeat, lambda: empty(dsn))
    report("Drain of no-op jobs by one worker process", rates, "jobs/s", arguments.json)
    report("CPU of worker and server", cpus, "ms for a job", beside(arguments.json, "cpu"), digits=3)
    print(
        "PgQueuer logs finished jobs, and Graphile Worker deletes them. Without Node and npm, Graphile Worker is left out."
    )


if __name__ == "__main__":
    main()
