"""The connectors, through which an app reaches its database, one module for each driver.

A module imports its driver, so this package imports a module only when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjourn.connectors.base import BaseAsyncConnector, BaseConnector, BaseSyncConnector
    from adjourn.connectors.memory import InMemoryConnector, SyncInMemoryConnector
    from adjourn.connectors.psycopg import PsycopgConnector, SyncPsycopgConnector
    from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector
    from adjourn.connectors.sqlalchemy import (
        SQLAlchemyConnector,
        SQLAlchemyPsycopg2Connector,
        SQLAlchemyPsycopgConnector,
    )

__all__ = [
    "AsyncPsycopg2Connector",
    "BaseAsyncConnector",
    "BaseConnector",
    "BaseSyncConnector",
    "InMemoryConnector",
    "Psycopg2Connector",
    "PsycopgConnector",
    "SQLAlchemyConnector",
    "SQLAlchemyPsycopg2Connector",
    "SQLAlchemyPsycopgConnector",
    "SyncInMemoryConnector",
    "SyncPsycopgConnector",
]

_HOMES = {
    "AsyncPsycopg2Connector": "psycopg2",
    "BaseAsyncConnector": "base",
    "BaseConnector": "base",
    "BaseSyncConnector": "base",
    "InMemoryConnector": "memory",
    "Psycopg2Connector": "psycopg2",
    "PsycopgConnector": "psycopg",
    "SQLAlchemyConnector": "sqlalchemy",
    "SQLAlchemyPsycopg2Connector": "sqlalchemy",
    "SQLAlchemyPsycopgConnector": "sqlalchemy",
    "SyncInMemoryConnector": "memory",
    "SyncPsycopgConnector": "psycopg",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"adjourn.connectors.{_HOMES[name]}"), name)
