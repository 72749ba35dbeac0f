"""Jobs, their statuses, and the objects that defer them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjourn._compat.moved import moved
from adjourn._domain.actions import AuditNote, Author, Seen
from adjourn._domain.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE, DeleteJobCondition, Job, Status, StoredJob
from adjourn._domain.progress import Progress
from adjourn._domain.rows import JobCounts
from adjourn._domain.search import JobPage
from adjourn.manager import JobDeferrer

__all__ = [
    "DEFAULT_PRIORITY",
    "DEFAULT_QUEUE",
    "AuditNote",
    "Author",
    "DeleteJobCondition",
    "Job",
    "JobCounts",
    "JobDeferrer",
    "JobPage",
    "Progress",
    "Seen",
    "Status",
    "StoredJob",
]

if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
