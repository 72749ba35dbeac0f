"""adjourn's jobs, events, schedules and workers as Django models, to query and to show. They are read-only.

The tables are those that the schema of adjourn has, in the database ``ADJOURN_DATABASE_ALIAS`` and the schema
``ADJOURN_SCHEMA``. `ProcrastinateJob`, `ProcrastinateEvent`, `ProcrastinatePeriodicDefer` and `ProcrastinateWorker` are the same
models under the names that programs written for Procrastinate use.

A model of yours refers to a job by ``ForeignKey(Job, on_delete=DO_NOTHING, db_constraint=False)``: a job moves from one table to
another when it ends, so the database cannot watch over the reference.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, ClassVar

from django.db import models
from django.utils.timezone import is_aware, make_aware, now
from django.utils.translation import gettext_lazy as _

from adjourn import jobs
from adjourn._domain.progress import progress_of
from adjourn._domain.terms import JobTerms
from adjourn.contrib.django import writing
from adjourn.contrib.django.fields import PlainArrayField
from adjourn.contrib.django.querysets import Guarded
from adjourn.contrib.django.tables import table

__all__ = [
    "Event",
    "Job",
    "ProcrastinateEvent",
    "ProcrastinateJob",
    "ProcrastinatePeriodicDefer",
    "ProcrastinateWorker",
    "Schedule",
    "Worker",
]


class Worker(Guarded):
    """A worker that runs, or that ended without unregistering."""

    instead: ClassVar[dict[str, str]] = dict.fromkeys(
        ("store", "change", "delete"), "Workers write this table: they register, and unregister when they stop."
    )

    id: models.BigAutoField[int, int] = models.BigAutoField(_("ID"), primary_key=True)
    name: models.TextField[str, str] = models.TextField(_("name"))
    queues: Any = PlainArrayField(
        models.TextField(), verbose_name=_("queues"), null=True, help_text=_("None: every queue.")
    )
    started_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        _("started at"), default=now
    )
    last_heartbeat: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        _("last heartbeat"), db_column="last_heartbeat_at", default=now
    )
    expires_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        _("counts as alive until")
    )
    jobs: Any
    dead: models.BooleanField[bool, bool] = models.BooleanField(_("dead"), default=False)
    details: models.JSONField[Any, Any] = models.JSONField(_("details"), null=True)

    class Meta(Guarded.Meta):
        db_table = table("workers")
        base_manager_name = "objects"
        default_permissions = ("view",)
        get_latest_by = "id"
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class Job(Guarded):
    """A job, whether it waits, runs or has ended."""

    class Status(models.TextChoices):
        """The status of a job."""

        TODO = "todo", _("waiting")
        DOING = "doing", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        ABORTED = "aborted", _("aborted")

    class WaitsFor(models.TextChoices):
        """What keeps a waiting job."""

        WORKER = "worker", _("a worker")
        TIME = "time", _("its time")
        EVENT = "event", _("an event")
        RETRY = "retry", _("the delay of its retry")
        LOCK = "lock", _("its lock")
        TASK = "task", _("a worker that knows its task")
        TURN = "turn", _("a turn apart from other jobs")
        JOBS = "jobs", _("other jobs")
        LIMIT = "limit", _("a place under a limit")
        PAUSE = "pause", _("the end of a pause")

    instead: ClassVar[dict[str, str]] = {
        "store": "Defer a task: `task.defer(...)`.",
        "change": "Use `app.job_manager`: `retry_job_by_id`, `cancel_job_by_id`, `retry_jobs`, `cancel_jobs`, `abort_jobs`.",
        "delete": "Use `app.job_manager`: `delete_jobs`, `delete_old_jobs`, or `cancel_job_by_id(..., delete_job=True)`.",
    }

    id: models.BigAutoField[int, int] = models.BigAutoField(_("ID"), primary_key=True)
    queue_name: models.TextField[str, str] = models.TextField(_("queue"), db_column="queue", default=jobs.DEFAULT_QUEUE)
    task_name: models.TextField[str, str] = models.TextField(_("task"))
    priority: models.IntegerField[int, int] = models.IntegerField(_("priority"), default=jobs.DEFAULT_PRIORITY)
    lock: models.TextField[str | None, str | None] = models.TextField(_("lock"), null=True)
    queueing_lock: models.TextField[str | None, str | None] = models.TextField(_("queueing lock"), null=True)
    args: models.JSONField[Any, Any] = models.JSONField(_("arguments"), default=dict)
    status: models.CharField[str, str] = models.CharField(
        _("status"), max_length=32, choices=Status.choices, default=Status.TODO
    )
    waits_for: models.CharField[str | None, str | None] = models.CharField(
        _("waits for"), max_length=32, choices=WaitsFor.choices, null=True, editable=False
    )
    scheduled_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("scheduled at"), null=True
    )
    enqueued_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        _("deferred at"), default=now
    )
    started_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("started at"), null=True
    )
    finished_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("finished at"), null=True
    )
    attempts: models.IntegerField[int, int] = models.IntegerField(_("attempts"), default=0)
    abort_requested: models.BooleanField[bool, bool] = models.BooleanField(_("abort requested"), default=False)
    errors: models.JSONField[Any, Any] = models.JSONField(_("errors"), null=True)
    headers: models.JSONField[Any, Any] = models.JSONField(_("headers"), null=True)
    result: models.JSONField[Any, Any] = models.JSONField(_("result"), null=True)
    result_expires_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("result lapses at"), null=True
    )
    expires_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("does not begin after"), null=True
    )
    max_attempts: models.IntegerField[int | None, int | None] = models.IntegerField(
        _("runs again at most"), null=True, help_text=_("None: what its task says.")
    )
    progress: models.JSONField[Any, Any] = models.JSONField(_("progress"), null=True)
    reason: models.TextField[str | None, str | None] = models.TextField(_("reason"), null=True)
    workflow_id: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(_("workflow"), null=True)
    is_live: models.BooleanField[bool, bool] = models.BooleanField(_("waits or runs"), default=True, editable=False)
    claim: models.IntegerField[int, int] = models.IntegerField(_("claims by workers"), default=0, editable=False)
    events: Any
    worker_id: int | None
    worker: models.ForeignKey[Worker | None, Worker | None] = models.ForeignKey(
        Worker,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="jobs",
        verbose_name=_("worker"),
    )

    class Meta(Guarded.Meta):
        db_table = table("all_jobs")
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")
        get_latest_by = "id"
        verbose_name = _("job")
        verbose_name_plural = _("jobs")

    def __str__(self) -> str:
        if "args" in self.get_deferred_fields():  # a list that does not show them
            return f"{self.task_name}[{self.pk}]"
        return jobs.Job(id=self.pk, queue=self.queue_name, task_name=self.task_name, task_kwargs=self.args).call_string

    @property
    def job(self) -> jobs.Job:
        """The same job as adjourn's own class."""
        return jobs.Job(
            id=self.pk,
            status=self.status,
            queue=self.queue_name,
            priority=self.priority,
            lock=self.lock,
            queueing_lock=self.queueing_lock,
            task_name=self.task_name,
            task_kwargs=self.args,
            scheduled_at=_aware(self.scheduled_at),
            attempts=self.attempts,
            abort_requested=self.abort_requested,
            worker_id=self.worker_id,
            claim=self.claim,
            enqueued_at=_aware(self.enqueued_at),
            started_at=_aware(self.started_at),
            finished_at=_aware(self.finished_at),
            errors=tuple(self.errors or ()),
            result=self.result,
            has_result=self.result is not None,
            result_expires_at=_aware(self.result_expires_at),
            reason=self.reason,
            headers=self.headers,
            progress=None if self.progress is None else progress_of(json.dumps(self.progress)),
            terms=JobTerms.of_row({"expires_at": _aware(self.expires_at), "max_attempts": self.max_attempts}),
        )

    @property
    def procrastinate_job(self) -> jobs.Job:
        """The same as `job`."""
        return self.job

    def write_save(self, *args: Any, **kwargs: Any) -> None:
        """Store this job in the table where its status belongs; for tests."""
        writing.store_job(self, kwargs.get("using"))

    @classmethod
    def write_update(cls, rows: models.QuerySet[Any], values: dict[str, Any]) -> int:
        """Change jobs one by one, each in the table where its status belongs; for tests."""
        return writing.update_jobs(rows, values)

    @classmethod
    def write_delete(cls, rows: models.QuerySet[Any]) -> tuple[int, dict[str, int]]:
        """Delete jobs from their tables; for tests."""
        count = writing.delete_jobs(rows)
        return count, {cls._meta.label: count}


