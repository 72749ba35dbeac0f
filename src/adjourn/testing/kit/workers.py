"""A real worker beside a test, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import datetime
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from adjourn._domain.jobs import Job, Status
from adjourn._domain.wording import counted, verb
from adjourn.app import App
from adjourn.connectors.base import BaseConnector
from adjourn.exceptions import AdjournException
from adjourn.periodic import PeriodicRegistry
from adjourn.testing.kit.clock import clock_of
from adjourn.types import WorkerOptions
from adjourn.worker import Worker

GRACE = 0.5
"""Seconds that jobs may take to end when the test has ended."""
LONGEST_STOP = 30.0
"""Seconds in which a worker has to stop."""
PAUSE = 0.005


class TestWorker:
    """A worker that runs while a test runs. It defers no periodic tasks.

    Parameters
    ----------
    app
        The test's app.
    connector
        The worker's connector to where the app's jobs are.
    options
        The options of the worker.
    """

    __test__ = False  # pytest takes it for no class of tests

    def __init__(self, app: App, connector: BaseConnector, **options: Any) -> None:
        self._app = app
        self._own_app = app.with_connector(connector)
        self._own_app.periodic_registry = PeriodicRegistry()
        quick: WorkerOptions = {
            "install_signal_handlers": False,
            "shutdown_graceful_timeout": GRACE,
            "unknown_task_timeout": 0,
            "fetch_job_polling_interval": 0.5,
        }
        self._worker = Worker(self._own_app, **{**app.worker_defaults, **quick, **options})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="adjourn test worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Wait until no job runs, and none is ready to run. Blocks.

        Parameters
        ----------
        timeout
            Seconds to wait at most. Default: 10.

        Raises
        ------
        TimeoutError
            With the jobs that have not ended, and where they are.
        Exception
            What has ended the worker.
        """
        deadline = time.monotonic() + timeout
        while left := self._left():
            self._check()
            if time.monotonic() > deadline:
                named = ", ".join(f"{job.call_string} ({job.status})" for job in left[:5])
                number = f"{counted(len(left), 'job')} {verb(len(left), 'has', 'have')}"
                raise TimeoutError(f"{number} not ended within {timeout:g} s: {named}.\n{self._stacks()}")
            time.sleep(PAUSE)

    async def wait_idle_async(self, timeout: float = 10.0) -> None:
        """Wait until no job runs, and none is ready to run. See `wait_idle`."""
        await asyncio.to_thread(self.wait_idle, timeout)

    def stop(self) -> None:
        """Stop the worker, and wait for its end. Jobs that run get half a second. Blocks.

        Raises
        ------
        Exception
            What has ended the worker, or `AdjournException` if it does not end.
        """
        self._worker.stop()
        self._thread.join(LONGEST_STOP)
        if self._thread.is_alive():
            raise AdjournException(f"The worker has not stopped within {LONGEST_STOP:g} s.\n{self._stacks()}")
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._work())
        except BaseException as error:  # the test raises it
            self._error = error

    async def _work(self) -> None:
        async with self._own_app.open_async():
            self._own_app.perform_import_paths()
            await self._worker.run()

    def _left(self) -> list[Job]:
        """Return the jobs of the worker's queues that run, or can."""
        now = clock_of(self._app)()
        # In one statement: a job could change places between two.
        jobs = self._app.job_manager.list_jobs()
        return [job for job in jobs if self._is_mine(job) and _is_left(job, now)]

    def _is_mine(self, job: Job) -> bool:
        return self._worker.queues is None or job.queue in self._worker.queues

    def _stacks(self) -> str:
        """Show where each running job is."""
        frames = sys._current_frames()
        shown = [
            f"{thread.name}:\n{''.join(traceback.format_stack(frames[thread.ident]))}"
            for thread in threading.enumerate()
            if thread.name.startswith("adjourn-task-") and thread.ident in frames
        ]
        for task in asyncio.all_tasks(self._loop) if self._loop is not None else ():
            if task.get_name().startswith("adjourn job"):
                lines = [(frame, frame.f_lineno) for frame in _frames_of(task.get_coro())]
                shown.append(f"{task.get_name()}:\n{''.join(traceback.StackSummary.extract(iter(lines)).format())}")
        return "\n".join(shown) or "No job runs."


def _is_left(job: Job, now: datetime.datetime) -> bool:
    is_due = job.scheduled_at is None or job.scheduled_at <= now
    return job.status == Status.DOING or (job.status == Status.TODO and is_due)


def _frames_of(coroutine: Any) -> Iterator[FrameType]:
    """Find the frames of a coroutine that waits, and of those that it waits for."""
    while coroutine is not None:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)
