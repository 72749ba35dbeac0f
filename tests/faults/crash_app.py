"""The app of workers that are killed: its task notes when each run of a job begins and ends."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time

import psycopg

import adjourn

app = adjourn.App(
    connector=adjourn.PsycopgConnector(os.environ["CRASH_DSN"], min_size=1, max_size=2),
    import_paths=[__name__],
    queue_limits={"narrow": adjourn.Limit(concurrency=5)},
)
own = threading.local()


@app.task(name="crash", pass_context=True)
def crash(context: adjourn.JobContext, seconds: float) -> None:
    """Note the begin, work for so many seconds, note the end."""
    note(context, context.job.lock, seconds)


@app.task(name="limited", pass_context=True, retry=3, limits=adjourn.Limit(key="tenant", concurrency=2))
def limited(context: adjourn.JobContext, tenant: str, seconds: float, fails: bool = False) -> None:
    """Do what `crash` does, two at a time of each tenant; the first attempt may fail."""
    note(context, tenant, seconds)
    if fails and not context.job.attempts:
        raise ValueError("as it was told to")


@app.task(name="rated", limits=adjourn.Limit(key="tenant", rate=adjourn.Rate(4, 0.5)))
async def rated(tenant: str) -> None:
    """Do nothing, four times in half a second for each tenant."""


def note(context: adjourn.JobContext, lock: str | None, seconds: float) -> None:
    """Note the begin, work for so many seconds, note the end."""
    if not hasattr(own, "connection"):
        own.connection = psycopg.connect(os.environ["CRASH_DSN"], autocommit=True, application_name="crash")
    run = {"id": context.job.id, "claim": context.job.claim, "lock": lock}
    own.connection.execute("insert into crash_runs (id, claim, lock) values (%(id)s, %(claim)s, %(lock)s)", run)
    time.sleep(seconds)
    own.connection.execute(
        "update crash_runs set ended_at = clock_timestamp() where (id, claim) = (%(id)s, %(claim)s)", run
    )


@app.task(name="gather", batch=adjourn.Batch(20, wait=0.1))
def gather(jobs: list[adjourn.BatchItem]) -> None:
    """Note the begin of each job, work for a moment, note their ends."""
    with psycopg.connect(os.environ["CRASH_DSN"], autocommit=True, application_name="crash") as connection:
        runs = [{"id": each.job.id, "claim": each.job.claim} for each in jobs]
        with connection.cursor() as cursor:
            cursor.executemany("insert into crash_runs (id, claim, lock) values (%(id)s, %(claim)s, null)", runs)
            time.sleep(0.3)
            cursor.executemany(
                "update crash_runs set ended_at = clock_timestamp() where (id, claim) = (%(id)s, %(claim)s)", runs
            )


@app.task(name="kill")
async def kill(seconds: float) -> None:
    """Work for so many seconds, and have this process killed, as the kernel does when memory ends."""
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="hold")
def hold(seconds: float) -> None:
    """Hold the interpreter's lock for so many seconds, as C code may, so that no other thread of this process runs."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@app.task(name="work")
async def work(seconds: float) -> None:
    """Work for so many seconds."""
    await asyncio.sleep(seconds)
