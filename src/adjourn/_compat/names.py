"""Names that programs written for Procrastinate import, of things that adjourn names otherwise or does not need."""

from __future__ import annotations

import datetime

from adjourn._domain.middleware import is_async
from adjourn._domain.schedules import DEFAULT_MAX_DELAY

MAX_DELAY = DEFAULT_MAX_DELAY
"""`adjourn.periodic.DEFAULT_MAX_DELAY`: how many seconds late a tick is still deferred."""

is_async_middleware = is_async
"""Returns whether a call of a middleware must be awaited."""


def utcnow() -> datetime.datetime:
    """Return the time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)
