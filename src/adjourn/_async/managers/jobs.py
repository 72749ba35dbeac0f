"""Every operation on stored jobs. One operation is one call of the connector: one hop, and atomic."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.retention import AsyncRetention
from adjourn._async.managers.workers import AsyncWorkers
from adjourn._domain.arguments import check_is_job, check_job, dump_arguments
from adjourn._domain.checks import (
    check_aware,
    check_filter,
    check_flags,
    check_id,
    check_name,
    check_priority,
    check_seconds,
    checked_list,
    checked_periodic_id,
)
from adjourn._domain.cron import Cron
from adjourn._domain.jobs import Job, Status
from adjourn.types import Row

_QUEUEING_LOCK_INDEX = "adjourn_jobs_queueing_lock"


class AsyncJobManager(AsyncWorkers, AsyncRetention):
    """Stores, finds, changes and deletes jobs."""

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job.

        Parameters
        ----------
        job
            The job, without an id.
        connection
            A connection of the caller's: the job is stored in the transaction open on it, or not at all.

        Returns
        -------
        Job
            The same with its id.

        Raises
        ------
        AlreadyEnqueued
            If a job with the same queueing lock waits already. Nothing is stored; with a ``connection``, its
            transaction has failed.
        InvalidTaskArguments
            If the arguments cannot be stored as JSON.
        InvalidOption
            If it is not a job, or has a value that no task's job could have.
        """
        check_job("job", job)
        parameters = {
            "queue": job.queue,
            "task_name": job.task_name,
            "priority": job.priority,
            "lock": job.lock,
            "queueing_lock": job.queueing_lock,
            "args": dump_arguments(job.task_name, job.task_kwargs, self.connector.json_dumps),
            "scheduled_at": job.scheduled_at,
            "schedule_in": None,
            "own_transaction": connection is not None,
        }
        try:
            (row,) = await self.run_async("defer_job", parameters, connection)
        except exceptions.UniqueViolation as error:
            if error.constraint_name != _QUEUEING_LOCK_INDEX:
                raise
            error.queueing_lock = job.queueing_lock
            raise _already_enqueued(repr(job.queueing_lock)) from error
        return job.evolve(id=row["id"], status=Status.TODO.value)

    async def defer_periodic_job_async(
        self, job: Job, periodic_id: str, defer_timestamp: int, *, cron: str = "", timezone: str = "UTC"
    ) -> int | None:
        """Store the job of one tick of a periodic task, unless that tick or a later one was deferred already.

        However many workers try, one of them succeeds.

        Parameters
        ----------
        job
            The job, without an id.
        periodic_id
            Tells several schedules of one task apart.
        defer_timestamp
            The tick: seconds since the epoch.
        cron, timezone
            The schedule, for lists; an empty one is not known.

        Returns
        -------
        int or None
            The job's id; None if the tick was deferred already.

        Raises
        ------
        AlreadyEnqueued
            If a job with the same queueing lock waits already. The tick then counts as deferred.
        InvalidOption
            If it is not a job, or the tick or the schedule not one.
        """
        check_job("job", job)
        checked_periodic_id(periodic_id)
        tick = _tick(defer_timestamp)
        if cron or timezone != "UTC":
            Cron(cron or "@hourly", timezone)  # refuses what cannot be read
        parameters = {
            "periodic_id": periodic_id,
            "cron": cron,
            "timezone": timezone,
            "tick": tick,
            "queue": job.queue,
            "task_name": job.task_name,
            "priority": job.priority,
            "lock": job.lock,
            "queueing_lock": job.queueing_lock,
            "args": dump_arguments(job.task_name, job.task_kwargs, self.connector.json_dumps),
        }
        (row,) = await self.run_async("defer_periodic_job", parameters)
        if row["is_new"] and row["job_id"] is None:
            cause = exceptions.UniqueViolation(constraint_name=_QUEUEING_LOCK_INDEX, queueing_lock=job.queueing_lock)
            raise _already_enqueued(repr(job.queueing_lock)) from cause
        return None if row["job_id"] is None else int(row["job_id"])

    async def list_schedules_async(self) -> list[Row]:
        """Return what is known of the schedules of periodic tasks that have been due at least once.

        Returns
        -------
        list of dict
            ``task_name``, ``periodic_id``, ``cron``, ``timezone``, ``last_tick``, ``last_job_id``, ``seen_at`` (when a
            worker last knew it) and ``next_tick``, None where the schedule is not known or cannot be read.
        """
        rows = await self.run_async("list_schedules", {})
        for row in rows:
            row["next_tick"] = _next_tick(row["cron"], row["timezone"], row.pop("now"))
        return rows

    async def keep_schedules_async(self, known: Sequence[tuple[str, str]], seconds: float) -> list[tuple[str, str]]:
        """Note that schedules, given by task name and ``periodic_id``, are still in use, and forget others.

        Parameters
        ----------
        known
            The schedules in use here.
        seconds
            Others are forgotten when nobody has known them for so long.

        Returns
        -------
        list of tuple
            The schedules that were forgotten.

        Raises
        ------
        InvalidOption
            If ``known`` is not a list of pairs, or ``seconds`` not a duration.
        """
        known = checked_list("known", known, "pairs of a task's name and a periodic_id")
        for each in known:
            if not isinstance(each, tuple | list) or len(each) != 2 or not all(isinstance(name, str) for name in each):
                raise exceptions.InvalidOption(f"known: {each!r} is no pair of a task's name and a periodic_id.")
            for name in each:
                check_filter("known", name)
        check_seconds("seconds", seconds)
        parameters = {
            "task_names": [task_name for task_name, _ in known],
            "periodic_ids": [periodic_id for _, periodic_id in known],
            "seconds": seconds,
        }
        rows = await self.run_async("keep_schedules", parameters)
        return [(row["task_name"], row["periodic_id"]) for row in rows]

    async def batch_defer_jobs_async(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Store several jobs, all or none, and return them with their ids, in the same order.

        Raises
        ------
        AlreadyEnqueued
            If the queueing lock of any is taken, or two of them have the same. Nothing is stored.
        InvalidTaskArguments
            If the arguments of any cannot be stored as JSON.
        InvalidOption
            If one is not a job, or has a value that no task's job could have.
        """
        jobs = checked_list("jobs", jobs, "jobs")
        for number, job in enumerate(jobs):
            check_job(f"jobs[{number}]", job)
        if not jobs:
            return []
        dumps = self.connector.json_dumps
        parameters = {
            "queues": [job.queue for job in jobs],
            "task_names": [job.task_name for job in jobs],
            "priorities": [job.priority for job in jobs],
            "locks": [job.lock for job in jobs],
            "queueing_locks": [job.queueing_lock for job in jobs],
            "args": [dump_arguments(job.task_name, job.task_kwargs, dumps) for job in jobs],
            "scheduled_at": [job.scheduled_at for job in jobs],
            "schedule_in": None,
            "own_transaction": connection is not None,
        }
        try:
            rows = await self.run_async("defer_jobs", parameters, connection)
        except exceptions.UniqueViolation as error:
            if error.constraint_name != _QUEUEING_LOCK_INDEX:
                raise
            locks = {job.queueing_lock for job in jobs} - {None}
            said = (lock for lock in locks if len(locks) == 1 or f"=({lock})" in str(error))
            error.queueing_lock = next(said, None)
            raise _already_enqueued("of one of the jobs") from error
        return [job.evolve(id=row["id"], status=Status.TODO.value) for job, row in zip(jobs, rows, strict=True)]

    async def cancel_job_by_id_async(
        self, job_id: int, abort: bool = False, delete_job: bool = False, connection: Any = None
    ) -> bool:
        """Take back a job that waits and, with ``abort``, ask for the end of one that runs.

        Parameters
        ----------
        job_id
            The job.
        abort
            If it runs, ask its worker to end it; what that can promise, `JobContext.should_abort` says.
        delete_job
            Delete the waiting job instead of keeping it as cancelled.
        connection
            A connection of the caller's, whose transaction this joins.

        Returns
        -------
        bool
            Whether the job was cancelled, or its end asked for.

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

    async def retry_job_by_id_async(
        self,
        job_id: int,
        retry_at: datetime.datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
        connection: Any = None,
    ) -> None:
        """Run a job again: one that has ended, one that runs, or one that waits.

        One that runs its worker loses: how that run ends is not stored. Its body is not stopped, so that the two may
        overlap, also under a lock; where that matters, abort the job first and wait for its end.

        Parameters
        ----------
        job_id
            The job.
        retry_at
            Not before this time, aware; None for at once.
        priority, queue, lock
            New values; None leaves the job's own. Its queueing lock is given up unless it still waits.
        connection
            A connection of the caller's, whose transaction this joins.

        Raises
        ------
        NoResult
            If there is no such job.
        InvalidOption
            If a value is not one that the job could have been deferred with.
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
        """Ask the database whether it has adjourn's tables.

        Raises
        ------
        ConnectorException
            If it cannot be reached.
        """
        (row,) = await self.run_async("check_connection", {})
        return bool(row["exists"])


def _already_enqueued(lock: str) -> exceptions.AlreadyEnqueued:
    return exceptions.AlreadyEnqueued(
        f"A job with the queueing lock {lock} is waiting already; nothing was stored. Ignore this error where one "
        "waiting job is enough, or defer with another queueing_lock."
    )


def _tick(defer_timestamp: int) -> datetime.datetime:
    check_id("defer_timestamp", defer_timestamp)
    try:
        tick = datetime.datetime.fromtimestamp(defer_timestamp, datetime.UTC)
    except (ValueError, OverflowError, OSError) as error:
        message = f"defer_timestamp={defer_timestamp!r}: pass seconds since the epoch, within the calendar."
        raise exceptions.InvalidOption(message) from error
    check_aware("defer_timestamp", tick)
    return tick


def _next_tick(cron: str, timezone: str, now: datetime.datetime) -> datetime.datetime | None:
    # A program that was written for Procrastinate, or knows other time zones, may have stored it.
    try:
        return Cron(cron, timezone).next(now)
    except ValueError:
        return None
