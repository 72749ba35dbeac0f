"""How a run of a job ends, as the database is told of it, and what it answers: plain data and pure rules."""

from __future__ import annotations

import datetime
import json
import traceback
from collections.abc import Callable
from typing import Any

import attrs

from adjourn._domain.checks import check_aware, check_name, check_priority
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn.exceptions import RetryDecisionLike

MAX_TRACEBACK = 20_000
"""Characters of a traceback that are kept with a failed job: the first and the last ones."""
MAX_MESSAGE = 2_000
"""Characters of an exception's message that are kept with a failed job."""


@attrs.frozen
class Ended:
    """A job that has come to its end. A ``status`` of None deletes it."""

    id: int
    claim: int
    status: str | None
    error: str | None = None

    @classmethod
    def of(cls, job: Job, status: Status, delete: DeleteJobCondition, error: str | None = None) -> Ended:
        """Say how a job ended."""
        return cls(_id(job), job.claim, None if delete.applies_to(status) else status.value, error)


@attrs.frozen
class Retried:
    """A job that failed and is to be run again. None leaves a value as it is; ``at`` of None is at once."""

    id: int
    claim: int
    error: str | None
    at: datetime.datetime | None
    priority: int | None
    queue: str | None
    lock: str | None

    @classmethod
    def of(cls, job: Job, decision: RetryDecisionLike, error: str | None) -> Retried:
        """Say how a job is to be run again.

        Raises
        ------
        InvalidOption
            If a value of the decision, which is the user's own, is not one that can be stored.
        """
        if decision.retry_at is not None:
            check_aware("retry_at", decision.retry_at)
        if decision.priority is not None:
            check_priority(decision.priority)
        check_name("queue", decision.queue, optional=True)
        check_name("lock", decision.lock, optional=True)
        return cls(_id(job), job.claim, error, decision.retry_at, decision.priority, decision.queue, decision.lock)


@attrs.frozen
class Exchanged:
    """What an exchange with the database brought.

    Attributes
    ----------
    jobs
        Claimed now, best first.
    unreadable
        Claimed now as well, but what is stored as their arguments cannot be read; with the reason.
    refused
        Ids of ended jobs that were not this worker's any more.
    alive
        False if this worker was declared dead.
    repeat
        The worker has just flagged itself as wanting to be told of jobs, and must look once more before it sleeps.
    place
        There are locked jobs to place.
    due_in
        Seconds until the next scheduled job is due; None if there is none, or it was not looked for.
    """

    jobs: list[Job]
    unreadable: list[tuple[Job, Exception]]
    refused: frozenset[int]
    alive: bool
    repeat: bool
    place: bool
    due_in: float | None

    @property
    def claimed(self) -> int:
        """How many jobs were claimed."""
        return len(self.jobs) + len(self.unreadable)


@attrs.frozen
class Heartbeat:
    """What a heartbeat brought: whether the worker still counts as alive, which of its jobs are to be aborted, and
    whether another worker has fallen silent."""

    alive: bool
    aborts: tuple[int, ...]
    expired: bool


def error_entry(error: BaseException, job: Job, started: datetime.datetime, ended: datetime.datetime) -> str:
    """Describe a failed attempt as the JSON that is kept with the job: bounded in size, and always storable."""
    entry: dict[str, Any] = {
        "exception": _described(lambda: f"{type(error).__module__}.{type(error).__qualname__}", "no name"),
        "message": _described(lambda: str(error), "no message")[:MAX_MESSAGE],
        "traceback": _shortened(_described(lambda: "".join(traceback.format_exception(error)), "no traceback")),
        "attempt": job.attempts + 1,
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
    }
    return json.dumps(entry)


def _described(describe: Callable[[], str], otherwise: str) -> str:
    try:
        return _storable(describe())
    except BaseException as broken:  # the exception is the user's, and so are its class and its __str__
        if isinstance(broken, KeyboardInterrupt):
            raise
        return f"<{otherwise}: it raised {type(broken).__name__}>"


def _shortened(text: str) -> str:
    """Leave out the middle of a long traceback: its beginning says where, its end says what."""
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out here ...\n{text[-half:]}"


def _storable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def _id(job: Job) -> int:
    assert job.id is not None
    return job.id
