"""What a worker stores of its app's declarations when it starts."""

from __future__ import annotations

from adjourn._domain.protocols import AppLike


async def declare_limits(app: AppLike) -> None:
    """Store the limits of the app's tasks and queues."""
    if declared := app.declared_limits():
        await app.job_manager.limits.declare_async(declared)
