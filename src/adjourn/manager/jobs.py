"""The manager of jobs, in both colours."""

from __future__ import annotations

from typing import Any, NoReturn

from adjourn import exceptions, sql
from adjourn._async.managers.forwarding import part_of
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._compat.awaited import awaitable_on_a_loop
from adjourn._domain.jobs import Job
from adjourn._sync.managers.jobs import SyncJobManager
from adjourn.events import Events
from adjourn.events.log import LOGGED
from adjourn.manager.grouping import DeferGroup
from adjourn.manager.limits import Limits
from adjourn.manager.lists import JobLists
from adjourn.manager.many import ManyJobs
from adjourn.manager.results import Results
from adjourn.manager.retention import Retention
from adjourn.manager.schedules import Schedules, Ticks
from adjourn.manager.source import ConnectorSource
from adjourn.manager.workers import Workers


@awaitable_on_a_loop
class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours.

    It stores and changes jobs itself. It also has the operations of its managers `lists`, `many`, `results`,
    `limits`, `workers`, `retention` and `schedules`: ``list_jobs`` calls ``lists.list_jobs``.

    Parameters
    ----------
    connector
        The connector to the database.
    schema
        The database schema that holds adjourn's tables.
    """

    connector: ConnectorSource
    events: Events = LOGGED

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._group = DeferGroup(super().defer_job_async, super().batch_defer_jobs_async)

    @property
    def lists(self) -> JobLists:
        """Finds jobs, and counts them."""
        return part_of(self, JobLists)

    @property
    def many(self) -> ManyJobs:
        """Changes many jobs at once, by their ids."""
        return part_of(self, ManyJobs)

    @property
    def results(self) -> Results:
        """Waits for jobs to end, and finds what their tasks have returned."""
        return part_of(self, Results)

    @property
    def limits(self) -> Limits:
        """Pauses queues and tasks, and sets limits."""
        return part_of(self, Limits)

    @property
    def workers(self) -> Workers:
        """A worker's operations one by one, for tools and tests."""
        return part_of(self, Workers)

    @property
    def retention(self) -> Retention:
        """Deletes old finished jobs."""
        return part_of(self, Retention)

    @property
    def schedules(self) -> Schedules:
        """Defers the ticks of periodic tasks, and keeps their schedules."""
        return part_of(self, Schedules)

    @property
    def ticks(self) -> Ticks:
        """Defers many ticks at once, for workers."""
        return part_of(self, Ticks)

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job, in one commit with others that are deferred at the same time.

        It takes the same parameters and raises the same errors as `AsyncJobManager.defer_job_async`. A job with a
        queueing lock, or on the caller's connection, is stored by itself.
        """
        if connection is None and isinstance(job, Job) and job.queueing_lock is None:
            return await self._group.defer(job)
        return await super().defer_job_async(job, connection)

    async def listen_for_jobs(self, **options: Any) -> NoReturn:
        """Refuse: new jobs are announced only while a worker has nothing to do, so another listener would miss most.

        Raises
        ------
        MovedElsewhere
            Always. ``connector.listen_notify`` listens on channels of your own, and `App.events` tells what this process does.
        """
        raise exceptions.MovedElsewhere(
            "JobManager.listen_for_jobs is not here: new jobs are announced only while a worker has nothing to do, so "
            "you would miss most. Listen on a channel of your own with connector.listen_notify, which whoever defers "
            "notifies; app.events tells what happens in this process."
        )
