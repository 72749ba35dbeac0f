"""Jobs per second while an open transaction keeps the server from removing dead rows: for each fifth of the jobs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time

import psycopg
from common import Found, empty, make_adjourn, parser_of, report, server


async def drain(dsn: str, jobs: int, lock: str | None, *, is_pinned: bool) -> list[float]:
    """Drain jobs, and return jobs per second of each fifth."""
    ends: list[float] = []
    app = make_adjourn(dsn)

    @app.task(name="note")
    async def note() -> None:
        ends.append(time.perf_counter())

    async with app.open_async():
        await note.configure(lock=lock).batch_defer_async(*[{}] * jobs)
        with contextlib.ExitStack() as stack:
            if is_pinned:
                pin = stack.enter_context(psycopg.connect(dsn))
                pin.execute("set transaction isolation level repeatable read")
                pin.execute("select txid_current()")
            began = time.perf_counter()
            await app.run_worker_async(concurrency=100, wait=False, install_signal_handlers=False)
    fifth = jobs // 5
    marks = [began, *(ends[number * fifth - 1] for number in range(1, 6))]
    return [fifth / (later - sooner) for sooner, later in itertools.pairwise(marks)]


def main() -> None:
    parser = parser_of(__doc__, repeat=1)
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs without a lock (default: %(default)s)")
    parser.add_argument("--locked", type=int, default=20_000, help="jobs of one lock (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    found: Found = {}
    with server() as dsn:
        for _ in range(arguments.repeat):
            for name, jobs, lock in (("without locks", arguments.jobs, None), ("one lock", arguments.locked, "lock")):
                for side, is_pinned in (("pinned", True), ("not pinned", False)):
                    empty(dsn)
                    rates = asyncio.run(drain(dsn, jobs, lock, is_pinned=is_pinned))
                    for number, rate in enumerate(rates, 1):
                        found.setdefault(f"{name}, fifth {number}", {}).setdefault(side, []).append(rate)
    report("Drain of one worker under a pinned horizon", found, "jobs/s", arguments.json)


if __name__ == "__main__":
    main()
