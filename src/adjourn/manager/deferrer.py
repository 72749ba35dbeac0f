"""A task with fixed options, whose jobs are deferred in both colours."""

from __future__ import annotations

from adjourn._async.managers.deferrer import AsyncJobDeferrer
from adjourn._sync.managers.deferrer import SyncJobDeferrer
from adjourn.manager.jobs import JobManager


class JobDeferrer(AsyncJobDeferrer, SyncJobDeferrer):
    """Makes and stores jobs of one task with fixed options, in both colours.

    Parameters
    ----------
    job_manager
        What stores the jobs.
    job
        The options, as a job without an id.
    connection
        A connection of the caller's, or None.
    signature
        What the task takes; None does not check it.

    Attributes
    ----------
    job_manager, job, connection
        As given.
    """

    job_manager: JobManager
