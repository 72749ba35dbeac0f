"""Changing many jobs at once: those with some ids, or all that match a filter."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_callback, check_flag, check_id, check_name, check_priority, checked_list
from adjourn._domain.filters import JobFilter, check_limit, check_one_way, checked_statuses
from adjourn._domain.jobs import Status
from adjourn._domain.time_checks import check_aware, check_seconds
from adjourn.exceptions import InvalidOption
from adjourn.types import Parameters

ENDED_BADLY = (Status.FAILED, Status.CANCELLED, Status.ABORTED)
PAGE = 1000
"""How many of the jobs that match a filter one transaction changes."""


class AsyncManyJobs(AsyncStatementRunner):
    """Changes many jobs. Each operation leaves out the jobs that it does not suit, and says which it changed.

    The jobs are given by their ids, or by filters: then those that match all of them are changed, in the order of their ids,
    a thousand in each transaction. If it is interrupted, what is done stays done; called again, it goes on. `count_jobs_async`
    says beforehand how many match.

    A job may have changed since the caller looked. So none of these fails because of the state of one job.
    """

    async def count_jobs_async(
        self,
        *,
        statuses: Iterable[str] = (Status.FAILED,),
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        finished_after: datetime.datetime | None = None,
        finished_before: datetime.datetime | None = None,
    ) -> int:
        """Return how many jobs match all of these filters.

        Parameters
        ----------
        statuses
            One of these statuses. Default: those that have failed.
        queue, task
            This queue, this task; None (the default) is no filter.
        error
            This text in the class or the message of the last error, such as ``"Timeout"``; None (the default) is no filter.
        finished_after, finished_before
            The job ended at this time or later, and before that time: aware datetimes; None (the default) is no filter.

        Raises
        ------
        InvalidOption
            If a status does not exist, or another value has the wrong type.
        """
        wanted = JobFilter.checked(
            statuses=statuses,
            queue=queue,
            task=task,
            error=error,
            finished_after=finished_after,
            finished_before=finished_before,
        )
        count = 0
        for parameters in wanted.passes():
            (row,) = await self.run_async("count_jobs", parameters)
            count += row["jobs"]
        return count

    async def cancel_jobs_async(
        self,
        job_ids: Iterable[int] | None = None,
        connection: Any = None,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        limit: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[int]:
        """Cancel jobs that wait: those of these that do, or all that match the filters.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number. None (the default) for those that match the filters.
        connection
            The caller's own connection, whose transaction this joins.
        queue, task, error
            Filters, as `count_jobs_async` has them. The last error of a job that waits is that of its last attempt.
        limit
            The most jobs to cancel; None (the default) for all that match.
        progress
            Called with the number of jobs that were changed so far, after each thousand of those that match the filters; None (the
            default) for nothing.

        Returns
        -------
        list of int
            The ids of the jobs that were cancelled, in order. The others run, have ended or do not exist.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer, a filter has the wrong type, or there are neither ids nor filters, or both.
        """
        filters = {"queue": queue, "task": task, "error": error}
        statuses = (Status.TODO,)
        return await self._change_async(
            "cancel_jobs", job_ids, {"delete": False}, connection, statuses, None, filters, limit, progress
        )

    async def abort_jobs_async(self, job_ids: Iterable[int], connection: Any = None) -> list[int]:
        """Ask those of these jobs to end that run; see `JobContext.should_abort` for when a job ends.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        list of int
            The ids of the jobs that were asked, in order. The others wait, have ended or do not exist.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer.
        """
        return await self._change_by_id_async("request_abort", job_ids, {}, connection)

    async def retry_jobs_async(
        self,
        job_ids: Iterable[int] | None = None,
        statuses: Iterable[str] | None = None,
        connection: Any = None,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        finished_after: datetime.datetime | None = None,
        finished_before: datetime.datetime | None = None,
        limit: int | None = None,
        delay: float = 0.0,
        retry_at: datetime.datetime | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[int]:
        """Run jobs again: those of these that have one of these statuses, or all that match the filters.

        Each is run again as by `JobManager.retry_job_by_id_async`.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number. None (the default) for those that match the filters.
        statuses
            Which jobs. Default: None, of jobs that are given by their ids those that failed, or that were cancelled or aborted,
            and of jobs that match the filters those that failed. With ``"todo"``, jobs that wait for their time, or for the
            delay of a retry, become due. With ``"doing"``, a running job is taken from its worker; the run itself goes on, so
            the two runs may overlap.
        connection
            The caller's own connection, whose transaction this joins.
        queue, task, error, finished_after, finished_before
            Filters, as `count_jobs_async` has them.
        limit
            The most jobs to run again; None (the default) for all that match.
        delay
            Seconds from now before which the jobs do not run; 0 (the default) for none.
        retry_at
            An aware datetime before which the jobs do not run; None (the default) for none. Not with ``delay``.
        progress
            Called with the number of jobs that were changed so far, after each thousand of those that match the filters; None (the
            default) for nothing.

        Returns
        -------
        list of int
            The ids of the jobs that run again, in order. The others have other statuses, do not exist, or are being
            changed by another transaction.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer, a status does not exist, a filter has the wrong type, there are neither ids nor
            filters, or both, or ``delay`` and ``retry_at`` are both passed.
        """
        check_seconds("delay", delay)
        if retry_at is not None:
            check_aware("retry_at", retry_at)
            if delay:
                raise InvalidOption("delay and retry_at exclude each other: pass one of them.")
        filters = {
            "queue": queue,
            "task": task,
            "error": error,
            "finished_after": finished_after,
            "finished_before": finished_before,
        }
        names = None if statuses is None else checked_statuses(statuses)
        if names is None:
            names = (Status.FAILED,) if job_ids is None else ENDED_BADLY
        parameters = {"statuses": [str(each) for each in names], "delay": float(delay), "at": retry_at}
        given = None if job_ids is not None else statuses
        return await self._change_async(
            "retry_jobs", job_ids, parameters, connection, names, given, filters, limit, progress
        )

    async def delete_jobs_async(
        self,
        job_ids: Iterable[int] | None = None,
        connection: Any = None,
        *,
        statuses: Iterable[str] | None = None,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        finished_after: datetime.datetime | None = None,
        finished_before: datetime.datetime | None = None,
        limit: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[int]:
        """Delete jobs that have ended: those of these that have, or all that match the filters.

        To delete old jobs as a matter of routine, `JobManager.delete_old_jobs_async` is faster by far.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number. None (the default) for those that match the filters.
        connection
            The caller's own connection, whose transaction this joins.
        statuses
            Which jobs. Default: None, of jobs that are given by their ids all that have ended, and of jobs that match the
            filters those that failed.
        queue, task, error, finished_after, finished_before
            Filters, as `count_jobs_async` has them.
        limit
            The most jobs to delete; None (the default) for all that match.
        progress
            Called with the number of jobs that were changed so far, after each thousand of those that match the filters; None (the
            default) for nothing.

        Returns
        -------
        list of int
            The ids of the jobs that were deleted, in order. The others wait, run, do not exist, or are being changed by
            another transaction.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer, a status does not exist, a filter has the wrong type, or there are neither ids
            nor filters, or both.
        """
        filters = {
            "queue": queue,
            "task": task,
            "error": error,
            "finished_after": finished_after,
            "finished_before": finished_before,
        }
        names = (Status.FAILED,) if statuses is None else checked_statuses(statuses)
        is_any = job_ids is not None and statuses is None
        parameters = {"statuses": None if is_any else [str(each) for each in names]}
        given = None if job_ids is not None else statuses
        return await self._change_async(
            "delete_finished", job_ids, parameters, connection, names, given, filters, limit, progress
        )

    async def change_jobs_async(
        self,
        job_ids: Iterable[int] | None = None,
        *,
        priority: int | None = None,
        move_to: str | None = None,
        schedule_at: datetime.datetime | None = None,
        now: bool = False,
        connection: Any = None,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        limit: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[int]:
        """Change jobs that wait: those of these that do, or all that match the filters. What is not named stays as it is.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number. None (the default) for those that match the filters.
        priority, move_to
            The new priority, and the queue to move them to; None (the default) keeps theirs.
        schedule_at
            They do not run before this aware datetime; None (the default) keeps their time.
        now
            They need not wait for their time any more. Default: False.
        connection
            The caller's own connection, whose transaction this joins.
        queue, task, error
            Filters, as `count_jobs_async` has them. The last error of a job that waits is that of its last attempt.
        limit
            The most jobs to change; None (the default) for all that match.
        progress
            Called with the number of jobs that were changed so far, after each thousand of those that match the filters; None (the
            default) for nothing.

        Returns
        -------
        list of int
            The ids of the jobs that were changed, in order. The others run, have ended or do not exist. With ``schedule_at`` or
            ``now``, jobs that wait for other jobs or for an event are among the others.

        Raises
        ------
        InvalidOption
            If a value is not valid, nothing is to be changed, ``schedule_at`` and ``now`` are both passed, or there are neither ids nor
            filters, or both.
        """
        check_name("move_to", move_to, optional=True)
        check_flag("now", now)
        if priority is not None:
            check_priority(priority)
        if schedule_at is not None:
            check_aware("schedule_at", schedule_at)
            if now:
                raise InvalidOption("schedule_at and now exclude each other: pass one of them.")
        if priority is None and move_to is None and schedule_at is None and not now:
            raise InvalidOption("Pass what is to change: priority, move_to, schedule_at or now=True.")
        parameters = {
            "priority": priority,
            "queue": move_to,
            "reschedule": now or schedule_at is not None,
            "at": schedule_at,
        }
        filters = {"queue": queue, "task": task, "error": error}
        return await self._change_async(
            "change_jobs", job_ids, parameters, connection, (Status.TODO,), None, filters, limit, progress
        )

    async def _change_async(
        self,
        statement: str,
        job_ids: Iterable[int] | None,
        parameters: Parameters,
        connection: Any,
        statuses: Iterable[str],
        given: Iterable[str] | None,
        filters: dict[str, Any],
        limit: int | None,
        progress: Callable[[int], object] | None,
    ) -> list[int]:
        """Change jobs with these ids, or those that match filters; ``given`` are the statuses that the caller has passed."""
        check_callback("progress", progress, ("number",))
        passed = {**filters, "statuses": given, "limit": limit}
        check_one_way(job_ids, (name for name, value in passed.items() if value is not None))
        if job_ids is not None:
            return await self._change_by_id_async(statement, job_ids, parameters, connection)
        check_limit(limit)
        wanted = JobFilter.checked(statuses=statuses, **filters)
        changed: list[int] = []
        for each in wanted.passes():
            await self._change_pages_async(statement, each, parameters, connection, changed, limit, progress)
        return sorted(changed)

    async def _change_pages_async(
        self,
        statement: str,
        wanted: Parameters,
        parameters: Parameters,
        connection: Any,
        changed: list[int],
        limit: int | None,
        progress: Callable[[int], object] | None,
    ) -> None:
        # A job that has failed again meanwhile has the id that it had, and is not found twice.
        after_id: int | None = 0
        while after_id is not None and (limit is None or len(changed) < limit):
            size = PAGE if limit is None else min(PAGE, limit - len(changed))
            rows = await self.run_async("find_jobs", {**wanted, "after_id": after_id, "limit": size}, connection)
            ids = [row["id"] for row in rows]
            changed += await self._change_by_id_async(statement, ids, parameters, connection)
            after_id = ids[-1] if len(ids) == size else None
            if progress is not None:
                progress(len(changed))

    async def _change_by_id_async(
        self, statement: str, job_ids: Iterable[int], parameters: Parameters, connection: Any
    ) -> list[int]:
        ids = checked_list("job_ids", job_ids, "ids")
        for number, job_id in enumerate(ids):
            check_id(f"job_ids[{number}]", job_id)
        rows = await self.run_async(statement, {"ids": list(ids), **parameters}, connection) if ids else []
        return sorted(row["id"] for row in rows)
