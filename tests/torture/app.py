"""The app of the bench: its bodies write into the ledger, and some of them defer, fail or take long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adjourn
from adjourn.events import WorkerDeclaredDead
from torture.deferring import Deferring
from torture.flow.shared import MOST_IN_QUEUE, NARROW, places
from torture.ledger import Ledger

MOST_ATTEMPTS = 20
"""More than a job can have that is also rescued now and then."""


def make_connector() -> Any:
    """Return the connector that the environment names: TORTURE_DSN, TORTURE_CONNECTOR, and TORTURE_OPTIONS as JSON."""
    kind = getattr(adjourn, os.environ.get("TORTURE_CONNECTOR", "PsycopgConnector"))
    return kind(os.environ["TORTURE_DSN"], **json.loads(os.environ.get("TORTURE_OPTIONS", "{}")))


app = adjourn.App(
    connector=make_connector(),
    import_paths=[__name__, "torture.flow.tasks"],
    queue_limits={NARROW: adjourn.Limit(concurrency=MOST_IN_QUEUE)},
)
ledger = Ledger(Path(os.environ["TORTURE_LEDGER"]), f"{os.environ.get('TORTURE_NAME', 'process')}-{os.getpid()}")
deferring = Deferring(ledger, random.Random(os.getpid()))


def note_death(event: WorkerDeclaredDead) -> None:
    """Note that this worker has learnt that others have its jobs."""
    ledger.write("declared dead", pid=os.getpid())


app.events.subscribe(WorkerDeclaredDead, note_death)


def run_of(context: adjourn.JobContext) -> dict[str, Any]:
    """Return what names this run in the ledger."""
    return {"job": context.job.id, "claim": context.job.claim, "pid": os.getpid()}


@contextlib.contextmanager
def noted(context: adjourn.JobContext, **facts: Any) -> Iterator[None]:
    """Note the begin of a body, and how it ends."""
    job, run = context.job, run_of(context)
    claimed = job.started_at.timestamp() if job.started_at else 0.0
    facts |= {"task": job.task_name, "lock": job.lock, "attempt": job.attempts, "worker": job.worker_id}
    ledger.write("begin", **run, **facts, claimed=claimed, places=places(job.task_name, job.queue, job.task_kwargs))
    how = "raised"
    try:
        yield
        how = "succeeded"
    except (asyncio.CancelledError, adjourn.exceptions.JobAborted):
        how = "cancelled"
        raise
    finally:
        ledger.write("end", **run, how=how)


def pause(seconds: float) -> None:
    """Sleep. An event waits by another system call than `time.sleep`, which fails where libfaketime is loaded."""
    threading.Event().wait(seconds)


if "FAKETIME" in os.environ:
    time.sleep = pause  # type: ignore[assignment]  # as adjourn calls it where a task sleeps in its thread


class Expected(Exception):
    """What a task raises on purpose."""


@app.task(name="quick_async", pass_context=True)
async def quick_async(context: adjourn.JobContext, key: str) -> None:
    """Take some milliseconds."""
    with noted(context):
        await asyncio.sleep(random.uniform(0, 0.01))


@app.task(name="quick_sync", pass_context=True)
def quick_sync(context: adjourn.JobContext, key: str) -> None:
    """Take some milliseconds in a thread."""
    with noted(context):
        pause(random.uniform(0, 0.01))


@app.task(name="slow_async", pass_context=True)
async def slow_async(context: adjourn.JobContext, key: str) -> None:
    """Take about as long as a lease."""
    with noted(context):
        await asyncio.sleep(random.uniform(0.3, 1.5))


@app.task(name="slow_sync", pass_context=True)
def slow_sync(context: adjourn.JobContext, key: str) -> None:
    """Take about as long as a lease, in a thread."""
    with noted(context):
        pause(random.uniform(0.3, 1.5))


@app.task(
    name="flaky_async", pass_context=True, retry=adjourn.RetryStrategy(max_attempts=MOST_ATTEMPTS, wait=0.2, jitter=0.5)
)
async def flaky_async(context: adjourn.JobContext, key: str) -> None:
    """Fail twice."""
    with noted(context):
        if context.job.attempts < 2:
            raise Expected


@app.task(name="flaky_sync", pass_context=True, retry=MOST_ATTEMPTS)
def flaky_sync(context: adjourn.JobContext, key: str) -> None:
    """Fail twice, and be run again at once."""
    with noted(context):
        if context.job.attempts < 2:
            raise Expected


@app.task(name="fails", pass_context=True)
def fails(context: adjourn.JobContext, key: str) -> None:
    """Fail for good."""
    with noted(context):
        raise Expected


@app.task(name="parent_async", pass_context=True)
async def parent_async(context: adjourn.JobContext, key: str) -> None:
    """Defer a job."""
    with noted(context):
        await deferring.defer_async(app)


@app.task(name="parent_sync", pass_context=True)
def parent_sync(context: adjourn.JobContext, key: str) -> None:
    """Defer a job from a thread."""
    with noted(context):
        deferring.defer(app)


@app.periodic(cron="* * * * * *", missed="latest")
@app.task(name="tick", pass_context=True)
async def tick(context: adjourn.JobContext, timestamp: int) -> None:
    """Be due each second."""
    with noted(context):
        await asyncio.sleep(0)


@app.periodic(cron="* * * * * */2", missed="latest")
@app.task(name="locked_tick", pass_context=True, lock="tick", queueing_lock="tick")
def locked_tick(context: adjourn.JobContext, timestamp: int) -> None:
    """Be due every two seconds, unless one is waiting."""
    with noted(context):
        pause(0.01)