class Event(Guarded):
    """Something that happened to a job, made from what the job holds: no event is stored.

    Events of the attempts whose errors were dropped are missing, and an id may change when an error is dropped. Query them by
    job: a query for other columns makes the events of all jobs.
    """

    class Type(models.TextChoices):
        """What happened."""

        DEFERRED = "deferred", _("deferred")
        SCHEDULED = "scheduled", _("scheduled")
        STARTED = "started", _("started")
        DEFERRED_FOR_RETRY = "deferred_for_retry", _("deferred for a retry")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        ABORTED = "aborted", _("aborted")

    instead: ClassVar[dict[str, str]] = dict.fromkeys(
        ("store", "change", "delete"), "Events are made from the columns of jobs, so there is nothing to write."
    )

    id: models.BigAutoField[int, int] = models.BigAutoField(_("ID"), primary_key=True)
    job_id: int
    job: models.ForeignKey[Job, Job] = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, related_name="events", verbose_name=_("job")
    )
    type: models.CharField[str, str] = models.CharField(_("type"), max_length=32, choices=Type.choices)
    at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(_("at"))

    class Meta(Guarded.Meta):
        db_table = table("events")
        base_manager_name = "objects"
        default_permissions = ("view",)
        get_latest_by = "at"
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.Type(self.type).label}: {self.at}"


