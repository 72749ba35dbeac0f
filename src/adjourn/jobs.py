"""Jobs: what they are, where they stand in their lives, and what defers them."""

from __future__ import annotations

from adjourn._domain.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE, DeleteJobCondition, Job, Status
from adjourn.manager import JobDeferrer

__all__ = ["DEFAULT_PRIORITY", "DEFAULT_QUEUE", "DeleteJobCondition", "Job", "JobDeferrer", "Status"]
