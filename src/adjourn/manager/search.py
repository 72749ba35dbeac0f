"""The manager that searches jobs, in both colours."""

from __future__ import annotations

from adjourn._async.managers.search import AsyncJobSearch
from adjourn._sync.managers.search import SyncJobSearch
from adjourn.manager.source import ConnectorSource


class JobSearch(AsyncJobSearch, SyncJobSearch):
    """Searches jobs, in both colours."""

    connector: ConnectorSource
