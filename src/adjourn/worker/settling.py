"""Finds out what became of a job that its task has completed in a transaction of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from adjourn._domain.protocols import RunsLike
from adjourn._domain.runs import Completion
from adjourn.exceptions import CompletionRolledBack, ConnectorException
from adjourn.worker.runners.contract import OnEnd, Run

INTERVAL = 0.1
"""Seconds between two looks at a transaction that is open."""
PATIENCE = 60.0
"""Seconds after which an open transaction makes a run fail that has no timeout. If it is committed later, the job has ended all
the same: that the run has failed is stored only once the job is free."""

OnStored = Callable[[Run, Any, "BaseException | None"], None]
"""Called when the job has ended with the transaction: with what the task returned, or what it raised after that."""


def settle(
    run: Run, result: Any, error: BaseException | None, runs: RunsLike, on_end: OnEnd, on_stored: OnStored
) -> asyncio.Task[Completion]:
    """Find out what became of a job, and report how its run has ended.

    Parameters
    ----------
    run
        The run.
    result, error
        What the task returned or raised.
    runs
        Asks the database.
    on_end
        Called if the job has not ended: as if its task had raised.
    on_stored
        Called if it has.

    Returns
    -------
    asyncio.Task
        What asks. If it is cancelled, the run ends like one that was cancelled.
    """

    def settled(task: asyncio.Task[Completion]) -> None:
        if task.cancelled():
            on_end(run, None, error or asyncio.CancelledError())
        elif unasked := task.exception():
            on_end(run, None, error or unasked)
        elif (completion := task.result()) is Completion.STORED:
            on_stored(run, result, error)
        elif completion is Completion.LOST:
            on_end(run, result, error)  # the exchange refuses the outcome, and tells so
        else:
            on_end(run, None, error or _rolled_back(completion))

    task = asyncio.create_task(_completion(run, runs), name=f"adjourn job {run.job.id}")
    task.add_done_callback(settled)
    return task


async def _completion(run: Run, runs: RunsLike) -> Completion:
    deadline = time.monotonic() + PATIENCE
    while True:
        completion = Completion.OPEN
        try:
            completion = await runs.ask_completion_async(run.job)
        except ConnectorException:
            pass  # an outage, which the worker's exchange reports; until it is over nobody knows
        is_too_late = run.timer is None and time.monotonic() >= deadline
        if completion is not Completion.OPEN or is_too_late:
            return completion
        await asyncio.sleep(INTERVAL)


def _rolled_back(completion: Completion) -> CompletionRolledBack:
    if completion is Completion.OPEN:
        return CompletionRolledBack(
            f"The task has completed its job in a transaction (context.complete), and returned, but the transaction was still open {PATIENCE:g} s "
            "later. Commit before the task returns."
        )
    return CompletionRolledBack()
