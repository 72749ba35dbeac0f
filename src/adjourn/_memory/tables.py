"""The tables of adjourn's schema, as plain data.

Rows are immutable, so a copy of the tables costs no more than copies of a few dictionaries. A transaction works on such
a copy: it sees the data as it was when it began, and leaves no trace if it fails.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator

import attrs

from adjourn.sql.constants import MOST_ERRORS, Hold
from adjourn.types import Row


@attrs.frozen(kw_only=True)
class JobRow:
    """A job, waiting, running or finished."""

    id: int
    queue: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    waiting_queueing_lock: str | None
    args: str
    scheduled_at: datetime.datetime | None
    hold: Hold
    enqueued_at: datetime.datetime
    attempts: int = 0
    losses: int = 0
    doubts: int = 0
    unknown_since: datetime.datetime | None = None
    claimed_ahead: bool = False
    claim: int = 0
    worker_id: int | None = None
    abort_requested: bool = False
    started_at: datetime.datetime | None = None
    ready_at: datetime.datetime | None = None
    errors: tuple[str, ...] = ()
    finished_as: str | None = None
    finished_at: datetime.datetime | None = None
    result: str | None = None
    result_expires_at: datetime.datetime | None = None
    has_steps: bool = False
    awaited_event: str | None = None
    waited: bool = False
    headers: str | None = None
    progress: str | None = None
    workflow_id: int | None = None
    pending: int | None = None
    failed_parents: int = 0
    run_if: int | None = None
    has_begun: bool = False
    unlinked: bool = False
    next_id: int | None = None
    has_dependents: bool = False
    limit_name: str | None = None
    limit_key: str | None = None
    expires_at: datetime.datetime | None = None
    max_attempts: int | None = None
    is_batch: bool = False
    aged: int = 0
    special: bool = False
    cause: str | None = None
    reason: str | None = None

    @property
    def status(self) -> str:
        """The job's status."""
        if self.finished_as is not None:
            return self.finished_as
        return "todo" if self.worker_id is None else "doing"

    @property
    def waits_for(self) -> str | None:
        """What the job waits for; None if it runs or has ended."""
        if self.status != "todo":
            return None
        if self.awaited_event is not None:
            return "event"
        if self.hold is Hold.SCHEDULED:
            return "retry" if self.attempts else "time"
        kinds = {
            Hold.BEHIND: "lock",
            Hold.UNPLACED: "lock",
            Hold.HELD: "lock",
            Hold.APART: "turn",
            Hold.UNKNOWN: "task",
            Hold.PARENTS: "jobs",
        }
        return kinds.get(self.hold, "worker")

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants to know how it has ended, so that it is kept although jobs like it are deleted."""
        return self.waited or self.workflow_id is not None or self.next_id is not None or self.has_dependents

    @property
    def is_special(self) -> bool:
        """Whether its start or its end has consequences for others."""
        return self.special or self.is_wanted

    @property
    def order(self) -> tuple[int, int]:
        """The sort key of jobs: higher priorities first, then older jobs."""
        return (-self.priority, self.id)

    def has_lapsed(self, now: datetime.datetime) -> bool:
        """Return whether it has no result, or one that has lapsed."""
        return self.result is None or (self.result_expires_at is not None and self.result_expires_at <= now)

    def columns(self, now: datetime.datetime) -> Row:
        """Return the row as lists of jobs show it at this time."""
        return {
            "id": self.id,
            "queue": self.queue,
            "task_name": self.task_name,
            "priority": self.priority,
            "lock": self.lock,
            "queueing_lock": self.queueing_lock,
            "args": self.args,
            "scheduled_at": self.scheduled_at,
            "attempts": self.attempts,
            "claim": self.claim,
            "worker_id": self.worker_id,
            "abort_requested": self.abort_requested,
            "enqueued_at": self.enqueued_at,
            "started_at": self.started_at,
            "errors": f"[{', '.join(self.errors)}]" if self.errors else None,
            "status": self.status,
            "finished_at": self.finished_at,
            "result": None if self.has_lapsed(now) else self.result,
            "result_expires_at": self.result_expires_at,
            "headers": self.headers,
            "progress": self.progress,
            "expires_at": self.expires_at,
            "max_attempts": self.max_attempts,
            "reason": self.reason,
        }


@attrs.frozen(kw_only=True)
class WorkerRow:
    """A worker that has registered."""

    id: int
    name: str
    queues: tuple[str, ...] | None
    started_at: datetime.datetime
    last_heartbeat_at: datetime.datetime
    expires_at: datetime.datetime
    hungry: bool = False
    apart: bool = False
    dead: bool = False
    overdue: tuple[int, ...] = ()
    running: tuple[int, ...] = ()
    running_claims: tuple[int, ...] = ()
    details: str | None = None


@attrs.frozen(kw_only=True)
class LimitRow:
    """How many jobs run at once and start in a period of time."""

    scope: str
    name: str
    concurrency: int | None
    rates: tuple[tuple[int, float], ...]
    is_declared: bool
    declared: tuple[int | None, tuple[tuple[int, float], ...]] | None

    @property
    def place(self) -> tuple[str, str]:
        """By what it is found."""
        return (self.scope, self.name)

    @property
    def has_numbers(self) -> bool:
        """Whether it limits anything."""
        return self.concurrency is not None or bool(self.rates)

    def declaring(self, declared: tuple[int | None, tuple[tuple[int, float], ...]] | None) -> LimitRow:
        """Return the same limit, beside what programs have declared."""
        return attrs.evolve(self, declared=declared)


@attrs.frozen(kw_only=True)
class StartRow:
    """A job was started under a limit with a rate."""

    scope: str
    name: str
    key: str
    at: datetime.datetime


@attrs.frozen(kw_only=True)
class ScheduleRow:
    """A schedule of a periodic task that has been due at least once."""

    cron: str
    timezone: str
    last_tick: datetime.datetime
    last_job_id: int | None
    seen_at: datetime.datetime
    paused_at: datetime.datetime | None = None
    pause_ends_at: datetime.datetime | None = None
    paused_by: str | None = None
    pause_reason: str | None = None


@attrs.frozen(kw_only=True)
class PauseRow:
    """A queue or a task that is paused."""

    paused_at: datetime.datetime
    ends_at: datetime.datetime | None
    paused_by: str | None
    reason: str | None


@attrs.frozen(kw_only=True)
class StepRow:
    """What a run of a job has done, for later runs."""

    claim: int
    value: str | None = None
    until: datetime.datetime | None = None
    is_done: bool = False
    at: datetime.datetime


@attrs.frozen(kw_only=True)
class SentEventRow:
    """An event that was sent."""

    payload: str
    expires_at: datetime.datetime


@attrs.frozen(kw_only=True)
class EdgeRow:
    """That a job waits for another."""

    name: str | None
    place: int | None
    is_linked: bool


@attrs.frozen
class Arrival:
    """Ends that were not added up yet: how many that a job waits for or a workflow counts, how many of them have failed, which, how many
    that a job waits for in its run, how many jobs of a workflow were cancelled, and how many that a job waits for were not needed."""

    ended: int = 0
    failed: int = 0
    reason: str | None = None
    in_run: int = 0
    cancelled: int = 0
    needless: int = 0


@attrs.frozen(kw_only=True)
class WorkflowRow:
    """A workflow."""

    name: str | None
    jobs: int
    remaining: int
    created_at: datetime.datetime
    finished_at: datetime.datetime | None
    failed: int = 0
    cancelled: int = 0
    is_cancelled: bool = False
    is_open: bool = False
    waited: bool = False


@attrs.frozen
class UniqueKeyRow:
    """The last job of those that have a key in common."""

    job_id: int
    deferred_at: datetime.datetime
    keep_until: datetime.datetime | None = None


def with_error(errors: tuple[str, ...], error: str | None) -> tuple[str, ...]:
    """Add an error to a job's errors, keeping only the first and the last ones."""
    if error is None:
        return errors
    return (*errors, error) if len(errors) < MOST_ERRORS else (*errors[:1], *errors[2:], error)


