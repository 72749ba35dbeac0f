"""What a worker stores of its app's declarations when it starts."""

from __future__ import annotations

from adjourn._domain.job_limits import declared_limits
from adjourn._domain.protocols import AppLike


async def declare_limits(app: AppLike) -> None:
    """Store the limits of the app's tasks and queues."""
    declared = declared_limits(((task.name, task.limits) for task in app.tasks.values()), app.queue_limits)
    if declared:
        await app.job_manager.limits.declare_async(declared)
