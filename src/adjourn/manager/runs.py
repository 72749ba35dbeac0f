"""What runs of jobs do by themselves, in both colours."""

from __future__ import annotations

from adjourn._async.managers.runs import AsyncRuns
from adjourn._sync.managers.runs import SyncRuns
from adjourn.manager.source import ConnectorSource


class Runs(AsyncRuns, SyncRuns):
    """The operations of runs on their own jobs, in both colours."""

    connector: ConnectorSource
