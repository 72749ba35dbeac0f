"""The managers in both colours: each combines a hand-written asynchronous class and its generated twin."""

from __future__ import annotations

from adjourn.manager.deferrer import JobDeferrer
from adjourn.manager.jobs import JobManager
from adjourn.manager.lists import JobLists
from adjourn.manager.many import ManyJobs
from adjourn.manager.retention import Retention
from adjourn.manager.schedules import Schedules
from adjourn.manager.schema import SchemaManager
from adjourn.manager.workers import Workers

__all__ = ["JobDeferrer", "JobLists", "JobManager", "ManyJobs", "Retention", "Schedules", "SchemaManager", "Workers"]
