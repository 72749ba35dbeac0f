"""Runs waiting jobs for a test, one after the other, and decides by the test's clock which are due.

The jobs are claimed and stored as workers do it. No tick of a periodic task is ever deferred here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from adjourn._async.managers.exchange import PLACE_LIMIT, AsyncWorkerManager
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.drains import Drained, DrainPlan, Ran, Tally, Verdict
from adjourn._domain.jobs import CLAIMED, Job, Status
from adjourn._domain.outcomes import HandedBack, Outcome
from adjourn._domain.terms import JobTerms
from adjourn._domain.ticks import Tick
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from adjourn.sql.constants import LARGEST_ID

LARGEST_DELIVERY = 1000
"""How many jobs that wait for events are woken at once."""
LONGEST = 24 * 3600.0
"""Seconds that a drain may take before real workers rescue its job: a test may stop at a breakpoint."""


class AsyncDrains(AsyncStatementRunner):
    """Runs waiting jobs for tests, and moves their times."""

    async def drain_async(self, plan: DrainPlan, run_async: Callable[[Job], Awaitable[Ran]]) -> Drained:
        """Run jobs until none is ready.

        Parameters
        ----------
        plan
            Which jobs to run.
        run_async
            Runs a claimed job.

        Raises
        ------
        TooManyJobs
            If more jobs are ready than the plan allows to run.
        """
        worker = self._worker()
        worker_id = await worker.register_worker_async("drain", plan.queues, LONGEST)
        tally, besides = Tally(), list[int]()
        last = None if plan.recursive else await self._make_due_async(plan)
        try:
            while (job := await self._claim_async(plan, worker_id, last, besides)) is not None:
                try:
                    tally.check(plan.max_jobs)
                    ran = await run_async(job)
                except BaseException:
                    await self._store_async(worker_id, HandedBack.of(job))
                    raise
                await self._store_async(worker_id, (ran.without_wait() if plan.retries else ran).outcome)
                tally.add(job, ran)
                if ran.verdict is Verdict.RETRIED and not plan.retries and job.id is not None:
                    besides.append(job.id)
                if ran.verdict is Verdict.FAILED and plan.raise_failures and ran.error is not None:
                    raise ran.error
        finally:
            await worker.unregister_worker_async(worker_id)
        return tally.drained(await self._left_async(plan))

    async def travel_async(self, seconds: float) -> None:
        """Move the times of waiting jobs and the last ticks of schedules back, as if these seconds had passed."""
        await self.run_async("travel", {"seconds": seconds})

    async def clear_async(self) -> None:
        """Delete all jobs, workers and schedules."""
        await self.run_async("delete_everything", {})

    async def defer_ticks_async(self, ticks: Sequence[Tick], store_async: Callable[[Job], Awaitable[Job]]) -> list[Job]:
        """Defer the jobs of ticks, whatever the server's time is, and record the ticks.

        Parameters
        ----------
        ticks
            The ticks; those of one schedule follow each other, the oldest first.
        store_async
            Stores a job.

        Returns
        -------
        list of Job
            The jobs. A tick whose queueing lock is taken has none.
        """
        jobs: list[Job] = []
        for tick in ticks:
            job_id = None
            if not tick.is_skipped:
                with contextlib.suppress(AlreadyEnqueued):  # the tick is recorded all the same, as workers do it
                    job = await store_async(tick.job)
                    jobs.append(job)
                    job_id = job.id
            parameters = {
                "task_names": [tick.job.task_name],
                "periodic_ids": [tick.periodic_id],
                "crons": [tick.cron],
                "timezones": [tick.timezone],
                "ticks": [tick.at],
                "job_ids": [job_id],
            }
            await self.run_async("record_ticks", parameters)
        return jobs

    async def _make_due_async(self, plan: DrainPlan) -> int:
        """Decide which jobs are due, and return the highest id of a job."""
        await self.run_async("deliver_events", {"limit": LARGEST_DELIVERY})
        await self.run_async("expire_due", {"until": plan.now(), "limit": LARGEST_DELIVERY})
        parameters = {"until": plan.now(), "everything": plan.with_scheduled}
        (row,) = await self.run_async("make_due", parameters)
        return int(row["last"])

    async def _claim_async(self, plan: DrainPlan, worker_id: int, last: int | None, besides: list[int]) -> Job | None:
        await self._make_due_async(plan)
        worker = self._worker()
        while (await worker.place_async(PLACE_LIMIT)).moved:
            pass
        parameters: dict[str, Any] = {
            "worker_id": worker_id,
            "last": LARGEST_ID if last is None else last,
            "besides": besides,
            "queues": None if plan.queues is None else list(plan.queues),
        }
        rows = await self.run_async("claim_next", parameters)
        if not rows:
            return None
        values = [rows[0][name] for name in CLAIMED]
        arguments = self.connector.json_loads(rows[0]["args"])
        return Job.claimed(values, worker_id, arguments, JobTerms.of_row(rows[0]))

    async def _store_async(self, worker_id: int, outcome: Outcome) -> None:
        worker = self._worker()
        exchanged = await worker.exchange_async(worker_id, [outcome], limit=0, queues=None, probe=False)
        if exchanged.held:
            message = f"job {outcome.id} does not end, because another transaction has locked it."
            raise ConnectorException(message, sqlstate="55P03")

    async def _left_async(self, plan: DrainPlan) -> int:
        lists = AsyncJobLists(self.connector, self.schema)
        queues = await lists.list_queues_async(status=Status.TODO, live_only=True)
        return sum(queue["jobs_count"] for queue in queues if plan.queues is None or queue["name"] in plan.queues)

    def _worker(self) -> AsyncWorkerManager:
        connector = self.connector.get_async_connector()
        return AsyncWorkerManager(connector, self.connector.json_loads, self.schema)
