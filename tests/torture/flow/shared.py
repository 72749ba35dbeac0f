"""What tasks, deferrers and checks of this part have in common: the limits, and who has a place under them."""

from __future__ import annotations

from typing import Any

NARROW = "narrow"
"""The queue that has a limit."""
TENANTS = ("a", "b")
MOST_IN_QUEUE = 4
MOST_OF_TASK = 3
MOST_OF_TENANT = 2
MOST = {
    f"queue {NARROW}": MOST_IN_QUEUE,
    "task limited_task": MOST_OF_TASK,
    **{f"tenant {tenant}": MOST_OF_TENANT for tenant in TENANTS},
}
"""How many jobs may run at once, by the names of the limits."""
RATE = 5
"""How many jobs of a tenant may start within each `PERIOD`."""
PERIOD = 0.5
"""Seconds."""
UNIQUE_KEYS = ("x", "y", "z")
SLEEP = 1.0
"""Seconds for which jobs with steps sleep; shorter sleeps do not end a run."""


def places(task: str, queue: str, arguments: dict[str, Any]) -> list[str]:
    """Return the limits under which a job has a place while it runs."""
    found = []
    if queue == NARROW:
        found.append(f"queue {NARROW}")
    if task == "limited_task":
        found.append("task limited_task")
    if task in ("limited_tenant_async", "limited_tenant_sync"):
        found.append(f"tenant {arguments['tenant']}")
    return found
