"""Pure rules for whether and when a failed job runs again."""

from __future__ import annotations

import datetime
import math
import random
import warnings
from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

from adjourn._domain.checks import check_count, check_name, check_priority
from adjourn._domain.jobs import Job
from adjourn._domain.spelling import suggests_names, suggests_names_of
from adjourn._domain.time_checks import check_aware, delay_seconds
from adjourn.exceptions import InvalidOption, JobRetry
from adjourn.types import TimeDeltaParams

__all__ = ["BaseRetryStrategy", "RetryDecision", "RetryStrategy", "RetryValue", "get_retry_strategy"]

LONGEST_WAIT = 365 * 24 * 3600
"""The longest wait of a `RetryStrategy` in seconds: a year."""


class RetryDecision:
    """The decision to run a job again.

    Parameters
    ----------
    retry_at
        The aware datetime before which the job does not run.
    retry_in
        The delay from now, as keywords of `datetime.timedelta`. Pass at most one of the two; with neither, the job is
        due at once.
    priority, queue, lock
        New values for the job; None keeps its own.

    Attributes
    ----------
    retry_at
        When the job is due again; None for at once. With ``retry_in``, an estimate by this machine's clock.
    retry_in
        The seconds that the database adds to its own time; None without ``retry_in``.

    Raises
    ------
    InvalidOption
        If one of the values is not valid for a job.
    """

    @suggests_names
    def __init__(
        self,
        *,
        retry_at: datetime.datetime | None = None,
        retry_in: TimeDeltaParams | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        if retry_at is not None and retry_in is not None:
            raise InvalidOption("retry_at and retry_in exclude each other: pass one of them.")
        if retry_at is not None:
            check_aware("retry_at", retry_at)
        if priority is not None:
            check_priority(priority)
        check_name("queue", queue, optional=True)
        check_name("lock", lock, optional=True)
        self.retry_in: float | None = None if retry_in is None else delay_seconds("retry_in", retry_in)
        if self.retry_in is not None:
            retry_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.retry_in)
        self._retry_at = retry_at
        self.priority = priority
        self.queue = queue
        self.lock = lock

    @property
    def retry_at(self) -> datetime.datetime | None:
        """When the job is due again. A time that is set replaces ``retry_in``."""
        return self._retry_at

    @retry_at.setter
    def retry_at(self, value: datetime.datetime | None) -> None:
        self._retry_at, self.retry_in = value, None


class BaseRetryStrategy:
    """Subclass it to decide on retries yourself, and pass an instance as ``@app.task(retry=...)``."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Decide whether to run a job again after its task raised.

        Parameters
        ----------
        exception
            The exception that the task raised.
        job
            The job; ``job.attempts`` is how often it had failed before.

        Returns
        -------
        RetryDecision or None
            None lets the job fail.
        """
        seconds = self.get_schedule_in(exception=exception, attempts=job.attempts)
        return None if seconds is None else RetryDecision(retry_in={"seconds": seconds})

    def get_schedule_in(self, *, exception: BaseException, attempts: int) -> int | None:
        """Return after how many seconds to run the job again; None lets it fail. Deprecated: `get_retry_decision` is
        called first, and can decide more.

        Parameters
        ----------
        exception
            What the task raised.
        attempts
            How often the job had failed before.
        """
        raise NotImplementedError("define get_retry_decision")

    def get_retry_exception(self, exception: BaseException, job: Job) -> JobRetry | None:
        """Return the `JobRetry` with the decision to run the job again, or None if it is to fail.

        Parameters
        ----------
        exception
            What the task raised.
        job
            The job.
        """
        decision = self.get_retry_decision(exception=exception, job=job)
        return None if decision is None else JobRetry(decision)


RetryValue: TypeAlias = bool | int | BaseRetryStrategy
"""The possible values of a task's ``retry`` option. ``True`` and numbers retry at once; a strategy can wait."""


def _count_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        check_count(attribute.name, value)


