"""The manager of jobs, in both colours."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from adjourn import exceptions, sql, telemetry
from adjourn._async.managers.forwarding import part_of
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._compat.awaited import awaitable_on_a_loop
from adjourn._domain.actions import Author, check_author
from adjourn._domain.batches import EncodedJob
from adjourn._domain.jobs import Job
from adjourn._domain.noting import Note
from adjourn._sync.managers.jobs import SyncJobManager
from adjourn.events import Events
from adjourn.events.log import LOGGED
from adjourn.limits import Limit, Scope
from adjourn.manager.actions import Actions
from adjourn.manager.grouping import DeferGroup
from adjourn.manager.limits import Limits
from adjourn.manager.lists import JobLists
from adjourn.manager.many import ManyJobs
from adjourn.manager.results import Results
from adjourn.manager.retention import Retention
from adjourn.manager.runs import Runs
from adjourn.manager.schedules import Schedules, Ticks
from adjourn.manager.search import JobSearch
from adjourn.manager.sharing import ThreadGroup
from adjourn.manager.source import ConnectorSource
from adjourn.manager.workers import Workers
from adjourn.manager.workflows import Workflows


@awaitable_on_a_loop
class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours.

    It stores and changes jobs itself. It also has the operations of its managers `lists`, `many`, `search`, `results`,
    `limits`, `workers`, `workflows`, `retention` and `schedules`: ``list_jobs`` calls ``lists.list_jobs``.

    Parameters
    ----------
    connector
        The connector to the database.
    schema
        The database schema that holds adjourn's tables.
    """

    connector: ConnectorSource
    events: Events = LOGGED
    declares: Callable[[], Mapping[tuple[Scope, str], Limit]] = staticmethod(dict)
    """Returns the limits that the program declares."""

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._group = DeferGroup(self._store_async, self._store_group_async)
        self._threads = ThreadGroup(self._store, self._store_group)

    def acting_for(
        self,
        author: Author,
        *,
        target: str | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - as the note's
    ) -> Self:
        """Return a manager whose changes are noted: who made them, and what came of it, as ``actions.list_audit`` returns it.

        The note of a change is stored with it, in one commit, or in the caller's transaction: of jobs and workflows that are run again, cancelled,
        aborted, changed or deleted, of pauses and their ends, and of limits. Of what changes nothing there is no note, nor of jobs that are
        deferred.

        Parameters
        ----------
        author
            Who does it.
        target, filter
            What the notes of changes of many jobs name: the change as a whole, and the filters of its jobs. Default: which ids they have.

        Raises
        ------
        InvalidOption
            If ``author`` is not an `adjourn.jobs.Author`.
        """
        check_author(author)
        other = copy.copy(self)
        vars(other).pop("_parts", None)
        other.note = Note(author=author, target=target, filter=filter)
        return other

    async def _store_group_async(self, group: Sequence[EncodedJob]) -> list[Job]:
        with telemetry.around_group([each.job for each in group]):
            return await self._store_several_async(group)

    def _store_group(self, group: Sequence[EncodedJob]) -> list[Job]:
        with telemetry.around_group([each.job for each in group]):
            return self._store_several(group)

    @property
    def lists(self) -> JobLists:
        """Finds jobs, and counts them."""
        return part_of(self, JobLists)

    @property
    def many(self) -> ManyJobs:
        """Changes many jobs at once, by their ids."""
        return part_of(self, ManyJobs)

    @property
    def search(self) -> JobSearch:
        """Searches jobs, at a cost that has a bound."""
        return part_of(self, JobSearch)

    @property
    def actions(self) -> Actions:
        """Holds jobs as they were seen, and keeps notes of what people do."""
        return part_of(self, Actions)

    @property
    def results(self) -> Results:
        """Waits for jobs to end, and finds what their tasks have returned."""
        return part_of(self, Results)

    @property
    def runs(self) -> Runs:
        """What runs do with their own jobs, by way of their contexts."""
        return part_of(self, Runs)

    @property
    def limits(self) -> Limits:
        """Pauses queues and tasks, and sets limits."""
        limits = part_of(self, Limits)
        limits.declares = self.declares
        return limits

    @property
    def workers(self) -> Workers:
        """A worker's operations one by one, for tools and tests."""
        return part_of(self, Workers)

    @property
    def workflows(self) -> Workflows:
        """Stores workflows, and changes them."""
        return part_of(self, Workflows)

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
        queueing lock, a unique one, or one on the caller's connection, is stored by itself.
        """
        encoded = self._encoded(job)
        if connection is None and job.queueing_lock is None and job.unique is None:
            return await self._group.defer(encoded)
        return await self._store_async(encoded, connection)

    def defer_job(self, job: Job, connection: Any = None) -> Job:
        """Store one job, in one commit with others that threads defer at the same time.

        It takes the same parameters and raises the same errors as `AsyncJobManager.defer_job_async`. A job with a
        queueing lock, a unique one, or one on the caller's connection, is stored by itself, and so is each where calls of a thread have a
        connection or an event loop of their own (`BaseConnector.shares_commits`).
        """
        encoded = self._encoded(job)
        if connection is None and job.queueing_lock is None and job.unique is None and self.connector.shares_commits:
            return self._threads.defer(encoded)
        return self._store(encoded, connection)

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
