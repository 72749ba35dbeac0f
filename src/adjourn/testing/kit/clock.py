"""The time of a test, and moving it: `travel` and `periodic`."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from adjourn._memory.store import MemoryStore
from adjourn.app import App


def clock_of(app: App) -> Callable[[], datetime.datetime]:
    """Return the function that tells which jobs of an app are due: Python's clock, or the store's in memory."""
    store = getattr(app.connector, "store", None)
    return store.now if isinstance(store, MemoryStore) else python_time


def python_time() -> datetime.datetime:
    """Return the time by Python's clock, which a test may have frozen or moved."""
    return datetime.datetime.now(datetime.UTC)
