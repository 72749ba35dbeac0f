"""`BaseConnector`, where programs that were written for Procrastinate import it from."""

from __future__ import annotations

from adjourn.connectors.base import (
    LISTEN_TIMEOUT,
    BaseAsyncConnector,
    BaseConnector,
    BaseSyncConnector,
    Engine,
    Notify,
    Pool,
)

__all__ = ["LISTEN_TIMEOUT", "BaseAsyncConnector", "BaseConnector", "BaseSyncConnector", "Engine", "Notify", "Pool"]
