"""One run of a job: why it may be asked to end, and what it has done that lasts longer than it."""

from __future__ import annotations

import enum
from typing import Protocol

import attrs

from adjourn.exceptions import JobSuspended


class AbortReason(enum.StrEnum):
    """Why a running job is asked to end."""

    USER_REQUEST = "user_request"
    """A program called ``cancel_job_by_id(..., abort=True)``."""
    SHUTDOWN = "shutdown"
    """The worker is stopping."""
    TIMEOUT = "timeout"
    """It has run for longer than its task's ``timeout``."""


def not_aborted() -> AbortReason | None:
    """Return None: the run has not been asked to end."""
    return None


def nobody_listens(job: object, text: str) -> None:
    """Do nothing with what a task says of its progress: no worker runs it."""


class Completion(enum.StrEnum):
    """What became of a job that its run has completed in a transaction of the task's own."""

    STORED = "stored"
    """The transaction was committed, so the job has ended."""
    ROLLED_BACK = "rolled_back"
    """The transaction was rolled back, so the run has the job still."""
    OPEN = "open"
    """The transaction is open."""
    LOST = "lost"
    """The job is no longer this run's, for another reason."""


class StepKind(enum.StrEnum):
    """What is remembered of a run."""

    STEP = "step"
    """What a function has returned."""
    SLEEP = "sleep"
    """Until when the job sleeps."""
    EVENT = "event"
    """What event it waits for, or has got."""


@attrs.frozen
class Step:
    """What an earlier run has done.

    Attributes
    ----------
    value
        Of a step, what its function has returned, as JSON.
    ends_at
        Of a sleep, when it is over, in seconds of this machine's monotonic clock.
    """

    value: str | None
    ends_at: float | None = None


@attrs.define(eq=False)
class Durable:
    """What a run has done that lasts longer than it. It is made when the run does the first such thing.

    Attributes
    ----------
    completions
        How often it has completed its job in a transaction, which may not have been committed.
    steps
        What earlier runs have done, by kind and name; None if that was not read yet.
    used
        The kinds and names that this run has used.
    sleeps
        How many sleeps without a name it has begun.
    suspension
        What it was to end with, because it sleeps or waits; None if it does not.
    """

    completions: int = 0
    steps: dict[tuple[StepKind, str], Step] | None = None
    used: set[tuple[StepKind, str]] = attrs.field(factory=set)
    sleeps: int = 0
    suspension: JobSuspended | None = None

    def suspend(self, why: JobSuspended) -> JobSuspended:
        """Note what the run is to end with, and return it."""
        if self.suspension is None:
            self.suspension = why
        return why

    def check_goes_on(self) -> None:
        """Check that the run was not to end before.

        Raises
        ------
        JobSuspended
            If it was.
        """
        if (why := self.suspension) is not None:
            raise JobSuspended(why.seconds, why.event, why.jobs)


class RunLike(Protocol):
    """What a context needs of the run that it belongs to. A worker's `Run` is one."""

    durable: Durable | None

    @property
    def is_stored(self) -> bool:
        """Whether its job is in the database. If not, as when a test performs a task, nothing that it does is stored there."""


@attrs.define(eq=False)
class LooseRun:
    """A run that no worker follows, as in tests."""

    durable: Durable | None = None
    is_stored: bool = True
