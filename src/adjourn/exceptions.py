"""Every exception that adjourn defines.

They have one base, so that ``except AdjournException`` catches them all. Each docstring says the cause and the remedy,
and is the default message.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = [
    "AdjournException",
    "AlreadyEnqueued",
    "AppNotOpen",
    "CallerModuleUnknown",
    "CompletionRolledBack",
    "ConnectorException",
    "DuplicateStep",
    "EndedJobLike",
    "EventTimeout",
    "FunctionPathError",
    "InvalidConnection",
    "InvalidOption",
    "InvalidResult",
    "InvalidTaskArguments",
    "InvalidTimestamp",
    "JobAborted",
    "JobCancelled",
    "JobChanged",
    "JobExpired",
    "JobFailed",
    "JobLost",
    "JobNotFinished",
    "JobRetry",
    "JobSuspended",
    "JobTimeout",
    "LoadFromPathError",
    "MiddlewareKindMismatch",
    "MissingApp",
    "MovedElsewhere",
    "NoResult",
    "NotSucceeded",
    "OutcomesNotStored",
    "ProcrastinateException",
    "ResultExpired",
    "ResultNotStored",
    "RetryDecisionLike",
    "RunTaskError",
    "SchemaOutOfDate",
    "SuspensionIgnored",
    "SyncConnectorConfigurationError",
    "TaskAlreadyRegistered",
    "TaskNotFound",
    "TooManyJobs",
    "UnboundTaskError",
    "UniqueViolation",
    "UnknownOption",
    "WaitTimeout",
    "WorkerLost",
    "WorkerStuck",
    "WrongCaller",
]


class AdjournException(Exception):
    """An adjourn operation failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((inspect.getdoc(type(self)) or "").replace("``", "`").split()))


ProcrastinateException = AdjournException
"""The name of `AdjournException` in programs that were written for Procrastinate."""


class InvalidOption(AdjournException, ValueError):
    """An option has a value that adjourn cannot work with; the message names the option and what it takes."""

    @classmethod
    def no_seconds(cls, argument: str, value: Any, takes: str) -> InvalidOption:
        """Return the error of an argument that takes a number of seconds, and got something else."""
        remedy = " A timedelta has them: value.total_seconds()." if isinstance(value, datetime.timedelta) else ""
        return cls(f"{argument}={value!r}: pass {takes}.{remedy}")


class UnknownOption(InvalidOption, TypeError):
    """There is no option of that name; the message names it, the one that was probably meant, and those that exist."""


class InvalidTaskArguments(AdjournException, TypeError):
    """The arguments of a job do not fit its task's function, or cannot be stored as JSON; the message names the
    task, the argument and what to pass instead."""


class InvalidConnection(AdjournException, TypeError):
    """The ``connection`` that was passed is not one that this call can use; the message says which kind it takes."""


class TaskNotFound(AdjournException):
    """No task is registered under that name. Import the module that declares it before it is used, for instance by
    naming it in the app's ``import_paths``."""


class TaskAlreadyRegistered(AdjournException):
    """Two tasks have the same name. Give one of them another with ``@app.task(name=...)``."""


class MiddlewareKindMismatch(AdjournException):
    """A middleware is of another kind than what it wraps: plain functions wrap synchronous tasks, async functions wrap
    async tasks and, as worker middleware, every job."""


class JobTimeout(AdjournException):
    """A job took longer than its task's ``timeout``."""


class UnboundTaskError(AdjournException):
    """The task belongs to a blueprint that no app has added yet. Call ``app.add_tasks_from(blueprint,
    namespace=...)`` before the task is deferred."""


class LoadFromPathError(AdjournException, ImportError):
    """The dotted path could not be imported. It must read ``package.module.name``, and the package must be on
    Python's import path."""


class CallerModuleUnknown(AdjournException):
    """Never raised: programs written for Procrastinate may catch it."""


class FunctionPathError(AdjournException):
    """The function has no module or qualified name to name its task after. Give the task a name with
    ``@app.task(name=...)``."""


class RetryDecisionLike(Protocol):
    """The part of `RetryDecision` that this module needs; that class itself needs these errors."""

    @property
    def retry_at(self) -> datetime.datetime | None:
        """The time before which the job does not run; None for at once."""

    @property
    def retry_in(self) -> float | None:
        """Seconds from the database's present time before which the job does not run; wins over ``retry_at``; None for
        no delay."""

    @property
    def priority(self) -> int | None:
        """The job's new priority; None leaves its own."""

    @property
    def queue(self) -> str | None:
        """The job's new queue; None leaves its own."""

    @property
    def lock(self) -> str | None:
        """The job's new lock; None leaves its own."""


class JobRetry(AdjournException):
    """Raised inside a worker to run a job again; carries the ``retry_decision``."""

    def __init__(self, retry_decision: RetryDecisionLike) -> None:
        super().__init__()
        self.retry_decision = retry_decision


class TooManyJobs(AdjournException):
    """A test's drain has run as many jobs as it may, and more are ready; the message names their tasks."""


