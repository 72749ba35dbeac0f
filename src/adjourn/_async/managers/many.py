"""Changing many jobs at once, by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_id, checked_list
from adjourn._domain.jobs import Status

ENDED_BADLY = (Status.FAILED, Status.CANCELLED, Status.ABORTED)


class AsyncManyJobs(AsyncStatementRunner):
    """Changes many jobs in one statement. Each operation leaves out the jobs that it does not suit, and says which it changed.

    A job may have changed since the caller looked. So none of these fails because of the state of one job.
    """

    async def cancel_jobs_async(self, job_ids: Iterable[int], connection: Any = None) -> list[int]:
        """Cancel those of these jobs that wait.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        list of int
            The ids of the jobs that were cancelled, in order. The others run, have ended or do not exist.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer.
        """
        return await self._change_async("cancel_jobs", job_ids, {"delete": False}, connection)

    async def abort_jobs_async(self, job_ids: Iterable[int], connection: Any = None) -> list[int]:
        """Ask those of these jobs to end that run; see `JobContext.should_abort` for when a job ends.

        It takes the same parameters and raises the same errors as `cancel_jobs_async`.

        Returns
        -------
        list of int
            The ids of the jobs that were asked, in order. The others wait, have ended or do not exist.
        """
        return await self._change_async("request_abort", job_ids, {}, connection)

    async def retry_jobs_async(
        self, job_ids: Iterable[int], statuses: Iterable[str] = ENDED_BADLY, connection: Any = None
    ) -> list[int]:
        """Run those of these jobs again, at once, that have one of these statuses.

        Each is run again as by `JobManager.retry_job_by_id_async`.

        Parameters
        ----------
        job_ids
            The jobs; a thousand at a time is a good number.
        statuses
            Which jobs. Default: those that failed, or that were cancelled or aborted. With ``"todo"``, jobs that wait for
            their time, or for the delay of a retry, become due. With ``"doing"``, a running job is taken from its worker;
            the run itself goes on, so the two runs may overlap.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        list of int
            The ids of the jobs that run again, in order. The others have other statuses, do not exist, or are being
            changed by another transaction.

        Raises
        ------
        InvalidOption
            If one of the ids is not an integer, or a status does not exist.
        """
        names = [_status(each) for each in checked_list("statuses", statuses, "statuses")]
        return await self._change_async("retry_jobs", job_ids, {"statuses": names}, connection)

    async def delete_jobs_async(self, job_ids: Iterable[int], connection: Any = None) -> list[int]:
        """Delete those of these jobs that have ended.

        It takes the same parameters and raises the same errors as `cancel_jobs_async`.

        Returns
        -------
        list of int
            The ids of the jobs that were deleted, in order. The others wait, run, do not exist, or are being changed by
            another transaction.
        """
        return await self._change_async("delete_finished", job_ids, {}, connection)

    async def _change_async(
        self, statement: str, job_ids: Iterable[int], parameters: dict[str, Any], connection: Any
    ) -> list[int]:
        ids = checked_list("job_ids", job_ids, "ids")
        for number, job_id in enumerate(ids):
            check_id(f"job_ids[{number}]", job_id)
        rows = await self.run_async(statement, {"ids": list(ids), **parameters}, connection) if ids else []
        return sorted(row["id"] for row in rows)


def _status(value: Any) -> str:
    known = [each.value for each in Status if each is not Status.ABORTING]
    if value not in known:
        raise exceptions.InvalidOption(f"statuses: {value!r} is none: pass some of {', '.join(map(repr, known))}.")
    return str(value)
