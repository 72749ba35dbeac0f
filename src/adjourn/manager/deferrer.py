"""A task with fixed options, whose jobs are deferred in both colours."""

from __future__ import annotations

from typing import Any

from adjourn._async.managers.deferrer import AsyncJobDeferrer
from adjourn._domain.jobs import Job
from adjourn._sync.managers.deferrer import SyncJobDeferrer
from adjourn.manager.jobs import JobManager
from adjourn.types import Args


class JobDeferrer(AsyncJobDeferrer[Args], SyncJobDeferrer[Args]):
    """Makes and stores jobs of one task with fixed options, in both colours. To type checkers, it is generic in the arguments
    of the task, which its ``defer`` takes; without them, it takes any.

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

    def make_new_job(self, /, **task_kwargs: Any) -> Job:
        """Return a job with these arguments, after checking them against the task; it is not stored.

        Parameters
        ----------
        **task_kwargs
            The arguments to call the task with.

        Raises
        ------
        InvalidTaskArguments
            If the task does not take these arguments.
        """
        return self.make_job((), task_kwargs)
