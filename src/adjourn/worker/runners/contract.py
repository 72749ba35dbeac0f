"""The contract of runners, and the runs that they get."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import attrs

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.jobs import Job
from adjourn._domain.protocols import TaskLike
from adjourn._domain.runs import AbortReason, Durable
from adjourn.telemetry import RunObservations
from adjourn.worker.lease import Lease

Body: TypeAlias = Callable[[], Any]
"""Runs a job: its function with its arguments, wrapped in middleware."""
OnEnd: TypeAlias = "Callable[[Run, Any, BaseException | None], None]"
"""Called on the worker's event loop when a run has ended: with its result, or with what it raised."""


class NotBegun(Exception):
    """The worker was stopped before the run had begun, or the job may be another worker's by now, so the executor hands
    it back."""


@attrs.define
class Halt:
    """Whether to begin no further run. Any thread may set it.

    Attributes
    ----------
    lease
        How long this worker's jobs are its own.
    """

    lease: Lease
    is_set: bool = False

    def check(self, run: Run, *, has_begun: bool = False) -> None:
        """Raise `NotBegun` unless a body may begin now: call this just before.

        If this worker's last sign of life is too old, its jobs may have been given to others. Handed back, they stay
        where they are, or this worker claims them again. The same is true of a job that the loop's watch has taken.

        Parameters
        ----------
        run
            The body's run.
        has_begun
            Whether worker middleware around the body has begun, which a stop lets end.
        """
        if run.is_let_go or not self.lease.is_valid or (not has_begun and (self.is_set or not run.take())):
            run.was_refused = True
            raise NotBegun
        run.was_refused = False


@attrs.define(eq=False)
class Run:
    """One run of a job that has not ended yet."""

    claimed: ClaimedJob
    started: float = attrs.field(factory=time.time)
    began: float = attrs.field(factory=time.perf_counter)
    declared: TaskLike | None = None
    """The job's task, once it is known."""
    runner: Runner | None = None
    task: asyncio.Task[Any] | None = None
    """The event loop's task that runs it or its middleware."""
    awaitable: concurrent.futures.Future[Any] | None = None
    """The future that a thread waits for, if the body returned an awaitable."""
    timeout: float | None = None
    timer: asyncio.TimerHandle | None = None
    abort_reason: AbortReason | None = None
    observations: RunObservations | None = None
    """What observers make of it, if there are any."""
    call: Any = None
    """The call of a batch task that it belongs to."""
    durable: Durable | None = None
    """What it has done that lasts longer than it."""
    _taking: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    is_let_go: bool = False
    """Whether nobody follows it any more."""
    is_in_thread: bool = False
    """Whether its body holds a thread."""
    was_refused: bool = False
    """Whether its body could not begin the last time that it was called."""

    @property
    def is_stored(self) -> bool:
        """That its job is in the database."""
        return True

    @property
    def job(self) -> Job:
        """Its job."""
        if self.declared is not None and self.declared.sensitive:
            self.claimed.mark(self.declared.sensitive)
        return self.claimed.job

    def take(self) -> bool:
        """Take the right to begin it, or to hand its job back unbegun. Returns whether nobody had taken it before."""
        return self._taking.acquire(False)

    def abort(self, reason: AbortReason) -> None:
        """Ask the run to end, as far as its runner can."""
        self.abort_reason = reason
        if self.runner is not None:
            self.runner.abort(self)

    def let_go(self) -> None:
        """Stop following the run, and ask it to end."""
        self.is_let_go = True
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