class Schedule(Guarded):
    """A schedule of a periodic task that has been due at least once."""

    instead: ClassVar[dict[str, str]] = dict.fromkeys(
        ("store", "change", "delete"), "Declare schedules by `@app.periodic`: workers write this table."
    )

    id: models.BigAutoField[int, int] = models.BigAutoField(_("ID"), primary_key=True)
    task_name: models.TextField[str, str] = models.TextField(_("task"))
    periodic_id: models.TextField[str, str] = models.TextField(_("periodic ID"), default="")
    cron: models.TextField[str, str] = models.TextField(_("cron expression"))
    timezone: models.TextField[str, str] = models.TextField(_("time zone"), default="UTC")
    last_tick: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(_("last tick"))
    next_tick: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("next tick"), null=True
    )
    last_job_id: int | None
    last_job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+", verbose_name=_("last job")
    )
    seen_at: models.DateTimeField[datetime.datetime, datetime.datetime] = models.DateTimeField(
        _("last used by a worker"), default=now
    )
    paused_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("paused since"), null=True
    )
    pause_ends_at: models.DateTimeField[datetime.datetime | None, datetime.datetime | None] = models.DateTimeField(
        _("paused until"), null=True
    )
    paused_by: models.TextField[str | None, str | None] = models.TextField(_("paused by"), null=True)
    pause_reason: models.TextField[str | None, str | None] = models.TextField(_("paused because"), null=True)

    class Meta(Guarded.Meta):
        db_table = table("schedules")
        base_manager_name = "objects"
        default_permissions = ("view", "change")
        get_latest_by = "last_tick"
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")

    def __str__(self) -> str:
        return f"{self.task_name} ({self.periodic_id})" if self.periodic_id else self.task_name

    @property
    def defer_timestamp(self) -> int:
        """The last tick, in seconds since the epoch."""
        tick = _aware(self.last_tick)
        assert tick is not None
        return int(tick.timestamp())

    @property
    def job(self) -> Job | None:
        """The job of the last tick; None if there was none, or if it was deleted."""
        return self.last_job


def _aware(value: datetime.datetime | None) -> datetime.datetime | None:
    """With ``USE_TZ=False`` Django reads times as those of its own zone, without saying so."""
    return value if value is None or is_aware(value) else make_aware(value)


ProcrastinateJob = Job
ProcrastinateEvent = Event
ProcrastinatePeriodicDefer = Schedule
ProcrastinateWorker = Worker
"""The names of the models in programs that were written for Procrastinate."""
