"""The results of jobs that have ended."""

from __future__ import annotations

from typing import Any

from adjourn import exceptions
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_id
from adjourn._domain.results import result_of


class AsyncResults(AsyncStatementRunner):
    """Finds what tasks have returned."""

    async def get_result_async(self, job_id: int, *, connection: Any = None) -> Any:
        """Return what the task of a job has returned, if that is stored. It does not wait for the end of the job.

        A result that a job's task returned as None is stored, too, and returned as None.

        Parameters
        ----------
        job_id
            The job.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        JobNotFinished
            If the job has not ended yet; also while it waits to be retried.
        JobFailed
            If it has failed; its attribute ``job`` is the job, with its errors.
        JobCancelled
            If it was cancelled or aborted.
        ResultNotStored
            If it has succeeded, and its task does not store results.
        ResultExpired
            If its result has lapsed.
        NoResult
            If there is no such job, perhaps because it was deleted.
        InvalidOption
            If ``job_id`` is not an integer.
        """
        check_id("job_id", job_id)
        jobs = await AsyncJobLists(self.connector, self.schema).list_jobs_async(id=job_id, connection=connection)
        if not jobs:
            raise exceptions.NoResult(f"There is no job {job_id}.")
        return result_of(jobs[0])
