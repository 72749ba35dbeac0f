"""The managers in both colours: what is written once in async, and its generated twin, side by side."""

from __future__ import annotations

from typing import Protocol

from adjourn._async.connector import AsyncConnectorSource
from adjourn._async.deferrer import AsyncJobDeferrer
from adjourn._async.job_manager import AsyncJobManager
from adjourn._async.schema_manager import AsyncSchemaManager
from adjourn._sync.connector import SyncConnectorSource
from adjourn._sync.deferrer import SyncJobDeferrer
from adjourn._sync.job_manager import SyncJobManager
from adjourn._sync.schema_manager import SyncSchemaManager


class ConnectorSource(AsyncConnectorSource, SyncConnectorSource, Protocol):
    """A connector, as managers see it: it says who serves calls of either colour."""


class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours."""

    connector: ConnectorSource


class SchemaManager(AsyncSchemaManager, SyncSchemaManager):
    """Applies and describes the schema, in both colours."""

    connector: ConnectorSource


class JobDeferrer(AsyncJobDeferrer, SyncJobDeferrer):
    """Makes and stores jobs of one task with fixed options, in both colours."""

    job_manager: JobManager
