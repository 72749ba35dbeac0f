"""The first subscriber: makes log records from events. The page about logging describes their fields."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from adjourn._domain.jobs import Job
from adjourn._domain.schedules import SkipReason
from adjourn._domain.upkeep import named_sessions
from adjourn._domain.wording import counted, verb
from adjourn.events import jobs, schedules, workers
from adjourn.events.subscriptions import Event, Events
from adjourn.exceptions import AdjournException

JOBS: logging.Logger = logging.getLogger("adjourn.jobs")
WORKER: logging.Logger = logging.getLogger("adjourn.worker")

LONGEST_ERROR = 300
"""Characters of an error that one record shows."""

MOST_JOBS = 1000
"""The most jobs that a record describes."""
LONGEST_NAMES = 500
"""The most characters of a list of tasks that a message shows."""

Writer: TypeAlias = Callable[[Any], None]


def logged() -> Events:
    """Return the events of an app, with the log as the only subscriber."""
    events = Events()
    for kind, (logger, level, write) in WRITERS.items():
        events.subscribe(kind, write, when=functools.partial(logger.isEnabledFor, level), exactly=True)
    return events


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
        "worker": _identity(event.worker, event.job),
        "start_timestamp": event.started_at,
    }
    if duration is not None:
        extra |= {"duration": duration, "end_timestamp": event.started_at + duration, "result": result}
    WORKER.log(level, message, extra=extra, exc_info=error)


def _identity(worker: workers.WorkerIdentity, job: Job | None = None) -> dict[str, Any]:
    return {
        "name": worker.name,
        "worker_id": worker.id,
        "job_id": None if job is None else job.id,
        "queues": worker.queues,
    }


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
    message, arguments = "Rescued %s of workers without heartbeats", [counted(event.rescued, "job")]
    if event.failed:
        message += "; %s failed, having lost %s each"
        arguments += [counted(event.failed, "job"), counted(event.max_losses, "worker")]
    WORKER.warning(
        message,
        *arguments,
        extra={"action": "rescued_jobs", "rescued": event.rescued, "failed": event.failed},
    )


def _periodic_deferred(event: schedules.PeriodicJobDeferred) -> None:
    (job,) = event.jobs
    extra = _tick(event, job, "periodic_task_deferred")
    WORKER.info("Periodic task %s is deferred, for %s", job.task_name, event.tick, extra=extra)


def _skipped(event: schedules.PeriodicJobSkipped) -> None:
    if event.error is not None:
        extra = _tick(event, event.job, "skip_periodic_task_queueing_lock")
        WORKER.info("Periodic task %s is not deferred: %s", event.job.task_name, event.error, extra=extra)
        return
    extra = _tick(event, event.job, "skip_periodic_task_late") | {"delay": event.delay, "reason": event.reason}
    WORKER.log(
        logging.INFO if event.reason == SkipReason.MISSED else logging.WARNING,
        "Periodic task %s is not deferred for %s: that is %.0f s ago, and %g s at most are allowed (%s)",
        event.job.task_name,
        event.tick,
        event.delay,
        event.max_delay,
        "missed='skip'" if event.reason == SkipReason.MISSED else "max_delay",
        extra=extra,
    )


def _held_up(event: schedules.PeriodicJobHeldUp) -> None:
    lock = event.job.queueing_lock
    WORKER.warning(
        "Periodic task %s is due, but a transaction that is still open holds its %s. It is tried again until that "
        "transaction ends",
        event.job.task_name,
        "schedule" if lock is None else f"queueing lock {lock!r} or its schedule",
        extra=_tick(event, event.job, "periodic_task_held_up"),
    )


def _already_deferred(event: schedules.PeriodicJobAlreadyDeferred) -> None:
    extra = _tick(event, event.job, "periodic_task_already_deferred")
    WORKER.debug("Periodic task %s was deferred already", event.job.task_name, extra=extra)


def _tick(event: Any, job: Job, action: str) -> dict[str, Any]:
    return {
        "action": action,
        "task_name": job.task_name,
        "periodic_id": event.periodic_id,
        "defer_timestamp": int(event.tick.timestamp()),
        "job": job.log_context(),
    }


def _forgotten(event: schedules.ScheduleForgotten) -> None:
    WORKER.info(
        "Schedule %r of periodic task %s is forgotten: no program has it any more",
        event.periodic_id,
        event.task_name,
        extra={"action": "schedule_forgotten"},
    )


def _scheduling_failed(event: schedules.SchedulingFailed) -> None:
    extra: dict[str, Any] = {"action": "side_task_failed"}
    if event.task_name is None:
        message = "Periodic tasks could not be deferred (%s); trying again in %.1f s"
        level = logging.WARNING if event.is_news else logging.DEBUG
        WORKER.log(level, message, _brief(event.error), event.retry_in, extra=extra)
    else:
        extra["task_name"] = event.task_name
        WORKER.error("Periodic task %s cannot be deferred", event.task_name, exc_info=event.error, extra=extra)


def _worker_started(event: workers.WorkerStarted) -> None:
    _of_worker(event, "start_worker", "Starting")


def _hasty(event: workers.RetriesWithoutWait) -> None:
    names = ", ".join(event.task_names)
    WORKER.warning(
        "Retries without a wait: what makes a job fail may last, and retry=5 uses up all five within milliseconds. Write "
        "retry=RetryStrategy(max_attempts=5, exponential_wait=2), or retry=RetryStrategy(max_attempts=5) if they are meant "
        "to be at once. Concerned: %s",
        names if len(names) <= LONGEST_NAMES else f"{names[:LONGEST_NAMES]}...",
        extra={"action": "retries_without_wait", "tasks": event.task_names, "worker": _identity(event.worker)},
    )


def _worker_stopping(event: workers.WorkerStopping) -> None:
    _of_worker(event, "stop_worker", "Stopping")


def _of_worker(event: workers.WorkerStarted | workers.WorkerStopping, action: str, what: str) -> None:
    worker = event.worker
    queues = "all queues" if worker.queues is None else "queues " + ", ".join(worker.queues)
    extra = {"action": action, "worker": _identity(worker), "queues": worker.queues}
    at_once = counted(event.concurrency, "job")
    WORKER.info("%s worker %s on %s, %s at once", what, worker.name, queues, at_once, extra=extra)


def _declared_dead(event: workers.WorkerDeclaredDead) -> None:
    WORKER.error(
        "This worker (id %s) was not heard of for %s s and was declared dead; its %s given up and %s again elsewhere. It "
        "registers anew and goes on",
        event.worker.id,
        event.silence,
        f"{counted(event.given_up, 'running job')} {verb(event.given_up, 'is', 'are')}",
        verb(event.given_up, "runs", "run"),
        extra={"action": "declared_dead", "worker": _identity(event.worker)},
    )


def _heartbeat_failed(event: workers.HeartbeatFailed) -> None:
    WORKER.log(
        logging.WARNING if event.is_news else logging.DEBUG,
        "No heartbeat: %s",
        _brief(event.error),
        exc_info=_unexpected(event.error),
        extra={"action": "heartbeat_failed", "failures": event.failures},
    )


def _slots_lost(event: workers.SlotsLost) -> None:
    ends_after = event.ends_after
    WORKER.error(
        "%s of worker %s held by jobs that were asked to end and have not ended, for %.0f s; it runs no job. %s",
        "The only slot" if event.slots == 1 else f"All {counted(event.slots, 'slot')}",
        f"{event.worker.name} {verb(event.slots, 'is', 'are')}",
        event.duration,
        "Set stuck_worker_timeout to have it end, and be started again"
        if ends_after is None
        else f"It ends after {ends_after:g} s of this",
        extra={"action": "slots_lost", "worker": _identity(event.worker)},
    )


def _loop_blocked(event: workers.EventLoopBlocked) -> None:
    culprit = "something blocks it" if event.job is None else f"job {event.job.call_string} blocks it"
    WORKER.warning(
        "The event loop has not turned for %.1f s, so other jobs wait: %s. %s not begun %s back. "
        "Declare tasks that block with `def`, or use asyncio.to_thread\n%s",
        event.patience,
        culprit,
        f"{counted(event.handed_back, 'claimed job')} that {verb(event.handed_back, 'has', 'have')}",
        verb(event.handed_back, "goes", "go"),
        event.stack,
        extra={"action": "loop_blocked", "worker": _identity(event.worker, event.job)},
    )


def _connection_lost(event: workers.ConnectionLost) -> None:
    WORKER.log(
        logging.ERROR if event.is_news else logging.DEBUG,
        "The database does not serve this worker (%s); %s. Attempt %d failed; it keeps trying",
        _brief(event.error),
        f"{counted(event.waiting, 'outcome')} {verb(event.waiting, 'waits', 'wait')}",
        event.failures,
        exc_info=_unexpected(event.error),
        extra={"action": "connector_lost", "failures": event.failures},
    )


def _connection_restored(event: workers.ConnectionRestored) -> None:
    message = "The database is back after %.1f s"
    WORKER.info(message, event.duration, extra={"action": "connector_back", "duration": event.duration})


def _unregistering_failed(event: workers.UnregisteringFailed) -> None:
    message = "The worker could not unregister (%s)"
    arguments: list[object] = [_brief(event.error)]
    if event.waiting:
        message += "; other workers will run its %s"
        arguments.append(counted(event.waiting, "job"))
    if event.unstored:
        message += ", %d of them once more, because the outcome is not stored"
        arguments.append(event.unstored)
    level = logging.ERROR if event.unstored else logging.WARNING
    WORKER.log(level, message, *arguments, extra={"action": "stop_worker", "unstored": event.unstored})


def _partitions_not_made(event: workers.PartitionsNotMade) -> None:
    reason = named_sessions(event.waits_for) if event.waits_for else _brief(event.error)
    WORKER.info("No partitions made, because of %s", reason, extra={"action": "partitions_not_made"})


def _brief(error: BaseException | None) -> str:
    """Return an error in one line, without the statement that drivers add to their message."""
    text = str(error).split("\nLINE ")[0].split("\n[SQL:")[0]
    return " ".join(text.split())[:LONGEST_ERROR] or type(error).__name__


def _unexpected(error: BaseException) -> BaseException | None:
    """Return an error whose traceback is of use, because it is not one of the database's."""
    return None if isinstance(error, AdjournException) else error


