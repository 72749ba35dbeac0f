"""Every operation on jobs. Each is one call of the connector, so it is atomic and changes threads only once."""

from __future__ import annotations

import datetime
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.actions import AsyncActions
from adjourn._async.managers.forwarding import forwards_to, part_of
from adjourn._async.managers.limits import AsyncLimits
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.many import AsyncManyJobs
from adjourn._async.managers.results import AsyncResults
from adjourn._async.managers.retention import AsyncRetention
from adjourn._async.managers.runs import AsyncRuns
from adjourn._async.managers.schedules import AsyncSchedules
from adjourn._async.managers.search import AsyncJobSearch
from adjourn._async.managers.store import AsyncJobStore
from adjourn._async.managers.ticks import AsyncTicks
from adjourn._async.managers.workers import AsyncWorkers
from adjourn._async.managers.workflows import AsyncWorkflows
from adjourn._domain.arguments import check_is_job
from adjourn._domain.checks import check_flags, check_id, check_name, check_priority
from adjourn._domain.jobs import Job
from adjourn._domain.spelling import suggests_names
from adjourn._domain.time_checks import check_aware


class AsyncJobManager(AsyncJobStore):
    """Stores and changes jobs, and has a manager for each other kind of operation on them.

    The operations of those managers have names here as well: ``list_jobs_async`` is ``lists.list_jobs_async``.
    """

    @property
    def lists(self) -> AsyncJobLists:
        """Finds jobs, and counts them."""
        return part_of(self, AsyncJobLists)

    @property
    def many(self) -> AsyncManyJobs:
        """Changes many jobs at once, by their ids."""
        return part_of(self, AsyncManyJobs)

    @property
    def search(self) -> AsyncJobSearch:
        """Searches jobs, at a cost that has a bound."""
        return part_of(self, AsyncJobSearch)

    @property
    def actions(self) -> AsyncActions:
        """Holds jobs as they were seen, and keeps notes of what people do."""
        return part_of(self, AsyncActions)

    @property
    def results(self) -> AsyncResults:
        """Waits for jobs to end, and finds what their tasks have returned."""
        return part_of(self, AsyncResults)

    @property
    def runs(self) -> AsyncRuns:
        """What runs do with their own jobs."""
        return part_of(self, AsyncRuns)

    @property
    def limits(self) -> AsyncLimits:
        """Pauses queues and tasks, and sets limits."""
        return part_of(self, AsyncLimits)

    @property
    def workers(self) -> AsyncWorkers:
        """A worker's operations one by one."""
        return part_of(self, AsyncWorkers)

    @property
    def workflows(self) -> AsyncWorkflows:
        """Stores workflows, and changes them."""
        return part_of(self, AsyncWorkflows)

    @property
    def retention(self) -> AsyncRetention:
        """Deletes old finished jobs."""
        return part_of(self, AsyncRetention)

    @property
    def schedules(self) -> AsyncSchedules:
        """Defers the ticks of periodic tasks."""
        return part_of(self, AsyncSchedules)

    @property
    def ticks(self) -> AsyncTicks:
        """Defers many ticks at once, for workers."""
        return part_of(self, AsyncTicks)

    @forwards_to(AsyncJobLists.get_job_status_async)
    def get_job_status_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.get_progress_async)
    def get_progress_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.list_jobs_async)
    def list_jobs_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.list_queues_async)
    def list_queues_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.list_tasks_async)
    def list_tasks_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.list_locks_async)
    def list_locks_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncJobLists.get_stalled_jobs_async)
    def get_stalled_jobs_async(self) -> AsyncJobLists:
        return self.lists

    @forwards_to(AsyncManyJobs.count_jobs_async)
    def count_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncManyJobs.cancel_jobs_async)
    def cancel_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncManyJobs.abort_jobs_async)
    def abort_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncManyJobs.retry_jobs_async)
    def retry_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncManyJobs.delete_jobs_async)
    def delete_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncManyJobs.change_jobs_async)
    def change_jobs_async(self) -> AsyncManyJobs:
        return self.many

    @forwards_to(AsyncJobSearch.search_jobs_async)
    def search_jobs_async(self) -> AsyncJobSearch:
        return self.search

    @forwards_to(AsyncResults.get_result_async)
    def get_result_async(self) -> AsyncResults:
        return self.results

    @forwards_to(AsyncResults.wait_for_job_async)
    def wait_for_job_async(self) -> AsyncResults:
        return self.results

    @forwards_to(AsyncResults.wait_for_jobs_async)
    def wait_for_jobs_async(self) -> AsyncResults:
        return self.results

    @forwards_to(AsyncResults.wait_for_workflow_async)
    def wait_for_workflow_async(self) -> AsyncResults:
        return self.results

    @forwards_to(AsyncWorkflows.list_workflows_async)
    def list_workflows_async(self) -> AsyncWorkflows:
        return self.workflows

    @forwards_to(AsyncWorkflows.get_workflow_async)
    def get_workflow_async(self) -> AsyncWorkflows:
        return self.workflows

    @forwards_to(AsyncWorkflows.cancel_workflow_async)
    def cancel_workflow_async(self) -> AsyncWorkflows:
        return self.workflows

    @forwards_to(AsyncWorkflows.close_workflow_async)
    def close_workflow_async(self) -> AsyncWorkflows:
        return self.workflows

    @forwards_to(AsyncWorkflows.retry_workflow_async)
    def retry_workflow_async(self) -> AsyncWorkflows:
        return self.workflows

    @forwards_to(AsyncWorkers.register_worker_async)
    def register_worker_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.unregister_worker_async)
    def unregister_worker_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.update_heartbeat_async)
    def update_heartbeat_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.prune_stalled_workers_async)
    def prune_stalled_workers_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.fetch_job_async)
    def fetch_job_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.finish_job_async)
    def finish_job_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.finish_job_by_id_async)
    def finish_job_by_id_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.list_workers_async)
    def list_workers_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncWorkers.list_jobs_to_abort_async)
    def list_jobs_to_abort_async(self) -> AsyncWorkers:
        return self.workers

    @forwards_to(AsyncRetention.delete_old_jobs_async)
    def delete_old_jobs_async(self) -> AsyncRetention:
        return self.retention

    @forwards_to(AsyncLimits.pause_queue_async)
    def pause_queue_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.resume_queue_async)
    def resume_queue_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.pause_task_async)
    def pause_task_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.resume_task_async)
    def resume_task_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.list_pauses_async)
    def list_pauses_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.set_limit_async)
    def set_limit_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.reset_limit_async)
    def reset_limit_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncLimits.list_limits_async)
    def list_limits_async(self) -> AsyncLimits:
        return self.limits

    @forwards_to(AsyncSchedules.defer_periodic_job_async)
    def defer_periodic_job_async(self) -> AsyncSchedules:
        return self.schedules

    @forwards_to(AsyncSchedules.get_time_async)
    def get_time_async(self) -> AsyncSchedules:
        return self.schedules

    @forwards_to(AsyncSchedules.list_schedules_async)
    def list_schedules_async(self) -> AsyncSchedules:
        return self.schedules

    @forwards_to(AsyncSchedules.pause_schedule_async)
    def pause_schedule_async(self) -> AsyncSchedules:
        return self.schedules

    @forwards_to(AsyncSchedules.resume_schedule_async)
    def resume_schedule_async(self) -> AsyncSchedules:
        return self.schedules

    @forwards_to(AsyncSchedules.keep_schedules_async)
    def keep_schedules_async(self) -> AsyncSchedules:
        return self.schedules

    @suggests_names
    async def cancel_job_by_id_async(
        self, job_id: int, abort: bool = False, delete_job: bool = False, connection: Any = None
    ) -> bool:
        """Cancel a waiting job or, with ``abort``, ask a running job to end.

        Parameters
        ----------
        job_id
            The job.
        abort
            If the job is running, ask its worker to end it; see `JobContext.should_abort` for when a job ends.
        delete_job
            Delete the waiting job instead of keeping it as cancelled.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        bool
            Whether the job was cancelled, or was asked to end.

        Raises
        ------
        InvalidOption
            If ``job_id`` is not an integer, or a flag neither True nor False.
        """
        check_id("job_id", job_id)
        check_flags(abort=abort, delete_job=delete_job)
        rows = await self.run_async("cancel_jobs", {"ids": [job_id], "delete": delete_job}, connection)
        if not rows and abort:
            rows = await self.run_async("request_abort", {"ids": [job_id]}, connection)
        return bool(rows)

    @suggests_names
    async def retry_job_by_id_async(
        self,
        job_id: int,
        retry_at: datetime.datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
        connection: Any = None,
    ) -> None:
        """Run a job again, whether it has ended, is running or is waiting.

        A running job is taken from its worker, and the outcome of that run is discarded. The run itself goes on, so the
        two runs may overlap, even under a lock. If that matters, abort the job first and wait for its end.

        A job of a workflow counts as not ended: those that still wait for it wait for its new end, those that were cancelled because of it come
        back and wait, and those that have run stay as they are. It waits for the jobs that it depends on and that have not ended; those that
        have failed do not keep it from running.

        Parameters
        ----------
        job_id
            The job.
        retry_at
            The aware datetime before which the job does not run; None means at once.
        priority, queue, lock
            New values; None keeps the job's own. The job gives up its queueing lock, unless it is still waiting.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        NoResult
            If there is no such job.
        InvalidOption
            If one of the values is not valid for a job.
        """
        check_id("job_id", job_id)
        if retry_at is not None:
            check_aware("retry_at", retry_at)
        if priority is not None:
            check_priority(priority)
        check_name("queue", queue, optional=True)
        check_name("lock", lock, optional=True)
        parameters = {
            "job_id": job_id,
            "retry_at": retry_at,
            "priority": priority,
            "queue": queue,
            "lock": lock,
            "relock": lock is not None,
        }
        (row,) = await self.run_async("retry_job_by_id", parameters, connection)
        if not row["found"]:
            raise exceptions.NoResult(f"There is no job {job_id}.")

    @suggests_names
    async def retry_job_async(
        self,
        job: Job,
        retry_at: datetime.datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Run a job again, as `retry_job_by_id_async` does."""
        check_is_job("job", job)
        if job.id is None:
            raise exceptions.InvalidOption("job has no id: pass one that was stored.")
        await self.retry_job_by_id_async(job.id, retry_at, priority, queue, lock)

    async def check_connection_async(self) -> bool:
        """Ask the database whether it has adjourn's tables, and functions that work on them.

        Raises
        ------
        ConnectorException
            If it cannot be reached.
        """
        (row,) = await self.run_async("check_connection", {})
        return bool(row["exists"])
