"""What a runner is, and what it is handed."""

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
    """The worker was stopped before the run had begun, so its job is to be handed back."""


@attrs.define
class Halt:
    """Whether no further run is to begin. It is set from any thread."""

    is_set: bool = False


@attrs.define(eq=False)
class Run:
    """One run of a job that has not ended yet."""

    job: Job
    started: float = attrs.field(factory=time.time)
    began: float = attrs.field(factory=time.perf_counter)
    runner: Runner | None = None
    task: asyncio.Task[None] | None = None
    """The task of the event loop that it is, or is wrapped by."""
    awaitable: concurrent.futures.Future[Any] | None = None
    """What a thread waits for that has found something to await."""
    timeout: float | None = None
    timer: asyncio.TimerHandle | None = None
    abort_reason: AbortReason | None = None

    def abort(self, reason: AbortReason) -> None:
        """Ask it to end, as far as its runner can."""
        self.abort_reason = reason
        if self.runner is not None:
            self.runner.abort(self)

    def let_go(self) -> None:
        """Stop following it, and ask it to end."""
        if self.timer is not None:
            self.timer.cancel()
        self.abort(self.abort_reason or AbortReason.SHUTDOWN)
        if self.task is not None:
            self.task.cancel()


class Runner(Protocol):
    """Runs bodies somewhere. Its methods are called on the worker's event loop."""

    interrupts: bool
    """Whether `abort` ends a body in the middle. Where it does not, the body has to ask ``context.should_abort()``."""

    def start(self, run: Run, body: Body) -> None:
        """Begin a run, and tell later how it ended; with `NotBegun` if the worker was stopped just before."""

    def call(self, run: Run, body: Body) -> Awaitable[Any]:
        """Return what is awaited to run a body whose run has begun already, in the worker's middleware around it."""

    def abort(self, run: Run) -> None:
        """Ask a body to end, as far as this is possible from outside."""

    def close(self) -> None:
        """Begin nothing any more, and let go of what runs without waiting for it."""
