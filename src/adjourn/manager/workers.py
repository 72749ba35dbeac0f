"""The manager of a worker's operations, in both colours."""

from __future__ import annotations

from adjourn._async.managers.workers import AsyncWorkers
from adjourn._sync.managers.workers import SyncWorkers
from adjourn.manager.source import ConnectorSource


class Workers(AsyncWorkers, SyncWorkers):
    """A worker's operations one by one, in both colours, for tools and tests."""

    connector: ConnectorSource