WRITERS: dict[type[Event], tuple[logging.Logger, int, Writer]] = {
    jobs.JobsDeferred: (JOBS, logging.INFO, _deferred),
    jobs.JobStarted: (WORKER, logging.INFO, _started),
    jobs.JobSucceeded: (WORKER, logging.INFO, _succeeded),
    jobs.JobFailed: (WORKER, logging.ERROR, _failed),
    jobs.TaskUnknown: (WORKER, logging.ERROR, _unknown),
    jobs.TaskAwaited: (WORKER, logging.WARNING, _awaited),
    jobs.JobRetried: (WORKER, logging.INFO, _retried),
    jobs.JobAborted: (WORKER, logging.INFO, _aborted),
    jobs.JobHandedBack: (WORKER, logging.INFO, _handed_back),
    jobs.JobAbortRequested: (WORKER, logging.INFO, _abort_requested),
    jobs.JobOverdue: (WORKER, logging.WARNING, _overdue),
    jobs.JobTimeoutIgnored: (WORKER, logging.WARNING, _timeout_ignored),
    jobs.JobWaitedFor: (WORKER, logging.INFO, _waited_for),
    jobs.RetryStrategyFailed: (WORKER, logging.ERROR, _strategy_failed),
    jobs.OutcomeStored: (WORKER, logging.DEBUG, _stored),
    jobs.OutcomeRefused: (WORKER, logging.WARNING, _refused),
    jobs.OutcomePostponed: (WORKER, logging.WARNING, _postponed),
    jobs.OutcomeLost: (WORKER, logging.ERROR, _outcome_lost),
    jobs.ErrorDropped: (WORKER, logging.ERROR, _error_dropped),
    jobs.ResultDropped: (WORKER, logging.ERROR, _result_dropped),
    jobs.RetryDropped: (WORKER, logging.ERROR, _retry_dropped),
    jobs.JobsRescued: (WORKER, logging.WARNING, _rescued),
    schedules.PeriodicJobDeferred: (WORKER, logging.INFO, _periodic_deferred),
    schedules.PeriodicJobHeldUp: (WORKER, logging.WARNING, _held_up),
    schedules.PeriodicJobSkipped: (WORKER, logging.WARNING, _skipped),
    schedules.PeriodicJobAlreadyDeferred: (WORKER, logging.DEBUG, _already_deferred),
    schedules.ScheduleForgotten: (WORKER, logging.INFO, _forgotten),
    schedules.SchedulingFailed: (WORKER, logging.ERROR, _scheduling_failed),
    workers.WorkerStarted: (WORKER, logging.INFO, _worker_started),
    workers.RetriesWithoutWait: (WORKER, logging.WARNING, _hasty),
    workers.WorkerStopping: (WORKER, logging.INFO, _worker_stopping),
    workers.WorkerDeclaredDead: (WORKER, logging.ERROR, _declared_dead),
    workers.HeartbeatFailed: (WORKER, logging.WARNING, _heartbeat_failed),
    workers.SlotsLost: (WORKER, logging.ERROR, _slots_lost),
    workers.EventLoopBlocked: (WORKER, logging.WARNING, _loop_blocked),
    workers.ConnectionLost: (WORKER, logging.ERROR, _connection_lost),
    workers.ConnectionRestored: (WORKER, logging.INFO, _connection_restored),
    workers.UnregisteringFailed: (WORKER, logging.ERROR, _unregistering_failed),
    workers.PartitionsNotMade: (WORKER, logging.INFO, _partitions_not_made),
}
"""The logger for each kind of event, the highest level that its records can have, and the function that makes them."""

LOGGED: Events = logged()
"""For events that belong to no app."""
