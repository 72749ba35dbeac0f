"""A worker's operations one by one, for tools and tests; real workers use `AsyncWorkerManager`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adjourn._async.managers.exchange import PLACE_LIMIT, AsyncWorkerManager
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.actions import Author
from adjourn._domain.arguments import check_is_job
from adjourn._domain.checks import check_filter, check_flag, check_id, check_name, checked_names
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn._domain.outcomes import Ended
from adjourn._domain.rows import RegisteredWorker
from adjourn._domain.time_checks import check_seconds
from adjourn._domain.times import time_of
from adjourn.exceptions import ConnectorException, InvalidOption, NoResult
from adjourn.sql.constants import MOST_LOSSES


class AsyncWorkers(AsyncStatementRunner):
    """Registers workers, and fetches and finishes jobs for them one at a time."""

    async def register_worker_async(
        self, name: str = "worker", queues: Sequence[str] | None = None, timeout: float = 30.0
    ) -> int:
        """Register a worker, and return its id.

        Parameters
        ----------
        name
            A name for logs and lists.
        queues
            The queues that the worker serves; None means all.
        timeout
            Seconds without a heartbeat after which the worker counts as dead.

        Raises
        ------
        InvalidOption
            If a value has the wrong type.
        """
        check_name("name", name)
        queues = checked_names("queues", queues)
        check_seconds("timeout", timeout, above_zero=True)
        return await _manager_of(self).register_worker_async(name, queues, timeout)

    async def unregister_worker_async(self, worker_id: int) -> None:
        """Remove a worker. Jobs that it still has are rescued."""
        check_id("worker_id", worker_id)
        await _manager_of(self).unregister_worker_async(worker_id)

    async def update_heartbeat_async(self, worker_id: int, timeout: float = 30.0) -> bool:
        """Send a worker's heartbeat, which counts for ``timeout`` seconds; return False if it was declared dead.

        Parameters
        ----------
        worker_id
            The worker.
        timeout
            Seconds without another heartbeat after which it counts as dead, 30 by default.
        """
        check_id("worker_id", worker_id)
        check_seconds("timeout", timeout, above_zero=True)
        return (await _manager_of(self).heartbeat_async(worker_id, timeout)).alive

    async def prune_stalled_workers_async(self, seconds_since_heartbeat: float) -> list[int]:
        """Declare workers dead that sent no heartbeat for this many seconds, free their jobs, and return the workers'
        ids.

        Workers do this for each other by themselves. Each of them leaves a note in the audit.
        """
        check_seconds("seconds_since_heartbeat", seconds_since_heartbeat)
        rows = await self.run_async("declare_dead", {"seconds": seconds_since_heartbeat})
        author = Author(name="prune_stalled_workers", how="program") if self.note is None else self.note.author
        await _manager_of(self).rescue_async(MOST_LOSSES, 0, author.name, author.how)
        return [row["id"] for row in rows]

    async def fetch_job_async(self, queues: Sequence[str] | None, worker_id: int) -> Job | None:
        """Claim the best job for a registered worker, and return it; None if there is none to run now.

        Parameters
        ----------
        queues
            The queues to claim from; None for all.
        worker_id
            The worker, as `register_worker_async` has returned it.
        """
        queues = checked_names("queues", queues)
        check_id("worker_id", worker_id)
        manager = _manager_of(self)
        exchanged = await manager.exchange_async(worker_id, (), limit=1, queues=queues, listens=False)
        if not exchanged.claimed and exchanged.place:
            # Either this call places the job, or another worker that was faster has placed it.
            await manager.place_async(PLACE_LIMIT)
            exchanged = await manager.exchange_async(worker_id, (), limit=1, queues=queues, listens=False)
        if not exchanged.claimed:
            return None
        (claimed,) = exchanged.claimed
        if claimed.error is not None:
            await self.finish_job_async(claimed.job, Status.FAILED)
            raise claimed.error
        return claimed.job

    async def finish_job_async(self, job: Job, status: Status, delete_job: bool = False) -> bool:
        """End a job that was fetched. If it no longer belongs to that worker, change nothing and return False.

        Parameters
        ----------
        job
            The job, as `fetch_job_async` has returned it.
        status
            How the job ended: succeeded, failed, aborted or cancelled.
        delete_job
            Delete it instead of keeping it.

        Raises
        ------
        InvalidOption
            If the job was not fetched, or a job cannot end with this status.
        ConnectorException
            If another transaction has locked the job.
        """
        check_is_job("job", job)
        check_flag("delete_job", delete_job)
        if job.id is None or job.worker_id is None:
            raise InvalidOption(f"job {job.id} was not fetched by a worker: pass what fetch_job has returned.")
        if status not in (Status.SUCCEEDED, Status.FAILED, Status.ABORTED, Status.CANCELLED):
            raise InvalidOption(f"status={status!r}: pass succeeded, failed, aborted or cancelled.")
        delete = DeleteJobCondition.ALWAYS if delete_job else DeleteJobCondition.NEVER
        ended = Ended.of(job, Status(status), delete)
        exchanged = await _manager_of(self).exchange_async(job.worker_id, [ended], limit=0, queues=None, probe=False)
        if exchanged.held:
            message = f"job {job.id} does not end, because another transaction has locked it: try again later."
            raise ConnectorException(message, sqlstate="55P03")
        return not exchanged.refused

    async def finish_job_by_id_async(self, job_id: int, status: Status, delete_job: bool = False) -> bool:
        """End a running job, whichever worker has it, as `finish_job_async` does.

        Raises
        ------
        NoResult
            If there is no such job.
        InvalidOption
            If it does not run.
        """
        check_id("job_id", job_id)
        jobs = await AsyncJobLists(self.connector, self.schema).list_jobs_async(id=job_id)
        if not jobs:
            raise NoResult(f"There is no job {job_id}.")
        if jobs[0].status != Status.DOING:
            raise InvalidOption(f"job_id={job_id!r}: the job does not run, it is {jobs[0].status}.")
        return await self.finish_job_async(jobs[0], status, delete_job)

    async def list_workers_async(self) -> list[RegisteredWorker]:
        """Return the workers that are registered, in the order of their ids.

        A worker that stops takes itself off the list. One that falls silent is on it, and not ``alive``, until another
        worker has taken over its jobs.
        """
        workers = [RegisteredWorker(row) for row in await self.run_async("list_workers", {})]
        for each in workers:
            each.update({name: time_of(each[name]) for name in ("started_at", "last_heartbeat_at")})
            each["queues"] = None if each.queues is None else tuple(each.queues)
            each["running_jobs"] = tuple(json.loads(each["running_jobs"]))
            each["details"] = json.loads(each["details"] or "{}")
        return workers

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> list[int]:
        """Return the ids of running jobs that were asked to end."""
        check_filter("queue", queue)
        return [row["id"] for row in await self.run_async("list_jobs_to_abort", {"queue": queue})]


def _manager_of(workers: AsyncWorkers) -> AsyncWorkerManager:
    # Not a method: a class that inherits from this class and its twin would use one of the two methods for both.
    connector = workers.connector
    return AsyncWorkerManager(connector.get_async_connector(), connector.json_loads, workers.schema)
