"""Runs as observers see them: each body inside what `adjourn.telemetry` says, and each end told to it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import attrs

from adjourn import telemetry
from adjourn._domain.ticks import Tick, TickOutcome
from adjourn.events import JobAborted, JobEnded, JobHandedBack, JobRetried, JobSucceeded
from adjourn.telemetry import Outcome, RunObservations
from adjourn.worker.runners import Body, Run

Result: TypeAlias = tuple[TickOutcome, int | None]

OUTCOMES: dict[type[JobEnded], Outcome] = {
    JobSucceeded: "succeeded",
    JobRetried: "retried",
    JobAborted: "aborted",
    JobHandedBack: "returned",
}
"""The outcomes by their events. The others are failures."""


def observed(run: Run, body: Body, worker_name: str, *, is_async: bool) -> Body:
    """Return a body that observers see begin and end.

    Parameters
    ----------
    run
        Its run.
    body
        The outermost function of the run.
    worker_name
        The name of the worker.
    is_async
        Whether it runs on the event loop, and returns an awaitable.
    """
    observations = run.observations = _observe(run, worker_name)

    async def on_loop() -> Any:
        with observations.around_body():
            result = body()
            while inspect.isawaitable(result):
                result = await result
            return result

    async def later(result: Awaitable[Any]) -> Any:
        with observations.around_body():
            return await result

    def in_thread() -> Any:
        with observations.around_body():
            result = body()
        # The event loop awaits what a blocking function has returned, so it is observed there.
        return later(result) if inspect.isawaitable(result) else result

    return on_loop if is_async else in_thread


async def defer_observed(
    defer: Callable[[Sequence[Tick]], Awaitable[list[Result]]], ticks: Sequence[Tick]
) -> list[Result]:
    """Defer ticks, and have observers see each of them as a call of its own, which stores a job or does not.

    Parameters
    ----------
    defer
        Defers them.
    ticks
        The ticks.
    """
    if not telemetry.OBSERVERS:
        return await defer(ticks)
    deferrals = [
        telemetry.Deferral(
            jobs=[tick.job], is_periodic=True, periodic_id=tick.periodic_id, cron=tick.cron, timezone=tick.timezone
        )
        for tick in ticks
    ]
    with contextlib.ExitStack() as stack:
        for tick, deferral in zip(ticks, deferrals, strict=True):
            if not tick.is_skipped:
                stack.enter_context(telemetry.around_defer(deferral))
        changed = [attrs.evolve(tick, job=each.jobs[0]) for tick, each in zip(ticks, deferrals, strict=True)]
        results = await defer(changed)
        for deferral, (outcome, job_id) in zip(deferrals, results, strict=True):
            is_stored = outcome is TickOutcome.STORED
            deferral.jobs = [deferral.jobs[0].evolve(id=job_id)] if is_stored else []
    return results


def around_end(
    run: Run, kind: type[JobEnded], error: BaseException | None, worker_name: str, is_lost: bool
) -> telemetry.Together:
    """Return a context manager in which the end of a run is told.

    Parameters
    ----------
    run
        The run.
    kind
        The kind of event that tells how it ended.
    error
        What was raised, if anything.
    worker_name
        The name of the worker.
    is_lost
        Whether the outcome is not stored, because the job is no longer the worker's.
    """
    observations = run.observations or _observe(run, worker_name)
    run.observations = observations
    return observations.around_end("lost" if is_lost else OUTCOMES.get(kind, "failed"), error)


def _observe(run: Run, worker_name: str) -> RunObservations:
    func = getattr(run.declared, "func", None)
    module, name = getattr(func, "__module__", None), getattr(func, "__qualname__", None)
    function = f"{module}.{name}" if module and name else None
    return RunObservations(telemetry.RunOfJob(job=run.job, worker_name=worker_name, function=function))
