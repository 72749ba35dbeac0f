"""What a worker reports to the database about the end of a run, and what it gets back: plain data and pure rules."""

from __future__ import annotations

import datetime
import json
import math
import operator
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import attrs

from adjourn._domain.arrays import array_of_few, array_of_numbers, array_of_texts, array_of_words
from adjourn._domain.checks import check_name, check_priority
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn._domain.time_checks import check_aware, check_delay
from adjourn.exceptions import JobSuspended, RetryDecisionLike

DELETED = "-"
"""What stands before the status of a job that is to be deleted, unless somebody wants to know how it has ended."""
MAX_TRACEBACK = 20_000
"""Characters of a traceback that are kept with a failed job: the first and the last ones."""
MAX_MESSAGE = 2_000
"""Characters of an exception's message that are kept with a failed job."""

Claim: TypeAlias = tuple[int, int]
"""A job's id and the number of its claim: a run."""


@attrs.frozen
class Attempt:
    """An attempt that has ended, as the error that is kept with the job tells of it.

    Attributes
    ----------
    number
        Which of the job's attempts it was, from 1.
    worker_id, worker_name
        The worker that made it.
    started_at, ended_at
        When it began and ended, by the worker's clock.
    """

    number: int
    worker_id: int | None
    worker_name: str | None
    started_at: datetime.datetime
    ended_at: datetime.datetime


@attrs.frozen
class Result:
    """What a task has returned, to be stored.

    Attributes
    ----------
    text
        It as JSON.
    ttl
        Seconds until it lapses, None for never.
    attempt
        Describes the attempt, in case that the database does not accept the result.
    """

    text: str
    ttl: float | None
    attempt: Callable[[], Attempt]


@attrs.frozen
class Ended:
    """A job that has ended.

    Attributes
    ----------
    is_deleted
        Whether it is deleted, unless somebody wants to know how it has ended.
    """

    id: int
    claim: int
    status: str
    error: str | None = None
    result: Result | None = None
    is_deleted: bool = False

    @classmethod
    def of(cls, job: Job | ClaimedJob, status: Status, delete: DeleteJobCondition, error: str | None = None) -> Ended:
        """Return the outcome of a job that ended."""
        return cls(_id(job), job.claim, str(status), error, is_deleted=delete.applies_to(status))

    @classmethod
    def with_result(cls, job: Job | ClaimedJob, result: Result) -> Ended:
        """Return the outcome of a job that has succeeded and has a result, for which it is kept."""
        return cls(_id(job), job.claim, str(Status.SUCCEEDED), None, result)


@attrs.frozen
class Retried:
    """A job that failed and is to be run again.

    Attributes
    ----------
    retry_at
        The time before which the job does not run again; None for at once.
    retry_in
        Seconds from the database's present time before which it does not run; wins over ``retry_at``; None for no
        delay.
    priority, queue, lock
        New values; None leaves the job's own.
    """

    id: int
    claim: int
    error: str | None = None
    retry_at: datetime.datetime | None = None
    retry_in: float | None = None
    priority: int | None = None
    queue: str | None = None
    lock: str | None = None

    @classmethod
    def of(cls, job: Job, decision: RetryDecisionLike, error: str | None) -> Retried:
        """Return the outcome of a job that is to be run again.

        Raises
        ------
        InvalidOption
            If a value of the decision, which may be a user's own class, cannot be stored.
        """
        if decision.retry_at is not None:
            check_aware("retry_at", decision.retry_at)
        if decision.priority is not None:
            check_priority(decision.priority)
        check_name("queue", decision.queue, optional=True)
        check_name("lock", decision.lock, optional=True)
        # A strategy's own class of decisions may have no delay.
        retry_in: float | None = getattr(decision, "retry_in", None)
        if retry_in is not None:
            check_delay("retry_in", retry_in)
        return cls(
            _id(job),
            job.claim,
            error,
            retry_at=decision.retry_at if retry_in is None else None,
            retry_in=retry_in,
            priority=decision.priority,
            queue=decision.queue,
            lock=decision.lock,
        )

    def row(self) -> dict[str, Any]:
        """Return the data for the database, without fields that are None."""
        row = {
            "id": self.id,
            "claim": self.claim,
            "outcome": "retried",
            "error": self.error,
            # In UTC, because Postgres reads no offset with a fraction of a second.
            "retry_at": None if self.retry_at is None else self.retry_at.astimezone(datetime.UTC).isoformat(),
            "retry_in": self.retry_in,
            "priority": self.priority,
            "queue": self.queue,
            "lock": self.lock,
        }
        return {key: value for key, value in row.items() if value is not None}


