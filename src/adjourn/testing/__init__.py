"""Tools for tests: look at what was deferred, run it, move its time; an app without Postgres; a test suite for connectors.

* `deferred`, `assert_deferred`, `drain` and their kind are for the tests of a program that uses adjourn. With pytest, the
  plugin `adjourn.testing.plugin` has fixtures for them;
* `InMemoryConnector` replaces a connector to Postgres in such tests;
* `ConnectorContract` checks a connector that you have written for another driver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjourn._memory.store import MemoryStore
    from adjourn.connectors.memory import InMemoryConnector, SyncInMemoryConnector
    from adjourn.testing.contract import ConnectorContract
    from adjourn.testing.kit.drains import Drained, Failure, drain, drain_async

__all__ = [
    "ConnectorContract",
    "Drained",
    "Failure",
    "InMemoryConnector",
    "MemoryStore",
    "SyncInMemoryConnector",
    "drain",
    "drain_async",
]

# Imported on first use: a program's tests do not need the suite for connectors, and a plugin needs nothing.
_HOMES = {
    "ConnectorContract": "adjourn.testing.contract",
    "Drained": "adjourn.testing.kit.drains",
    "Failure": "adjourn.testing.kit.drains",
    "InMemoryConnector": "adjourn.connectors.memory",
    "MemoryStore": "adjourn._memory.store",
    "SyncInMemoryConnector": "adjourn.connectors.memory",
    "drain": "adjourn.testing.kit.drains",
    "drain_async": "adjourn.testing.kit.drains",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
