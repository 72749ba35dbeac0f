"""The managers in both colours: what is written once in async, and its generated twin, side by side."""

from __future__ import annotations

from typing import Any, Protocol

from adjourn import sql
from adjourn._async.connector import AsyncConnectorSource
from adjourn._async.deferrer import AsyncJobDeferrer
from adjourn._async.job_manager import AsyncJobManager
from adjourn._async.schema_manager import AsyncSchemaManager
from adjourn._sync.connector import SyncConnectorSource
from adjourn._sync.deferrer import SyncJobDeferrer
from adjourn._sync.job_manager import SyncJobManager
from adjourn._sync.schema_manager import SyncSchemaManager
from adjourn.grouping import DeferGroup
from adjourn.jobs import Job


class ConnectorSource(AsyncConnectorSource, SyncConnectorSource, Protocol):
    """A connector, as managers see it: it says who serves calls of either colour."""


class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours."""

    connector: ConnectorSource

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._group = DeferGroup(super().defer_job_async, super().batch_defer_jobs_async)

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job, in one commit with others that are deferred at the same time.

        Takes and raises what `AsyncJobManager.defer_job_async` does. A job with a queueing lock, or on the caller's
        connection, is stored by itself.
        """
        if connection is not None or job.queueing_lock is not None:
            return await super().defer_job_async(job, connection)
        return await self._group.defer(job)


class SchemaManager(AsyncSchemaManager, SyncSchemaManager):
    """Applies and describes the schema, in both colours."""

    connector: ConnectorSource


class JobDeferrer(AsyncJobDeferrer, SyncJobDeferrer):
    """Makes and stores jobs of one task with fixed options, in both colours."""

    job_manager: JobManager