@attrs.define
class Tables:
    """All stored data, and the time at which a transaction uses it.

    Attributes
    ----------
    now
        The time of the transaction.
    started_at
        When the store was created, which counts as the start of the database server.
    jobs, finished
        Jobs that wait or run, and those that have ended, by id.
    schedules
        By the task's name and the ``periodic_id``.
    headless
        Locks that may have no head.
    steps
        What runs of jobs have done, by the job's id, the kind and the name.
    sent_events
        By name.
    event_notes
        The names of events that were sent, or that a job has begun to wait for.
    unique_keys
        By the key.
    limits, starts, pauses
        Limits and pauses, by what they are for: ``queue``, ``task`` or ``key``, and the name. Starts under rates.
    notes
        What people did, the oldest first.
    payloads
        The notifications of the transaction, without duplicates.
    touched
        The ids of the jobs that the transaction has stored, changed or moved.
    told
        The ids of the jobs that somebody waits for and that the transaction has ended.
    ends
        The jobs that others wait for, or that belong to workflows, and that the transaction has ended, with how each has ended.
    edges
        Which jobs wait for which, by the ids of both: that of the one that is waited for first.
    forgiven
        Of which pairs of these the first has failed, and the second was run all the same, by hand.
    run_waits
        Which jobs wait in their runs for which, by the same ids, and whether the first knows of it.
    arrivals
        How many ends of other jobs, and how many failures, were not added up yet, and which one has failed, by the id of a job or of a
        workflow.
    """

    now: datetime.datetime
    started_at: datetime.datetime
    jobs: dict[int, JobRow] = attrs.field(factory=dict)
    finished: dict[int, JobRow] = attrs.field(factory=dict)
    workers: dict[int, WorkerRow] = attrs.field(factory=dict)
    schedules: dict[tuple[str, str], ScheduleRow] = attrs.field(factory=dict)
    headless: set[str] = attrs.field(factory=set)
    steps: dict[tuple[int, str, str], StepRow] = attrs.field(factory=dict)
    sent_events: dict[str, SentEventRow] = attrs.field(factory=dict)
    event_notes: set[str] = attrs.field(factory=set)
    unique_keys: dict[str, UniqueKeyRow] = attrs.field(factory=dict)
    limits: dict[tuple[str, str], LimitRow] = attrs.field(factory=dict)
    starts: list[StartRow] = attrs.field(factory=list)
    pauses: dict[tuple[str, str], PauseRow] = attrs.field(factory=dict)
    last_job_id: int = 0
    last_worker_id: int = 0
    notes: list[Row] = attrs.field(factory=list)
    payloads: dict[str, None] = attrs.field(factory=dict)
    touched: set[int] = attrs.field(factory=set)
    told: set[int] = attrs.field(factory=set)
    ends: list[tuple[JobRow, str]] = attrs.field(factory=list)
    edges: dict[tuple[int, int], EdgeRow] = attrs.field(factory=dict)
    forgiven: set[tuple[int, int]] = attrs.field(factory=set)
    arrivals: dict[int, Arrival] = attrs.field(factory=dict)
    run_waits: dict[tuple[int, int], bool] = attrs.field(factory=dict)
    workflows: dict[int, WorkflowRow] = attrs.field(factory=dict)

    def copy(self, now: datetime.datetime) -> Tables:
        """Return tables with the same rows, for a transaction that begins now."""
        return attrs.evolve(
            self,
            now=now,
            jobs=dict(self.jobs),
            finished=dict(self.finished),
            workers=dict(self.workers),
            schedules=dict(self.schedules),
            headless=set(self.headless),
            steps=dict(self.steps),
            sent_events=dict(self.sent_events),
            event_notes=set(self.event_notes),
            unique_keys=dict(self.unique_keys),
            limits=dict(self.limits),
            starts=list(self.starts),
            pauses=dict(self.pauses),
            notes=list(self.notes),
            payloads={},
            touched=set(),
            told=set(),
            ends=[],
            edges=dict(self.edges),
            forgiven=set(self.forgiven),
            arrivals=dict(self.arrivals),
            run_waits=dict(self.run_waits),
            workflows=dict(self.workflows),
        )

    def all_jobs(self) -> list[JobRow]:
        """Return all jobs in the order of their ids."""
        return sorted([*self.jobs.values(), *self.finished.values()], key=lambda job: job.id)

    def held(self, *holds: Hold) -> Iterator[JobRow]:
        """Find the jobs with one of these values of ``hold``."""
        return (job for job in self.jobs.values() if job.hold in holds)

    def ready(self) -> list[JobRow]:
        """Return the jobs that can be claimed, best first."""
        waiting = (job for job in self.held(Hold.READY) if job.worker_id is None)
        return sorted(waiting, key=lambda job: job.order)

    def of_worker(self, worker_ids: Iterable[int]) -> list[JobRow]:
        """Return the jobs that these workers run, in the order of their ids."""
        wanted = set(worker_ids)
        return sorted((job for job in self.jobs.values() if job.worker_id in wanted), key=lambda job: job.id)

    def change(self, job: JobRow, **changes: object) -> JobRow:
        """Store a job with some columns changed, and return it."""
        # mypy can check a call of evolve only if the names of the columns are written out.
        changed: JobRow = attrs.evolve(job, **changes)  # type: ignore[arg-type]
        self.jobs[job.id] = changed
        self.touched.add(job.id)
        return changed

    def add_note(self, note: Row) -> int:
        """Store a note of what was done, and return its number."""
        number = int(self.notes[-1]["id"]) + 1 if self.notes else 1
        self.notes.append({"id": number, "at": self.now, "details": None, **note})
        return number

    def forget_steps(self, job_id: int) -> None:
        """Delete what runs of a job have done."""
        for key in [key for key in self.steps if key[0] == job_id]:
            del self.steps[key]

    def arrive(self, id_: int, new: Arrival | None = None) -> None:
        """Note that jobs have ended that a job waits for, or that a workflow counts; without one, that somebody should look."""
        before, new = self.arrivals.get(id_, Arrival()), new or Arrival()
        self.arrivals[id_] = Arrival(
            before.ended + new.ended,
            before.failed + new.failed,
            min(filter(None, (before.reason, new.reason)), default=None),
            before.in_run + new.in_run,
            before.cancelled + new.cancelled,
            before.needless + new.needless,
        )

    def forget_run_waits(self, ids: Collection[int]) -> None:
        """Forget for which others these jobs wait in their runs."""
        self.run_waits = {pair: is_linked for pair, is_linked in self.run_waits.items() if pair[1] not in ids}

    def finish(self, job: JobRow, status: str | None, error: str | None = None, **changes: object) -> None:
        """Move a job to the finished ones; a status of None deletes it."""
        del self.jobs[job.id]
        self.touched.add(job.id)
        if job.has_steps and status in (None, "succeeded"):
            self.forget_steps(job.id)
        if job.waited:
            self.told.add(job.id)
        if job.workflow_id is not None or job.next_id is not None or job.has_dependents:
            is_needless = changes.get("cause") == "needless"
            self.ends.append((job, "needless" if is_needless else status or "deleted"))
        if status is not None:
            errors = with_error(job.errors, error)
            ended: JobRow = attrs.evolve(job, **changes)  # type: ignore[arg-type]
            self.finished[job.id] = attrs.evolve(
                ended, errors=errors, finished_as=status, finished_at=self.now, waited=False
            )
