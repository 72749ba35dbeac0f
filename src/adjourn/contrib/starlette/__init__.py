"""For Starlette, and what is built on it: a lifespan that opens the app, jobs in a request's transaction, and durable
background tasks. Needs the extra ``starlette``."""

from __future__ import annotations

try:
    import starlette as _starlette  # noqa: F401
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.contrib.starlette needs Starlette: pip install 'adjourn[starlette]'") from _error

from adjourn.contrib._transaction import Transaction
from adjourn.contrib.starlette.background import DurableTasks
from adjourn.contrib.starlette.lifespan import get_app, lifespan

__all__ = ["DurableTasks", "Transaction", "get_app", "lifespan"]
