"""The worker: claims jobs in batches, runs them, and stores their outcomes. Each module has one role.

The path of a job: `exchange` claims it, `executor` runs it (in `threads` if its task is synchronous), and `exchange`
stores its outcome together with the next claim. Meanwhile, `heartbeat` sends heartbeats, listens for new jobs and does
the upkeep; `shutdown` turns signals into a stop. `worker` combines them.
"""

from adjourn._domain.rows import RegisteredWorker
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
    "RegisteredWorker",
    "Worker",
]
