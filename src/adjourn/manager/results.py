"""The manager that waits for jobs and finds results, in both colours."""

from __future__ import annotations

from adjourn import sql
from adjourn._async.managers.results import AsyncResults
from adjourn._runtime.ends import Ends
from adjourn._sync.managers.results import SyncResults
from adjourn.manager.ends import EndsListener
from adjourn.manager.source import ConnectorSource


class Results(AsyncResults, SyncResults):
    """Waits for jobs to end, and finds what their tasks have returned, in both colours."""

    connector: ConnectorSource

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self.ends: Ends = EndsListener(connector, schema)
