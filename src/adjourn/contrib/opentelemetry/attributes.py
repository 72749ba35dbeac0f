"""The attributes of spans and metrics, by the semantic conventions for messaging and with names of our own beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.trace import Status, StatusCode

from adjourn._domain.masking import masked
from adjourn.jobs import Job
from adjourn.telemetry import RunOfJob

# The conventions' module of constants is private, so the names are written out.
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
BATCH_COUNT = "messaging.batch.message_count"
CLIENT_ID = "messaging.client.id"
ERROR_TYPE = "error.type"
ATTEMPT = "adjourn.job.attempt"
OUTCOME = "adjourn.job.outcome"
MOST_ARGUMENTS = 4096
"""Characters of arguments that a span holds."""
MOST_OF_MESSAGE = 200
"""Characters of an error in the status of its span."""


def operation(name: str, kind: str) -> dict[str, Any]:
    """Return what each span and each metric of an operation has."""
    return {SYSTEM: "adjourn", OPERATION_NAME: name, OPERATION_TYPE: kind}


def of_deferred(job: Job) -> dict[str, Any]:
    """Return the attributes of a job that is to be stored."""
    found: dict[str, Any] = {
        DESTINATION: job.queue,
        "adjourn.task.name": job.task_name,
        "adjourn.job.priority": job.priority,
        "adjourn.job.has_lock": job.lock is not None,
    }
    if job.scheduled_at is not None:
        found["adjourn.job.scheduled_at"] = job.scheduled_at.isoformat()
    if job.schedule_in is not None:
        found["adjourn.job.schedule_in"] = float(job.schedule_in)
    return found


def of_batch(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return the attributes of a batch: what all of its jobs have in common."""
    found: dict[str, Any] = {BATCH_COUNT: len(jobs)}
    queues, tasks = {job.queue for job in jobs}, {job.task_name for job in jobs}
    if len(queues) == 1:
        found[DESTINATION] = queues.pop()
    if len(tasks) == 1:
        found["adjourn.task.name"] = tasks.pop()
    return found


def of_run(run: RunOfJob) -> dict[str, Any]:
    """Return the attributes of a run."""
    job = run.job
    found: dict[str, Any] = {
        DESTINATION: job.queue,
        MESSAGE_ID: str(job.id),
        CLIENT_ID: f"{run.worker_name}-{job.worker_id}",
        "adjourn.task.name": job.task_name,
        ATTEMPT: job.attempts + 1,
        "adjourn.job.claim": job.claim,
    }
    if (waited := run.wait_seconds) is not None:
        found["adjourn.job.wait_seconds"] = waited
    if run.function is not None:
        found["code.function.name"] = run.function
    return found


def arguments(job: Job) -> str:
    """Return a job's arguments as JSON, without secret values, and cut where they are long."""
    return json.dumps(masked(job.task_kwargs, job.sensitive), ensure_ascii=False, default=repr)[:MOST_ARGUMENTS]


def error_type(error: BaseException) -> str:
    """Return the class of an error, with its module unless that is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def failed(kind: str, message: str) -> Status:
    """Return the status of a span with an error: its class and the beginning of its message, which is what viewers show first."""
    first = message.strip().partition("\n")[0]
    return Status(StatusCode.ERROR, f"{kind}: {first}"[:MOST_OF_MESSAGE] if first else kind)
