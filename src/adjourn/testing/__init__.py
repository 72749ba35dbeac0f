"""Tools for tests: look at what was deferred, run it, move its time; an app without Postgres; a test suite for connectors.

* `deferred`, `assert_deferred`, `drain` and their kind are for the tests of a program that uses adjourn. With pytest, the
  plugin ``adjourn.testing.plugin`` has fixtures for them;
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
    from adjourn.testing.kit.bound import AwaitedDrain, Drain, Jobs
    from adjourn.testing.kit.clearing import clear, clear_async
    from adjourn.testing.kit.clock import periodic, periodic_async, travel, travel_async
    from adjourn.testing.kit.drains import Drained, Failure, drain, drain_async
    from adjourn.testing.kit.inlining import inline
    from adjourn.testing.kit.looks import (
        Filters,
        assert_deferred,
        assert_deferred_async,
        deferred,
        deferred_async,
        refute_deferred,
        refute_deferred_async,
    )
    from adjourn.testing.kit.performing import perform, perform_async
    from adjourn.testing.kit.workers import TestWorker

__all__ = [
    "AwaitedDrain",
    "ConnectorContract",
    "Drain",
    "Drained",
    "Failure",
    "Filters",
    "InMemoryConnector",
    "Jobs",
    "MemoryStore",
    "SyncInMemoryConnector",
    "TestWorker",
    "assert_deferred",
    "assert_deferred_async",
    "clear",
    "clear_async",
    "deferred",
    "deferred_async",
    "drain",
    "drain_async",
    "inline",
    "perform",
    "perform_async",
    "periodic",
    "periodic_async",
    "refute_deferred",
    "refute_deferred_async",
    "travel",
    "travel_async",
]

# Imported on first use: a program's tests do not need the suite for connectors, and a plugin needs nothing.
_HOMES = {
    "TestWorker": "adjourn.testing.kit.workers",
    "AwaitedDrain": "adjourn.testing.kit.bound",
    "Drain": "adjourn.testing.kit.bound",
    "Jobs": "adjourn.testing.kit.bound",
    "ConnectorContract": "adjourn.testing.contract",
    "Drained": "adjourn.testing.kit.drains",
    "Failure": "adjourn.testing.kit.drains",
    "Filters": "adjourn.testing.kit.looks",
    "InMemoryConnector": "adjourn.connectors.memory",
    "MemoryStore": "adjourn._memory.store",
    "SyncInMemoryConnector": "adjourn.connectors.memory",
    "assert_deferred": "adjourn.testing.kit.looks",
    "assert_deferred_async": "adjourn.testing.kit.looks",
    "clear": "adjourn.testing.kit.clearing",
    "clear_async": "adjourn.testing.kit.clearing",
    "deferred": "adjourn.testing.kit.looks",
    "deferred_async": "adjourn.testing.kit.looks",
    "drain": "adjourn.testing.kit.drains",
    "drain_async": "adjourn.testing.kit.drains",
    "inline": "adjourn.testing.kit.inlining",
    "perform": "adjourn.testing.kit.performing",
    "perform_async": "adjourn.testing.kit.performing",
    "periodic": "adjourn.testing.kit.clock",
    "periodic_async": "adjourn.testing.kit.clock",
    "refute_deferred": "adjourn.testing.kit.looks",
    "refute_deferred_async": "adjourn.testing.kit.looks",
    "travel": "adjourn.testing.kit.clock",
    "travel_async": "adjourn.testing.kit.clock",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
