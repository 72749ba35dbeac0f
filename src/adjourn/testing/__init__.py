"""Tools for tests: an app without Postgres, and a test suite for connectors.

* `InMemoryConnector` replaces a connector to Postgres in the tests of a program that uses adjourn;
* `ConnectorContract` checks a connector that you have written for another driver.
"""

from __future__ import annotations

from adjourn._memory.store import MemoryStore
from adjourn.connectors.memory import InMemoryConnector, SyncInMemoryConnector
from adjourn.testing.contract import ConnectorContract

__all__ = ["ConnectorContract", "InMemoryConnector", "MemoryStore", "SyncInMemoryConnector"]
