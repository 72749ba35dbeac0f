"""What a job is: plain data."""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import attrs

from adjourn._domain.headers import load_headers
from adjourn._domain.job_limits import JobLimit
from adjourn._domain.masking import has_secrets, mask_of, masked, masked_texts, sensitive_of
from adjourn._domain.progress import Progress, progress_of
from adjourn._domain.terms import JobTerms
from adjourn._domain.times import time_known, time_or_none
from adjourn.types import JSONDict, JSONLoads, Row
from adjourn.unique import Unique

DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 0
_OF_LISTS = ("worker_name", "overdue", "result", "has_result", "result_expires_at")
CLAIMED = (
    "id",
    "queue",
    "task_name",
    "priority",
    "lock",
    "queueing_lock",
    "args",
    "scheduled_at",
    "attempts",
    "claim",
    "abort_requested",
    "enqueued_at",
    "started_at",
    "headers",
    "ready_at",
)
"""The columns of a job that a worker claims, in the order in which an exchange returns them."""


class Status(enum.StrEnum):
    """The status of a job."""

    TODO = "todo"
    """The job waits: for a worker, for its time, or for its lock."""
    DOING = "doing"
    """A worker has the job."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was cancelled before it ran."""
    ABORTING = "aborting"
    """Never set; kept for programs that name it. A running job that was asked to end is ``doing`` with
    ``abort_requested``."""
    ABORTED = "aborted"
    """It was ended while it ran."""


class DeleteJobCondition(enum.StrEnum):
    """Which finished jobs a worker deletes instead of keeping them."""

    NEVER = "never"
    SUCCESSFUL = "successful"
    ALWAYS = "always"

    def applies_to(self, status: Status) -> bool:
        """Return whether a job that ends with this status is deleted."""
        # `self.ALWAYS` would be a slow look-up, and this runs for each job.
        always, successful = DeleteJobCondition.ALWAYS, DeleteJobCondition.SUCCESSFUL
        return self is always or (self is successful and status is Status.SUCCEEDED)