def _seconds(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    # Of any length: `LONGEST_WAIT` limits the resulting wait.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidOption.no_seconds(attribute.name, value, "a number of seconds, zero or more")


def _seconds_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _seconds(instance, attribute, value)


def _fraction(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a number between 0 and 1.")


def _exception_types(value: Iterable[type[BaseException]] | None) -> tuple[type[BaseException], ...] | None:
    if value is None:
        return None
    types = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
        raise InvalidOption(f"retry_exceptions={value!r}: pass exception classes, such as [ConnectionError].")
    return types


# Programs may derive from this class, set their own attributes, and change these.
@suggests_names_of
@attrs.define(kw_only=True, slots=False)
class RetryStrategy(BaseRetryStrategy):
    """Retry after a wait of ``wait + linear_wait * attempts + exponential_wait ** (attempts + 1)`` seconds, a year
    at most. ``attempts`` is how often the job had failed before, or had lost its worker.

    ``RetryStrategy(max_attempts=5, exponential_wait=2)`` retries after 2, 4, 8, 16 and 32 seconds. Without a wait, retries
    are at once.

    Parameters
    ----------
    max_attempts
        The most retries; 0 means none, None (the default) no limit. A run that was lost with its worker counts as one, too: the job runs
        again without asking its task, and has one retry less for failures. That of a job (``configure(max_attempts=...)``) goes before.
    wait, linear_wait, exponential_wait
        Seconds, zero or more; 0 by default.
    max_wait
        The longest wait, in seconds; None (the default) means a year.
    jitter
        The random part of a wait, between 0 (the default) and 1: with 0.5 the job waits between half of the wait and
        all of it, so that jobs that failed together are not retried together.
    retry_exceptions
        Only these and their subclasses are retried; None (the default) means every `Exception`, an empty list none.

    Raises
    ------
    InvalidOption
        If a value is negative or of another type.
    """

    max_attempts: int | None = attrs.field(default=None, validator=_count_or_none)
    wait: float = attrs.field(default=0, validator=_seconds)
    linear_wait: float = attrs.field(default=0, validator=_seconds)
    exponential_wait: float = attrs.field(default=0, validator=_seconds)
    retry_exceptions: tuple[type[BaseException], ...] | None = attrs.field(default=None, converter=_exception_types)
    max_wait: float | None = attrs.field(default=None, validator=_seconds_or_none)
    jitter: float = attrs.field(default=0.0, validator=_fraction)

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Decide by the number of attempts and the type of the exception.

        Parameters
        ----------
        exception
            What the task raised.
        job
            The job; ``job.attempts`` is how often it had failed before.
        """
        most = self.max_attempts if job.max_attempts is None else job.max_attempts
        if most is not None and job.attempts >= most:
            return None
        if not isinstance(exception, Exception if self.retry_exceptions is None else self.retry_exceptions):
            return None
        seconds = self.wait_seconds(job.attempts) * (1 - self.jitter * random.random())  # noqa: S311 - no secret
        return RetryDecision(retry_in={"seconds": seconds}) if seconds else RetryDecision()

    def wait_seconds(self, attempts: int) -> float:
        """Return the wait before the next run, in seconds and without jitter, after ``attempts`` earlier failures."""
        # Limit each part to the longest wait, so that floats do not overflow.
        wait, linear, base = (min(each, LONGEST_WAIT) for each in (self.wait, self.linear_wait, self.exponential_wait))
        waited = wait + linear * attempts
        try:
            exponential = float(base) ** (attempts + 1)
        except OverflowError:
            exponential = LONGEST_WAIT
        return min(waited + exponential, LONGEST_WAIT if self.max_wait is None else min(self.max_wait, LONGEST_WAIT))

    @classmethod
    def of(cls, retry: RetryValue | None) -> BaseRetryStrategy | None:
        """Return the strategy that a task's ``retry`` option stands for.

        ``False`` and None mean no retries, ``True`` retries at once without limit, a number retries at once that many
        times. Any other object is a strategy if it has ``get_retry_decision`` or ``get_retry_exception``.

        Raises
        ------
        InvalidOption
            If it is none of these.
        """
        if isinstance(retry, BaseRetryStrategy):
            kind = type(retry)
            base = BaseRetryStrategy
            if (
                kind.get_retry_decision is base.get_retry_decision
                and kind.get_retry_exception is base.get_retry_exception
            ):
                if kind.get_schedule_in is base.get_schedule_in:
                    raise InvalidOption(f"retry={retry!r}: {kind.__name__} does not define get_retry_decision.")
                message = f"{kind.__name__}.get_schedule_in is deprecated: define get_retry_decision instead."
                warnings.warn(message, DeprecationWarning, stacklevel=2)
            return retry
        if retry is True:
            return cls()
        if retry is None or retry is False:
            return None
        if isinstance(retry, int) and retry >= 0:
            return cls(max_attempts=retry)
        other: Any = retry
        if not isinstance(other, type) and any(
            callable(getattr(other, name, None)) for name in ("get_retry_decision", "get_retry_exception")
        ):
            strategy: BaseRetryStrategy = other
            return strategy
        raise InvalidOption(
            f"retry={retry!r}: pass True, False, a number of retries, zero or more, or a RetryStrategy."
        )


def get_retry_strategy(retry: RetryValue | None) -> BaseRetryStrategy | None:
    """Return the strategy that a task's ``retry`` option stands for, as `RetryStrategy.of` does.

    It is for programs written for Procrastinate.
    """
    return RetryStrategy.of(retry)
