"""Further names of things, by which programs written for Procrastinate import them."""

from __future__ import annotations

from adjourn._domain.middleware import is_async
from adjourn._domain.schedules import DEFAULT_MAX_DELAY

MAX_DELAY = DEFAULT_MAX_DELAY
"""`adjourn.periodic.DEFAULT_MAX_DELAY`: seconds after its time for which a tick is still deferred."""

is_async_middleware = is_async
"""Returns whether calling a middleware has to be awaited."""
