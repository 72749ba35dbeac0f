"""The manager of the schedules of periodic tasks, in both colours."""

from __future__ import annotations

from adjourn._async.managers.schedules import AsyncSchedules
from adjourn._async.managers.ticks import AsyncTicks
from adjourn._sync.managers.schedules import SyncSchedules
from adjourn._sync.managers.ticks import SyncTicks
from adjourn.manager.source import ConnectorSource


class Schedules(AsyncSchedules, SyncSchedules):
    """Defers the ticks of periodic tasks, and keeps their schedules, in both colours."""

    connector: ConnectorSource


class Ticks(AsyncTicks, SyncTicks):
    """Defers many ticks at once, for workers, in both colours."""

    connector: ConnectorSource
