"""Writing jobs by hand, for tests: a job goes into the table where its status belongs.

Programs defer jobs, and change them by ``app.job_manager``. A test wants more: a job that failed last year.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.apps.registry import Apps
from django.db import models, transaction
from django.utils import timezone

from adjourn.contrib.django import private
from adjourn.contrib.django.settings import settings
from adjourn.contrib.django.tables import table
from adjourn.sql.constants import Hold

__all__ = ["delete_jobs", "store_job", "update_jobs"]

LIVE = ("todo", "doing")
ALIVE_FOR = datetime.timedelta(hours=1)
"""How long the worker counts as alive that a running job gets if it has none."""

_own = Apps()
"""Models of the tables themselves, which nobody else finds."""


class _Row(models.Model):
    """The columns that both tables of jobs have."""

    id: Any = models.BigAutoField(primary_key=True)
    queue: Any = models.TextField()
    task_name: Any = models.TextField()
    priority: Any = models.IntegerField()
    lock: Any = models.TextField(null=True)
    queueing_lock: Any = models.TextField(null=True)
    args: Any = models.JSONField()
    scheduled_at: Any = models.DateTimeField(null=True)
    attempts: Any = models.IntegerField()
    losses: Any = models.SmallIntegerField(default=0)
    claim: Any = models.IntegerField()
    worker_id: Any = models.BigIntegerField(null=True)
    abort_requested: Any = models.BooleanField()
    enqueued_at: Any = models.DateTimeField()
    started_at: Any = models.DateTimeField(null=True)
    errors: Any = models.JSONField(null=True)
    headers: Any = models.JSONField(null=True)

    class Meta:
        abstract = True


class LiveRow(_Row):
    """A job that waits or runs."""

    hold: Any = models.SmallIntegerField()
    special: Any = models.BooleanField(null=True)
    progress: Any = models.JSONField(null=True)
    expires_at: Any = models.DateTimeField(null=True)
    max_attempts: Any = models.IntegerField(null=True)
    workflow_id: Any = models.BigIntegerField(null=True)
    waiting_queueing_lock: Any = models.TextField(null=True)

    class Meta:
        app_label = "adjourn"
        apps = _own
        db_table = table("jobs")


class FinishedRow(_Row):
    """A job that has ended."""

    status: Any = models.TextField()
    finished_at: Any = models.DateTimeField()
    result: Any = models.JSONField(null=True)
    result_expires_at: Any = models.DateTimeField(null=True)
    special: Any = models.JSONField(null=True)

    class Meta:
        app_label = "adjourn"
        apps = _own
        db_table = table("finished_jobs")


_TERMS = ("progress", "expires_at", "max_attempts", "workflow_id")
"""What plain jobs do not have. Of one that has ended it is in the column `special`."""
_COLUMNS = tuple(field.name for field in _Row._meta.local_fields if field.name not in ("queue", "losses", "claim"))


def store_job(job: Any, using: str | None = None) -> None:
    """Store a job, or store it anew.

    Parameters
    ----------
    job
        The model instance. It gets an id, and the times and the worker that its status calls for, if they are missing.
    using
        The name of the database; None for ``ADJOURN_DATABASE_ALIAS``.

    Raises
    ------
    IntegrityError
        If its lock or its queueing lock is taken.
    """
    alias = using or settings.DATABASE_ALIAS
    with transaction.atomic(using=alias):
        claim = _take_out(alias, [job.pk])
        _complete(job, alias)
        columns: dict[str, Any] = {name: getattr(job, "pk" if name == "id" else name) for name in _COLUMNS}
        columns.update(queue=job.queue_name, claim=claim)
        if job.pk is None:
            # Each job gets its id from the table of those that wait.
            first = LiveRow(**{**columns, "lock": None, "hold": Hold.SCHEDULED})
            first.save(using=alias, force_insert=True)
            LiveRow(id=first.pk).delete(using=alias)
            job.pk = columns["id"] = first.pk
        if job.status in LIVE:
            is_waiting = job.status == "todo"
            row: _Row = LiveRow(
                **columns,
                **{name: getattr(job, name) for name in _TERMS},
                special=any(getattr(job, name) is not None for name in _TERMS[1:]) or None,
                hold=_hold(job),
                waiting_queueing_lock=job.queueing_lock if is_waiting else None,
            )
        else:
            row = FinishedRow(
                **columns,
                status=job.status,
                finished_at=job.finished_at,
                result=job.result,
                result_expires_at=job.result_expires_at,
                special=_special(job),
            )
        row.save(using=alias, force_insert=True)
    job._state.db, job._state.adding = alias, False
    job.is_live, job.claim = job.status in LIVE, claim


def update_jobs(rows: Any, values: dict[str, Any]) -> int:
    """Set attributes of jobs, which may be expressions of Django only if they are plain values.

    Parameters
    ----------
    rows
        The query set.
    values
        The new values by the names of the fields.

    Returns
    -------
    int
        How many jobs there were.
    """
    with transaction.atomic(using=rows.db):
        jobs = list(rows)
        for job in jobs:
            for name, value in values.items():
                if hasattr(value, "resolve_expression"):
                    raise TypeError(
                        f"{name}: pass a plain value. A job is stored anew, so the database computes nothing."
                    )
                setattr(job, name, value)
            store_job(job, rows.db)
    return len(jobs)


def delete_jobs(rows: Any) -> int:
    """Delete jobs, and return how many."""
    ids = list(rows.values_list("pk", flat=True))
    with transaction.atomic(using=rows.db):
        _take_out(rows.db, ids)
    return len(ids)


def _take_out(alias: str, ids: list[Any]) -> int:
    """Delete these jobs; return the highest number of a claim that one of them had."""
    claim = 0
    for kind in (LiveRow, FinishedRow):
        rows = kind._default_manager.using(alias).filter(id__in=[each for each in ids if each is not None])
        claim = max(claim, rows.aggregate(claim=models.Max("claim"))["claim"] or 0)
        private.delete_rows(rows, alias)
    return claim


def _complete(job: Any, alias: str) -> None:
    now = timezone.now()
    for name in ("scheduled_at", "enqueued_at", "started_at", "finished_at", "expires_at"):
        # As Django's fields do it, a time may be given as text.
        setattr(job, name, job._meta.get_field(name).to_python(getattr(job, name)))
    if job.status == "doing" and job.worker_id is None:
        worker_model = type(job)._meta.get_field("worker").related_model
        worker = worker_model(name="made by a test", expires_at=now + ALIVE_FOR)
        worker.save_base(using=alias, force_insert=True)
        job.worker = worker
    if job.status == "todo":
        job.worker, job.started_at, job.finished_at = None, None, None
        return
    if job.started_at is None and job.status != "cancelled":
        job.started_at = job.finished_at or now
    if job.status == "doing":
        job.finished_at = None
    elif job.finished_at is None:
        job.finished_at = now
    job.enqueued_at = min(job.enqueued_at, job.started_at or job.finished_at)


def _special(job: Any) -> dict[str, Any] | None:
    """Return what the row of a job that has ended says of its terms, and of why it was cancelled."""
    values = {name: getattr(job, name) for name in (*_TERMS, "reason")}
    if job.expires_at is not None:
        at = job.expires_at if timezone.is_aware(job.expires_at) else timezone.make_aware(job.expires_at)
        values["expires_at"] = at.isoformat()
    return {name: value for name, value in values.items() if value is not None} or None


def _hold(job: Any) -> Hold:
    if job.status == "todo" and job.scheduled_at is not None and job.scheduled_at > timezone.now():
        return Hold.SCHEDULED
    return Hold.UNPLACED if job.status == "todo" and job.lock is not None else Hold.READY
