"""Combines the roles of a worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from adjourn._domain.jobs import DeleteJobCondition
from adjourn._domain.outcomes import Heartbeat
from adjourn._domain.protocols import AppLike
from adjourn._domain.runs import AbortReason
from adjourn.events import HeartbeatFailed, WorkerEvent, WorkerStarted, WorkerStopped, WorkerStopping
from adjourn.types import AnyTaskMiddleware, AnyWorkerMiddleware
from adjourn.worker.exchange import LEAVE_TIMEOUT, Exchange
from adjourn.worker.heartbeat import HeartbeatThread
from adjourn.worker.options import Options, check_app
from adjourn.worker.scheduler import Scheduler
from adjourn.worker.shutdown import CANCEL_TIMEOUT, on_signals


class Worker:
    """Runs an app's jobs in this process.

    Parameters
    ----------
    app
        The app, opened asynchronously.
    queues
        Run only the jobs of these queues. Default: None, all queues.
    name
        The worker's name in logs and lists, to tell workers apart. Default: "worker".
    concurrency
        How many jobs to run at once, async ones as coroutines and sync ones in threads. Default: 1.
    wait
        Wait for more jobs when none is left. False: end when no job is left to run now. Default: True.
    fetch_job_polling_interval
        How often to look for jobs that no notification announced; 0 means 0.01. In seconds. Default: 5.
    abort_job_polling_interval
        How often to look for running jobs to abort that no notification announced; 0 means 0.01. In seconds. Default:
        5.
    shutdown_graceful_timeout
        How long running jobs may take to end once the worker is stopped; after that, async jobs are cancelled, and 5
        seconds later, jobs that have not ended go back to their queue. In seconds. Default: None, no limit.
    listen_notify
        Have Postgres announce new jobs at once. False: only poll for jobs, as is needed behind a pooler in transaction
        mode. Default: True.
    delete_jobs
        Which finished jobs to delete instead of keeping them: ``"never"``, ``"successful"`` or ``"always"``. Default:
        "never".
    additional_context
        What tasks find in ``context.additional_context``. Default: None, an empty dictionary.
    install_signal_handlers
        Stop gracefully on SIGINT and SIGTERM. Default: True.
    update_heartbeat_interval
        How often to tell the database that this worker is alive. In seconds. Default: 10.
    stalled_worker_timeout
        How long this worker may be silent before it counts as dead and others run its jobs again; more than the
        heartbeat interval. In seconds. Default: 30.
    timeout
        How long a run of a job may take, for tasks that have no timeout of their own. In seconds. Default: None, no
        limit.
    task_middleware
        Functions that wrap the runs of all tasks of their kind, outside of the tasks' own middleware. Default: None, no
        middleware.
    worker_middleware
        Async functions that wrap every run, outside of all other middleware. Default: None, no middleware.

    Attributes
    ----------
    worker_name, worker_id
        The name, and the id in the database; None while it is not registered.
    queues, concurrency, wait
        The options of these names.

    Raises
    ------
    InvalidOption
        If an option is not valid.
    """

    def __init__(
        self,
        app: AppLike,
        queues: Iterable[str] | None = None,
        name: str | None = "worker",
        concurrency: int = 1,
        wait: bool = True,
        fetch_job_polling_interval: float = 5.0,
        abort_job_polling_interval: float = 5.0,
        shutdown_graceful_timeout: float | None = None,
        listen_notify: bool = True,
        delete_jobs: str | None = DeleteJobCondition.NEVER,
        additional_context: Mapping[str, Any] | None = None,
        install_signal_handlers: bool = True,
        update_heartbeat_interval: float = 10.0,
        stalled_worker_timeout: float = 30.0,
        *,
        timeout: float | None = None,
        task_middleware: Iterable[AnyTaskMiddleware] | None = None,
        worker_middleware: Iterable[AnyWorkerMiddleware] | None = None,
    ) -> None:
        check_app(app)
        self.app: AppLike = app
        self.options: Options = Options.among(locals())
        # The worker's attributes for middleware, under Procrastinate's names.
        self.worker_name: str = self.options.name
        self.queues: tuple[str, ...] | None = self.options.queues
        self.concurrency: int = self.options.concurrency
        self.wait: bool = self.options.wait
        self._exchange: Exchange | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked: asyncio.Event | None = None
        self._is_stopping = False
        self._has_ended = False

    @property
    def worker_id(self) -> int | None:
        """The id in the database; None while it is not registered."""
        return self._exchange.worker_id or None if self._exchange is not None else None

    @property
    def may_be_interrupted(self) -> bool:
        """Whether a `KeyboardInterrupt` can come from a signal: the first signal is turned into a stop."""
        return self._is_stopping or not self.options.install_signal_handlers

    def stop(self) -> None:
        """Stop gracefully: start no further job, and end when the running jobs have ended.

        Jobs that were claimed and have not begun are handed back. It may be called from any thread, in a task, in a
        middleware or in a signal handler; a worker that has not begun ends as soon as it begins.
        """
        if self._has_ended:
            return
        self._is_stopping = True
        if self._exchange is not None:
            # Do this at once: the loop may start another job before it runs the rest.
            self._exchange.start_no_more()
        if self._loop is not None and self._stop_asked is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                self._loop.call_soon_threadsafe(self._stop_asked.set)

    async def run(self) -> None:
        """Run until stopped or, if the worker does not wait, until no job is left.

        Cancelling this stops the worker too, and the cancellation is raised when the worker has ended. A second
        cancellation ends it as if its ``shutdown_graceful_timeout`` had passed.

        Raises
        ------
        ConnectorException
            If the database cannot be reached at the start. Later, the worker waits for it.
        """
        self._loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        self._has_ended = False
        exchange = self._exchange = Exchange(self, on_registered=lambda: heartbeat.beat())
        heartbeat = self._make_heartbeat(exchange)
        try:
            with self._signals():
                await exchange.register()
                self._tell(WorkerStarted, exchange, concurrency=self.concurrency)
                if self._is_stopping:
                    self.stop()  # stop was called before there was anything to stop
                async with self._beating(heartbeat):
                    await self._run_until_stopped(exchange, self._stop_asked)
        finally:
            self._tell(WorkerStopping, exchange, concurrency=self.concurrency)
            await _uncancelled(exchange.close())
            self._is_stopping, self._has_ended = False, True
            self._tell(WorkerStopped, exchange)

    async def _run_until_stopped(self, exchange: Exchange, stop_asked: asyncio.Event) -> None:
        scheduler = Scheduler(self.app)
        if not self.options.wait:
            # This worker may end before the scheduler's first turn.
            await scheduler.defer_once()
        scheduling = asyncio.create_task(scheduler.run(), name="adjourn scheduler")
        running = asyncio.create_task(exchange.run(), name="adjourn exchange")
        stopping = asyncio.create_task(stop_asked.wait(), name="adjourn stop")
        is_cancelled = False
        try:
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                # The first cancellation asks the worker to stop, the second to stop now.
                is_cancelled = True
            if not running.done():
                scheduling.cancel()
                exchange.stop()
                exchange.executor.tell_what_is_waited_for()
                try:
                    await asyncio.wait({running}, timeout=self.options.shutdown_graceful_timeout)
                except asyncio.CancelledError:
                    is_cancelled = True
            if not running.done():
                exchange.cut_short()
                await asyncio.wait({running}, timeout=CANCEL_TIMEOUT)
            if running.done():
                running.result()
        finally:
            for task in (running, stopping, scheduling):
                task.cancel()
            await asyncio.wait({running, stopping, scheduling})
        if is_cancelled:
            raise asyncio.CancelledError

    def _make_heartbeat(self, exchange: Exchange) -> HeartbeatThread:
        loop = asyncio.get_running_loop()

        def beat(worker_id: int, heartbeat: Heartbeat) -> None:
            if worker_id != exchange.worker_id:
                return  # it has registered again meanwhile
            if not heartbeat.alive:
                exchange.declared_dead()
            for job_id in heartbeat.aborts:
                exchange.executor.abort(job_id, AbortReason.USER_REQUEST)

        return HeartbeatThread(
            self.app,
            self.options,
            worker_id=lambda: exchange.worker_id,
            on_beat=lambda *args: loop.call_soon_threadsafe(beat, *args),
            on_notified=lambda: loop.call_soon_threadsafe(exchange.notify),
            on_failure=lambda error, failures: self._tell(HeartbeatFailed, exchange, error=error, failures=failures),
            is_over=loop.is_closed,
        )

    @contextlib.asynccontextmanager
    async def _beating(self, heartbeat: HeartbeatThread) -> AsyncIterator[None]:
        heartbeat.start()
        try:
            yield
        finally:
            heartbeat.stop()
            await _uncancelled(asyncio.to_thread(heartbeat.join, LEAVE_TIMEOUT))

    def _signals(self) -> contextlib.AbstractContextManager[None]:
        return on_signals(self.stop) if self.options.install_signal_handlers else contextlib.nullcontext()

    def _tell(self, kind: type[WorkerEvent], exchange: Exchange, **facts: Any) -> None:
        if self.app.events.wants(kind):
            self.app.events.emit(kind(worker=exchange.identity, **facts))


async def _uncancelled(coroutine: Any) -> None:
    """Await to the end, even if this task is cancelled meanwhile; raise the cancellation then."""
    task = asyncio.ensure_future(coroutine)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                break
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()
