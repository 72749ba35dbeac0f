"""The context that a task with ``pass_context=True`` gets about its run."""

from __future__ import annotations

from adjourn._compat.results import JobResult
from adjourn._domain.runs import AbortReason
from adjourn.app import JobContext

__all__ = ["AbortReason", "JobContext", "JobResult"]
