"""Ticks of periodic tasks: each is recorded once, with its job."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.arguments import dump_arguments
from adjourn._domain.headers import dump_headers
from adjourn._domain.ticks import LastTick, Tick, TickOutcome
from adjourn._domain.times import time_of


class AsyncTicks(AsyncStatementRunner):
    """Defers the ticks of any schedules, and knows the last ones."""

    async def defer_ticks_async(self, ticks: Sequence[Tick]) -> list[tuple[TickOutcome, int | None]]:
        """Record ticks of any schedules in one commit, each with its job, unless it or a later one was recorded already.

        This waits for no other transaction: what one of them holds up is left out.

        Parameters
        ----------
        ticks
            The ticks, checked. Those of one schedule follow each other, the oldest first.

        Returns
        -------
        list of tuple
            What became of each, and the id of its job.

        Raises
        ------
        InvalidTaskArguments
            If the arguments of a job cannot be stored as JSON. Nothing is stored.
        """
        dumps = self.connector.json_dumps
        jobs = [tick.job for tick in ticks]
        headers = [None if job.headers is None else dump_headers(job.headers) for job in jobs]
        terms = [None if job.terms is None else json.dumps(job.terms.members()) for job in jobs]
        parameters = {
            "task_names": [job.task_name for job in jobs],
            "periodic_ids": [tick.periodic_id for tick in ticks],
            "crons": [tick.cron for tick in ticks],
            "timezones": [tick.timezone for tick in ticks],
            "ticks": [tick.at for tick in ticks],
            "queues": [job.queue for job in jobs],
            "priorities": [job.priority for job in jobs],
            "locks": [job.lock for job in jobs],
            "queueing_locks": [job.queueing_lock for job in jobs],
            "args": [
                None if tick.is_skipped else dump_arguments(tick.job.task_name, tick.job.task_kwargs, dumps)
                for tick in ticks
            ],
            "headers": headers if any(headers) else None,
            "terms": terms if any(terms) else None,
            "next_ticks": [tick.following for tick in ticks],
        }
        rows = await self.run_async("defer_ticks", parameters)
        return [(TickOutcome(row["outcome"]), row["job_id"]) for row in rows]

    async def last_ticks_async(self) -> dict[tuple[str, str], LastTick]:
        """Return the last tick of each schedule that is recorded, by the task's name and the ``periodic_id``."""
        rows = await self.run_async("list_schedules", {})
        return {
            (row["task_name"], row["periodic_id"]): LastTick(time_of(row["last_tick"]), row["paused_at"] is not None)
            for row in rows
        }
