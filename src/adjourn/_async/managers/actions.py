"""What people do with jobs that they look at: only while the jobs are as they were seen, and with a note of who did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.actions import AuditNote, Author, Seen, audit_row, check_author
from adjourn._domain.checks import check_count, check_filter, check_id


class AsyncActions(AsyncStatementRunner):
    """Makes sure that jobs are as somebody has seen them, and keeps notes of what people do, in the transactions that do it."""

    async def hold_job_async(self, job_id: int, seen: Seen, connection: Any) -> None:
        """Keep a job as it is until the end of a transaction, or refuse if it is not as it was seen.

        Parameters
        ----------
        job_id
            The job.
        seen
            How it was seen.
        connection
            The caller's own connection, whose transaction this joins. A worker that runs the job cannot store its end before the
            transaction has ended, so end it soon.

        Raises
        ------
        JobChanged
            If the job has begun, has ended, was claimed once more, or is gone.
        """
        check_id("job_id", job_id)
        seen.check(job_id, await self.run_async("hold_job", {"job_id": job_id}, connection))

    async def add_audit_async(
        self,
        author: Author,
        action: str,
        *,
        target: str | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the name of the column
        jobs: int = 1,
        ids: Sequence[int] | None = None,
        outcome: str = "done",
        connection: Any = None,
    ) -> int:
        """Store a note of an action.

        Parameters
        ----------
        author
            Who did it.
        action
            What was done.
        target, filter
            To what: the id of a job or the name of a queue, or filters.
        jobs
            How many jobs were changed.
        ids
            Which, for a batch of a change of many jobs; None (the default): the note does not say.
        outcome
            What came of it.
        connection
            The caller's own connection, whose transaction this joins: that of the action.

        Returns
        -------
        int
            The number of the note.
        """
        check_author(author)
        check_count("jobs", jobs)
        for job_id in ids or ():
            check_id("ids", job_id)
        note = audit_row(author, action, target, filter, jobs, outcome)
        given = None if ids is None else list(ids)
        (row,) = await self.run_async("add_audit", {**note, "ids": given}, connection)
        return int(row["id"])

    async def list_audit_async(
        self, *, target: str | None = None, before_id: int | None = None, limit: int = 50, connection: Any = None
    ) -> list[AuditNote]:
        """Return notes of actions, the newest first.

        Parameters
        ----------
        target
            Only those of this target; None (the default) for all.
        before_id
            Only notes with a lower number: that of the last one of the page before.
        limit
            The most notes to return, 50 by default.
        connection
            The caller's own connection, whose transaction this joins.
        """
        check_filter("target", target)
        if before_id is not None:
            check_id("before_id", before_id)
        check_count("limit", limit)
        parameters = {"target": target, "before_id": before_id, "limit": limit}
        return [AuditNote.from_row(row) for row in await self.run_async("list_audit", parameters, connection)]
