"""The managers in both colours: each combines a hand-written asynchronous class and its generated twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjourn._compat.moved import moved
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX
from adjourn.manager.actions import Actions
from adjourn.manager.deferrer import JobDeferrer
from adjourn.manager.jobs import JobManager
from adjourn.manager.limits import Limits
from adjourn.manager.lists import JobLists
from adjourn.manager.many import ManyJobs
from adjourn.manager.results import Results
from adjourn.manager.retention import Retention
from adjourn.manager.runs import Runs
from adjourn.manager.schedules import Schedules
from adjourn.manager.schema import SchemaManager
from adjourn.manager.search import JobSearch
from adjourn.manager.workers import Workers
from adjourn.manager.workflows import Workflows

__all__ = [
    "QUEUEING_LOCK_CONSTRAINT",
    "Actions",
    "JobDeferrer",
    "JobLists",
    "JobManager",
    "JobSearch",
    "Limits",
    "ManyJobs",
    "Results",
    "Retention",
    "Runs",
    "Schedules",
    "SchemaManager",
    "Workers",
    "Workflows",
]

QUEUEING_LOCK_CONSTRAINT: str = QUEUEING_LOCK_INDEX
"""The ``constraint_name`` of a `UniqueViolation` that says that a queueing lock is taken."""

if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
