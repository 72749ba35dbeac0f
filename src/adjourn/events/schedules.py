"""The events of the schedules of periodic tasks."""

from __future__ import annotations

import datetime

import attrs

from adjourn._domain.jobs import Job
from adjourn.events.jobs import JobsDeferred
from adjourn.events.subscriptions import Event


@attrs.frozen(kw_only=True)
class PeriodicJobDeferred(JobsDeferred):
    """A periodic task was due, and its job was stored. That is the only job in ``jobs``.

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
    """A periodic task was due, but its job was not stored and will not be.

    If several ticks of a schedule are too late, this is told of the latest of them, and by one worker.

    Attributes
    ----------
    job
        The job, without an id.
    periodic_id
        Tells several schedules of one task apart.
    tick
        When it was due.
    reason
        ``"queueing_lock"``: a job with its queueing lock waits already. ``"too_late"``: the tick is later than
        ``max_delay`` allows. ``"missed"``: no worker was running, and the schedule says ``missed="skip"``.
    delay
        How many seconds late the tick was.
    max_delay
        How many seconds late it might have been; None if that was not the reason.
    error
        For a queueing lock, the error that deferring raises.
    """

    job: Job
    periodic_id: str
    tick: datetime.datetime
    reason: str
    delay: float
    max_delay: float | None = None
    error: BaseException | None = None


@attrs.frozen(kw_only=True)
class PeriodicJobHeldUp(Event):
    """A periodic task is due, but another transaction, which is still open, holds its queueing lock or its schedule. The
    tick is tried again until that transaction ends.

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
class PeriodicJobAlreadyDeferred(Event):
    """A periodic task was due, but another worker had already stored this job or a later one.

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
    """A schedule was removed from the database, because no program has used it for a week.

    Attributes
    ----------
    task_name
        The periodic task's name.
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
        The error.
    task_name
        The one that could not be deferred; None if the database did not serve any.
    retry_in
        Seconds until the next try; None if this tick is left out.
    is_news
        Whether the log tells of it: of an outage, the first failure, one of another kind, and one each minute.
    """

    error: BaseException
    task_name: str | None = None
    retry_in: float | None = None
    is_news: bool = True
