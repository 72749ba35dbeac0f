"""What one run of a job does with the database by itself, through its context."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.jobs import Job
from adjourn._domain.runs import Completion, Step, StepKind
from adjourn._domain.waits import has_ended
from adjourn.types import Row

PAGE = 1000
"""Of how many jobs steps are cleared, and how many jobs are read, at once."""
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
            **_fence(job),
            "enqueued_at": job.enqueued_at,
            "status": "succeeded" if keep or result is not None else "-succeeded",
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

    async def list_steps_async(self, job: Job) -> dict[tuple[StepKind, str], Step]:
        """Return what earlier runs of a job have done. The first run of a job asks nobody."""
        if job.claim <= 1:
            return {}
        rows = await self.run_async("list_steps", {"job_id": job.id})
        now = time.monotonic()
        return {
            (StepKind(row["kind"]), row["name"]): Step(
                row["value"], None if row["seconds"] is None else now + row["seconds"]
            )
            for row in rows
        }

    async def store_step_async(
        self, job: Job, kind: StepKind, name: str, *, value: str | None = None, seconds: float | None = None
    ) -> Step:
        """Remember what a run has done, in a commit of its own, and return it as it is remembered.

        Parameters
        ----------
        job
            The job, as it was claimed.
        kind, name
            What it is.
        value
            Of a step, what its function has returned, as JSON.
        seconds
            Of a sleep, how long it takes.

        Raises
        ------
        JobLost
            If the job is no longer this run's.
        """
        parameters = {"kind": str(kind), "name": name, "value": value, "seconds": seconds}
        (row,) = await self.run_async("store_step", {**_fence(job), **parameters})
        if row["outcome"] == "lost":
            raise exceptions.JobLost.of(job.id)
        return Step(value, None if row["seconds"] is None else time.monotonic() + row["seconds"])

    async def look_for_event_async(
        self, job: Job, name: str, timeout: float | None
    ) -> tuple[str, str | None, float | None]:
        """Look whether an event has been sent for which a run waits.

        Parameters
        ----------
        job
            The job, as it was claimed.
        name
            The event's name.
        timeout
            Seconds from the first wait for it after which it is over; None for never.

        Returns
        -------
        tuple
            ``received``, ``timed_out`` or ``waits``; the event's payload as JSON, if it was received; the seconds that are left.

        Raises
        ------
        JobLost
            If the job is no longer this run's.
        """
        (row,) = await self.run_async("look_for_event", {**_fence(job), "name": name, "seconds": timeout})
        if row["outcome"] == "lost":
            raise exceptions.JobLost.of(job.id)
        return row["outcome"], row["value"], row["seconds"]

    async def wait_for_jobs_async(self, job: Job, ids: Sequence[int]) -> list[Job]:
        """Return these jobs if all of them have ended; else note that a run's job waits for them.

        Parameters
        ----------
        job
            The job of the run, as it was claimed.
        ids
            The other jobs.

        Raises
        ------
        JobSuspended
            If some have not ended: the run has to end.
        NoResult
            If one of them does not exist.
        InvalidOption
            If one of them waits for this job.
        JobLost
            If the job is no longer this run's.
        """
        while True:
            found = await self.find_ended_async(ids)
            left = sorted(set(ids).difference(found))
            if not left:
                return [found[id_] for id_ in ids]
            (row,) = await self.run_async("wait_for_jobs", {**_fence(job), "ids": left})
            if row["outcome"] == "lost":
                raise exceptions.JobLost.of(job.id)
            if row["outcome"] == "circle":
                raise exceptions.InvalidOption(
                    f"job_ids: job {row['culprit']} is or waits for job {job.id}, which would wait for it for ever."
                )
            if row["outcome"] == "waits":
                raise exceptions.JobSuspended(None, jobs=len(left))

    async def find_ended_async(self, ids: Sequence[int]) -> dict[int, Job]:
        """Return those of these jobs that have ended, by their ids. The others are kept when they have ended.

        Raises
        ------
        NoResult
            If one of them does not exist.
        """
        asked, found = sorted(set(ids)), dict[int, Job]()
        for start in range(0, len(asked), PAGE):
            rows = await self.run_async("watch_jobs", {"ids": asked[start : start + PAGE]})
            ended = [row["id"] for row in rows if row["has_ended"]]
            rows = await self.run_async("read_jobs", {"ids": ended}) if ended else []
            if gone := set(ended).difference(row["id"] for row in rows):
                raise exceptions.NoResult(f"There is no job {min(gone)}.")
            jobs = (Job.from_row(row, self.connector.json_loads) for row in rows)
            # One that was run again since goes on.
            found.update((job.id, job) for job in jobs if job.id is not None and has_ended(job))
        return found

    async def get_event_async(self, name: str) -> str | None:
        """Return the payload of an event, as JSON, if it was sent and its time is not over; else None."""
        rows = await self.run_async("get_event", {"name": name})
        return rows[0]["payload"] if rows else None

    async def send_events_async(
        self, events: Sequence[tuple[str, str]], ttl: float, connection: Any = None
    ) -> list[bool]:
        """Store events, and return which of them are the first of their names.

        Parameters
        ----------
        events
            The name of each, and its payload as JSON.
        ttl
            For so many seconds an event counts.
        connection
            The caller's own connection, whose transaction this joins.
        """
        if not events:
            return []
        names, payloads = [name for name, _ in events], [payload for _, payload in events]
        parameters = {"names": names, "payloads": payloads, "seconds": [float(ttl)] * len(events)}
        (row,) = await self.run_async("send_events", parameters, connection)
        return list(row["stored"])

    async def clear_steps_async(self) -> None:
        """Delete events whose time is over, and steps of jobs that are gone or have succeeded."""
        after_id: int | None = 0
        while after_id is not None:
            (row,) = await self.run_async("clear_steps", {"after_id": after_id, "limit": PAGE})
            after_id = row["last_id"]

    async def ask_completion_async(self, job: Job) -> Completion:
        """Return what became of a job that was completed in a transaction of the task's own."""
        (row,) = await self.run_async("ask_completion", _fence(job))
        return Completion(row["outcome"])


def _fence(job: Job) -> dict[str, int | None]:
    """Return what names a run."""
    return {"job_id": job.id, "claim": job.claim, "worker_id": job.worker_id}
