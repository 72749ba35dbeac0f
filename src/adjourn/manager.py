"""The managers in both colours: what is written once in async, and its generated twin, side by side."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from adjourn import sql
from adjourn._async.connector import AsyncConnectorSource
from adjourn._async.deferrer import AsyncJobDeferrer
from adjourn._async.job_manager import AsyncJobManager
from adjourn._async.schema_manager import AsyncSchemaManager
from adjourn._sync.connector import SyncConnectorSource
from adjourn._sync.deferrer import SyncJobDeferrer
from adjourn._sync.job_manager import SyncJobManager
from adjourn._sync.schema_manager import SyncSchemaManager
from adjourn.exceptions import WrongCaller
from adjourn.grouping import DeferGroup
from adjourn.jobs import Job

P = ParamSpec("P")
R = TypeVar("R")


class ConnectorSource(AsyncConnectorSource, SyncConnectorSource, Protocol):
    """A connector, as managers see it: it says who serves calls of either colour."""


def _awaited_on_a_loop(
    blocking: Callable[Concatenate[JobManager, P], R], asynchronous: Callable[Concatenate[JobManager, P], Awaitable[R]]
) -> Callable[Concatenate[JobManager, P], R]:
    """Return the blocking operation, in whose place the other is returned, to be awaited, where blocking is refused.

    The types say that it blocks: whoever has them checked is told to write the name that ends in ``_async``.
    """

    @functools.wraps(blocking)
    def operation(self: JobManager, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return blocking(self, *args, **kwargs)
        except WrongCaller:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                return cast("R", asynchronous(self, *args, **kwargs))
            raise

    return operation


class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours.

    Programs that were written for Procrastinate await some operations by the names that block here. On the thread of the
    event loop that an app was opened on, where nothing may block, these names therefore do what their ``_async`` forms
    do: ``get_stalled_jobs``, ``delete_old_jobs``, ``retry_job`` and ``defer_periodic_job``.
    """

    connector: ConnectorSource

    # For checkers of types these block, as they are inherited.
    if not TYPE_CHECKING:
        get_stalled_jobs = _awaited_on_a_loop(SyncJobManager.get_stalled_jobs, AsyncJobManager.get_stalled_jobs_async)
        delete_old_jobs = _awaited_on_a_loop(SyncJobManager.delete_old_jobs, AsyncJobManager.delete_old_jobs_async)
        retry_job = _awaited_on_a_loop(SyncJobManager.retry_job, AsyncJobManager.retry_job_async)
        defer_periodic_job = _awaited_on_a_loop(
            SyncJobManager.defer_periodic_job, AsyncJobManager.defer_periodic_job_async
        )

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._group = DeferGroup(super().defer_job_async, super().batch_defer_jobs_async)

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job, in one commit with others that are deferred at the same time.

        Takes and raises what `AsyncJobManager.defer_job_async` does. A job with a queueing lock, or on the caller's
        connection, is stored by itself.
        """
        if connection is None and isinstance(job, Job) and job.queueing_lock is None:
            return await self._group.defer(job)
        return await super().defer_job_async(job, connection)


class _GetSchema:
    """A method of objects and of their class alike."""

    def __get__(self, manager: SchemaManager | None, owner: type[SchemaManager]) -> Callable[[], str]:
        return functools.partial(sql.whole_schema, sql.DEFAULT_SCHEMA if manager is None else manager.schema)


class SchemaManager(AsyncSchemaManager, SyncSchemaManager):
    """Applies and describes the schema, in both colours.

    Attributes
    ----------
    get_schema
        Called, returns the SQL of the whole schema, as text for people and for other tools. Called on the class it
        speaks of the schema ``adjourn``, else of the manager's own.
    """

    connector: ConnectorSource
    get_schema: _GetSchema = _GetSchema()


class JobDeferrer(AsyncJobDeferrer, SyncJobDeferrer):
    """Makes and stores jobs of one task with fixed options, in both colours."""

    job_manager: JobManager
