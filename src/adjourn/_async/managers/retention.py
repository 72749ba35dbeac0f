"""Deleting old finished jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from adjourn._async.managers.partitions import blockers_async
from adjourn._async.managers.runs import AsyncRuns
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_callback, check_filter, check_flags
from adjourn._domain.retention import ENDED, rounds_of
from adjourn._domain.upkeep import named_sessions
from adjourn._domain.wording import counted
from adjourn.types import Parameters, Row

logger = logging.getLogger("adjourn.retention")

BATCH = 5_000
"""How many jobs one transaction checks. It locks them, and its snapshot keeps dead rows from being vacuumed."""
EXCHANGES = 100
"""Of how many exchanges, of up to a thousand jobs, one transaction clears the results."""
DROP_ATTEMPTS = 3


class AsyncRetention(AsyncStatementRunner):
    """Deletes old finished jobs."""

    async def delete_old_jobs_async(
        self,
        nb_hours: float | Mapping[str, float],
        queue: str | None = None,
        include_failed: bool = False,
        include_cancelled: bool = False,
        include_aborted: bool = False,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete jobs that finished more than ``nb_hours`` hours ago, and return how many.

        Finished jobs are stored in one table per week. If all jobs of a week are to be deleted, its table is dropped,
        provided that this role owns it and no other session is using it. That takes milliseconds, however many jobs
        there are, leaves nothing to vacuum, and delays workers for a fifth of a second at most. All other jobs are read
        in the order of their ids and deleted in many small transactions. If it is interrupted, the jobs deleted so far
        stay deleted. A job whose result has not lapsed is kept until it has, and keeps its week's table from being dropped.
        Results that have lapsed are cleared, of jobs that are kept as well; and so are events whose time is over, and the steps of jobs
        that are gone.

        Parameters
        ----------
        nb_hours
            The age in hours above which jobs are deleted, zero or more. Or the age for each status, such as ``{"succeeded": 24,
            "failed": 720}``: jobs with other statuses are kept.
        queue
            Only jobs of this queue; None (the default) for all. With a queue, a table is dropped only if it has no
            other jobs.
        include_failed, include_cancelled, include_aborted
            Which jobs to delete besides those that succeeded; not together with an age for each status.
        progress
            Called with the number of jobs that were deleted so far, after each transaction; None (the default) for nothing.

        Returns
        -------
        int
            How many jobs were deleted, those of dropped weeks included. A log record (``deleted_old_jobs``) names the
            tables that were dropped (``dropped``), and those that could not be, because others used them (``busy``).

        Raises
        ------
        InvalidOption
            If ``nb_hours`` is not a number of hours, zero or more, a status does not end a job, or another value has the wrong
            type.
        """
        check_callback("progress", progress, ("number",))
        check_filter("queue", queue)
        check_flags(include_failed=include_failed, include_cancelled=include_cancelled, include_aborted=include_aborted)
        also = dict(zip(ENDED[1:], (include_failed, include_cancelled, include_aborted), strict=True))
        deleted, oldest = 0, 0.0
        for hours, statuses in rounds_of(nb_hours, [status for status, is_included in also.items() if is_included]):
            what = {"seconds": hours * 3600, "statuses": statuses, "queue": queue}
            deleted = await self._delete_async(what, deleted, progress)
            oldest = max(oldest, hours)
        await self._clear_results_async()
        await self._clean_workflows_async(oldest * 3600)
        await AsyncRuns(self.connector, self.schema).clear_steps_async()
        return deleted

    async def _delete_async(self, what: Parameters, before: int, progress: Callable[[int], object] | None) -> int:
        """Delete jobs that are so old and have one of these statuses, and return how many, with those from before."""
        deleted, dropped, busy = 0, [], []
        for row in await self.run_async("list_old_partitions", {"seconds": what["seconds"]}):
            outcome, jobs = await self._drop_async(row["name"], what)
            if outcome == "dropped":
                deleted += jobs
                dropped.append(row["name"])
            elif outcome == "busy":
                busy.append(row["name"])
            if progress is not None:
                progress(before + deleted)
        in_use = await self._in_use_async(busy) if busy else ""
        after_id: int | None = 0
        while after_id is not None:
            (batch,) = await self.run_async("delete_old_jobs", {**what, "after_id": after_id, "limit": BATCH})
            deleted += batch["deleted"]
            after_id = batch["last_id"]
            if progress is not None:
                progress(before + deleted)
        extra = {"action": "deleted_old_jobs", "deleted": deleted, "dropped": dropped, "busy": busy}
        weeks = counted(len(dropped), "whole week")
        logger.info("Deleted %s, %s of them%s", counted(deleted, "old job"), weeks, in_use, extra=extra)
        return before + deleted

    async def _clear_results_async(self) -> None:
        """Clear the results that have lapsed, of jobs that are kept."""
        cleared = EXCHANGES
        while cleared == EXCHANGES:
            (row,) = await self.run_async("clear_results", {"limit": EXCHANGES})
            cleared = row["cleared"]

    async def _clean_workflows_async(self, seconds: float) -> None:
        """Forget workflows that ended so long ago."""
        after_id: int | None = 0
        while after_id is not None:
            given = {"seconds": seconds, "after_id": after_id, "limit": BATCH}
            (row,) = await self.run_async("clean_workflows", given)
            after_id = row["last_id"]

    async def _drop_async(self, name: str, what: Parameters) -> tuple[str, int]:
        """Drop a partition if all its jobs are to be deleted; return what became of it, and the number of its jobs."""
        row: Row = {}
        for _ in range(DROP_ATTEMPTS):
            (row,) = await self.run_async("drop_partition", {**what, "name": name})
            if row["outcome"] != "busy":
                break
        return str(row["outcome"]), int(row["jobs"])

    async def _in_use_async(self, names: list[str]) -> str:
        sessions = await blockers_async(
            self.connector.get_async_connector(), self.schema, [*names, "adjourn_finished_jobs"]
        )
        return f"; not dropped whole, because of {named_sessions(sessions)}: {', '.join(names)}"
