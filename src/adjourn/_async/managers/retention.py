"""Deleting old finished jobs."""

from __future__ import annotations

import logging

from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_filter, check_flags, check_hours
from adjourn.types import Parameters

logger = logging.getLogger("adjourn.retention")

BATCH = 5_000
"""How many jobs one transaction checks. It locks them, and its snapshot keeps dead rows from being vacuumed."""
DROP_ATTEMPTS = 3
_FINISHED = ("succeeded", "failed", "cancelled", "aborted")


class AsyncRetention(AsyncStatementRunner):
    """Deletes old finished jobs."""

    async def delete_old_jobs_async(
        self,
        nb_hours: float,
        queue: str | None = None,
        include_failed: bool = False,
        include_cancelled: bool = False,
        include_aborted: bool = False,
    ) -> int:
        """Delete jobs that finished more than ``nb_hours`` hours ago, and return how many.

        Finished jobs are stored in one table per week. If all jobs of a week are to be deleted, its table is dropped,
        provided that this role owns it and no other session is using it. That takes milliseconds, however many jobs
        there are, leaves nothing to vacuum, and delays workers for a fifth of a second at most. All other jobs are read
        in the order of their ids and deleted in many small transactions. If it is interrupted, the jobs deleted so far
        stay deleted.

        Parameters
        ----------
        nb_hours
            The age in hours above which jobs are deleted, zero or more.
        queue
            Only jobs of this queue; None (the default) for all. With a queue, a table is dropped only if it has no
            other jobs.
        include_failed, include_cancelled, include_aborted
            Which jobs to delete besides those that succeeded.

        Returns
        -------
        int
            How many jobs were deleted, those of dropped weeks included. A log record (``deleted_old_jobs``) names the
            tables that were dropped.

        Raises
        ------
        InvalidOption
            If ``nb_hours`` is not a number of hours, zero or more, or another value has the wrong type.
        """
        check_hours("nb_hours", nb_hours)
        check_filter("queue", queue)
        check_flags(include_failed=include_failed, include_cancelled=include_cancelled, include_aborted=include_aborted)
        wanted = zip(_FINISHED, (True, include_failed, include_cancelled, include_aborted), strict=True)
        statuses = [status for status, included in wanted if included]
        what = {"seconds": nb_hours * 3600, "statuses": statuses, "queue": queue}
        deleted, dropped = 0, []
        for row in await self.run_async("list_old_partitions", {"seconds": what["seconds"]}):
            jobs = await self._drop_async(row["name"], what)
            if jobs is not None:
                deleted += jobs
                dropped.append(row["name"])
        after_id: int | None = 0
        while after_id is not None:
            (batch,) = await self.run_async("delete_old_jobs", {**what, "after_id": after_id, "limit": BATCH})
            deleted += batch["deleted"]
            after_id = batch["last_id"]
        extra = {"action": "deleted_old_jobs", "deleted": deleted, "dropped": dropped}
        logger.info("Deleted %d old jobs, %d weeks of them whole", deleted, len(dropped), extra=extra)
        return deleted

    async def _drop_async(self, name: str, what: Parameters) -> int | None:
        """Drop a partition if all its jobs are to be deleted; return their number, or None if it is still there."""
        for _ in range(DROP_ATTEMPTS):
            (row,) = await self.run_async("drop_partition", {**what, "name": name})
            if row["outcome"] == "dropped":
                return int(row["jobs"])
            if row["outcome"] != "busy":
                break
        return None
