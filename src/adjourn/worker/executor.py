"""Starts the runs of claimed jobs, on the event loop or in threads, and follows each until it ends."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Collection
from typing import Any

from adjourn import exceptions, telemetry
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.jobs import Job, Status
from adjourn._domain.middleware import compose, is_async
from adjourn._domain.outcomes import Claim, Outcome, Unknown
from adjourn._domain.protocols import ContextLike, TaskLike, WorkerLike
from adjourn._domain.runs import AbortReason
from adjourn._domain.tracebacks import begin_in_user_code
from adjourn.events import (
    ErrorAfterCompletion,
    JobAbortRequested,
    JobEvent,
    JobOverdue,
    JobStarted,
    JobSucceeded,
    JobWaitedFor,
    SlotsLost,
    TaskAwaited,
    TaskUnknown,
    WorkerIdentity,
)
from adjourn.worker.advances import Advances
from adjourn.worker.calls import Calls
from adjourn.worker.lease import Lease
from adjourn.worker.lookup import Lookup, not_found
from adjourn.worker.observation import around_end, observed
from adjourn.worker.options import Options
from adjourn.worker.overdue import Overdue
from adjourn.worker.recording import know, recorders_of
from adjourn.worker.runners import Body, Halt, LoopRunner, Run, Runner, ThreadRunner
from adjourn.worker.settling import settle
from adjourn.worker.tally import RunTally
from adjourn.worker.verdicts import Verdict, Verdicts

FIRST_GUESS = 1.0
"""The first guess of a run's seconds: long, so that a worker does not claim too much in advance."""


