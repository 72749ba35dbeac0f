"""Connections that adjourn makes and the code of a task has for a while.

How long the server may take for the task's own statements is the task's affair. For those that adjourn executes there, such as the end of
the job, the limit of all other calls holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_limits: dict[int, float | None] = {}
"""The ``response_timeout`` of the connections that are lent, by their identity."""


@contextlib.contextmanager
def lent(connection: Any, response_timeout: float | None) -> Iterator[None]:
    """Lend a connection for as long as the block lasts."""
    _limits[id(connection)] = response_timeout
    try:
        yield
    finally:
        del _limits[id(connection)]


def is_lent(connection: Any) -> bool:
    """Tell whether a connection is lent, and not the caller's own."""
    return id(connection) in _limits


def limit_of(connection: Any) -> float | None:
    """Return the ``response_timeout`` of a connection that is lent."""
    return _limits[id(connection)]
