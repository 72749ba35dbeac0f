"""Records of jobs and of what became of their outcomes."""

from __future__ import annotations

import logging
from typing import Any

from adjourn._domain.wording import counted, first_of
from adjourn.events import jobs
from adjourn.events.records.shared import JOBS, WORKER, Writers, identity

MOST_JOBS = 1000
"""The most jobs that a record describes."""


def _deferred(event: jobs.JobsDeferred) -> None:
    log_jobs(logging.INFO, "jobs_deferred", "Deferred", event.jobs)


def log_jobs(level: int, action: str, what: str, concerned: Any) -> None:
    """Make one record of all the jobs of a call."""
    # Describing a job costs about as much as storing it in a large batch, so do it only if the record is needed.
    if not JOBS.isEnabledFor(level):
        return
    count = len(concerned)
    named = "no job" if not count else f"{count} jobs of task {concerned[0].task_name}"
    if count == 1:
        named = concerned[0].call_string
    extra = {"action": action, "jobs": [job.log_context() for job in concerned[:MOST_JOBS]]}
    JOBS.log(level, "%s %s", what, named, extra=extra)


def _started(event: jobs.JobStarted) -> None:
    if WORKER.isEnabledFor(logging.DEBUG):
        _of_job(event, logging.DEBUG, "loaded_job_info", f"About to start job {event.job.call_string}")
    _of_job(event, logging.INFO, "start_job", f"Starting job {event.job.call_string}")


def _succeeded(event: jobs.JobSucceeded) -> None:
    _ended(event, "job_success", "success", result=event.result)


def _aborted(event: jobs.JobAborted) -> None:
    _ended(event, "job_aborted", "aborted", error=event.error)


def _handed_back(event: jobs.JobHandedBack) -> None:
    _ended(event, "job_aborted_retry", "cut short, to be run again,")


def _ended(
    event: jobs.JobEnded, action: str, how: str, *, error: BaseException | None = None, result: Any = None
) -> None:
    message = f"Job {event.job.call_string}: {how} in {event.duration:.3f} s"
    if result is not None:
        result = event.job.evolve(result=result).masked().result
    _of_job(event, logging.INFO, action, message, duration=event.duration, error=error, result=result)


def _failed(event: jobs.JobFailed) -> None:
    message = f"Job {event.job.call_string} raised {type(event.error).__name__}"
    _of_job(event, logging.ERROR, "job_error", message, duration=event.duration, error=event.error)


def _retried(event: jobs.JobRetried) -> None:
    message = f"Job {event.job.call_string} raised {type(event.error).__name__}, to be retried"
    _of_job(event, logging.INFO, "job_error_retry", message, duration=event.duration, error=event.error)


def _unknown(event: jobs.TaskUnknown) -> None:
    _of_job(event, logging.ERROR, "task_not_found", str(event.error), duration=event.duration, error=event.error)


def _awaited(event: jobs.TaskAwaited) -> None:
    message = (
        f"No task named {event.job.task_name!r} is known to this worker, so job {event.job.id} and others like it wait for "
        f"a worker that knows it, for {event.timeout:g} s"
    )
    if event.reason is not None:
        message += f". {event.reason}"
    _of_job(event, logging.WARNING, "task_awaited", message)


def _abort_requested(event: jobs.JobAbortRequested) -> None:
    _of_job(event, logging.INFO, "abort_job", f"Asking job {event.job.call_string} to end ({event.reason})")


def _timeout_ignored(event: jobs.JobTimeoutIgnored) -> None:
    message = f"Job {event.job.call_string} went on past its time-out of {event.timeout:g} s, and succeeded"
    _of_job(event, logging.WARNING, "timeout_ignored", message)


def _overdue(event: jobs.JobOverdue) -> None:
    message = (
        f"Job {event.job.call_string} was asked to end ({event.reason}) and has not ended, {event.duration:.0f} s after it "
        "began. It holds a slot of this worker"
    )
    _of_job(event, logging.WARNING, "job_overdue", message)


def _waited_for(event: jobs.JobWaitedFor) -> None:
    message = f"Waiting for job {event.job.call_string}, which began {event.duration:.3f} s ago"
    _of_job(event, logging.INFO, "ending_job", message)


def _strategy_failed(event: jobs.RetryStrategyFailed) -> None:
    _of_job(event, logging.ERROR, "job_error", "The retry strategy raised; the job fails", error=event.error)


def _suspended(event: jobs.JobSuspended) -> None:
    what = "sleeps" if event.event is None else f"waits for the event {event.event!r}"
    what = f"waits for {event.jobs} other job{'s' if event.jobs > 1 else ''}" if event.jobs else what
    message = f"Job {event.job.call_string} {what} after {event.duration:.3f} s"
    _of_job(event, logging.INFO, "job_suspended", message, duration=event.duration)


def _error_after_completion(event: jobs.ErrorAfterCompletion) -> None:
    message = (
        f"Job {event.job.call_string} raised {type(event.error).__name__} after it had completed itself; it has succeeded all the "
        "same"
    )
    _of_job(event, logging.ERROR, "error_after_completion", message, error=event.error)