@attrs.frozen(kw_only=True)
class Job:
    """One piece of work: a task's name, its arguments, and its state.

    Attributes
    ----------
    id
        The job's number, None until it is stored.
    status
        Its status, None until it is stored.
    queue, priority, lock, queueing_lock
        The options that it was deferred with. Jobs with higher priorities run first.
    task_name, task_kwargs
        What to call, with which arguments.
    scheduled_at
        The aware datetime before which it does not run; None means at once.
    schedule_in
        For a job that is not stored yet: seconds from when the database stores the job until it may run; None for no
        delay.
    unique
        For a job that is not stored yet: which others are the same; None if it is not unique.
    limit
        For a job that is not stored yet: what it has to do with limits; None for nothing.
    terms
        Until when it may begin, and how often it is run again: see ``expires_at`` and ``max_attempts``; None for no terms.
    attempts
        How many attempts have ended, with success, failure or the death of the worker: 0 during the first run, 1 after
        its success.
    abort_requested
        Whether it was asked to end while it ran.
    worker_id
        The worker that has or had it.
    worker_name
        In lists, the name of the worker that has it; None for a job that does not run.
    overdue
        In lists, whether it runs and was asked to end, because it is past its ``timeout`` or somebody has asked to abort it,
        and had not ended at the last sign of life of its worker.
    claim
        How often workers have claimed the job. Every write of a worker names this number, so that a worker that lost
        the job cannot end it.
    enqueued_at, started_at, finished_at
        When it was stored, last started and ended, by the database's clock.
    ready_at
        Of a job that a worker has: when it could run, if its lock, a limit, a pause, an event or other jobs kept it before, or it
        runs again; else None.
    errors
        The errors of the failed attempts, oldest first; of more than ten, only the first and the last nine. Each is a
        dictionary of ``exception`` (the path of the class, such as ``builtins.ValueError``), ``message``, ``traceback``,
        ``attempt`` (from 1), ``worker_id`` and ``worker_name``, ``started_at`` and ``ended_at`` (ISO 8601). If the workers of the
        job have died too often, the last is `WorkerLost`, without a traceback.
    result
        In lists, what the task returned; None if that is not stored (see ``has_result``), or was None.
    has_result
        In lists, whether a result is stored and has not lapsed.
    result_expires_at
        In lists, when the result lapses or has lapsed, by the database's clock; None if it never does, or none was stored.
    reason
        In lists, why it was cancelled: ``"job 4 failed"``, of a job that waited for job 4, ``"workflow 3 was cancelled"``, or until when it had
        not begun. None for any other job, also for one that was cancelled by hand.
    headers
        Texts by names that go with the job beside its arguments, such as the ids of a trace; None for none.
    progress
        In lists, what its task has said last of its progress; None for nothing.
    """

    id: int | None = None
    status: str | None = None
    queue: str
    priority: int = DEFAULT_PRIORITY
    lock: str | None = None
    queueing_lock: str | None = None
    task_name: str
    task_kwargs: JSONDict = attrs.field(factory=dict)
    scheduled_at: datetime.datetime | None = None
    schedule_in: float | None = None
    unique: Unique | None = None
    limit: JobLimit | None = None
    terms: JobTerms | None = None
    attempts: int = 0
    abort_requested: bool = False
    worker_id: int | None = None
    worker_name: str | None = attrs.field(default=None, eq=False)
    overdue: bool = attrs.field(default=False, eq=False)
    claim: int = 0
    enqueued_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    errors: tuple[JSONDict, ...] = ()
    result: Any = None
    has_result: bool = False
    result_expires_at: datetime.datetime | None = None
    reason: str | None = None
    headers: dict[str, str] | None = None
    progress: Progress | None = attrs.field(default=None, eq=False)
    ready_at: datetime.datetime | None = attrs.field(default=None, eq=False)

    @classmethod
    def from_row(cls, row: Row, json_loads: JSONLoads = json.loads) -> Job:
        """Make a job from a row that a statement returned.

        Parameters
        ----------
        row
            The columns by name.
        json_loads
            The function that turns JSON text into the arguments and the result.
        """
        errors, result = row.get("errors"), row.get("result")
        return cls(
            id=row["id"],
            status=row.get("status"),
            queue=row["queue"],
            priority=row["priority"],
            lock=row["lock"],
            queueing_lock=row["queueing_lock"],
            task_name=row["task_name"],
            task_kwargs=json_loads(row["args"]),
            scheduled_at=time_or_none(row["scheduled_at"]),
            attempts=row["attempts"],
            abort_requested=row["abort_requested"],
            worker_id=row.get("worker_id"),
            worker_name=row.get("worker_name"),
            overdue=row.get("overdue", False),
            claim=row["claim"],
            enqueued_at=time_or_none(row["enqueued_at"]),
            started_at=time_or_none(row["started_at"]),
            finished_at=time_or_none(row.get("finished_at")),
            errors=tuple(json.loads(errors)) if errors else (),
            result=None if result is None else json_loads(result),
            has_result=result is not None,
            result_expires_at=time_or_none(row.get("result_expires_at")),
            headers=load_headers(row.get("headers")),
            progress=progress_of(row.get("progress")),
            reason=row.get("reason"),
            terms=JobTerms.of_row(row),
        )

    @classmethod
    def claimed(
        cls, values: Sequence[Any], worker_id: int, task_kwargs: JSONDict, terms: JobTerms | None = None
    ) -> Job:
        """Make a job from a row of an exchange, which has only what a claimed job can have.

        Parameters
        ----------
        values
            The values of the columns `CLAIMED`.
        worker_id
            The worker that has claimed it.
        task_kwargs
            Its arguments, decoded.
        terms
            Its terms, if it has some.
        """
        (
            id_,
            queue,
            name,
            priority,
            lock,
            queueing_lock,
            _,
            scheduled,
            attempts,
            claim,
            abort,
            enqueued,
            started,
            headers,
            ready,
        ) = values
        times = map(time_known, (scheduled, enqueued, started, ready))
        known = (
            id_,
            queue,
            priority,
            lock,
            queueing_lock,
            name,
            task_kwargs,
            *times,
            attempts,
            abort,
            worker_id,
            claim,
            terms,
        )
        # This is done for each job whose events or context somebody looks at: like `evolve`, it puts the values into the slots.
        job = object.__new__(cls)
        for put, value in zip(_PUT_CLAIMED, (*known, load_headers(headers), *_OTHERS), strict=True):
            put(job, value)
        return job

    @property
    def expires_at(self) -> datetime.datetime | None:
        """If it has not begun by then, it does not: it is cancelled with `JobExpired` as its error. None for no such time."""
        return None if self.terms is None else self.terms.expires_at

    @property
    def max_attempts(self) -> int | None:
        """How often it is run again at most, after failures and the deaths of its workers; None for what its task says."""
        return None if self.terms is None else self.terms.max_attempts

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with some attributes changed."""
        # This is done for each job that is deferred; copying its slots takes half as long as giving them to `__init__`.
        if type(self) is not Job or not changes.keys() <= _PUT.keys():
            return attrs.evolve(self, **changes)
        copy = object.__new__(type(self))
        for take, put in _SLOTS:
            put(copy, take(self))
        for name, value in changes.items():
            _PUT[name](copy, value)
        return copy

    def asdict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary."""
        return attrs.asdict(self, recurse=False)

    def log_context(self) -> JSONDict:
        """Return the fields of the job for log records."""
        context = self.masked().asdict()
        # New jobs and lists have them, and headers may hold what no log should.
        for name in (
            "unique",
            "limit",
            "terms",
            "worker_name",
            "overdue",
            "result",
            "has_result",
            "result_expires_at",
            "reason",
            "headers",
            "progress",
        ):
            del context[name]
        for name in ("scheduled_at", "enqueued_at", "started_at", "finished_at"):
            context[name] = context[name] and context[name].isoformat()
        context["call_string"] = self.call_string
        return context

    @property
    def sensitive(self) -> frozenset[str]:
        """The names of the arguments that its task has declared ``sensitive``."""
        return sensitive_of(self.headers)

    def masked(self, names: Collection[str] = ()) -> Self:
        """Return the job with the values of secret arguments hidden, also in its errors and its result; itself if there are none.

        Secret are those that its task has declared ``sensitive``, and those whose names look so, such as ``password``.

        Parameters
        ----------
        names
            The names of further arguments.
        """
        hidden = self.sensitive | frozenset(names)
        if not has_secrets(self.task_kwargs, hidden) and not has_secrets(self.result, hidden):
            return self
        mask = mask_of(self.task_kwargs, hidden)
        errors = tuple(masked_texts(self.errors, mask))
        result = masked_texts(masked(self.result, hidden), mask)
        return self.evolve(task_kwargs=masked(self.task_kwargs, hidden), errors=errors, result=result)

    @property
    def call_string(self) -> str:
        """The job as a call to show in messages, such as ``tasks.add[7](a=1, b=2)``, with the values of secret arguments hidden."""
        hidden = self.sensitive
        shown = masked(self.task_kwargs, hidden) if has_secrets(self.task_kwargs, hidden) else self.task_kwargs
        arguments = ", ".join(f"{name}={_shown(value)}" for name, value in shown.items())
        return f"{self.task_name}[{self.id}]({arguments})"


