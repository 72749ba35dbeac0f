"""A task with fixed options, whose jobs are deferred in both colours."""

from __future__ import annotations

from adjourn._async.managers.deferrer import AsyncJobDeferrer
from adjourn._sync.managers.deferrer import SyncJobDeferrer
from adjourn.manager.jobs import JobManager


class JobDeferrer(AsyncJobDeferrer, SyncJobDeferrer):
    """Makes and stores jobs of one task with fixed options, in both colours."""

    job_manager: JobManager
