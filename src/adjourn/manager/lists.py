"""The manager that finds jobs, in both colours."""

from __future__ import annotations

from adjourn._async.managers.lists import AsyncJobLists
from adjourn._sync.managers.lists import SyncJobLists
from adjourn.manager.source import ConnectorSource


class JobLists(AsyncJobLists, SyncJobLists):
    """Finds jobs and counts them, in both colours."""

    connector: ConnectorSource
