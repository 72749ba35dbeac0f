"""The manager of limits and pauses, in both colours."""

from __future__ import annotations

from adjourn._async.managers.limits import AsyncLimits
from adjourn._sync.managers.limits import SyncLimits
from adjourn.manager.source import ConnectorSource


class Limits(AsyncLimits, SyncLimits):
    """Pauses queues and tasks, and sets limits, in both colours."""

    connector: ConnectorSource
