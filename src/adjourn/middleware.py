"""Middleware: code around the runs of tasks.

A middleware is called with ``(call_next, context, worker)`` and returns the result of ``call_next()`` or another one. A
*task middleware* is of its task's kind: a plain function wraps a synchronous task, in its thread, and an async one
wraps an async task. A *worker middleware* is async and wraps every job, on the worker's event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from adjourn._compat.moved import moved
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
"""Middleware of a synchronous task."""
AsyncTaskMiddleware: TypeAlias = Callable[[AsyncCallNext, JobContext, Worker], Awaitable[Any]]
"""Middleware of an async task."""
TaskMiddleware: TypeAlias = SyncTaskMiddleware | AsyncTaskMiddleware
"""An item of ``@app.task(task_middleware=[...])`` or of a worker's ``task_middleware``."""
WorkerMiddleware: TypeAlias = AsyncTaskMiddleware
"""An item of a worker's ``worker_middleware``."""

if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
