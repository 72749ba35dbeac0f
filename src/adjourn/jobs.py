"""Jobs, their statuses, and the objects that defer them."""

from __future__ import annotations

from adjourn._domain.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE, DeleteJobCondition, Job, Status
from adjourn.manager import JobDeferrer

__all__ = ["DEFAULT_PRIORITY", "DEFAULT_QUEUE", "DeleteJobCondition", "Job", "JobDeferrer", "Status"]