class JobAborted(AdjournException):
    """Raise it inside a task to end the job as ``aborted``, for instance after ``context.should_abort()`` said so."""


class JobLost(AdjournException):
    """The job is no longer this run's: its worker was taken for dead, or somebody has retried the job by hand. Another run
    has it now, so let this one end; a transaction in which it was to end has to be rolled back."""

    @classmethod
    def of(cls, job_id: int | None) -> JobLost:
        """Return the error of a run that has lost this job."""
        return cls(
            f"Job {job_id} is no longer this run's: its worker was taken for dead, or somebody has retried the job by hand. Another "
            "run has it now, so let this one end, and its transaction roll back."
        )


class CompletionRolledBack(AdjournException):
    """The task has completed its job in a transaction (``context.complete``), and returned, but the transaction was not
    committed. So the job has not ended, and this run has failed. Commit before the task returns."""


class DuplicateStep(AdjournException):
    """Two steps of one run have the same name, so that a later run could not tell them apart. Number them, as in
    ``context.step(f"mail {number}", ...)``."""


class EventTimeout(AdjournException, TimeoutError):
    """The event that a task waited for was not sent in time."""


class JobSuspended(BaseException):
    """A task sleeps, or waits for an event or for other jobs, so its run ends here; a later run goes on. Never catch it without raising it again:
    ``except Exception`` does not see it, and ``finally`` runs each time.

    Attributes
    ----------
    seconds : float or None
        After so many seconds the job runs again at the latest; None for no limit.
    event : str or None
        The name of the event that it waits for; None if it waits for none.
    jobs : int
        For how many other jobs it waits; 0 if it waits for none.
    """

    def __init__(self, seconds: float | None, event: str | None = None, jobs: int = 0) -> None:
        if jobs:
            what = f"waits for {jobs} other jobs" if jobs > 1 else "waits for another job"
        else:
            what = f"sleeps for {seconds:g} s" if event is None else f"waits for the event {event!r}"
        super().__init__(f"The job {what}: this run ends, and a later one goes on.")
        self._what = what
        self.seconds = seconds
        self.event = event
        self.jobs = jobs

    @property
    def what(self) -> str:
        """What the job does meanwhile, as a text for people."""
        return self._what


class SuspensionIgnored(AdjournException):
    """The task has caught `JobSuspended`, by which a sleep or a wait ends a run, and has returned. So the job has failed, and is not
    retried: catch ``Exception`` instead, or raise it again."""

    @classmethod
    def of(cls, ignored: JobSuspended) -> SuspensionIgnored:
        """Return the error of a run that has caught this and returned."""
        error = cls(
            f"The job {ignored.what}, but its task has caught JobSuspended, by which the run was to end, and has returned. Catch Exception "
            "instead of BaseException, or raise it again."
        )
        error.__cause__ = ignored
        return error


class WorkerLost(AdjournException):
    """The worker that ran a job has died. It is never raised: a job whose workers have died too often fails, and this is the
    class of the error that is stored with it."""


class JobExpired(AdjournException):
    """The job had not begun when it expired (``expires_in``, ``expires_at``). It is never raised: such a job is cancelled, and this
    is the class of the error that is stored with it."""


class InvalidResult(AdjournException, TypeError):
    """What a task returned cannot be stored as its job's result, so the job has failed, and is not retried: it would
    return the same again. Return plain values, or give the connector a ``json_dumps`` that knows the type."""


class EndedJobLike(Protocol):
    """The part of `Job` that this module needs; that class is above it."""

    @property
    def id(self) -> int | None:
        """Its number."""

    @property
    def status(self) -> str | None:
        """How it ended."""

    @property
    def task_name(self) -> str:
        """The name of its task."""

    @property
    def attempts(self) -> int:
        """How many attempts have ended."""

    @property
    def errors(self) -> tuple[dict[str, Any], ...]:
        """The errors of the failed attempts, oldest first."""


class NotSucceeded(AdjournException):
    """A job has ended without success, so it has no result: `JobFailed` or `JobCancelled`.

    Attributes
    ----------
    job : Job
        The job, with the errors of its attempts.
    """

    def __init__(self, message: str, job: EndedJobLike) -> None:
        super().__init__(message)
        self.job = job


class JobFailed(NotSucceeded):
    """The job whose result was asked for has failed; the message has its last error."""


class JobCancelled(NotSucceeded):
    """The job whose result was asked for was cancelled before it ran, or aborted while it ran."""


class JobNotFinished(AdjournException, TimeoutError):
    """The job whose result was asked for has not ended yet. Ask again later."""


