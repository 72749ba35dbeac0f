"""Names by which programs written for Procrastinate import what is called otherwise here, or not needed."""

from __future__ import annotations

import datetime

from adjourn._domain.middleware import is_async
from adjourn._domain.schedules import DEFAULT_MAX_DELAY

MAX_DELAY = DEFAULT_MAX_DELAY
"""`adjourn.periodic.DEFAULT_MAX_DELAY`: seconds after its time for which a tick is still deferred."""

is_async_middleware = is_async
"""Returns whether calling a middleware has to be awaited."""


def utcnow() -> datetime.datetime:
    """Return the time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)
