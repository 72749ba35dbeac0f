"""The limits of tasks of ``django.tasks``, for workers, which import these tasks only when they run. The framework may not be there."""

from __future__ import annotations

from adjourn._domain.job_limits import TaskLimits

__all__ = ["LIMITED"]

LIMITED: dict[str, TaskLimits] = {}
"""The limits of the tasks that were declared in this process, by the names of their jobs."""