class WaitTimeout(JobNotFinished):
    """The jobs that were waited for have not all ended in time. They go on as before.

    Attributes
    ----------
    job_ids : tuple of int
        Those that have not ended.
    """

    def __init__(self, message: str, job_ids: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.job_ids: tuple[int, ...] = tuple(job_ids)


class ResultNotStored(AdjournException, LookupError):
    """The job has succeeded, and its result is not stored. Declare its task with ``store_result=True``, or the app with
    ``store_results=True``."""


class ResultExpired(AdjournException, LookupError):
    """The job has succeeded, and its result has lapsed. Declare its task with a longer ``result_ttl``, or the app."""


class ConnectorException(AdjournException):
    """The database could not be reached or refused the statement; the message has the driver's own words.

    Attributes
    ----------
    sqlstate : str or None
        Postgres's error code of five characters, if there is one.
    ended_transaction : bool
        Whether this was in a transaction of the caller's, which therefore cannot go on.
    """

    ended_transaction: bool = False

    def __init__(self, message: str | None = None, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate

    @property
    def was_refused(self) -> bool:
        """Whether the server itself refused the statement, which then certainly had no effect. If the connection broke,
        the effect is not known."""
        return self.sqlstate is not None and self.sqlstate[:2] not in ("08", "57")


class UniqueViolation(ConnectorException):
    """A unique constraint of the database refused the row.

    Attributes
    ----------
    constraint_name : str or None
        The constraint or unique index that was violated.
    queueing_lock : str or None
        The taken queueing lock, if that was the reason.
    """

    def __init__(
        self, message: str | None = None, *, constraint_name: str | None = None, queueing_lock: str | None = None
    ) -> None:
        super().__init__(message, sqlstate="23505")
        self.constraint_name = constraint_name
        self.queueing_lock = queueing_lock


class OutcomesNotStored(ConnectorException):
    """A worker has ended, and could not store the outcomes of jobs that had ended. Other workers run these jobs again.

    Attributes
    ----------
    count : int
        How many jobs.
    """

    # `seconds` is None if the database has served the worker to the end.
    def __init__(self, count: int, seconds: float | None) -> None:
        outcomes = (
            "the outcome of 1 job that has ended is"
            if count == 1
            else f"the outcomes of {count} jobs that have ended are"
        )
        if seconds is None:
            reason = (
                "because other transactions have locked these jobs, or the database refused them (the log says which)"
            )
            again = "as soon as they are free"
        else:
            reason = "because the database did not serve it"
            again = f"when it has been silent for {seconds:g} seconds"
        super().__init__(
            f"The worker has ended, and {outcomes} not stored, {reason}. Other workers run these jobs again {again}."
        )
        self.count = count


class CannotListen(AdjournException):
    """A worker, or another program that answers questions, cannot listen at its address. Choose one that is free, or end who has it."""


class WorkerStuck(AdjournException):
    """A worker has ended because all its slots were held by jobs that were asked to end and did not. Have its process end,
    and start it again: such jobs may go on running in threads until then.

    Attributes
    ----------
    jobs : int
        How many jobs it runs at once.
    seconds : float
        For how long it could run no job.
    """

    def __init__(self, jobs: int, seconds: float) -> None:
        slots = "its only slot was" if jobs == 1 else f"all its {jobs} slots were"
        super().__init__(
            f"The worker has ended, because it could run no job for {seconds:.0f} seconds: {slots} held by "
            "jobs that were asked to end and did not (stuck_worker_timeout). Start it again, in a new process."
        )
        self.jobs = jobs
        self.seconds = seconds


class SchemaOutOfDate(ConnectorException):
    """The database has no adjourn schema, or an older one than this version of adjourn needs. Run
    ``adjourn --app=... schema --apply``, or ``app.schema_manager.apply_schema()``."""


class AlreadyEnqueued(AdjournException):
    """A job with the same queueing lock is waiting already, or one with the same unique key is there. Nothing was stored; ignore
    this error if one job is enough, or defer with another ``queueing_lock`` or ``unique``.

    Attributes
    ----------
    job_ids : tuple of int
        The ids of the unique jobs that are there already. Empty for a queueing lock, and if several of the jobs that were
        deferred together are the same.
    """

    def __init__(self, message: str | None = None, job_ids: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.job_ids: tuple[int, ...] = tuple(job_ids)


class JobChanged(AdjournException):
    """The job is not as it was seen: it has begun or has ended meanwhile. Nothing was done; look at it again, and decide anew."""


class NoResult(ConnectorException):
    """A statement that always returns one row returned none."""


class AppNotOpen(AdjournException, RuntimeError):
    """The app is not open. Open it first: ``app.open()`` (or ``with app.open():``) in synchronous code, ``await
    app.open_async()`` (or ``async with app.open_async():``) in asynchronous code."""


class WrongCaller(AdjournException, RuntimeError):
    """The call cannot be served where it was made (an event loop's own thread, another loop, a process that did not
    open the app); the message says what to write instead."""


class SyncConnectorConfigurationError(AdjournException):
    """An asynchronous operation was called on a synchronous connector. Give the app an async connector, such as
    ``adjourn.PsycopgConnector``, or call the synchronous form of the operation."""


class MissingApp(AdjournException):
    """The command needs an app and none was given. Name it with ``--app=package.module.app`` or ``ADJOURN_APP``."""


class InvalidTimestamp(AdjournException):
    """Never raised: programs written for Procrastinate may catch it."""


class RunTaskError(AdjournException):
    """Never raised: programs written for Procrastinate may catch it."""


class MovedElsewhere(AdjournException):
    """The name is in another module now; the message says which."""
