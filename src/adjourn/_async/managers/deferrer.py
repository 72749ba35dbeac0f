"""The last step before a job is stored: it adds the arguments to a task's name and options."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Generic

from adjourn import telemetry
from adjourn._async.managers.batches import VALUES
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._domain.arguments import Signature, dump_arguments
from adjourn._domain.batches import AlikeJobs
from adjourn._domain.job_limits import TaskLimits
from adjourn._domain.jobs import Job
from adjourn._runtime import aio as runtime
from adjourn.events.jobs import JobsDeferred
from adjourn.events.log import LOGGED
from adjourn.events.records.jobs import log_jobs
from adjourn.types import Args, JSONDict


class AsyncJobDeferrer(Generic[Args]):
    """Makes and stores jobs of one task with fixed options; ``task.configure(...)`` returns one.

    Parameters
    ----------
    job_manager
        The manager that stores the jobs.
    job
        The options; the arguments in it are part of every job.
    connection
        The caller's own connection; jobs are stored in the transaction that is open on it. None uses the app's.
    signature
        The arguments that the task takes; None if the app does not know the task.
    limits
        The limits that the task declares; None for none.
    limit_key
        The key under one of them, instead of the one that the arguments make.

    Raises
    ------
    InvalidTaskArguments
        If the task does not take the arguments that are in the job already, or they cannot be stored.
    """

    job_manager: AsyncJobManager

    def __init__(
        self,
        job_manager: Any,
        job: Job,
        connection: Any = None,
        signature: Signature | None = None,
        limits: TaskLimits | None = None,
        limit_key: str | None = None,
    ) -> None:
        self.job_manager = job_manager
        self.job = job
        self.connection = connection
        self.signature: Signature = signature or Signature(job.task_name)
        self.limits = limits
        self.limit_key = limit_key
        if job.task_kwargs:
            self.signature.check_names(job.task_kwargs)
            dump_arguments(job.task_name, job.task_kwargs, job_manager.connector.json_dumps)

    async def defer_async(self, /, *args: Args.args, **task_kwargs: Args.kwargs) -> int:
        """Store one job, and return its id.

        Parameters
        ----------
        *args
            None: pass every argument by its name.
        **task_kwargs
            The arguments to call the task with; they must be storable as JSON.

        Raises
        ------
        InvalidTaskArguments
            If the task does not take these arguments (it never takes positional ones), or they cannot be stored.
        AlreadyEnqueued
            If the queueing lock is taken, or a unique job is there already.
        AppNotOpen
            If the app is not open, and no connection was given.
        """
        job = await self.defer_job_async(*args, **task_kwargs)
        assert job.id is not None
        return job.id

    async def defer_job_async(self, /, *args: Any, **task_kwargs: Any) -> Job:
        """Store one job, and return it with its id, its status and ``enqueued_at``.

        It takes the same parameters and raises the same errors as `defer_async`.
        """
        job = self.make_job(args, task_kwargs)
        log_jobs(logging.DEBUG, "about_to_defer_jobs", "About to defer", [job])
        if telemetry.OBSERVERS:
            (deferred,) = await self._store_async([job], is_batch=False)
        else:
            deferred = await self.job_manager.defer_job_async(job, self.connection)
        self._tell_deferred([deferred])
        return deferred

    async def batch_defer_async(self, *task_kwargs: JSONDict) -> list[int]:
        """Store one job for each dictionary of arguments, all or none, and return their ids in the same order.

        A batch is one statement, however large, so the program and the server hold all of it in memory; Postgres takes
        arguments of one gigabyte at most. Others have their turns while it is prepared.

        Raises
        ------
        InvalidTaskArguments
            If the task does not take the arguments in one of the dictionaries, or they cannot be stored.
        AlreadyEnqueued
            If the queueing lock is taken, or a unique job is there already, or several of the jobs have one of them.
        AppNotOpen
            If the app is not open, and no connection was given.
        """
        await self._check_all_async(task_kwargs)
        jobs: Sequence[Job] = AlikeJobs(self.job, task_kwargs)
        if self.job.unique is not None or self.limits is not None or self.job.terms is not None:
            jobs = [self.make_job((), each) for each in task_kwargs]
        log_jobs(logging.DEBUG, "about_to_defer_jobs", "About to defer", jobs)
        deferred = await self._store_async(jobs, is_batch=True)
        self._tell_deferred(deferred)
        return deferred.ids if isinstance(deferred, AlikeJobs) else [job.id for job in deferred if job.id is not None]

    async def _check_all_async(self, task_kwargs: Sequence[JSONDict]) -> None:
        """Check arguments against the task. Which are there decides, so each set of names is checked once."""
        pace = runtime.Pace()
        known: set[tuple[str, ...]] = set()
        for start in range(0, len(task_kwargs), VALUES):
            for each in task_kwargs[start : start + VALUES]:
                if type(each) is not dict or tuple(each) not in known:
                    self.make_job((), each)
                    known.add(tuple(each))
            await pace.keep()

    async def defer_jobs_async(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Store jobs that deferrers of the same app have made, all or none, and return them with their ids.

        Parameters
        ----------
        jobs
            What their `make_job` has returned.
        """
        log_jobs(logging.DEBUG, "about_to_defer_jobs", "About to defer", jobs)
        deferred = await self._store_async(jobs, is_batch=True)
        self._tell_deferred(deferred)
        return deferred

    def make_job(self, args: tuple[Any, ...], task_kwargs: JSONDict) -> Job:
        """Return a job with these arguments, after checking them against the task.

        Parameters
        ----------
        args
            Positional arguments, which are refused.
        task_kwargs
            The arguments to call the task with.
        """
        merged = {**self.job.task_kwargs, **task_kwargs} if isinstance(task_kwargs, dict) else task_kwargs
        self.signature.check(args, merged)
        if self.limits is None:
            return self.job.evolve(task_kwargs=merged)
        return self.job.evolve(task_kwargs=merged, limit=self.limits.of_job(self.job.task_name, merged, self.limit_key))

    async def _store_async(self, jobs: Sequence[Job], *, is_batch: bool) -> Sequence[Job]:
        """Store jobs, and let observers see it."""
        deferral = telemetry.Deferral(jobs=jobs, is_batch=is_batch, in_transaction=self.connection is not None)
        with telemetry.around_defer(deferral):
            jobs = deferral.jobs
            if not is_batch:
                deferral.jobs = [await self.job_manager.defer_job_async(jobs[0], self.connection)]
            elif isinstance(jobs, AlikeJobs):
                store_async = self.job_manager.batch_defer_alike_async
                deferral.jobs = await store_async(jobs.common, jobs.arguments, self.connection)
            else:
                deferral.jobs = await self.job_manager.batch_defer_jobs_async(jobs, self.connection)
        return deferral.jobs

    def _tell_deferred(self, jobs: Sequence[Job]) -> None:
        events = getattr(self.job_manager, "events", LOGGED)
        if events.wants(JobsDeferred):
            # Unique jobs may have been there already.
            new = jobs if isinstance(jobs, AlikeJobs) else [job for job in jobs if not job.unique or job.enqueued_at]
            if new:
                events.emit(JobsDeferred(jobs=new, in_transaction=self.connection is not None))
