"""Stores new jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adjourn._async.managers.batches import batch_of_alike_async, store_async, store_encoded_async, store_jobs_async
from adjourn._async.managers.forwarding import part_of
from adjourn._async.managers.limits import AsyncLimits
from adjourn._async.managers.specials import is_special, store_special_async
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._async.managers.uniqueness import deferred_as, encoded_jobs_async, store_unique_async
from adjourn._domain.arguments import check_job
from adjourn._domain.batches import AlikeJobs, EncodedJob
from adjourn._domain.checks import checked_list
from adjourn._domain.headers import dump_headers
from adjourn._domain.jobs import Job, Status
from adjourn._domain.times import time_of
from adjourn.types import JSONDict
from adjourn.unique import Deferred


class AsyncJobStore(AsyncStatementRunner):
    """Stores new jobs: one, a batch, or many alike."""

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
            await part_of(self, AsyncLimits).declare_new_async([each.job for each in encoded])
        return await store_unique_async(self.run_async, encoded, connection)

    async def _store_special_async(self, encoded: Sequence[EncodedJob], connection: Any) -> list[Job]:
        if connection is not None:
            await part_of(self, AsyncLimits).declare_new_async([each.job for each in encoded])
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
