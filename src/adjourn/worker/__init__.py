"""The worker: claims jobs in batches, runs them, and stores how they ended. One role a module.

A job's way: `exchange` claims it, `executor` runs it (in `threads` where its task is synchronous), `exchange`
stores its outcome together with the next claim. Beside it, `heartbeat` says that the worker lives, listens for new
jobs and keeps house; `shutdown` turns signals into a stop. `worker` puts them together.
"""

from adjourn.worker.options import (
    ABORT_JOB_POLLING_INTERVAL,
    FETCH_JOB_POLLING_INTERVAL,
    WORKER_CONCURRENCY,
    WORKER_NAME,
)
from adjourn.worker.worker import Worker

__all__ = [
    "ABORT_JOB_POLLING_INTERVAL",
    "FETCH_JOB_POLLING_INTERVAL",
    "WORKER_CONCURRENCY",
    "WORKER_NAME",
    "Worker",
]
