"""Combines the roles of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adjourn import telemetry
from adjourn._domain.jobs import DeleteJobCondition
from adjourn._domain.protocols import AppLike
from adjourn._domain.spelling import suggests_names
from adjourn._runtime.lookups import own_lookups
from adjourn.events import (
    HeartbeatFailed,
    LimitsHeldUp,
    RetriesWithoutWait,
    WorkerEvent,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from adjourn.exceptions import CannotListen, OutcomesNotStored, WorkerStuck
from adjourn.types import AnyTaskMiddleware, AnyWorkerMiddleware
from adjourn.worker import exposition
from adjourn.worker.advice import hasty_tasks
from adjourn.worker.declaring import Limits, declare_limits, keep_declaring
from adjourn.worker.exchange import Exchange
from adjourn.worker.health import HealthThread
from adjourn.worker.heartbeat import HeartbeatThread
from adjourn.worker.lease import Lease
from adjourn.worker.loop_watch import LoopWatch
from adjourn.worker.notify import Manager
from adjourn.worker.options import Options, check_app
from adjourn.worker.outage import Outage
from adjourn.worker.scheduler import Scheduler
from adjourn.worker.shutdown import CANCEL_TIMEOUT, on_signals
from adjourn.worker.watch import dropped, ended, uncancelled, watch

LEAVE_TIMEOUT = 5.0
"""Seconds within which a worker that ends stores what is left and unregisters; after that, others rescue its jobs."""
THREAD_TIMEOUT = 2.0
"""Seconds within which a thread of the worker's own ends, or is left behind."""


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
        Have Postgres announce new jobs at once. False: only poll for jobs, as a worker does by itself behind a pooler.
        Default: True.
    delete_jobs
        Which finished jobs to delete instead of keeping them; one with a result is kept: ``"never"``, ``"successful"``
        or ``"always"``. Default: "never".
    additional_context
        What tasks find in ``context.additional_context``. Default: None, an empty dictionary.
    install_signal_handlers
        Stop gracefully on SIGINT and SIGTERM. Default: True.
    update_heartbeat_interval
        How often to tell the database that this worker is alive. In seconds. Default: 10.
    stalled_worker_timeout
        How long this worker may be silent before it counts as dead and others run its jobs again; more than the
        heartbeat interval. In seconds. Default: 30.
    round_trip_timeout
        How long the database may take to answer the worker itself; after that, the worker gives the connection up, and
        goes on with another one; less than stalled_worker_timeout. In seconds. Default: None, half of
        stalled_worker_timeout.
    max_jobs
        End after so many runs of jobs, and claim no more jobs than that; each job of a batch counts, and each retry
        again. Default: None, no limit.
    audit_days
        How many days the notes are kept of what people did by the dashboard or the shell; of several workers, the least
        counts. Default: 400.
    unknown_task_timeout
        How long a job whose task no worker knows waits for a worker that knows it; after that, it fails. In seconds.
        Default: None, an hour; in memory, where no other program has the jobs, they fail at once.
    priority_ageing
        After how long a ready job gains one in priority, and one more each time, up to the highest priority of the
        ready jobs that the worker serves. In seconds. Default: None, never.
    timeout
        How long a run of a job may take, for tasks that have no timeout of their own. In seconds. Default: None, no
        limit.
    stuck_worker_timeout
        How long all of the worker's jobs may be jobs that were asked to end and do not; after that, they get their
        outcomes, and the worker ends, to be started again by its process manager. In seconds. Default: None, no limit.
    http
        Answer /livez, /readyz and /metrics at this address. Default: None, no answers.
    health_file
        Write this file anew every five seconds while the worker is alive. Default: None, no file.
    stall_after
        How long a task may block the event loop before the worker does not count as alive; 0 means for ever. In
        seconds. Default: 300.
    outage_patience
        How long the database may not answer before the worker does not count as alive; 0 means for ever: a restart
        would not help, and lose the outcomes that it keeps. In seconds. Default: 0.
    statistics
        Store every ten seconds how many jobs have ended, and how long they took. False: do not store how many jobs have
        ended, and how long they took. Default: True.
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

    @suggests_names
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
        round_trip_timeout: float | None = None,
        max_jobs: int | None = None,
        audit_days: int = 400,
        unknown_task_timeout: float | None = None,
        priority_ageing: float | None = None,
        timeout: float | None = None,
        stuck_worker_timeout: float | None = None,
        http: str | None = None,
        health_file: str | None = None,
        stall_after: float = 300.0,
        outage_patience: float = 0.0,
        statistics: bool = True,
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

        Once it is stopped, it ends within ``shutdown_graceful_timeout`` and 15 seconds, whatever the database does: jobs
        that outlast the time-out have `CANCEL_TIMEOUT` to clean up, and what is left to tell the database has
        `LEAVE_TIMEOUT`.

        Raises
        ------
        ConnectorException
            If the database cannot be reached at the start. Later, the worker waits for it.
        OutcomesNotStored
            If the worker has ended, and could not store the outcomes of jobs that had ended. It is a
            `ConnectorException`, too.
        CannotListen
            If the address of ``http`` is taken, or ``health_file`` cannot be written. The worker has not registered then.
        WorkerStuck
            If all jobs that it runs were asked to end and did not, for longer than ``stuck_worker_timeout``.
        """
        with telemetry.around_worker(), own_lookups(asyncio.get_running_loop()):
            await self._run()

    async def _run(self) -> None:
        options = self.options
        self._loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        self._has_ended = False
        self._leave_for = LEAVE_TIMEOUT
        self._stuck_for: float | None = None
        self._stuck_slots = options.concurrency
        self._heartbeat_ended, self._loop_watch_ended = asyncio.Event(), asyncio.Event()
        self._health_ended = asyncio.Event()
        lease = Lease(options.stalled_worker_timeout, options.update_heartbeat_interval)
        exchange = self._exchange = Exchange(
            self, lease, on_registered=lambda: heartbeat.beat(), on_stuck=self._replace
        )
        limit = options.longest_round_trip
        loop_watch = LoopWatch(self.app, limit, exchange, on_end=self._setter(self._loop_watch_ended))
        heartbeat = self._make_heartbeat(exchange, lease, loop_watch)
        roles = (exchange, heartbeat, loop_watch)
        health = self._make_health(exchange, heartbeat, lease)
        hide = exposition.add_slots(lambda: (self.concurrency, min(len(exchange.executor), self.concurrency)))
        watching = asyncio.create_task(watch(limit, roles), name="adjourn watch")
        try:
            with self._signals():
                await self._work(exchange, heartbeat, self._stop_asked)
        finally:
            hide()
            self._tell(WorkerStopping, exchange, concurrency=self.concurrency)
            await uncancelled(self._leave(*roles))
            if health is not None:
                await uncancelled(self._end_thread(health, self._health_ended))
            await dropped([watching])
            self._is_stopping, self._has_ended = False, True
            self._tell(WorkerStopped, exchange)
        if exchange.unstored:
            seconds = None if exchange.last_error is None else options.stalled_worker_timeout
            raise OutcomesNotStored(exchange.unstored, seconds) from exchange.last_error
        if self._stuck_for is not None:
            raise WorkerStuck(self._stuck_slots, self._stuck_for)

    def _replace(self, seconds: float) -> None:
        """Have this worker end, and another process do its work, because it can run no job any more."""
        if self._exchange is not None:
            self._stuck_for, self._stuck_slots = seconds, self._exchange.executor.slots
            self.stop()
            self._exchange.executor.end_overdue()

    async def _work(self, exchange: Exchange, heartbeat: HeartbeatThread, stop_asked: asyncio.Event) -> None:
        """Start, run until stopped or done, and let the running jobs end."""
        scheduler = Scheduler(self.app)
        tasks = [
            starting := asyncio.create_task(self._start(exchange, heartbeat, scheduler), name="adjourn start"),
            stopping := asyncio.create_task(stop_asked.wait(), name="adjourn stop"),
        ]
        if self._is_stopping:
            self.stop()  # stop was called before there was anything to stop
        try:
            # The first cancellation asks the worker to stop, the second to stop now.
            is_cancelled = await _first(starting, stopping)
            if starting.done():
                if held := starting.result():
                    tasks.append(asyncio.create_task(keep_declaring(self.app, held), name="adjourn limits"))
                tasks.append(running := asyncio.create_task(exchange.run(), name="adjourn exchange"))
                tasks.append(scheduling := asyncio.create_task(scheduler.run(), name="adjourn scheduler"))
                is_cancelled = is_cancelled or await _first(running, stopping)
                scheduling.cancel()
                if not running.done():
                    is_cancelled = await self._end_jobs(exchange, running) or is_cancelled
                if running.done():
                    running.result()
        finally:
            await dropped(tasks, exchange.give_up)
        if is_cancelled:
            raise asyncio.CancelledError

    async def _start(self, exchange: Exchange, heartbeat: HeartbeatThread, scheduler: Scheduler) -> Limits:
        """Register, and store what the app declares. Return the limits that another transaction holds."""
        await exchange.register()
        held = await declare_limits(self.app)
        self._tell(WorkerStarted, exchange, concurrency=self.concurrency)
        if held:
            self._tell(LimitsHeldUp, exchange, limits=tuple(f"{scope} {name}" for scope, name in held))
        if names := hasty_tasks(self.app):
            self._tell(RetriesWithoutWait, exchange, task_names=names)
        heartbeat.start()
        if not self.options.wait:
            # This worker may end before the scheduler's first turn.
            await scheduler.defer_once()
        return held

    async def _end_jobs(self, exchange: Exchange, running: asyncio.Task[None]) -> bool:
        """Wait until the running jobs have ended and are stored, each within its time. Return whether this was
        cancelled.
        """
        graceful = self.options.shutdown_graceful_timeout
        began = time.monotonic()
        exchange.stop()
        exchange.executor.tell_what_is_waited_for()
        jobs_ended = asyncio.create_task(exchange.slots.jobs_ended.wait(), name="adjourn jobs")
        try:
            is_cancelled = await _first(running, jobs_ended, timeout=graceful)
            if not exchange.slots.jobs_ended.is_set() and not running.done():
                exchange.cut_short()
                await asyncio.wait({running, jobs_ended}, timeout=CANCEL_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            jobs_ended.cancel()
        if exchange.slots.jobs_ended.is_set():
            ending = time.monotonic()
            left = 0.0 if graceful is None or is_cancelled else max(graceful - (ending - began), 0.0)
            await ended(running, left + LEAVE_TIMEOUT, exchange.give_up)
            self._leave_for = max(left + LEAVE_TIMEOUT - (time.monotonic() - ending), 0.0)
        return is_cancelled

    async def _leave(self, exchange: Exchange, heartbeat: HeartbeatThread, loop_watch: LoopWatch) -> None:
        """Hand the rest back, and end the threads, within `LEAVE_TIMEOUT`."""
        await asyncio.gather(
            exchange.close(min(self._leave_for, LEAVE_TIMEOUT)),
            self._end_thread(heartbeat, self._heartbeat_ended),
            self._end_thread(loop_watch, self._loop_watch_ended),
        )

    async def _end_thread(self, thread: HeartbeatThread | LoopWatch | HealthThread, ending: asyncio.Event) -> None:
        thread.stop()
        if thread.ident is None:
            return  # it has not begun
        has_ended = asyncio.create_task(ending.wait(), name=f"{thread.name} ends")
        # A thread that is still connecting is left behind. It ends when it is connected or has failed.
        await ended(has_ended, THREAD_TIMEOUT, thread.give_up)
        has_ended.cancel()

    def _setter(self, event: asyncio.Event) -> Callable[[], None]:
        """Return a function that sets an event of this event loop from another thread."""
        loop = asyncio.get_running_loop()

        def set_() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(event.set)

        return set_

    def _make_heartbeat(self, exchange: Exchange, lease: Lease, loop_watch: LoopWatch) -> HeartbeatThread:
        loop = asyncio.get_running_loop()

        def fail(error: BaseException, outage: Outage) -> None:
            self._tell(HeartbeatFailed, exchange, error=error, failures=outage.failures, is_news=outage.is_news)

        return HeartbeatThread(
            self.app,
            self.options,
            lease,
            worker_id=lambda: exchange.worker_id,
            silence=lambda: exchange.silence,
            report=lambda: exchange.report,
            advances=exchange.executor.advances,
            tally=exchange.executor.tally,
            on_begin=loop_watch.begin,
            on_beat=lambda *args: loop.call_soon_threadsafe(exchange.beaten, *args),
            on_notified=lambda is_called: loop.call_soon_threadsafe(exchange.notify, is_called),
            on_listening=exchange.listens,
            on_failure=fail,
            on_end=self._setter(self._heartbeat_ended),
            is_over=loop.is_closed,
        )

    def _make_health(self, exchange: Exchange, heartbeat: HeartbeatThread, lease: Lease) -> HealthThread | None:
        """Start what tells others how this worker is, if somebody wants to know."""
        manager = Manager.of_this_process()
        if self.options.http is None and self.options.health_file is None and manager is None:
            return None
        try:
            health = HealthThread(
                self.app,
                self.options,
                exchange,
                heartbeat,
                lease,
                is_stopping=lambda: self._is_stopping,
                manager=manager,
                on_end=self._setter(self._health_ended),
            )
        except OSError as error:
            raise CannotListen(f"The health of this worker cannot be told: {error}") from error
        health.start()
        return health

    def _signals(self) -> contextlib.AbstractContextManager[None]:
        return on_signals(self.stop) if self.options.install_signal_handlers else contextlib.nullcontext()

    def _tell(self, kind: type[WorkerEvent], exchange: Exchange, **facts: Any) -> None:
        if self.app.events.wants(kind):
            self.app.events.emit(kind(worker=exchange.identity, **facts))


async def _first(*tasks: asyncio.Task[Any], timeout: float | None = None) -> bool:
    """Wait until one of the tasks has ended, or this one is cancelled; return whether it is."""
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        return True
    return False
