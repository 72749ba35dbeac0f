"""For tests: an app without Postgres, with jobs in memory.

`InMemoryConnector` stands in for a connector to Postgres in the tests of a program that uses adjourn.
"""

from __future__ import annotations

from adjourn._memory.store import MemoryStore
from adjourn.testing.memory import InMemoryConnector, SyncInMemoryConnector

__all__ = ["InMemoryConnector", "MemoryStore", "SyncInMemoryConnector"]