class Executor:
    """Runs jobs, async ones as tasks on the loop and sync ones in threads.

    Parameters
    ----------
    worker
        The worker, for its app and options.
    on_end
        Called with each job whose run has ended, and the outcome; with None if that is stored already.
    lease
        How long the worker's jobs are its own.
    on_room
        Called when a slot may be free that a run held which nobody follows any more.
    on_stuck
        Called when all slots have been lost for longer than the worker's ``stuck_worker_timeout``, with these seconds.
    """

    def __init__(
        self,
        worker: WorkerLike[Options],
        on_end: Callable[[ClaimedJob, Outcome | None], None],
        lease: Lease,
        on_room: Callable[[], object],
        on_stuck: Callable[[float], object],
    ) -> None:
        self._worker = worker
        self._app = worker.app
        self._options = options = worker.options
        self._events = worker.app.events
        self._on_end = on_end
        self.halt: Halt = Halt(lease)
        """Whether to start no further job."""
        self._on_loop = LoopRunner(self._finish, self.halt, lambda: worker.may_be_interrupted)
        self._on_room = on_room
        self._in_threads = ThreadRunner(options.concurrency, self._finish, self.halt, self._look_at_slots)
        self.runs_last: bool = False
        """Whether no job begins after those that run."""
        self._overdue = Overdue(
            lambda: self.slots,
            options.stuck_worker_timeout,
            left=lambda: len(self._in_threads.left),
            on_run=self._tell_overdue,
            on_lost=self._tell_lost,
            on_end=on_stuck,
        )
        self._verdicts = Verdicts(self._app, options, self._on_loop.is_interrupt, self._tell)
        self.lookup: Lookup = Lookup(self._app, options.unknown_task_timeout, self._in_threads)
        """Finds tasks that are not declared."""
        self.advances: Advances = Advances()
        """What running tasks say of their progress."""
        self._recorders = recorders_of(worker.app)
        is_stored = options.statistics and self._app.connector.is_shared
        self._tally = RunTally(self._recorders, is_stored=is_stored)
        know(worker.app, self._tally)
        self.tally: RunTally | None = self._tally if is_stored else None
        """What has become of the jobs and is not stored yet; None if that is not stored."""
        self._runs: dict[int, Run] = {}
        self._calls = Calls(self._verdicts, self._end)
        self._wraps_all = bool(options.task_middleware or options.worker_middleware)
        # The middleware of all tasks of a kind, by whether that is async.
        self._of_kind = {
            kind: [each for each in options.task_middleware if is_async(each) is kind] for kind in (True, False)
        }
        self._keeps_jobs = not options.delete_jobs.applies_to(Status.SUCCEEDED)
        self._identity: WorkerIdentity | None = None
        self.mean_duration: float = FIRST_GUESS
        """The average duration of recent runs, in seconds."""

    def __len__(self) -> int:
        return len(self._runs) - len(self._calls.companions)

    @property
    def slots_held(self) -> int:
        """How many slots are taken: by running jobs, and by threads that still run what nobody follows any more."""
        return len(self._runs) - len(self._calls.companions) + len(self._in_threads.left)

    @property
    def slots(self) -> int:
        """How many slots may run jobs: no others than those that are taken, if no job begins any more."""
        return max(1, self.slots_held) if self.runs_last else self._options.concurrency

    @property
    def overdue(self) -> list[int]:
        """The ids of the jobs that were asked to end and have not. May be called from any thread."""
        return sorted(run.claimed.id for run in self._overdue.runs)

    @property
    def running(self) -> Collection[int]:
        """The ids of the running jobs."""
        return self._runs.keys()

    @property
    def claims(self) -> set[Claim]:
        """The claims of the running jobs. May be called from any thread."""
        return {(run.claimed.id, run.claimed.claim) for run in tuple(self._runs.values())}

    def job_of(self, task: asyncio.Task[Any] | None) -> Job | None:
        """Return the job that a task of the event loop runs, if it runs one. May be called from any thread."""
        return next((run.job for run in tuple(self._runs.values()) if run.task is task), None) if task else None

    def take_not_begun(self) -> list[ClaimedJob]:
        """Take the jobs that have not begun, so that they never will. May be called from any thread."""
        runs = [run for run in tuple(self._runs.values()) if run not in self._calls.companions]
        return [claimed for run in runs if run.take() for claimed in self._calls.not_begun(run)]

    def forget_durations(self) -> None:
        """Reset the mean duration to the first guess, because it has proved wrong."""
        self.mean_duration = FIRST_GUESS

    def start(self, job: ClaimedJob) -> None:
        """Begin to run a job. If it cannot be started, that error is its outcome."""
        if job.companions:
            self._start_call(job)
            return
        run = self._follow(job)
        try:
            self._start(run)
        except Exception as error:
            self._fail(run, error)

    def _follow(self, job: ClaimedJob) -> Run:
        if older := self._runs.get(job.id):
            # The worker lost the job and has claimed it again during its first run.
            self._let_go(older)
        run = self._runs[job.id] = Run(job)
        return run

    def _start_call(self, job: ClaimedJob) -> None:
        """Begin one call for a job of a batch task and its companions. Those that cannot run end by themselves."""
        together: list[Run] = []
        for each in (job, *job.companions):
            run = self._follow(each)
            if each.error is not None or each.abort_requested:
                self._start(run)
            else:
                together.append(run)
        if not together:
            return
        first, *companions = together
        self._calls.open(first, self._app.tasks[job.task_name], companions)
        try:
            self._start(first)
        except Exception as error:
            self._finish(first, None, error)

    def _start(self, run: Run) -> None:
        job = run.claimed
        if job.error is not None:
            self._end(run, self._verdicts.refused(run, job.error))
        elif job.abort_requested:
            self._end(run, self._verdicts.aborted(run))
        elif (task := self._app.tasks.get(job.task_name)) is not None:
            self._begin(run, task)
        elif not self.lookup.find(run, functools.partial(self._begin, run), functools.partial(self._resolved, run)):
            self._await_task(run)

    def _resolved(self, run: Run, task: TaskLike | None, error: BaseException | None) -> None:
        """Begin to run a job whose task a resolver has loaded, or has not."""
        if self._runs.get(run.claimed.id) is not run:
            return  # no longer followed
        if run.abort_reason is not None:  # it was asked to end meanwhile
            self._finish(run, None, asyncio.CancelledError())
        elif isinstance(error, exceptions.TaskNotFound):
            self._await_task(run, error)
        elif error is not None or task is None:
            self._fail(run, error or not_found(run.claimed))
        else:
            try:
                self._begin(run, task)
            except Exception as refused:
                self._fail(run, refused)

    def _await_task(self, run: Run, reason: exceptions.TaskNotFound | None = None) -> None:
        """Have a job whose task is unknown wait for a worker that knows it, or fail if it has waited long enough.

        Parameters
        ----------
        run
            The run.
        reason
            Why a resolver has not found the task, if there is one.
        """
        job = run.claimed
        if not self.lookup.may_wait(job):
            self._end(run, self._verdicts.refused(run, reason or not_found(job), TaskUnknown))
            return
        del self._runs[job.id]
        if self.lookup.is_news(job.task_name):
            self._tell(TaskAwaited, run, timeout=self.lookup.patience, reason=reason)
        self._on_end(job, Unknown.of(job))

    def _begin(self, run: Run, task: TaskLike) -> None:
        run.declared = task
        if task.batch is not None and run.call is None:
            self._calls.open(run, task, ())
        if self._events.wants(JobStarted):
            for each in (run,) if run.call is None else run.call.runs:
                self._emit(JobStarted, each)
        for recorder in tuple(self._recorders):  # another thread may end one
            for each in (run,) if run.call is None else run.call.runs:
                recorder.begin(each.claimed)
        run.timeout = task.timeout or self._options.timeout
        if run.timeout is not None:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(run.timeout, self._abort, run, AbortReason.TIMEOUT)
        run.runner = runner = self._on_loop if task.is_async else self._in_threads
        if self._wraps_all or task.pass_context or task.task_middleware or run.call is not None:
            self._start_wrapped(run, task, runner)
        elif arguments := run.claimed.task_kwargs:
            self._run(runner, run, functools.partial(task.func, **arguments))
        else:
            self._run(runner, run, task.func)

    def _start_wrapped(self, run: Run, task: TaskLike, runner: Runner) -> None:
        """Run a job whose task takes a context, or that has middleware around it."""
        options = self._options
        context = self._context(run)
        arguments = (context,) if task.pass_context else ()
        body: Body = functools.partial(task.func, *arguments, **run.claimed.task_kwargs)
        if run.call is not None:
            body = functools.partial(task.func, run.call.items)
        if middleware := (*self._of_kind[task.is_async], *task.task_middleware):
            body = compose(middleware, body, context, self._worker)
        if not options.worker_middleware:
            self._run(runner, run, body)
            return
        # Worker middleware is async and runs on the loop; the body in it runs there or in a thread, as its task needs.
        body = functools.partial(runner.call, run, body)
        self._run(self._on_loop, run, compose(options.worker_middleware, body, context, self._worker))

    def _run(self, runner: Runner, run: Run, body: Body) -> None:
        if telemetry.OBSERVERS.of_runs:
            body = observed(run, body, self._options.name, is_async=runner is self._on_loop)
        runner.start(run, body)

    def abort(self, job_id: int, reason: AbortReason) -> None:
        """Ask a run to end: cancel an async one, flag a sync one. The first reason counts."""
        if run := self._runs.get(job_id):
            if run.call is not None and reason is AbortReason.USER_REQUEST:
                self._calls.asks_to_abort(run)  # the other jobs of the call go on
            else:
                self._abort(run, reason)

    def _abort(self, run: Run, reason: AbortReason) -> None:
        if run.abort_reason is None:
            self._tell(JobAbortRequested, run, reason=reason)
            run.abort(reason)
            if reason is not AbortReason.SHUTDOWN:
                self._overdue.add(run)

    def tell_what_is_waited_for(self) -> None:
        """Report each run that a stop has to wait for."""
        for run in self._runs.values():
            self._tell(JobWaitedFor, run, duration=time.perf_counter() - run.began)

    def abandon(self) -> list[ClaimedJob]:
        """Stop following all running jobs, and return them. Their outcomes are not stored."""
        runs = list(self._runs.values())
        self._runs.clear()
        for run in runs:
            self._let_go(run)
        return [run.claimed for run in runs]

    def end_overdue(self) -> None:
        """Give the jobs that were asked to end their outcomes, and stop following them, although they still run."""
        for run in self._overdue.runs:
            self._finish(run, None, asyncio.CancelledError())
            self._let_go(run)

    def close(self) -> None:
        """Let the threads end."""
        for recorder in tuple(self._recorders):
            recorder.leave()
        self._overdue.close()
        self._in_threads.close()

    def _let_go(self, run: Run) -> None:
        self._overdue.discard(run)
        self._calls.leave(run)
        run.let_go()
        self._in_threads.leave(run)

    def _look_at_slots(self) -> None:
        self._overdue.check()
        self._on_room()

    # The ends of runs

    def _finish(self, run: Run, result: Any, error: BaseException | None) -> None:
        """Decide the outcome of a job whose run has ended."""
        if error is not None:
            begin_in_user_code(error)
        if run.call is not None:
            self._calls.finish(run, error)
        elif run.was_refused:  # middleware may have caught it
            self._end(run, self._verdicts.handed_back(run))
        elif run.durable is not None and run.durable.completions:
            self._ask_for_end(run, result, error)
        elif error is None:
            self._end(run, self._verdicts.returned(run, result))
        else:
            self._end(run, self._verdicts.raised(run, error))

    def _ask_for_end(self, run: Run, result: Any, error: BaseException | None) -> None:
        """Find out how a run has ended that has completed its job in a transaction."""
        run.durable, run.runner = None, self._on_loop
        run.task = settle(run, result, error, self._app.job_manager.runs, self._finish, self._has_ended)

    def _has_ended(self, run: Run, result: Any, error: BaseException | None) -> None:
        """Tell that a job has ended already, in a transaction of its task's own."""
        if error is not None:
            self._tell(ErrorAfterCompletion, run, error=error)
        self._end(run, (None, JobSucceeded, {"result": result}))

    def _fail(self, run: Run, error: BaseException) -> None:
        """Decide the outcome of a job that could not be started."""
        self._end(run, self._verdicts.failed(run, error))

    def _end(self, run: Run, verdict: Verdict) -> None:
        if not telemetry.OBSERVERS.of_runs:
            self._settle(run, verdict)
            return
        _, kind, facts = verdict
        is_lost = self._runs.get(run.claimed.id) is not run
        with around_end(run, kind, facts.get("error"), self._options.name, is_lost):
            self._settle(run, verdict)

    def _settle(self, run: Run, verdict: Verdict) -> None:
        job = run.claimed
        if self._runs.get(job.id) is not run:
            return  # no longer followed
        del self._runs[job.id]
        if run.timer is not None:
            run.timer.cancel()
        if run.abort_reason is not None:
            self._overdue.discard(run)
        elif self.runs_last:
            self._overdue.check()
        duration = time.perf_counter() - run.began
        if run in self._calls.companions:
            self._calls.leave(run)
        else:
            self.mean_duration += (duration - self.mean_duration) * 0.1
        outcome, kind, facts = verdict
        try:
            if self.tally is not None or self._recorders:
                self._tally.add(job, kind, duration)
            if self._events.wants(kind):
                self._emit(kind, run, duration=duration, **facts)
        finally:  # a subscriber, or a signal while runs are counted, may end the program
            self._on_end(job, outcome)

    # Contexts for runs, and events about them

    def _context(self, run: Run) -> ContextLike:
        return self._app.make_context(
            run.claimed,
            start_timestamp=run.started,
            worker_name=self._options.name,
            worker_queues=self._options.queues,
            # Copy it for each job, because middleware may add to it.
            additional_context=dict(self._options.additional_context),
            abort_reason=lambda: run.abort_reason,
            say_progress=self.advances.say,
            run=run,
            keeps_jobs=self._keeps_jobs,
        )

    def _tell_overdue(self, run: Run) -> None:
        self._tell(JobOverdue, run, duration=time.perf_counter() - run.began, reason=run.abort_reason)

    def _tell_lost(self, duration: float) -> None:
        if self._events.wants(SlotsLost):
            options = self._options
            worker = WorkerIdentity(name=options.name, id=self._worker.worker_id, queues=options.queues)
            slots, ends_after = self.slots, options.stuck_worker_timeout
            self._events.emit(SlotsLost(worker=worker, slots=slots, duration=duration, ends_after=ends_after))

    def _tell(self, kind: type[JobEvent], run: Run, **facts: Any) -> None:
        if self._events.wants(kind):
            self._emit(kind, run, **facts)

    def _emit(self, kind: type[JobEvent], run: Run, **facts: Any) -> None:
        """Tell of a run somebody who wants to hear of it."""
        worker, worker_id = self._identity, run.claimed.worker_id
        if worker is None or worker.id != worker_id:
            worker = WorkerIdentity(name=self._options.name, id=worker_id, queues=self._options.queues)
            self._identity = worker
        self._events.emit(kind(job=run.job, worker=worker, started_at=run.started, **facts))
