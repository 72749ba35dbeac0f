"""Code around tasks: what a middleware is.

A middleware is called with ``(call_next, context, worker)`` and returns what it makes of ``call_next()``'s result. A
*task middleware* is of its task's kind: a plain function wraps a synchronous task, in its thread, and an async one
wraps an async task. A *worker middleware* is async and wraps every job, on the worker's event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from adjourn._compat.names import is_async_middleware
from adjourn.app import JobContext
from adjourn.types import AsyncCallNext, SyncCallNext
from adjourn.worker import Worker

__all__ = [
    "AsyncCallNext",
    "AsyncTaskMiddleware",
    "SyncCallNext",
    "SyncTaskMiddleware",
    "TaskMiddleware",
    "WorkerMiddleware",
    "is_async_middleware",
]

SyncTaskMiddleware: TypeAlias = Callable[[SyncCallNext, JobContext, Worker], Any]
"""What wraps a synchronous task."""
AsyncTaskMiddleware: TypeAlias = Callable[[AsyncCallNext, JobContext, Worker], Awaitable[Any]]
"""What wraps an async task."""
TaskMiddleware: TypeAlias = SyncTaskMiddleware | AsyncTaskMiddleware
"""What an item of ``@app.task(task_middleware=[...])`` and of a worker's ``task_middleware`` can be."""
WorkerMiddleware: TypeAlias = AsyncTaskMiddleware
"""What an item of a worker's ``worker_middleware`` can be."""
