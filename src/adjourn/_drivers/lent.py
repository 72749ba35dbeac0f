"""Connections that adjourn makes and the code of a task has for a while.

How long the server may take for the task's own statements is the task's affair. For those that adjourn executes there, such as the end of
the job, the limit of all other calls holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from adjourn._drivers.watchdog import Cancellable, seconds_for, watchdog
from adjourn.exceptions import ConnectorException
from adjourn.types import Statement

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


@contextlib.contextmanager
def answered(connection: Any, statement: Statement, task: Cancellable | None) -> Iterator[None]:
    """Give a connection up that is lent, if the server does not answer the block's statement in time.

    A connection of the caller's own is the caller's to give up.

    Raises
    ------
    ConnectorException
        If it was given up.
    """
    if id(connection) not in _limits:
        yield
        return
    wait = watchdog.begin(seconds_for(_limits[id(connection)], statement), task)
    wait.on(connection)
    try:
        yield
    except ConnectorException as error:
        if wait.is_given_up:
            raise wait.error() from error
        raise
    finally:
        wait.end()
