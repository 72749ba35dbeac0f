"""What the framework calls the result of a task: what is known of its job, whether it has ended or not."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from adjourn import exceptions
from adjourn._domain.jobs import Status
from adjourn.contrib.django.tasks.compat import AnyResult, AnyTask, TaskError, TaskResult, TaskResultStatus
from adjourn.contrib.django.tasks.declared import changed
from adjourn.contrib.django.tasks.envelopes import Envelope
from adjourn.jobs import Job
from adjourn.types import JSONDict

__all__ = ["result_of"]

UNKNOWN = "unknown"
"""The worker of an attempt of which nothing is kept: one of very many."""

STATUS = {
    Status.TODO: TaskResultStatus.READY,
    Status.DOING: TaskResultStatus.RUNNING,
    Status.SUCCEEDED: TaskResultStatus.SUCCESSFUL,
    Status.FAILED: TaskResultStatus.FAILED,
    Status.CANCELLED: TaskResultStatus.FAILED,
    Status.ABORTED: TaskResultStatus.FAILED,
}
ABORTED = f"{exceptions.JobAborted.__module__}.{exceptions.JobAborted.__qualname__}"


def result_of(job: Job, task: AnyTask, envelope: Envelope) -> AnyResult:
    """Return the result of a task, which may not have ended yet.

    Parameters
    ----------
    job
        Its job, as a list of jobs has it.
    task
        The task, as it is declared.
    envelope
        The arguments of the job.
    """
    first, last = (job.errors[0], job.errors[-1]) if job.errors else ({}, {})
    result = TaskResult(
        task=changed(
            task,
            priority=job.priority,
            queue_name=job.queue,
            run_after=envelope.due,
            backend=envelope.backend,
            lock=job.lock,
            queueing_lock=job.queueing_lock,
        ),
        id=str(job.id),
        status=STATUS[Status(job.status or "")],
        enqueued_at=_local(job.enqueued_at),
        started_at=_local(_time(first.get("started_at")) or job.started_at),
        finished_at=_local(job.finished_at),
        last_attempted_at=_local(job.started_at or _time(last.get("started_at"))),
        args=envelope.args,
        kwargs=envelope.kwargs,
        backend=envelope.backend,
        errors=_errors(job),
        worker_ids=_workers(job),
    )
    object.__setattr__(result, "_return_value", job.result)
    return result


def _errors(job: Job) -> list[TaskError]:
    errors = [_error(entry) for entry in job.errors]
    if job.status == Status.CANCELLED:
        errors.append(TaskError(exception_class_path=ABORTED, traceback=f"{ABORTED}: The job was cancelled.\n"))
    elif job.status == Status.ABORTED and (not errors or errors[-1].exception_class_path != ABORTED):
        errors.append(TaskError(exception_class_path=ABORTED, traceback=f"{ABORTED}: The job was aborted.\n"))
    return errors


def _error(entry: JSONDict) -> TaskError:
    path = str(entry.get("exception"))
    # There is none of a worker that was lost.
    return TaskError(exception_class_path=path, traceback=entry.get("traceback") or f"{path}: {entry.get('message')}\n")


def _workers(job: Job) -> list[str]:
    """Return the worker of each attempt, the present one included."""
    known = {entry.get("attempt"): entry.get("worker_id") for entry in job.errors}
    count = job.attempts + (job.status == Status.DOING)
    if job.status not in (Status.TODO, Status.CANCELLED):
        known[count] = job.worker_id
    return [UNKNOWN if known.get(number) is None else str(known[number]) for number in range(1, count + 1)]


def _time(text: Any) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None


def _local(at: datetime.datetime | None) -> datetime.datetime | None:
    """Return a time as Django's models have it."""
    if at is None:
        return None
    return at.astimezone(datetime.UTC) if settings.USE_TZ else timezone.make_naive(at, timezone.get_default_timezone())