@attrs.frozen
class HandedBack:
    """A job to put back as if it had not been claimed: it never started, or was cut short by its worker's end."""

    id: int
    claim: int

    @classmethod
    def of(cls, job: Job | ClaimedJob) -> HandedBack:
        """Hand a claimed job back."""
        return cls(_id(job), job.claim)

    def row(self) -> dict[str, Any]:
        """Return the data for the database."""
        return {"id": self.id, "claim": self.claim, "outcome": "handed_back"}


@attrs.frozen
class Unknown:
    """A job whose task the worker does not know: it waits for a worker that does."""

    id: int
    claim: int

    @classmethod
    def of(cls, job: Job | ClaimedJob) -> Unknown:
        """Put back a claimed job whose task this worker does not know."""
        return cls(_id(job), job.claim)

    def row(self) -> dict[str, Any]:
        """Return the data for the database."""
        return {"id": self.id, "claim": self.claim, "outcome": "unknown"}


@attrs.frozen
class Suspended:
    """A job whose run has ended because it sleeps, or waits for an event or for other jobs.

    Attributes
    ----------
    seconds
        Until when at most, in seconds from the database's present time; None for as long as it takes.
    event
        The name of the event; None if it waits for none.
    for_jobs
        Whether it waits for other jobs, which are noted already.
    """

    id: int
    claim: int
    seconds: float | None
    event: str | None = None
    for_jobs: bool = False

    @classmethod
    def of(cls, job: Job | ClaimedJob, why: JobSuspended) -> Suspended:
        """Suspend a claimed job."""
        return cls(_id(job), job.claim, why.seconds, why.event, why.jobs > 0)

    def row(self) -> dict[str, Any]:
        """Return the data for the database, without fields that are None."""
        row = {
            "id": self.id,
            "claim": self.claim,
            "outcome": "suspended",
            "retry_in": self.seconds,
            "event": self.event,
            "for_jobs": self.for_jobs or None,
        }
        return {key: value for key, value in row.items() if value is not None}


def suspension_in(error: BaseException) -> JobSuspended | None:
    """Return with what a run is to end that sleeps or waits, perhaps in several tasks of a group; None if it has raised something else.

    Of several it is that which ends first: the next run waits for the others.
    """
    if isinstance(error, JobSuspended):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found = [suspension_in(each) for each in error.exceptions]
    whys = [each for each in found if each is not None]
    if len(whys) < len(found):
        return None
    return min(whys, key=lambda why: math.inf if why.seconds is None else why.seconds)


Outcome: TypeAlias = Ended | Retried | HandedBack | Unknown | Suspended
"""The outcomes of a job that a worker has claimed."""


def dump_outcomes(outcomes: Iterable[Outcome]) -> dict[str, str | None]:
    """Return outcomes as the parameters of an exchange: arrays of the jobs that have ended, and a JSON array of those to be
    put back, each in the order of the ids; None for no outcome."""
    # Ascending ids, so that two transactions lock the same rows in the same order.
    in_order = sorted(outcomes, key=operator.attrgetter("id"))
    ended = [each for each in in_order if isinstance(each, Ended)]
    parameters: dict[str, str | None] = dict.fromkeys(
        ("ids", "claims", "statuses", "errors", "results", "ttls", "back")
    )
    if ended:
        parameters["ids"] = array_of_numbers([each.id for each in ended])
        parameters["claims"] = array_of_numbers([each.claim for each in ended])
        parameters["statuses"] = array_of_words(
            [DELETED + each.status if each.is_deleted else each.status for each in ended]
        )
        if any(each.error is not None for each in ended):
            parameters["errors"] = array_of_texts([each.error for each in ended])
        if any(each.result is not None for each in ended):
            parameters["results"] = array_of_texts(
                [None if each.result is None else each.result.text for each in ended]
            )
            parameters["ttls"] = array_of_few([None if each.result is None else each.result.ttl for each in ended])
    if len(ended) < len(in_order):
        back = [each.row() for each in in_order if not isinstance(each, Ended)]
        parameters["back"] = json.dumps(back, allow_nan=False, separators=(",", ":"))
    return parameters


