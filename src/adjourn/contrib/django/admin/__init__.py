"""adjourn in Django's admin: jobs with their arguments, errors and events; workers; schedules.

Nothing is edited there. Actions run, cancel, abort and delete jobs by way of ``app.job_manager``; they need the permission to
change jobs, or to delete them. Register a subclass of `JobAdmin` to change the pages.
"""

from __future__ import annotations

from adjourn.contrib.django.admin.jobs import JobAdmin
from adjourn.contrib.django.admin.schedules import ScheduleAdmin
from adjourn.contrib.django.admin.workers import WorkerAdmin

__all__ = ["JobAdmin", "ScheduleAdmin", "WorkerAdmin"]
