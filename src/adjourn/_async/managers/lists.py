"""Reading stored jobs: one by one, in pages, and counted."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_count, check_filters, check_flag, check_id, check_order, check_waits_for
from adjourn._domain.jobs import Job, Status
from adjourn._domain.progress import Progress, progress_of
from adjourn._domain.rows import JobCounts
from adjourn._domain.time_checks import check_aware, check_seconds
from adjourn._domain.times import time_of
from adjourn._runtime.callers import caller_stacklevel
from adjourn.types import Row

FIRST = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
"""A time before all others."""


class AsyncJobLists(AsyncStatementRunner):
    """Finds jobs, whether waiting, running or finished."""

    async def get_job_status_async(self, job_id: int, connection: Any = None) -> Status:
        """Return a job's status.

        Parameters
        ----------
        job_id
            The job.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        NoResult
            If there is no such job.
        InvalidOption
            If ``job_id`` is not an integer.
        """
        check_id("job_id", job_id)
        rows = await self.run_async("get_job_status", {"job_id": job_id}, connection)
        if not rows:
            raise exceptions.NoResult(f"There is no job {job_id}.")
        return Status(rows[0]["status"])

    async def get_progress_async(self, job_id: int, connection: Any = None) -> Progress | None:
        """Return what a job's task has said last of its progress, by `JobContext.set_progress`; None for nothing.

        Parameters
        ----------
        job_id
            The job, which may have ended.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        NoResult
            If there is no such job.
        InvalidOption
            If ``job_id`` is not an integer.
        """
        check_id("job_id", job_id)
        rows = await self.run_async("read_jobs", {"ids": [job_id]}, connection)
        if not rows:
            raise exceptions.NoResult(f"There is no job {job_id}.")
        return progress_of(rows[0]["progress"])

    async def list_jobs_async(
        self,
        id: int | None = None,  # noqa: A002 - the public name
        queue: str | None = None,
        task: str | None = None,
        status: str | None = None,
        lock: str | None = None,
        queueing_lock: str | None = None,
        worker_id: int | None = None,
        *,
        waits_for: str | None = None,
        workflow_id: int | None = None,
        error: str | None = None,
        finished_after: datetime.datetime | None = None,
        finished_before: datetime.datetime | None = None,
        order: str = "id",
        limit: int | None = None,
        after_id: int = 0,
        connection: Any = None,
    ) -> list[Job]:
        """Return jobs, whether waiting, running or finished, in the order of their ids.

        Parameters
        ----------
        id, queue, task, status, lock, queueing_lock, worker_id
            Only jobs with this value; None (the default) is no filter. Jobs are read in the order of their ids until
            the page is full, so it takes long to find few matches in a long history. ``id`` and the statuses ``"todo"``
            and ``"doing"`` never read the history, so they are always fast.
        waits_for
            Only jobs that wait for this, which is always fast: ``"time"`` for the time that they were deferred for,
            ``"event"`` for an event, ``"retry"`` for the time of their next attempt, ``"lock"`` behind another job of their lock, ``"task"``
            for a worker that knows their task, ``"turn"`` for a worker to run them apart from others, because they may kill it,
            ``"jobs"`` for other jobs of their workflow, ``"limit"`` for a place under a limit, ``"pause"`` for the end of a pause,
            and ``"worker"`` for any. None (the default) is no filter.
        workflow_id
            Only jobs of this workflow. Of the history only what was deferred between its first and its last job is read. None (the
            default) is no filter.
        error
            This text in the class or the message of the last error, such as ``"Timeout"``; None (the default) is no filter.
        finished_after, finished_before
            The job ended at this time or later, and before that time: aware datetimes; None (the default) is no filter. To find few jobs
            of a long history fast, use `search_jobs_async`.
        order
            ``"id"`` (the default), or ``"due"``: only jobs that wait for a time, which is that of their next attempt for jobs that failed, and
            the end of their patience for those that wait for an event. The soonest due comes first. That is always fast.
        limit
            The most jobs to return; None (the default) for all.
        after_id
            Only jobs that come after this one: pass the id of a page's last job to get the next page. In the order ``"due"``, that job must still
            be stored.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        InvalidOption
            If the status, the order or what jobs wait for does not exist, ``limit`` or ``after_id`` is not an integer of zero or more, a
            filter has the wrong type, or one is for other jobs than those that wait for a time, and ``order`` is ``"due"``.
        NoResult
            If ``order`` is ``"due"``, and there is no job ``after_id``.
        """
        for argument, value in (("id", id), ("worker_id", worker_id), ("workflow_id", workflow_id)):
            if value is not None:
                check_id(argument, value)
        check_filters(queue=queue, task=task, lock=lock, queueing_lock=queueing_lock, error=error)
        for argument, time in (("finished_after", finished_after), ("finished_before", finished_before)):
            if time is not None:
                check_aware(argument, time)
        check_waits_for(waits_for)
        check_count("after_id", after_id)
        if limit is not None:
            check_count("limit", limit)
        ends = {"worker_id": worker_id, "finished_after": finished_after, "finished_before": finished_before}
        known = _status(status)
        check_order(order, status=known, waits_for=waits_for, **ends)
        filters = {
            "id": id,
            "queue": queue,
            "task": task,
            "lock": lock,
            "queueing_lock": queueing_lock,
            "waits_for": waits_for,
            "workflow_id": workflow_id,
            "error": error,
            "after_id": after_id,
            "limit": limit,
        }
        if order == "id":
            rows = await self.run_async("list_jobs", {**filters, **ends, "status": known}, connection)
        else:
            after_at = await self._due_at_async(after_id, connection) if after_id else FIRST
            rows = await self.run_async("list_due_jobs", {**filters, "after_at": after_at}, connection)
        return self._jobs(rows)

    async def _due_at_async(self, job_id: int, connection: Any) -> datetime.datetime:
        """Return when the last job of a page is due."""
        for job in self._jobs(await self.run_async("read_jobs", {"ids": [job_id]}, connection)):
            if job.scheduled_at is not None:
                return job.scheduled_at
        raise exceptions.NoResult(
            f"There is no job {job_id} with a time any more: list the jobs from the first one on."
        )

    async def list_queues_async(
        self,
        queue: str | None = None,
        task: str | None = None,
        status: str | None = None,
        lock: str | None = None,
        *,
        live_only: bool = False,
        waits_for: str | None = None,
    ) -> list[JobCounts]:
        """Return the queues that have jobs, with the number of jobs of each status.

        Parameters
        ----------
        queue, task, status, lock
            Count only jobs with this value; None (the default) is no filter.
        live_only
            Count only waiting and running jobs. That is always fast; otherwise the whole history is read.
        waits_for
            Count only jobs that wait for this, as in `list_jobs_async`. That is always fast, too.

        Raises
        ------
        InvalidOption
            If the status or what jobs wait for does not exist, or another value has the wrong type.
        """
        return await self._count_async("list_queues", queue, task, status, lock, live_only, waits_for)

    async def list_tasks_async(
        self,
        queue: str | None = None,
        task: str | None = None,
        status: str | None = None,
        lock: str | None = None,
        *,
        live_only: bool = False,
        waits_for: str | None = None,
    ) -> list[JobCounts]:
        """Return the tasks that have jobs, with the number of jobs of each status.

        Takes the same parameters as `list_queues_async`.
        """
        return await self._count_async("list_tasks", queue, task, status, lock, live_only, waits_for)

    async def list_locks_async(
        self,
        queue: str | None = None,
        task: str | None = None,
        status: str | None = None,
        lock: str | None = None,
        *,
        live_only: bool = False,
        waits_for: str | None = None,
    ) -> list[JobCounts]:
        """Return the locks that have jobs, with the number of jobs of each status.

        Takes the same parameters as `list_queues_async`.
        """
        return await self._count_async("list_locks", queue, task, status, lock, live_only, waits_for)

    async def _count_async(
        self,
        statement: str,
        queue: str | None,
        task: str | None,
        status: str | None,
        lock: str | None,
        live_only: bool,
        waits_for: str | None,
    ) -> list[JobCounts]:
        check_filters(queue=queue, task=task, lock=lock)
        check_flag("live_only", live_only)
        check_waits_for(waits_for)
        parameters = {
            "queue": queue,
            "task": task,
            "status": _status(status),
            "lock": lock,
            "live_only": live_only or waits_for is not None,
            "waits_for": waits_for,
        }
        return [JobCounts(row) for row in await self.run_async(statement, parameters)]

    async def get_stalled_jobs_async(
        self,
        nb_seconds: float | None = None,
        queue: str | None = None,
        task_name: str | None = None,
        seconds_since_heartbeat: float = 30,
    ) -> list[Job]:
        """Return running jobs whose worker has sent no heartbeat for ``seconds_since_heartbeat``.

        Workers rescue such jobs by themselves; this only shows them.

        Parameters
        ----------
        nb_seconds
            Deprecated: return the jobs that have run for more than this many seconds instead, whether or not their
            workers are alive.
        queue, task_name
            Only jobs with this value; None (the default) is no filter.
        seconds_since_heartbeat
            Seconds without a heartbeat, 30 by default.

        Raises
        ------
        InvalidOption
            If a value has the wrong type.
        """
        check_seconds("nb_seconds", nb_seconds, optional=True)
        check_seconds("seconds_since_heartbeat", seconds_since_heartbeat)
        check_filters(queue=queue, task_name=task_name)
        if nb_seconds is not None:
            message = "nb_seconds finds jobs that merely take long: pass seconds_since_heartbeat instead."
            warnings.warn(message, DeprecationWarning, stacklevel=caller_stacklevel())
            longest = datetime.timedelta(seconds=nb_seconds)
            (row,) = await self.run_async("get_time", {})
            now = time_of(row["now"])
            jobs = await self.list_jobs_async(queue=queue, task=task_name, status=Status.DOING)
            return [job for job in jobs if job.started_at is not None and now - job.started_at > longest]
        parameters = {"queue": queue, "task_name": task_name, "seconds": seconds_since_heartbeat}
        return self._jobs(await self.run_async("get_stalled_jobs", parameters))

    def _jobs(self, rows: list[Row]) -> list[Job]:
        return [Job.from_row(row, self.connector.json_loads) for row in rows]


def _status(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return Status(value).value
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in Status if each is not Status.ABORTING)
        raise exceptions.InvalidOption(f"status={value!r}: pass one of {choices}.") from error
