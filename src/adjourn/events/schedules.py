"""What happens to the schedules of periodic tasks."""

from __future__ import annotations

import datetime

import attrs

from adjourn._domain.jobs import Job
from adjourn.events.jobs import JobsDeferred
from adjourn.events.subscriptions import Event


@attrs.frozen(kw_only=True)
class PeriodicJobDeferred(JobsDeferred):
    """The job of a periodic task that was due was stored. It is the only one of ``jobs``.

    Attributes
    ----------
    periodic_id
        Tells several schedules of one task apart.
    tick
        When it was due.
    """

    periodic_id: str
    tick: datetime.datetime


@attrs.frozen(kw_only=True)
class PeriodicJobSkipped(Event):
    """The job of a periodic task that was due was not stored: a job with its queueing lock waits already.

    Attributes
    ----------
    job
        The job, without an id.
    periodic_id
        Tells several schedules of one task apart.
    tick
        When it was due.
    error
        The error that says so.
    """

    job: Job
    periodic_id: str
    tick: datetime.datetime
    error: BaseException


@attrs.frozen(kw_only=True)
class PeriodicJobAlreadyDeferred(Event):
    """Another worker had stored the job of a periodic task that was due, or a later one.

    Attributes
    ----------
    job
        The job, without an id.
    periodic_id
        Tells several schedules of one task apart.
    tick
        When it was due.
    """

    job: Job
    periodic_id: str
    tick: datetime.datetime


@attrs.frozen(kw_only=True)
class ScheduleForgotten(Event):
    """A schedule was removed from the database, because no program has had it for a week.

    Attributes
    ----------
    task_name
        Of which periodic task.
    periodic_id
        Tells several schedules of one task apart.
    """

    task_name: str
    periodic_id: str


@attrs.frozen(kw_only=True)
class SchedulingFailed(Event):
    """Periodic tasks could not be deferred: all of them, or one.

    Attributes
    ----------
    error
        Why.
    task_name
        The one that could not be deferred; None if the database did not serve any.
    retry_in
        Seconds after which it is tried again; None if this tick is left out.
    """

    error: BaseException
    task_name: str | None = None
    retry_in: float | None = None
