"""What a test's drain does, and what came of it: plain data."""

from __future__ import annotations

import datetime
import enum
from collections import Counter
from collections.abc import Callable, Sequence

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.outcomes import Outcome, Retried
from adjourn.exceptions import TooManyJobs

NAMED = 3
"""How many tasks the message of an endless drain names."""


class Verdict(enum.Enum):
    """How a run of a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


@attrs.frozen
class Ran:
    """A run of a job, on its way into the database."""

    outcome: Outcome
    verdict: Verdict
    error: BaseException | None = None

    def without_wait(self) -> Ran:
        """Return the same, and if the job is retried, at once."""
        if not isinstance(self.outcome, Retried):
            return self
        return attrs.evolve(self, outcome=attrs.evolve(self.outcome, retry_at=None, retry_in=None))


@attrs.frozen
class Failure:
    """A job that failed for good while a drain ran it.

    Attributes
    ----------
    job
        The job, as it was claimed.
    error
        What its task raised.
    """

    job: Job
    error: BaseException


@attrs.frozen(kw_only=True)
class Drained:
    """What came of a drain.

    Attributes
    ----------
    succeeded, failed, retried, suspended, cancelled
        How many runs ended so. A job that is retried, or sleeps or waits for an event, counts once for each run. Cancelled are those
        that were aborted.
    left
        How many jobs of these queues still wait: for their time, for a lock, or because the drain left them out.
    failures
        The jobs that failed for good, with what their tasks raised.
    """

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    suspended: int = 0
    cancelled: int = 0
    left: int = 0
    failures: tuple[Failure, ...] = attrs.field(default=(), repr=False)


@attrs.frozen(kw_only=True)
class DrainPlan:
    """Which jobs a drain runs.

    Attributes
    ----------
    now
        Returns the time up to which jobs are due; asked again before each job.
    queues
        The queues; None for all.
    with_scheduled
        Whether to run scheduled jobs whose time has not come, too.
    recursive
        Whether to run jobs that were deferred since the drain began, too.
    retries
        Whether to run jobs again at once that ask for a retry.
    max_jobs
        The most runs.
    raise_failures
        Whether to raise what the task of a failed job raised.
    """

    now: Callable[[], datetime.datetime]
    queues: Sequence[str] | None = None
    with_scheduled: bool = False
    recursive: bool = True
    retries: bool = True
    max_jobs: int = 1000
    raise_failures: bool = True


class Tally:
    """Counts the runs of a drain."""

    def __init__(self) -> None:
        self._verdicts: Counter[Verdict] = Counter()
        self._tasks: Counter[str] = Counter()
        self._failures: list[Failure] = []

    def add(self, job: Job, ran: Ran) -> None:
        """Count a run."""
        self._verdicts[ran.verdict] += 1
        self._tasks[job.task_name] += 1
        if ran.verdict is Verdict.FAILED and ran.error is not None:
            self._failures.append(Failure(job, ran.error))

    def check(self, most: int) -> None:
        """Raise if no more jobs may run.

        Raises
        ------
        TooManyJobs
            Naming the tasks that ran most often.
        """
        if self._tasks.total() >= most:
            often = ", ".join(f"{name} ({runs} runs)" for name, runs in self._tasks.most_common(NAMED))
            raise TooManyJobs(
                f"The drain has run {self._tasks.total()} jobs, and more are ready (max_jobs={most!r}): {often}. A task that "
                "defers or retries itself never ends: pass recursive=False or retries=False, or more max_jobs."
            )

    def drained(self, left: int) -> Drained:
        """Return what came of the drain, with the number of jobs that are left."""
        counts = {verdict.value: runs for verdict, runs in self._verdicts.items()}
        return Drained(**counts, left=left, failures=tuple(self._failures))
