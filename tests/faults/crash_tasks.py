"""Tasks of the crash app, for those who defer them."""

from __future__ import annotations

from typing import Any

import adjourn


def limited_tasks(app: adjourn.App) -> tuple[Any, Any]:
    """Declare the tasks with limits that the crash app has, and return them."""

    @app.task(name="limited", limits=adjourn.Limit(key="tenant", concurrency=2))
    def limited(tenant: str, seconds: float, fails: bool = False) -> None: ...

    @app.task(name="rated", limits=adjourn.Limit(key="tenant", rate=adjourn.Rate(4, 0.5)))
    def rated(tenant: str) -> None: ...

    return limited, rated


def batch_task(app: adjourn.App) -> Any:
    """Declare the batch task that the crash app has, and return it."""

    @app.task(name="gather", batch=adjourn.Batch(20))
    def gather(jobs: list[adjourn.BatchItem]) -> None: ...

    return gather
