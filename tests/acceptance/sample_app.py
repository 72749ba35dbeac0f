"""An app as a user would write it. The command line's tests run it, with its settings in their environment."""

from __future__ import annotations

import asyncio
import os

import adjourn

DSN = os.environ.get("SAMPLE_DSN", "")
SCHEMA = os.environ.get("SAMPLE_SCHEMA", "adjourn")

app = adjourn.App(
    connector=adjourn.PsycopgConnector(DSN, min_size=1),
    worker_defaults={"concurrency": 3, "fetch_job_polling_interval": 0.2},
    schema=SCHEMA,
)
synchronous_app = app.with_connector(adjourn.SyncPsycopgConnector(DSN, min_size=1))
not_an_app = "something else"


@app.task
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@app.task(queueing_lock="only one")
def clean() -> None:
    """Do nothing, but never twice in the queue."""


@app.task(queue="slow")
async def sleep(seconds: float) -> None:
    """Take a while."""
    print("sleeping", flush=True)
    await asyncio.sleep(seconds)


@app.task
def fail() -> None:
    """Go wrong."""
    raise RuntimeError("on purpose")
