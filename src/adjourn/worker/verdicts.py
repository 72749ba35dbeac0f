"""Decides what the end of a run means."""

from __future__ import annotations

import asyncio
import datetime
import functools
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from adjourn import exceptions
from adjourn._domain.jobs import Status
from adjourn._domain.outcomes import (
    Attempt,
    Ended,
    HandedBack,
    Outcome,
    Result,
    Retried,
    Suspended,
    error_entry,
    suspension_in,
)
from adjourn._domain.protocols import AppLike
from adjourn._domain.results import seconds_of
from adjourn._domain.runs import AbortReason
from adjourn.events import (
    JobAborted,
    JobEnded,
    JobFailed,
    JobHandedBack,
    JobRetried,
    JobSucceeded,
    JobSuspended,
    JobTimeoutIgnored,
    RetryStrategyFailed,
)
from adjourn.worker.options import Options
from adjourn.worker.runners import Run

SUCCEEDED = str(Status.SUCCEEDED)

Verdict: TypeAlias = tuple[Outcome | None, type[JobEnded], dict[str, Any]]
"""The outcome of a job, None if it is stored already, and the event that tells of it: its class, and what it says besides."""


class Verdicts:
    """Judges the runs of one worker.

    Parameters
    ----------
    app
        The app, for how results are stored.
    options
        The worker's options.
    is_interrupt
        Returns whether what user code has raised comes from outside of it.
    tell
        Emits an event of a run.
    """

    def __init__(
        self,
        app: AppLike,
        options: Options,
        is_interrupt: Callable[[BaseException], bool],
        tell: Callable[..., None],
    ) -> None:
        self._app = app
        self._options = options
        self._is_interrupt = is_interrupt
        self._tell: Callable[..., None] = tell
        self._workers_task = asyncio.current_task()
        # What becomes of most jobs.
        self._deletes_successful = options.delete_jobs.applies_to(Status.SUCCEEDED)

    def returned(self, run: Run, result: Any) -> Verdict:
        """Judge a run that has returned. If its result is to be stored and cannot be, or it was to sleep or to wait and has not, the job
        fails, and is not retried."""
        if run.abort_reason is AbortReason.TIMEOUT:
            self._tell(JobTimeoutIgnored, run, duration=time.perf_counter() - run.began, timeout=run.timeout)
        if run.durable is not None and run.durable.suspension is not None:
            return self.refused(run, exceptions.SuspensionIgnored.of(run.durable.suspension))
        job = run.claimed
        rule = None if run.declared is None else run.declared.result_rule
        if rule is None or not (self._app.store_results if rule.store is None else rule.store):
            ended = Ended(job.id, job.claim, SUCCEEDED, is_deleted=self._deletes_successful)
            return (ended, JobSucceeded, {"result": result})
        try:
            text = rule.dump(result, self._app.connector.json_dumps)
        except BaseException as error:  # `json_dumps` is user code
            if self._is_interrupt(error):
                raise
            return self.refused(run, error)
        ttl = seconds_of(self._app.result_ttl if rule.ttl is None else rule.ttl)
        # Most results are accepted, so the attempt is not described yet.
        stored = Result(
            text, ttl, functools.partial(self._attempt, job.attempts, job.worker_id, run.started, time.time())
        )
        return (Ended(job.id, job.claim, SUCCEEDED, None, stored), JobSucceeded, {"result": result})

    def raised(self, run: Run, error: BaseException) -> Verdict:
        """Judge a run that has raised something."""
        if (why := suspension_in(error)) is not None:
            error = why
        if run.durable is not None:
            run.durable.suspension = None  # it holds the frames of the task
        if why is not None and run.abort_reason is not AbortReason.USER_REQUEST:
            return (Suspended.of(run.claimed, why), JobSuspended, {"event": why.event, "jobs": why.jobs})
        if run.abort_reason is AbortReason.TIMEOUT:
            message = f"The job took longer than its timeout of {run.timeout:g} s."
            error, cause = exceptions.JobTimeout(message), error
            error.__cause__ = cause
        is_cancelled = isinstance(error, asyncio.CancelledError)
        is_aborted = isinstance(error, exceptions.JobAborted | exceptions.JobSuspended)
        if is_cancelled and run.abort_reason is None and self._is_cut_off(run):
            run.abort_reason = AbortReason.SHUTDOWN
        if run.abort_reason is AbortReason.SHUTDOWN and (is_cancelled or is_aborted):
            return self.handed_back(run)
        if is_aborted or (is_cancelled and run.abort_reason is None and _is_cancelled(run.task)):
            return (self._ended(run, Status.ABORTED, error), JobAborted, {"error": error})
        if is_cancelled and run.abort_reason is AbortReason.USER_REQUEST:
            return self.aborted(run)
        return self.failed(run, error)

    def handed_back(self, run: Run) -> Verdict:
        """Return the verdict on a run that was not begun, or was cut off by the end of its worker."""
        return (HandedBack.of(run.claimed), JobHandedBack, {})

    def aborted(self, run: Run) -> Verdict:
        """Return the verdict on a run that somebody has asked to abort, without an error of its own."""
        return (self._ended(run, Status.ABORTED, None), JobAborted, {"error": None})

    def failed(self, run: Run, error: BaseException) -> Verdict:
        """Return the verdict on a failed run: the job runs again if its task says so."""
        if (retried := self._retried(run, error)) is not None:
            return (retried, JobRetried, {"error": error})
        return self.refused(run, error)

    def refused(self, run: Run, error: BaseException, kind: type[JobEnded] = JobFailed) -> Verdict:
        """Return the verdict on a job that fails, and does not run again."""
        return (self._ended(run, Status.FAILED, error), kind, {"error": error})

    def _is_cut_off(self, run: Run) -> bool:
        """Tell whether a run that nobody asked to end was cancelled because its event loop is ending.

        A loop that ends cancels every task, so the worker's as well. A job can cancel its own: handed back, it would do so
        for ever.
        """
        return _is_cancelled(run.task) and _is_cancelled(self._workers_task)

    def _retried(self, run: Run, error: BaseException) -> Retried | None:
        """Return how to run a job again, or None."""
        if run.abort_reason is AbortReason.USER_REQUEST or run.declared is None:
            return None
        try:
            decision = run.declared.get_retry_exception(error, run.job)
            if decision is not None:
                return Retried.of(run.job, decision.retry_decision, self._entry(run, error))
        except BaseException as broken:  # the strategy is user code; without its decision the job fails
            if self._is_interrupt(broken):
                raise
            self._tell(RetryStrategyFailed, run, error=broken)
        return None

    def _ended(self, run: Run, status: Status, error: BaseException | None) -> Ended:
        entry = None if error is None else self._entry(run, error)
        return Ended.of(run.claimed, status, self._options.delete_jobs, entry)

    def _entry(self, run: Run, error: BaseException) -> str:
        job = run.claimed
        attempt = self._attempt(job.attempts, job.worker_id, run.started, time.time())
        return error_entry(error, attempt, self._is_interrupt)

    def _attempt(self, attempts: int, worker_id: int, started: float, ended: float) -> Attempt:
        return Attempt(
            number=attempts + 1,
            worker_id=worker_id,
            worker_name=self._options.name,
            started_at=datetime.datetime.fromtimestamp(started, datetime.UTC),
            ended_at=datetime.datetime.fromtimestamp(ended, datetime.UTC),
        )


def _is_cancelled(task: asyncio.Task[Any] | None) -> bool:
    return task is not None and task.cancelling() > 0
