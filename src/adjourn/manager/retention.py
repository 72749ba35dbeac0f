"""The manager that deletes old jobs, in both colours."""

from __future__ import annotations

from adjourn._async.managers.retention import AsyncRetention
from adjourn._sync.managers.retention import SyncRetention
from adjourn.manager.source import ConnectorSource


class Retention(AsyncRetention, SyncRetention):
    """Deletes old finished jobs, in both colours."""

    connector: ConnectorSource
