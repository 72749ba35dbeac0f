"""The manager of jobs that are stored through Django's connection."""

from __future__ import annotations

from typing import Any

from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._domain.jobs import Job
from adjourn.contrib.django.settings import settings
from adjourn.manager import JobManager
from adjourn.manager.source import ConnectorSource

__all__ = ["DjangoJobManager"]


class DjangoJobManager(JobManager):
    """Every operation on jobs, in the schema that ``ADJOURN_SCHEMA`` names at each call.

    Parameters
    ----------
    connector
        The connector.
    schema
        The schema; None for that of the settings.
    """

    def __init__(self, connector: ConnectorSource, schema: str | None = None) -> None:
        self._schema: str | None = None
        super().__init__(connector)
        self._schema = schema

    @property
    def schema(self) -> str:
        """The database schema that holds adjourn's tables."""
        return settings.SCHEMA if self._schema is None else self._schema

    @schema.setter
    def schema(self, name: str) -> None:
        self._schema = name

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job. See `JobManager.defer_job_async`.

        Calls do not share a commit, because each of them has its own connection and may have its own transaction.
        """
        return await AsyncJobManager.defer_job_async(self, job, connection)
