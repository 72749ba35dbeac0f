"""The manager that keeps notes of what people do, in both colours."""

from __future__ import annotations

from adjourn._async.managers.actions import AsyncActions
from adjourn._sync.managers.actions import SyncActions
from adjourn.manager.source import ConnectorSource


class Actions(AsyncActions, SyncActions):
    """Holds jobs as they were seen, and keeps notes of what people do, in both colours."""

    connector: ConnectorSource
