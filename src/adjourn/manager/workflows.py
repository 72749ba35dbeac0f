"""The manager of workflows, in both colours."""

from __future__ import annotations

from adjourn._async.managers.workflows import AsyncWorkflows
from adjourn._sync.managers.workflows import SyncWorkflows
from adjourn.manager.source import ConnectorSource


class Workflows(AsyncWorkflows, SyncWorkflows):
    """Stores workflows and changes them, in both colours."""

    connector: ConnectorSource
