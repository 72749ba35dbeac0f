"""Every operation on stored jobs. Each is one call of the connector, so it is atomic and changes threads only once."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.actions import AsyncActions
from adjourn._async.managers.batches import batch_of_alike_async, store_async, store_encoded_async, store_jobs_async
from adjourn._async.managers.forwarding import forwards_to, part_of
from adjourn._async.managers.limits import AsyncLimits
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.many import AsyncManyJobs
from adjourn._async.managers.results import AsyncResults
from adjourn._async.managers.retention import AsyncRetention
from adjourn._async.managers.runs import AsyncRuns
from adjourn._async.managers.schedules import AsyncSchedules
from adjourn._async.managers.search import AsyncJobSearch
from adjourn._async.managers.specials import is_special, store_special_async
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._async.managers.ticks import AsyncTicks
from adjourn._async.managers.uniqueness import deferred_as, encoded_jobs_async, store_unique_async
from adjourn._async.managers.workers import AsyncWorkers
from adjourn._async.managers.workflows import AsyncWorkflows
from adjourn._domain.arguments import check_is_job, check_job
from adjourn._domain.batches import AlikeJobs, EncodedJob
from adjourn._domain.checks import check_flags, check_id, check_name, check_priority, checked_list
from adjourn._domain.headers import dump_headers
from adjourn._domain.jobs import Job, Status
from adjourn._domain.spelling import suggests_names
from adjourn._domain.time_checks import check_aware
from adjourn._domain.times import time_of
from adjourn.types import JSONDict
from adjourn.unique import Deferred


class AsyncJobManager(AsyncStatementRunner):
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

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job.

        Parameters
        ----------
        job
            The job, without an id.
        connection
            The caller's own connection; the job is stored in the transaction that is open on it, or not at all.

        Returns
        -------
        Job
            The same job with its id, its status and ``enqueued_at``. If a unique job is there already, with the id of that one
            and without ``enqueued_at``.

        Raises
        ------
        AlreadyEnqueued
            If a job with the same queueing lock is waiting already, or a unique job is there. Nothing is stored; with a
            ``connection``, its transaction goes on.
        InvalidTaskArguments
            If the arguments cannot be stored as JSON.
        InvalidOption
            If ``job`` is not a job, or has a value that a task's job cannot have.
        """
        return await self._store_async(self._encoded(job), connection)

    def _encoded(self, job: Job) -> EncodedJob:
        """Check a job, and encode its arguments."""
        return EncodedJob.of(job, self.connector.json_dumps)

    async def _store_async(self, encoded: EncodedJob, connection: Any = None) -> Job:
        job = encoded.job
        if (job.limit is not None or job.terms is not None) and job.unique is None:
            (stored,) = await self._store_special_async([encoded], connection)
            return stored
        if job.unique is not None:
            (stored,) = await self._store_unique_async([encoded], connection)
            return stored
        if job.queueing_lock is not None:
            (stored,) = await store_encoded_async(self.run_async, [encoded], connection)
            return stored
        parameters = {
            "queue": job.queue,
            "task_name": job.task_name,
            "priority": job.priority,
            "lock": job.lock,
            "args": encoded.arguments,
            "headers": None if job.headers is None else dump_headers(job.headers),
            "scheduled_at": job.scheduled_at,
            "schedule_in": job.schedule_in,
            "own_transaction": connection is not None,
        }
        (row,) = await self.run_async("defer_job", parameters, connection)
        return job.evolve(id=row["id"], status=Status.TODO.value, enqueued_at=time_of(row["enqueued_at"]))

    async def _store_several_async(self, encoded: Sequence[EncodedJob]) -> list[Job]:
        if any(is_special(each.job) for each in encoded):
            return await self._store_special_async(encoded, None)
        return await store_encoded_async(self.run_async, encoded, None)

    async def batch_defer_jobs_async(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Store several jobs, all or none, and return them with their ids and ``enqueued_at``, in the same order.

        Parameters
        ----------
        jobs
            The jobs, without ids.
        connection
            The caller's own connection: the jobs are stored in the transaction open on it, or not at all.

        Raises
        ------
        AlreadyEnqueued
            If the queueing lock of a job is taken, a unique job is there, or two of them have the same. Nothing is stored.
        InvalidTaskArguments
            If the arguments of a job cannot be stored as JSON.
        InvalidOption
            If one is not a job, or has a value that a task's job cannot have.
        """
        jobs = checked_list("jobs", jobs, "jobs")
        if any(getattr(job, "unique", None) is not None for job in jobs):
            encoded = await encoded_jobs_async(jobs, self.connector.json_dumps)
            return await self._store_unique_async(encoded, connection)
        if any(map(is_special, jobs)):
            encoded = await encoded_jobs_async(jobs, self.connector.json_dumps)
            return await self._store_special_async(encoded, connection)
        return await store_jobs_async(self.run_async, jobs, self.connector.json_dumps, connection)

    async def _store_unique_async(self, encoded: Sequence[EncodedJob], connection: Any) -> list[Job]:
        if connection is not None:
            await self.limits.declare_new_async([each.job for each in encoded])
        return await store_unique_async(self.run_async, encoded, connection)

    async def _store_special_async(self, encoded: Sequence[EncodedJob], connection: Any) -> list[Job]:
        if connection is not None:
            await self.limits.declare_new_async([each.job for each in encoded])
        return await store_special_async(self.run_async, encoded, connection)

    async def batch_defer_alike_async(
        self, job: Job, arguments: Sequence[JSONDict], connection: Any = None
    ) -> AlikeJobs:
        """Store a job for each dictionary of arguments, all or none. It costs a fraction of what jobs made one by one do.

        Parameters
        ----------
        job
            What the jobs have in common, without an id; the arguments in it are part of each.
        arguments
            The arguments of each job, which go before those of ``job``.
        connection
            The caller's own connection: the jobs are stored in the transaction open on it, or not at all.

        Returns
        -------
        Sequence of Job
            The jobs, in the same order; ``ids`` has their ids.

        Raises
        ------
        AlreadyEnqueued
            If the queueing lock is taken, or several jobs have one. Nothing is stored.
        InvalidTaskArguments
            If the arguments of a job cannot be stored as JSON.
        InvalidOption
            If ``job`` is not a job or has a value that a task's job cannot have, or one of ``arguments`` is not a dictionary.
        """
        check_job("job", job)
        arguments = checked_list("arguments", arguments, "dictionaries of arguments")
        if not arguments:
            return AlikeJobs(job, ())
        if job.terms is not None:
            jobs = [job.evolve(task_kwargs={**job.task_kwargs, **each}) for each in arguments]
            stored = await self.batch_defer_jobs_async(jobs, connection)
            common = job.evolve(status=Status.TODO.value, enqueued_at=stored[0].enqueued_at)
            return AlikeJobs(common, arguments, [each.id for each in stored if each.id is not None])
        batch = await batch_of_alike_async(job, arguments, self.connector.json_dumps)
        ids, at = await store_async(self.run_async, batch, connection)
        return AlikeJobs(job.evolve(status=Status.TODO.value, enqueued_at=at), arguments, ids)

    async def defer_jobs_async(self, jobs: Sequence[Job], connection: Any = None) -> list[Deferred]:
        """Store several jobs, all or none, and return what became of each, in the same order.

        Jobs of one call may belong to several tasks, and those of them that are unique are judged one after the other.

        Parameters
        ----------
        jobs
            The jobs, without ids, as ``task.configure(...).make_new_job(...)`` returns them.
        connection
            The caller's own connection: the jobs are stored in the transaction open on it, or not at all.

        Raises
        ------
        AlreadyEnqueued
            If a unique job is there already, and is not to be skipped or replaced: its ``job_ids`` are those that are there. Or
            if a queueing lock is taken. Nothing is stored.
        InvalidConnection
            If some are unique, and the isolation of the transaction is stricter than READ COMMITTED. Nothing is stored.
        InvalidTaskArguments
            If the arguments of a job cannot be stored as JSON.
        InvalidOption
            If one is not a job, or has a value that a task's job cannot have.
        """
        return [deferred_as(job) for job in await self.batch_defer_jobs_async(jobs, connection)]

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
