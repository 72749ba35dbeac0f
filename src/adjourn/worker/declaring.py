"""What a worker stores of its app's declarations when it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from adjourn._domain.protocols import AppLike
from adjourn.exceptions import ConnectorException
from adjourn.limits import Limit, Scope

RETRY = 1.0
"""Seconds until a worker tries again to store limits that another transaction held."""

Limits = Mapping[tuple[Scope, str], Limit]


async def declare_limits(app: AppLike) -> Limits:
    """Store the limits of the app's tasks and queues. Return those that another transaction holds, which are not stored."""
    if declared := app.declared_limits():
        return await app.job_manager.limits.declare_async(declared)
    return {}


async def keep_declaring(app: AppLike, held: Limits) -> None:
    """Store the limits that another transaction held as soon as that has ended."""
    while held:
        await asyncio.sleep(RETRY)
        try:
            held = await app.job_manager.limits.declare_async(held)
        except ConnectorException:
            pass  # an outage, which the worker's exchange reports
