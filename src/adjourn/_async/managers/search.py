"""Searching jobs, however many there are, at a cost that has a bound."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_flag
from adjourn._domain.search import LONGEST, JobPage, check_bounds, checked_search, position_of


class AsyncJobSearch(AsyncStatementRunner):
    """Searches jobs, whether waiting, running or finished."""

    async def search_jobs_async(
        self,
        *,
        ids: Iterable[int] | None = None,
        statuses: Iterable[str] | None = None,
        queue: str | None = None,
        task: str | None = None,
        lock: str | None = None,
        queueing_lock: str | None = None,
        worker_id: int | None = None,
        waits_for: str | None = None,
        priority: int | None = None,
        min_attempts: int | None = None,
        error: str | None = None,
        args: Mapping[str, Any] | None = None,
        finished_after: datetime.datetime | None = None,
        finished_before: datetime.datetime | None = None,
        up_to_id: int | None = None,
        newest_first: bool = True,
        after: str | None = None,
        look: int = 100_000,
        limit: int = 50,
        connection: Any = None,
    ) -> JobPage:
        """Return the jobs that match all of these filters: first those that wait or run, then those that have ended.

        It looks at one job after the other, and stops when it has found or looked at as many as it may, or after some seconds. The
        page that it returns says how far it has looked, and where to go on.

        Parameters
        ----------
        ids
            Only the jobs with these ids, at most a thousand; None (the default) is no filter. No other job is looked at.
        statuses
            One of these statuses; None (the default) is no filter. Jobs that have not succeeded are found without looking at those that
            have.
        queue, task, lock, queueing_lock, worker_id, priority
            Only jobs with this value; None (the default) is no filter.
        waits_for
            Only jobs that wait for this: ``"time"``, ``"event"``, ``"retry"``, ``"lock"``, ``"task"``, ``"turn"``, ``"jobs"``, ``"limit"``,
            ``"pause"`` or ``"worker"``, as ``list_jobs_async`` explains them. No job that has ended is looked at.
        min_attempts
            Only jobs of which at least so many attempts have ended.
        error
            This text in the class or the message of the last error, such as ``"Timeout"``.
        args
            These arguments, among others: ``{"user": {"id": 7}}``. At most 2 kB as JSON.
        finished_after, finished_before
            The job ended at this time or later, and before that time: aware datetimes. Jobs that ended at other times are not looked at.
        up_to_id
            Only jobs with this id or a lower one.
        newest_first
            From the highest id down, which is the default; False begins with the lowest one.
        after
            The ``position`` of a page: go on from there. None (the default) begins.
        look
            The most jobs to look at, 100,000 by default. A million take about a second.
        limit
            The most jobs to return, 50 by default, a thousand at most.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        InvalidOption
            If a value is not valid; the message names the argument.
        """
        wanted = checked_search(
            ids=ids,
            statuses=statuses,
            queue=queue,
            task=task,
            lock=lock,
            queueing_lock=queueing_lock,
            worker_id=worker_id,
            waits_for=waits_for,
            priority=priority,
            min_attempts=min_attempts,
            error=error,
            args=args,
            finished_after=finished_after,
            finished_before=finished_before,
            up_to_id=up_to_id,
        )
        check_flag("newest_first", newest_first)
        is_live, after_id = position_of(after)
        check_bounds(look, limit)
        parameters = {
            "filter": json.dumps(wanted),
            "newest": newest_first,
            "is_live": is_live,
            "after_id": after_id,
            "budget": look,
            "seconds": LONGEST,
            "limit": limit,
        }
        return JobPage.of(await self.run_async("search_jobs", parameters, connection), self.connector.json_loads)
