"""Tasks that take several jobs in one call."""

from __future__ import annotations

from typing import Any

from adjourn._domain.jobs import Job
from adjourn._domain.time_checks import check_seconds
from adjourn.exceptions import InvalidOption
from adjourn.types import JSONDict

__all__ = ["Batch", "BatchItem"]

LARGEST = 10_000
"""The most jobs that one call takes."""


class Batch:
    """How many jobs one call of a task takes: what ``@app.task(batch=...)`` takes.

    Parameters
    ----------
    size
        The most jobs of one call, from 1 to 10,000.
    wait
        For how many seconds a worker that has claimed fewer waits for more; 0 (the default) calls the task with those that are
        there.

    Raises
    ------
    InvalidOption
        If a value is refused.
    """

    def __init__(self, size: int, *, wait: float = 0.0) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
            raise InvalidOption(f"size={size!r}: pass a number of jobs from 1 to {LARGEST:,}.")
        check_seconds("wait", wait)
        self.size: int = size
        self.wait: float = float(wait)

    def __repr__(self) -> str:
        return f"Batch({self.size}, wait={self.wait:g})"


class BatchItem:
    """A job of a batch. Its end is its own.

    If the task says nothing of a job, that succeeds if the call returns, and fails with what the call raises.

    Attributes
    ----------
    job
        The job.
    abort_requested
        Whether somebody has asked to abort it. The call goes on: ``item.fail(JobAborted())`` ends the job as aborted.
    """

    def __init__(self, job: Job) -> None:
        self.job: Job = job
        self.abort_requested: bool = False
        self._has_ended = False
        self._result: Any = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<BatchItem {self.job.call_string}>"

    @property
    def kwargs(self) -> JSONDict:
        """The arguments of the job."""
        return self.job.task_kwargs

    @property
    def has_ended(self) -> bool:
        """Whether the task has said how the job ends."""
        return self._has_ended

    @property
    def result(self) -> Any:
        """What the task has said that the job returns."""
        return self._result

    @property
    def error(self) -> BaseException | None:
        """What the task has said that the job fails with; None for nothing."""
        return self._error

    def succeed(self, result: Any = None) -> None:
        """The job succeeds, whatever becomes of the call.

        Parameters
        ----------
        result
            Its result, if the task stores results. Default: None.
        """
        self._has_ended, self._result, self._error = True, result, None

    def fail(self, error: BaseException) -> None:
        """The job fails, as if its task had raised this for it alone: its task decides whether it is retried.

        Parameters
        ----------
        error
            The exception.

        Raises
        ------
        InvalidOption
            If it is no exception.
        """
        if not isinstance(error, BaseException):
            raise InvalidOption(f"error={error!r}: pass an exception.")
        self._has_ended, self._result, self._error = True, None, error


def checked_batch(batch: Any, *, pass_context: bool, lock: str | None) -> Batch | None:
    """Return the option ``batch`` of a task.

    Raises
    ------
    InvalidOption
        If it is no `Batch`, or does not go with another option.
    """
    if batch is None:
        return None
    if not isinstance(batch, Batch):
        raise InvalidOption(f"batch={batch!r}: pass adjourn.Batch(...).")
    if pass_context:
        raise InvalidOption(
            "batch: a task that takes several jobs has no context. Leave pass_context out, and look at item.job."
        )
    check_no_lock(batch, lock)
    return batch


def check_no_lock(batch: Batch | None, lock: str | None) -> None:
    """Refuse a lock for a job that others are run with.

    Raises
    ------
    InvalidOption
        If there is one.
    """
    if batch is not None and lock is not None:
        raise InvalidOption(
            f"lock={lock!r}: its task takes several jobs in a call, and jobs with a lock run one by one."
        )
