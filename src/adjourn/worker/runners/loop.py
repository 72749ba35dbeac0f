"""Runs async bodies as tasks on the worker's event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any

from adjourn.worker.runners.children import end_child
from adjourn.worker.runners.contract import Body, Halt, OnEnd, Run


class LoopRunner:
    """Runs bodies that must be awaited, and can cancel them.

    Parameters
    ----------
    on_end
        Called when a run has ended.
    halt
        Whether to begin no further run.
    may_be_interrupted
        Returns whether a `KeyboardInterrupt` can come from a signal, rather than from the job itself.
    """

    interrupts = True

    def __init__(self, on_end: OnEnd, halt: Halt, may_be_interrupted: Callable[[], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._halt = halt
        self._may_be_interrupted = may_be_interrupted
        self._process = os.getpid()

    def start(self, run: Run, body: Body) -> None:
        """Await a body in a new task."""
        run.task = self._loop.create_task(self._await(run, body), name=f"adjourn job {run.claimed.id}")

    def call(self, run: Run, body: Body) -> Awaitable[Any]:
        """Call a body, which returns an awaitable."""
        self._halt.check(run, has_begun=True)
        awaitable: Awaitable[Any] = body()
        return awaitable

    def abort(self, run: Run) -> None:
        """Cancel the task."""
        if run.task is not None:
            run.task.cancel()

    def close(self) -> None:
        """Do nothing: a loop cancels its remaining tasks when it ends."""

    def is_interrupt(self, error: BaseException) -> bool:
        """Return whether an error comes from outside the job: from a signal, or because its loop is gone."""
        if isinstance(error, KeyboardInterrupt):
            return self._may_be_interrupted()
        return isinstance(error, GeneratorExit) and not self._loop.is_running()

    async def _await(self, run: Run, body: Body) -> None:
        try:
            self._halt.check(run)
            result = await body()
            while result is not None and inspect.isawaitable(result):  # middleware that did not await what it called
                result = await result
        except BaseException as error:  # any exception, even SystemExit, is the job's outcome, not ours
            end_child(self._process, error)
            if self.is_interrupt(error):
                raise
            self._on_end(run, None, error)
        else:
            end_child(self._process, None)
            self._on_end(run, result, None)
