"""The manager that changes many jobs at once, in both colours."""

from __future__ import annotations

from adjourn._async.managers.many import AsyncManyJobs
from adjourn._sync.managers.many import SyncManyJobs
from adjourn.manager.source import ConnectorSource


class ManyJobs(AsyncManyJobs, SyncManyJobs):
    """Changes many jobs at once, in both colours."""

    connector: ConnectorSource