@attrs.frozen
class Look:
    """What an exchange says of a slow look for ready jobs.

    Attributes
    ----------
    took
        Seconds that it has taken.
    floors
        Where the next look may begin; None if it has found no job.
    """

    took: float
    floors: str | None


@attrs.frozen
class Placed:
    """What became of an attempt to place jobs. It is true if jobs have moved.

    Attributes
    ----------
    moved
        Whether jobs were placed, or are ready because of it.
    is_to_repeat
        Whether nothing could be done, although there is something to be done: another worker is placing jobs, or other transactions
        have locked what it is about.
    """

    moved: bool
    is_to_repeat: bool = False

    def __bool__(self) -> bool:
        return self.moved


@attrs.frozen
class Exchanged:
    """The result of an exchange with the database.

    Attributes
    ----------
    claimed
        The jobs that were claimed, best first.
    refused
        Ids of jobs that this worker no longer held: their outcomes are not stored.
    held
        Ids of jobs that another transaction has locked: their outcomes are not stored yet, and are to be sent again.
    alive
        False if this worker was declared dead.
    repeat
        Whether the worker has just asked to be notified of new jobs, and so must claim again before it sleeps.
    place
        Whether there are jobs with a lock to place.
    apart
        None, or this worker is to run jobs apart from others: most of the deaths of workers that one of them has seen.
    unknown
        The tasks of jobs that wait for a worker that knows them; None if the exchange did not look for such jobs, or there
        are none.
    overdue
        Ids of claimed jobs that have waited too long for a worker that knows their task.
    look
        What there is to say of the look for ready jobs, if it was slow, or had floors; else None.
    due_in
        Seconds until the next scheduled job is due; None if there is none, or the exchange did not look for one.
    """

    claimed: list[ClaimedJob]
    refused: frozenset[int]
    held: frozenset[int]
    alive: bool
    repeat: bool
    place: bool
    apart: int | None
    unknown: tuple[str, ...] | None
    overdue: frozenset[int]
    look: Look | None
    due_in: float | None

    @property
    def jobs(self) -> list[Job]:
        """The claimed jobs whose arguments can be read, best first."""
        return [each.job for each in self.claimed if each.error is None]


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt)


def error_entry(
    error: BaseException, attempt: Attempt, is_interrupt: Callable[[BaseException], bool] = _is_interrupt
) -> str:
    """Describe a failed attempt as the JSON that is kept with the job: bounded in size, and always storable.

    Parameters
    ----------
    error
        What the task has raised. Its class is the user's.
    attempt
        The attempt.
    is_interrupt
        Returns whether what that class raises comes from outside of it, and is raised here.
    """

    def described(describe: Callable[[], str], otherwise: str) -> str:
        try:
            return _storable(describe())
        except BaseException as broken:  # the exception is the user's, and so are its class and its __str__
            if is_interrupt(broken):
                raise
            return f"<{otherwise}: it raised {type(broken).__name__}>"

    entry: dict[str, Any] = {
        "exception": described(lambda: f"{type(error).__module__}.{type(error).__qualname__}", "no name"),
        "message": described(lambda: str(error), "no message")[:MAX_MESSAGE],
        "traceback": _shortened(described(lambda: "".join(traceback.format_exception(error)), "no traceback")),
        "attempt": attempt.number,
        "worker_id": attempt.worker_id,
        "worker_name": attempt.worker_name,
        "started_at": attempt.started_at.isoformat(),
        "ended_at": attempt.ended_at.isoformat(),
    }
    return json.dumps(entry)


def _shortened(text: str) -> str:
    """Leave out the middle of a long traceback: the beginning shows where the error happened, the end what was
    raised."""
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out here ...\n{text[-half:]}"


def _storable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def _id(job: Job | ClaimedJob) -> int:
    assert job.id is not None
    return job.id