def _of_job(
    event: jobs.JobEvent,
    level: int,
    action: str,
    message: str,
    *,
    duration: float | None = None,
    error: BaseException | None = None,
    result: Any = None,
) -> None:
    extra: dict[str, Any] = {
        "action": action,
        "job": event.job.log_context(),
        "worker": identity(event.worker, event.job),
        "start_timestamp": event.started_at,
    }
    if duration is not None:
        extra |= {"duration": duration, "end_timestamp": event.started_at + duration, "result": result}
    WORKER.log(level, message, extra=extra, exc_info=error)


def _stored(event: jobs.OutcomeStored) -> None:
    extra = {"action": "finish_task", "job": {"id": event.job_id}, "status": event.status}
    WORKER.debug("The outcome of job %s is stored", event.job_id, extra=extra)


def _refused(event: jobs.OutcomeRefused) -> None:
    WORKER.warning(
        "Job %s no longer belongs to this worker: its outcome here is discarded",
        event.job_id,
        extra={"action": "stale_job"},
    )


def _postponed(event: jobs.OutcomePostponed) -> None:
    WORKER.warning(
        "The outcome of job %s cannot be stored yet (%s); trying again until it can",
        event.job_id,
        event.error or "another transaction has locked the job",
        extra={"action": "outcome_postponed"},
    )


def _outcome_lost(event: jobs.OutcomeLost) -> None:
    WORKER.error(
        "The outcome of job %s could not be stored before this worker ended; another worker runs the job again",
        event.job_id,
        extra={"action": "outcome_lost"},
    )


def _error_dropped(event: jobs.ErrorDropped) -> None:
    WORKER.error(
        "The error of job %s cannot be stored (%s); it ends without",
        event.job_id,
        event.error,
        extra={"action": "error_dropped"},
    )


def _result_dropped(event: jobs.ResultDropped) -> None:
    WORKER.error(
        "The result of job %s cannot be stored (%s); the job fails",
        event.job_id,
        event.error,
        extra={"action": "result_dropped"},
    )


def _retry_dropped(event: jobs.RetryDropped) -> None:
    WORKER.error(
        "The retry of job %s cannot be stored (%s); the job fails",
        event.job_id,
        event.error,
        extra={"action": "retry_dropped"},
    )


def _rescued(event: jobs.JobsRescued) -> None:
    names = first_of([repr(name) for name in event.worker_names], event.dead_workers)
    message = "Rescued %s of %s without heartbeats (%s)"
    arguments = [counted(event.rescued, "job"), counted(event.dead_workers, "worker"), names]
    if event.rescued_ids:
        message += ": %s"
        arguments.append(first_of([str(id_) for id_ in event.rescued_ids], event.rescued))
    if event.failed:
        message += "; %s failed, having lost %s each"
        arguments += [counted(event.failed, "job"), counted(event.max_losses, "worker")]
        if event.failed_ids:
            message += ": %s"
            arguments.append(first_of([str(id_) for id_ in event.failed_ids], event.failed))
    WORKER.warning(
        message,
        *arguments,
        extra={
            "action": "rescued_jobs",
            "rescued": event.rescued,
            "failed": event.failed,
            "dead_workers": event.dead_workers,
            "worker_names": list(event.worker_names),
            "rescued_ids": list(event.rescued_ids),
            "failed_ids": list(event.failed_ids),
        },
    )


WRITERS: Writers = {
    jobs.JobsDeferred: (JOBS, logging.INFO, _deferred),
    jobs.JobStarted: (WORKER, logging.INFO, _started),
    jobs.JobSucceeded: (WORKER, logging.INFO, _succeeded),
    jobs.JobFailed: (WORKER, logging.ERROR, _failed),
    jobs.TaskUnknown: (WORKER, logging.ERROR, _unknown),
    jobs.TaskAwaited: (WORKER, logging.WARNING, _awaited),
    jobs.JobRetried: (WORKER, logging.INFO, _retried),
    jobs.JobSuspended: (WORKER, logging.INFO, _suspended),
    jobs.JobAborted: (WORKER, logging.INFO, _aborted),
    jobs.JobHandedBack: (WORKER, logging.INFO, _handed_back),
    jobs.JobAbortRequested: (WORKER, logging.INFO, _abort_requested),
    jobs.JobOverdue: (WORKER, logging.WARNING, _overdue),
    jobs.JobTimeoutIgnored: (WORKER, logging.WARNING, _timeout_ignored),
    jobs.JobWaitedFor: (WORKER, logging.INFO, _waited_for),
    jobs.RetryStrategyFailed: (WORKER, logging.ERROR, _strategy_failed),
    jobs.ErrorAfterCompletion: (WORKER, logging.ERROR, _error_after_completion),
    jobs.OutcomeStored: (WORKER, logging.DEBUG, _stored),
    jobs.OutcomeRefused: (WORKER, logging.WARNING, _refused),
    jobs.OutcomePostponed: (WORKER, logging.WARNING, _postponed),
    jobs.OutcomeLost: (WORKER, logging.ERROR, _outcome_lost),
    jobs.ErrorDropped: (WORKER, logging.ERROR, _error_dropped),
    jobs.ResultDropped: (WORKER, logging.ERROR, _result_dropped),
    jobs.RetryDropped: (WORKER, logging.ERROR, _retry_dropped),
    jobs.JobsRescued: (WORKER, logging.WARNING, _rescued),
}
