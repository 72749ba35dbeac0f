"""The events of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.runs import AbortReason
from adjourn.events.subscriptions import Event
from adjourn.events.workers import WorkerIdentity


@attrs.frozen(kw_only=True)
class JobsDeferred(Event):
    """One call has stored jobs, all of them or none.

    Attributes
    ----------
    jobs
        The jobs, with their ids.
    in_transaction
        Whether they are part of the caller's own transaction, which can still be rolled back.
    """

    jobs: Sequence[Job]
    in_transaction: bool = False


@attrs.frozen(kw_only=True)
class JobEvent(Event):
    """Something happened to a job in a worker of this process.

    Attributes
    ----------
    job
        The job as it was claimed.
    worker
        The worker that runs it.
    started_at
        When this run began: seconds since the epoch, by this machine's clock.
    """

    job: Job
    worker: WorkerIdentity
    started_at: float


@attrs.frozen(kw_only=True)
class JobStarted(JobEvent):
    """A run is about to begin."""


@attrs.frozen(kw_only=True)
class JobEnded(JobEvent):
    """A run has ended; the derived classes say how. The outcome is stored a moment later.

    Attributes
    ----------
    duration
        Seconds that the run took.
    """

    duration: float


@attrs.frozen(kw_only=True)
class JobSucceeded(JobEnded):
    """The task returned.

    Attributes
    ----------
    result
        What it returned.
    """

    result: Any


@attrs.frozen(kw_only=True)
class JobFailed(JobEnded):
    """The task raised, or could not be called, and will not be run again.

    Attributes
    ----------
    error
        What was raised.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class TaskUnknown(JobFailed):
    """The job failed because no task of this worker's app has its name, and no worker that knows it has come in time."""


@attrs.frozen(kw_only=True)
class TaskAwaited(JobEvent):
    """No task of this worker's app has the job's name, so the job waits for a worker that knows it.

    A worker tells it once for each task, with the first job.

    Attributes
    ----------
    timeout
        Seconds after which the job fails.
    reason
        Why a resolver (`App.add_task_resolver`) did not find the task; None if there was none to ask.
    """

    timeout: float
    reason: BaseException | None = None


@attrs.frozen(kw_only=True)
class JobRetried(JobEnded):
    """The task raised, and the job will be run again.

    Attributes
    ----------
    error
        What was raised.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class JobAborted(JobEnded):
    """The run was ended early, on request or by the task itself.

    Attributes
    ----------
    error
        The exception by which the task ended itself: `adjourn.exceptions.JobAborted`, or `asyncio.CancelledError` if it was
        cancelled without having been asked to end. None if it was cancelled on request.
    """

    error: BaseException | None


@attrs.frozen(kw_only=True)
class JobHandedBack(JobEnded):
    """The worker stopped before the job had ended. It goes back to its queue as if it had not been run."""


@attrs.frozen(kw_only=True)
class JobAbortRequested(JobEvent):
    """A running job is asked to end.

    Attributes
    ----------
    reason
        Why the job is to end.
    """

    reason: AbortReason


@attrs.frozen(kw_only=True)
class JobOverdue(JobEvent):
    """A running job was asked to end and has not ended, so it holds a slot of its worker. Told each minute.

    Attributes
    ----------
    reason
        Why it was asked to end.
    duration
        Seconds that it has taken so far.
    """

    reason: AbortReason
    duration: float


@attrs.frozen(kw_only=True)
class JobTimeoutIgnored(JobEvent):
    """A task was asked to end because it took too long, and went on until it succeeded.

    Attributes
    ----------
    duration
        Seconds that the run took.
    timeout
        The most seconds that it was allowed to take.
    """

    duration: float
    timeout: float


@attrs.frozen(kw_only=True)
class JobWaitedFor(JobEvent):
    """The worker was asked to stop, and waits for this job.

    Attributes
    ----------
    duration
        Seconds that it has taken so far.
    """

    duration: float


@attrs.frozen(kw_only=True)
class JobSuspended(JobEnded):
    """The task sleeps, or waits for an event or for other jobs, without a worker; a later run goes on.

    Attributes
    ----------
    event
        The name of the event that it waits for; None if it waits for none.
    jobs
        For how many other jobs it waits.
    """

    event: str | None
    jobs: int = 0


@attrs.frozen(kw_only=True)
class ErrorAfterCompletion(JobEvent):
    """The task has completed its job in a transaction (`JobContext.complete`) that was committed, and raised after that. The job
    has succeeded, so the error is not stored.

    Attributes
    ----------
    error
        What was raised.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class RetryStrategyFailed(JobEvent):
    """The retry strategy of the job's task raised, so the job fails.

    Attributes
    ----------
    error
        What it raised.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class OutcomeStored(Event):
    """The outcome of a run was stored in the database.

    Attributes
    ----------
    job_id
        Of which job.
    status
        The job's status; None if the job was deleted, as the worker's ``delete_jobs`` says.
    """

    job_id: int
    status: str | None


@attrs.frozen(kw_only=True)
class OutcomeRefused(Event):
    """A run ended after its worker had lost the job, so the outcome is not stored.

    Attributes
    ----------
    job_id
        Of which job.
    """

    job_id: int


@attrs.frozen(kw_only=True)
class OutcomePostponed(Event):
    """The outcome of a run cannot be stored yet. The worker tries again, after longer and longer pauses.

    It is told once for each outcome.

    Attributes
    ----------
    job_id
        Of which job.
    error
        What the database said; None if another transaction has locked the job.
    """

    job_id: int
    error: Exception | None


@attrs.frozen(kw_only=True)
class OutcomeLost(Event):
    """A worker has ended before the outcome of a run could be stored. Another worker runs the job again.

    Attributes
    ----------
    job_id
        Of which job.
    """

    job_id: int


@attrs.frozen(kw_only=True)
class OutcomeReduced(Event):
    """The database will never accept a part of an outcome, which is stored without that part.

    Attributes
    ----------
    job_id
        Of which job.
    error
        What the database said.
    """

    job_id: int
    error: Exception


class ErrorDropped(OutcomeReduced):
    """The error of an attempt cannot be stored; the job ends without it."""


class ResultDropped(OutcomeReduced):
    """The result of a job cannot be stored; the job fails."""


class RetryDropped(OutcomeReduced):
    """The retry of a job cannot be stored; the job fails."""


@attrs.frozen(kw_only=True)
class JobsRescued(Event):
    """Jobs were taken from workers that stopped sending heartbeats.

    Attributes
    ----------
    rescued
        How many will be run again.
    failed
        How many failed, because too many workers died while they ran them.
    max_losses
        How many dead workers make a job fail.
    dead_workers
        How many workers had these jobs.
    worker_names
        The names of the first five of them.
    rescued_ids
        The ids of the jobs that will be run again: the first 20.
    failed_ids
        The ids of the jobs that failed: the first 20.
    """

    rescued: int
    failed: int
    max_losses: int
    dead_workers: int
    worker_names: tuple[str, ...]
    rescued_ids: tuple[int, ...]
    failed_ids: tuple[int, ...]
