"""The manager that finds results, in both colours."""

from __future__ import annotations

from adjourn._async.managers.results import AsyncResults
from adjourn._sync.managers.results import SyncResults
from adjourn.manager.source import ConnectorSource


class Results(AsyncResults, SyncResults):
    """Finds what tasks have returned, in both colours."""

    connector: ConnectorSource
