"""What one run of a job does with the database by itself, through its context."""

from __future__ import annotations

from typing import Any

from adjourn import exceptions
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.jobs import Job, Status
from adjourn._domain.outcomes import DELETED
from adjourn._domain.runs import Completion
from adjourn.types import Row

ISOLATION = ("read committed", "read uncommitted")
"""The isolations of transactions in which a job can be completed; to Postgres both are one."""


class AsyncRuns(AsyncStatementRunner):
    """The operations of a run on its own job, each of which is refused if the job is no longer the run's."""

    async def complete_async(
        self, job: Job, connection: Any, *, result: str | None, ttl: float | None, keep: bool = True
    ) -> None:
        """End a running job in the transaction that is open on the caller's connection.

        Parameters
        ----------
        job
            The job, as it was claimed.
        connection
            The caller's connection.
        result
            The job's result as JSON; None for none.
        ttl
            Seconds until it lapses; None for never.
        keep
            Whether to keep the job as finished; False deletes it.

        Raises
        ------
        JobLost
            If the job is no longer this run's. Let the transaction roll back.
        InvalidConnection
            If the connection cannot be used: it is of another kind or database, in autocommit mode, or has a stricter isolation
            than READ COMMITTED.
        """
        if connection is None:
            raise exceptions.InvalidConnection(
                "connection=None: pass the connection whose transaction is to end the job."
            )
        (begun,) = await self.run_async("begin_completion", {}, connection)
        if begun["isolation"] not in ISOLATION:
            isolation = begun["isolation"].upper()
            raise exceptions.InvalidConnection(
                f"The transaction is {isolation}, and a job is completed in one that is READ COMMITTED: under a stricter isolation "
                "it fails as soon as the job's row has changed since it began, as by a request to abort. Begin it without that isolation."
            )
        if not begun["has_schema"]:
            raise exceptions.InvalidConnection(
                "The connection's database has no adjourn schema of this name and version, so the job is not there. Pass a connection to the "
                "database of the app."
            )
        parameters = {
            "transaction": begun["transaction"],
            "worker_id": job.worker_id,
            "job_id": job.id,
            "claim": job.claim,
            "enqueued_at": job.enqueued_at,
            "status": str(Status.SUCCEEDED) if keep or result is not None else DELETED,
            "result": result,
            "ttl": ttl,
        }
        (row,) = await self.run_async("complete", parameters, connection)
        if row["outcome"] == "autocommit":
            raise exceptions.InvalidConnection(
                "The connection is in autocommit mode and no transaction is open on it, so the job would end apart from its effects. "
                "Begin a transaction first, such as `with connection.transaction():`."
            )
        if row["outcome"] == "lost":
            raise await self._lost_async(job, begun)

    async def _lost_async(self, job: Job, begun: Row) -> exceptions.AdjournException:
        """Return the error about a job that a statement has not found as this run's."""
        (own,) = await self.run_async("begin_completion", {})
        if own["database"] != begun["database"]:
            return exceptions.InvalidConnection(
                f"The connection is to another database than the app's, so job {job.id} is not there. Pass a connection to the database of "
                "the app."
            )
        return exceptions.JobLost.of(job.id)

    async def ask_completion_async(self, job: Job) -> Completion:
        """Return what became of a job that was completed in a transaction of the task's own."""
        parameters = {"job_id": job.id, "claim": job.claim, "worker_id": job.worker_id}
        (row,) = await self.run_async("ask_completion", parameters)
        return Completion(row["outcome"])
