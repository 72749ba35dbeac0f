"""The part of a connector that managers use."""

from __future__ import annotations

from typing import Protocol

from adjourn._async.connectors.contract import AsyncConnectorSource
from adjourn._sync.connectors.contract import SyncConnectorSource


class ConnectorSource(AsyncConnectorSource, SyncConnectorSource, Protocol):
    """A connector, as managers see it: it returns the connector that serves the calls of each colour."""

    @property
    def shares_commits(self) -> bool:
        """Whether one thread may carry out the blocking calls of others, so that they share a commit."""
