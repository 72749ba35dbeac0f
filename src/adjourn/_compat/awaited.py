"""Operations that block in adjourn, but that programs written for Procrastinate await.

Procrastinate has each of them only in an awaitable form, under a name without a suffix. In adjourn a name without a
suffix blocks. A program that awaits it runs on the thread of an event loop, where nothing may block, so there the name
does what its ``_async`` form does, and warns.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from adjourn._runtime.callers import caller_stacklevel
from adjourn._runtime.private import running_loop
from adjourn.exceptions import WrongCaller

Kind = TypeVar("Kind", bound=type)
P = ParamSpec("P")
R = TypeVar("R")

AWAITED = (
    "defer_periodic_job",
    "delete_old_jobs",
    "fetch_job",
    "finish_job",
    "get_stalled_jobs",
    "prune_stalled_workers",
    "register_worker",
    "retry_job",
    "unregister_worker",
    "update_heartbeat",
)
"""The names; all are `JobManager`'s."""

_told: set[str] = set()


def awaitable_on_a_loop(manager: Kind) -> Kind:
    """Let the operations in `AWAITED` be awaited by their blocking names on the thread of an event loop.

    Type checkers still treat them as blocking, and tell you to write the name that ends in ``_async``.
    """
    for name in AWAITED:
        blocking, asynchronous = getattr(manager, name), getattr(manager, f"{name}_async")
        setattr(manager, name, _blocking_or_awaitable(name, blocking, asynchronous))
    return manager


def _blocking_or_awaitable(
    name: str,
    blocking: Callable[Concatenate[Any, P], R],
    asynchronous: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[Concatenate[Any, P], R | Awaitable[R]]:
    @functools.wraps(blocking)
    def operation(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R | Awaitable[R]:
        if running_loop() is None:
            return blocking(self, *args, **kwargs)
        # The in-memory connector, which needs no opening, would serve both forms.
        if getattr(self.connector, "needs_opening", True):
            try:
                return blocking(self, *args, **kwargs)
            except WrongCaller:
                pass
        _warn_once(name)
        return asynchronous(self, *args, **kwargs)

    return operation


def _warn_once(name: str) -> None:
    if name in _told:
        return
    warnings.warn(
        f"JobManager.{name} blocks by its name; it can be awaited here only so that programs written for Procrastinate "
        f"go on working. Write `await job_manager.{name}_async(...)`.",
        DeprecationWarning,
        stacklevel=caller_stacklevel(),
    )
    _told.add(name)
