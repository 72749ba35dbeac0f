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
        The manager that stores the jobs.
    job
        The options, as a job without an id.
    connection
        The caller's own connection, or None.
    signature
        The arguments that the task takes; None skips the check.

    Attributes
    ----------
    job_manager, job, connection
        The parameters above.
    """

    job_manager: JobManager
