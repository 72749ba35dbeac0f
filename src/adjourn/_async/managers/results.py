"""Waiting for jobs to end, and finding their results."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from adjourn import exceptions
from adjourn._async.managers.lists import AsyncJobLists
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._async.managers.workflows import read_workflow_async
from adjourn._domain.checks import check_id, checked_list
from adjourn._domain.jobs import Job
from adjourn._domain.results import result_of
from adjourn._domain.time_checks import check_seconds
from adjourn._domain.waits import HELD_PAUSES, IN_A_TASK, WAITS_INSIDE, has_ended, timed_out, workflow_timed_out
from adjourn._domain.workflows import WorkflowState
from adjourn._runtime import aio as runtime
from adjourn._runtime.ends import Ends, EndsWait, is_in_task
from adjourn._runtime.waiting import done_async

CLOSING = 2.0
"""Seconds to wait at most for the end of the connection that hears of ends."""
PAGE = 1_000
"""How many jobs one statement marks or reads."""

logger: logging.Logger = logging.getLogger("adjourn.waits")


class AsyncLooks(Protocol):
    """Looks what has ended of a wait, and returns whether another transaction has kept something from being marked."""

    async def __call__(self, wait: EndsWait) -> bool: ...


class AsyncResults(AsyncStatementRunner):
    """Waits for jobs to end, and finds what their tasks have returned."""

    ends: Ends
    """The waits of this process."""

    async def wait_for_job_async(self, job_id: int, timeout: float | None = None) -> Job:
        """Wait until a job has ended, whether with success or without, and return it.

        A job that is retried goes on until its last attempt has ended. Any number of callers may wait at once, for the
        same job or for different ones, in either form: one connection of the process hears of them all.

        In a task, give a ``timeout``: while it waits, its job keeps a place of the worker, and if all places of all
        workers are kept like this, the jobs that are waited for never run.

        Parameters
        ----------
        job_id
            The job. It must be committed: wait outside of the transaction that defers it.
        timeout
            Seconds to wait at most, 0 for not at all; None (the default) waits for any time.

        Returns
        -------
        Job
            The job, with its ``status``, its ``errors``, and its ``result`` if that is stored.

        Raises
        ------
        WaitTimeout
            If it has not ended in time. It goes on as before.
        NoResult
            If there is no such job, perhaps because it was deleted.
        InvalidOption
            If ``job_id`` is not an integer, or ``timeout`` not a number of seconds.
        WrongCaller
            If it cannot be called here; the message says what to write instead.
        """
        check_id("job_id", job_id)
        (job,) = await self.wait_for_jobs_async([job_id], timeout)
        return job

    async def wait_for_jobs_async(self, job_ids: Iterable[int], timeout: float | None = None) -> list[Job]:
        """Wait until all of these jobs have ended, and return them in the order given. See `wait_for_job_async`.

        Parameters
        ----------
        job_ids
            The jobs.
        timeout
            Seconds to wait at most for all of them, 0 for not at all; None (the default) waits for any time.

        Raises
        ------
        WaitTimeout
            If they have not all ended in time; its attribute ``job_ids`` has those that have not.
        NoResult
            If one of them does not exist; the message names it.
        InvalidOption
            If ``job_ids`` is not a list of integers, or ``timeout`` not a number of seconds.
        """
        ids = checked_list("job_ids", job_ids, "ids of jobs")
        for number, id_ in enumerate(ids):
            check_id(f"job_ids[{number}]", id_)
        check_seconds("timeout", timeout, optional=True)
        found: dict[int, Job] = {}

        async def look_async(wait: EndsWait) -> bool:
            return await self._look_async(wait, found)

        await self._wait_async(set(ids), timeout, look_async, timed_out)
        return [found[id_] for id_ in ids]

    async def wait_for_workflow_async(self, workflow_id: int, timeout: float | None = None) -> WorkflowState:
        """Wait until all jobs of a workflow have ended, and return how it has ended. See `wait_for_job_async`.

        Parameters
        ----------
        workflow_id
            The workflow, as ``Workflow.defer_async`` returns it in ``id``. It must be committed.
        timeout
            Seconds to wait at most, 0 for not at all; None (the default) waits for any time.

        Raises
        ------
        WaitTimeout
            If they have not all ended in time. They go on as before.
        NoResult
            If there is no such workflow.
        InvalidOption
            If ``workflow_id`` is not an integer, or ``timeout`` not a number of seconds.
        """
        check_id("workflow_id", workflow_id)
        check_seconds("timeout", timeout, optional=True)
        states: list[WorkflowState] = []

        async def look_async(wait: EndsWait) -> bool:
            rows = await self.run_async("watch_jobs", {"ids": [workflow_id]})
            if not any(row["has_ended"] for row in rows):
                return bool(rows)
            state = await read_workflow_async(self.run_async, workflow_id)
            if state.has_ended:
                states.append(state)
                self.ends.has_seen(wait, [workflow_id])
            return not state.has_ended

        await self._wait_async({workflow_id}, timeout, look_async, workflow_timed_out)
        return states[-1]

    async def get_result_async(self, job_id: int, timeout: float | None = 0.0, *, connection: Any = None) -> Any:
        """Return what the task of a job has returned, if that is stored.

        A result that a job's task returned as None is stored, too, and returned as None.

        Parameters
        ----------
        job_id
            The job.
        timeout
            Seconds to wait at most for the end of the job, as `wait_for_job_async` does; None waits for any time. By default it does not
            wait.
        connection
            The caller's own connection, whose transaction this joins. It cannot wait then.

        Raises
        ------
        JobNotFinished
            If the job has not ended yet; also while it waits to be retried. After a wait it is a `WaitTimeout`, which is one as well.
        JobFailed
            If it has failed; its attribute ``job`` is the job, with its errors.
        JobCancelled
            If it was cancelled or aborted.
        ResultNotStored
            If it has succeeded, and its task does not store results.
        ResultExpired
            If its result has lapsed.
        NoResult
            If there is no such job, perhaps because it was deleted.
        InvalidOption
            If ``job_id`` is not an integer, or ``timeout`` not a number of seconds; or if both ``timeout`` and ``connection`` are given.
        """
        check_id("job_id", job_id)
        check_seconds("timeout", timeout, optional=True)
        if timeout != 0:
            if connection is not None:
                raise exceptions.InvalidOption(WAITS_INSIDE.format(timeout=timeout))
            return result_of(await self.wait_for_job_async(job_id, timeout))
        jobs = await AsyncJobLists(self.connector, self.schema).list_jobs_async(id=job_id, connection=connection)
        if not jobs:
            raise exceptions.NoResult(f"There is no job {job_id}.")
        return result_of(jobs[0])

    async def close_async(self) -> None:
        """End the connection that hears of ends, and have everybody who waits look whether the app is still open."""
        self.ends.have_them_look()
        deadline = time.monotonic() + CLOSING
        while not self.ends.dismiss() and time.monotonic() < deadline:
            await runtime.sleep(0.005)

    async def _wait_async(
        self,
        ids: set[int],
        timeout: float | None,
        look_async: AsyncLooks,
        late: Callable[[Sequence[int], int, float | None], exceptions.WaitTimeout],
    ) -> None:
        """Look again and again, until nothing is left to wait for; in between, wait until ends are told of."""
        _say_what_waits_in_tasks_cost(self.ends)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        left, looks = ids, 0
        while left:
            wait = self.ends.expect(left)
            try:
                is_held = await look_async(wait)
                left = left - wait.seen
                if left:
                    left_over = deadline - time.monotonic()
                    if left_over <= 0:
                        raise late(sorted(left), len(ids), timeout)
                    self.ends.attend()
                    turn = HELD_PAUSES[min(looks, len(HELD_PAUSES) - 1)] if is_held else self.ends.longest_turn
                    seconds = min(left_over, turn)
                    await done_async(wait.turn, None if math.isinf(seconds) else seconds)
            finally:
                self.ends.forget(wait)
            looks += 1

    async def _look_async(self, wait: EndsWait, found: dict[int, Job]) -> bool:
        """Mark the jobs of a wait, so that their ends are told, and find those that have ended.

        Returns
        -------
        bool
            Whether other transactions have kept some from being marked.
        """
        asked = sorted(wait.left)
        is_held = False
        for start in range(0, len(asked), PAGE):
            rows = await self.run_async("watch_jobs", {"ids": asked[start : start + PAGE]})
            ended = [row["id"] for row in rows if row["has_ended"]]
            is_held = is_held or len(ended) < len(rows)
            if ended:
                await self._read_async(ended, found)
        self.ends.has_seen(wait, found)
        return is_held

    async def _read_async(self, ids: Sequence[int], found: dict[int, Job]) -> None:
        rows = await self.run_async("read_jobs", {"ids": ids})
        if gone := set(ids).difference(row["id"] for row in rows):
            raise exceptions.NoResult(f"There is no job {min(gone)}.")
        for row in rows:
            job = Job.from_row(row, self.connector.json_loads)
            # One that was run again since goes on.
            if has_ended(job):
                found[row["id"]] = job


def _say_what_waits_in_tasks_cost(ends: Ends) -> None:
    if runtime.IS_BLOCKING and is_in_task() and not ends.has_told:
        ends.has_told = True
        logger.warning(IN_A_TASK, extra={"action": "wait_in_task"})
