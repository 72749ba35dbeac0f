"""`BaseConnector`, where programs that were written for Procrastinate import it from."""

from __future__ import annotations

from adjourn.connectors.base import BaseAsyncConnector, BaseConnector, BaseSyncConnector, Engine, Notify, Pool

__all__ = ["BaseAsyncConnector", "BaseConnector", "BaseSyncConnector", "Engine", "Notify", "Pool"]