_PUT: dict[str, Any] = {each.name: getattr(Job, each.name).__set__ for each in attrs.fields(Job)}
_SLOTS: list[tuple[Any, Any]] = [(getattr(Job, name).__get__, put) for name, put in _PUT.items()]
_KNOWN = (
    *(
        "id",
        "queue",
        "priority",
        "lock",
        "queueing_lock",
        "task_name",
        "task_kwargs",
        "scheduled_at",
        "enqueued_at",
        "started_at",
        "ready_at",
    ),
    *("attempts", "abort_requested", "worker_id", "claim", "terms", "headers", "status"),
)
"""What a worker knows of each job that it claims, in the order in which `Job.claimed` puts it. The others have their defaults."""
_DEFAULTS: dict[str, Any] = {each.name: each.default for each in attrs.fields(Job) if each.name not in _KNOWN}
_PUT_CLAIMED = [_PUT[name] for name in (*_KNOWN, *_DEFAULTS)]
_OTHERS = (Status.DOING.value, *_DEFAULTS.values())

if TYPE_CHECKING:

    @attrs.frozen(kw_only=True)
    class StoredJob(Job):
        """A job that is stored, and so has an id."""

        id: int = 0  # never: type checkers want a default, because `Job` has one

else:
    StoredJob = Job


def stored_job(job: Job) -> StoredJob:
    """Return a job that is stored, so that type checkers know it."""
    return cast("StoredJob", job)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # the user's own decoder may have made anything
        return f"<{type(value).__name__}>"
