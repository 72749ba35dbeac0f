"""The contract of runners, and the runs that they get."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.runs import AbortReason

Body: TypeAlias = Callable[[], Any]
"""Runs a job: its function with its arguments, wrapped in middleware."""
OnEnd: TypeAlias = "Callable[[Run, Any, BaseException | None], None]"
"""Called on the worker's event loop when a run has ended: with its result, or with what it raised."""


class NotBegun(Exception):
    """The worker was stopped before the run had begun, so the executor hands its job back."""


@attrs.define
class Halt:
    """Whether to begin no further run. Any thread may set it."""

    is_set: bool = False


@attrs.define(eq=False)
class Run:
    """One run of a job that has not ended yet."""

    job: Job
    started: float = attrs.field(factory=time.time)
    began: float = attrs.field(factory=time.perf_counter)
    runner: Runner | None = None
    task: asyncio.Task[None] | None = None
    """The event loop's task that runs it or its middleware."""
    awaitable: concurrent.futures.Future[Any] | None = None
    """The future that a thread waits for, if the body returned an awaitable."""
    timeout: float | None = None
    timer: asyncio.TimerHandle | None = None
    abort_reason: AbortReason | None = None

    def abort(self, reason: AbortReason) -> None:
        """Ask the run to end, as far as its runner can."""
        self.abort_reason = reason
        if self.runner is not None:
            self.runner.abort(self)

    def let_go(self) -> None:
        """Stop following the run, and ask it to end."""
        if self.timer is not None:
            self.timer.cancel()
        self.abort(self.abort_reason or AbortReason.SHUTDOWN)
        if self.task is not None:
            self.task.cancel()


class Runner(Protocol):
    """Runs bodies somewhere. Its methods are called on the worker's event loop."""

    interrupts: bool
    """Whether `abort` ends a body in the middle. If not, the body has to check ``context.should_abort()``."""

    def start(self, run: Run, body: Body) -> None:
        """Begin a run, and report later how it ended: with `NotBegun` if the worker was stopped just before."""

    def call(self, run: Run, body: Body) -> Awaitable[Any]:
        """Return an awaitable that runs the body of a run that has begun already; worker middleware awaits it."""

    def abort(self, run: Run) -> None:
        """Ask a body to end, as far as this is possible from outside."""

    def close(self) -> None:
        """Begin no more runs, and stop following the present ones without waiting for them."""
