"""What unique jobs cost, and what many clients with the same few keys come to."""

from __future__ import annotations

import argparse
import collections
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pgqueuer_side
import psycopg
from common import empty, make_adjourn, make_procrastinate, server, show, spread

import adjourn
from adjourn import Unique
from adjourn.exceptions import AlreadyEnqueued

COLUMNS = [
    "calls per second of one thread",
    "plain",
    "queueing lock",
    "unique, new",
    "unique, there",
    "Procrastinate's queueing lock",
    "PgQueuer's key",
]
CLIENTS, WORKERS, KEYS, BATCH = 8, 2, 300, 50


def per_second(call: Callable[[int], Any], count: int) -> float:
    """Return how often a second one thread can call this."""
    began = time.perf_counter()
    for number in range(count):
        call(number)
    return count / (time.perf_counter() - began)


def alone(dsn: str, count: int) -> dict[str, float]:
    """Measure single calls, one after the other."""
    found = {}
    empty(dsn)
    app, other = make_adjourn(dsn), make_procrastinate(dsn)
    with app.open(), other.open():
        task, theirs = app.tasks["sync_noop"], other.tasks["sync_noop"]
        skip = Unique(key="there", on_conflict="skip")
        calls: dict[str, Callable[[int], Any]] = {
            "plain": lambda _: task.defer(),
            "queueing lock": lambda n: task.configure(queueing_lock=f"{n}").defer(),
            "unique, new": lambda n: task.configure(unique=Unique(key=f"{n}")).defer(),
            "unique, there": lambda _: task.configure(unique=skip).defer(),
            "Procrastinate's queueing lock": lambda n: theirs.configure(queueing_lock=f"{n}").defer(),
            "PgQueuer's key": pgqueuer_side.unique(dsn),
        }
        for name, call in calls.items():
            per_second(call, 10)
            empty(dsn)
            found[name] = per_second(call, count)
    return found


def batches(dsn: str, size: int) -> dict[str, float]:
    """Measure the jobs per second of one large batch."""
    empty(dsn)
    app = make_adjourn(dsn)
    task = app.task(lambda number: None, name="numbered")
    kinds = {"plain": task.configure(), "unique, new": task.configure(unique=Unique())}
    found = {}
    with app.open():
        arguments = [{"number": number} for number in range(size)]
        for name, deferrer in kinds.items():
            empty(dsn)
            began = time.perf_counter()
            deferrer.batch_defer(*arguments)
            found[name] = size / (time.perf_counter() - began)
    return found


def crowd(dsn: str, seconds: float, rule: Unique) -> collections.Counter[str]:
    """Have many clients defer batches with the same few keys, while workers run the jobs."""
    empty(dsn)
    counts: collections.Counter[str] = collections.Counter()
    lock, stop = threading.Lock(), threading.Event()
    app = make_adjourn(dsn, CLIENTS)
    task = app.task(lambda key: None, name="keyed")

    def defer(seed: int) -> None:
        choice = random.Random(seed)
        while not stop.is_set():
            jobs = [task.configure(unique=rule).make_new_job(key=choice.randrange(KEYS)) for _ in range(BATCH)]
            try:
                outcomes = [each.outcome for each in app.job_manager.defer_jobs(jobs)]
            except AlreadyEnqueued:
                outcomes = ["refused"]
            with lock:
                counts.update(outcomes)
                counts["batches"] += 1

    def work(_: int) -> None:
        worker_app = make_adjourn(dsn)
        worker_app.task(lambda key: None, name="keyed")
        while not stop.is_set():
            worker_app.run_worker(wait=False, install_signal_handlers=False)

    with psycopg.connect(dsn, autocommit=True) as connection:
        query = "select pg_stat_clear_snapshot(), deadlocks from pg_stat_database where datname = current_database()"
        before = connection.execute(query).fetchone()[1]  # type: ignore[index]
        with app.open(), ThreadPoolExecutor(CLIENTS + WORKERS) as executor:
            futures = [executor.submit(defer, number) for number in range(CLIENTS)]
            futures += [executor.submit(work, number) for number in range(WORKERS)]
            time.sleep(seconds)
            stop.set()
            for future in futures:
                future.result()
        time.sleep(1)
        counts["deadlocks"] = connection.execute(query).fetchone()[1] - before  # type: ignore[index]
    return counts


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="single calls a run")
    parser.add_argument("--batch", type=int, default=10_000, help="jobs of the large batch")
    parser.add_argument("--seconds", type=float, default=5, help="seconds that the crowd defers")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with server() as dsn:
        singles, larges = [], []
        for _ in range(options.runs):
            singles.append(alone(dsn, options.count))
            larges.append(batches(dsn, options.batch))
        show(
            "Unique jobs, one client",
            COLUMNS,
            [
                ["single calls", *(spread([run[name] for run in singles]) for name in COLUMNS[1:])],
                [
                    f"jobs of a batch of {options.batch:,}",
                    *(spread([run[name] for run in larges]) if name in larges[0] else "" for name in COLUMNS[1:]),
                ],
            ],
        )
        rules = {
            "skip, over those that wait or run": Unique(on_conflict="skip"),
            "replace, over those that wait": Unique(over=["todo"], on_conflict="replace"),
            "skip, one a second": Unique(period=1, over=list(adjourn.Status), on_conflict="skip"),
        }
        rows = []
        for name, rule in rules.items():
            counts = crowd(dsn, options.seconds, rule)
            asked = counts["batches"] * BATCH
            rows.append(
                [
                    name,
                    f"{counts['batches'] / options.seconds:,.0f}",
                    f"{asked / options.seconds:,.0f}",
                    f"{counts['stored']:,} of {asked:,}",
                    str(counts["deadlocks"]),
                ]
            )
        title = f"{CLIENTS} clients, batches of {BATCH} with {KEYS} keys, {WORKERS} workers"
        show(title, ["", "batches a second", "jobs a second", "stored", "deadlocks"], rows)


if __name__ == "__main__":
    main()
