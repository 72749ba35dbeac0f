"""The only room that calls user code: runs claimed jobs and says how each ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
import functools
import inspect
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

import attrs

from adjourn import exceptions
from adjourn._domain.jobs import Job, Status
from adjourn._domain.middleware import compose, is_async
from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried, error_entry
from adjourn._domain.protocols import ContextLike, TaskLike, WorkerLike
from adjourn._domain.runs import AbortReason
from adjourn.worker.options import Options
from adjourn.worker.threads import ThreadPool

logger: logging.Logger = logging.getLogger("adjourn.worker")


ENDINGS = {"job_success": "success", "job_aborted": "aborted", "job_aborted_retry": "cut short, to be run again,"}
"""How log records call the ways in which a run can end without an error."""
FIRST_GUESS = 1.0
"""Seconds that a run is taken to last while nothing is known: long, so that no worker claims ahead of need."""


@attrs.define(eq=False)
class Run:
    """One run of a job that is under way."""

    job: Job
    has_begun: bool = False
    started: float = attrs.field(factory=time.time)
    began: float = attrs.field(factory=time.perf_counter)
    handle: asyncio.Task[None] | None = None
    is_cancellable: bool = False
    awaitable: concurrent.futures.Future[Any] | None = None
    timeout: float | None = None
    timer: asyncio.TimerHandle | None = None
    abort_reason: AbortReason | None = None

    def let_go(self) -> None:
        """Follow it no longer, and ask it to end."""
        self.abort_reason = self.abort_reason or AbortReason.SHUTDOWN
        if self.timer is not None:
            self.timer.cancel()
        if self.handle is not None:
            self.handle.cancel()


class NotBegun(Exception):
    """The worker was stopped before the run had begun, so the job is handed back."""


class Executor:
    """Runs jobs, async ones as tasks on the loop and sync ones in threads.

    Parameters
    ----------
    worker
        Whose app and options to use.
    on_end
        Called with the outcome of each run.
    """

    def __init__(self, worker: WorkerLike[Options], on_end: Callable[[Outcome], None]) -> None:
        self._worker = worker
        self._app = worker.app
        self._options = options = worker.options
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPool(options.concurrency, self._loop)
        self._runs: dict[int, Run] = {}
        self.is_stopping: bool = False
        """Whether no further job is to begin; set from any thread."""
        self.mean_duration: float = FIRST_GUESS
        """Seconds that a run takes on average of late."""

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def running(self) -> Collection[int]:
        """The ids of the jobs that run."""
        return self._runs.keys()

    def forget_durations(self) -> None:
        """Guess the mean duration anew: of late it was no guide."""
        self.mean_duration = FIRST_GUESS

    def start(self, job: Job) -> None:
        """Begin to run a job. Whatever is wrong with it is its outcome."""
        run = self._begun(job)
        try:
            self._start(run)
        except Exception as error:
            self._end(run, self._failed(run, error), "job_error", error)

    def refuse(self, job: Job, error: Exception) -> None:
        """Let a job fail that cannot be run."""
        run = self._begun(job)
        self._end(run, self._failed(run, error, retry=False), "job_error", error)

    def _begun(self, job: Job) -> Run:
        assert job.id is not None
        if older := self._runs.get(job.id):
            # It was taken away and has come back while its body ran.
            older.let_go()
        run = self._runs[job.id] = Run(job)
        return run

    def _start(self, run: Run) -> None:
        job = run.job
        task = self._app.tasks.get(job.task_name)
        if task is None:
            error = exceptions.TaskNotFound(_unknown_task(job))
            self._end(run, self._failed(run, error, retry=False), "task_not_found", error)
            return
        if job.abort_requested:
            self._end(run, self._ended(run, Status.ABORTED), "job_aborted")
            return
        if logger.isEnabledFor(logging.DEBUG):
            self._log(logging.DEBUG, "loaded_job_info", f"About to start job {job.call_string}", run)
        if logger.isEnabledFor(logging.INFO):
            self._log(logging.INFO, "start_job", f"Starting job {job.call_string}", run)
        run.timeout = task.timeout or self._options.timeout
        if run.timeout is not None:
            run.timer = self._loop.call_later(run.timeout, self._abort, run, AbortReason.TIMEOUT)
        run.is_cancellable = task.is_async
        body = self._body(run, task)
        if task.is_async or self._options.worker_middleware:
            run.handle = self._loop.create_task(self._await(run, body), name=f"adjourn job {job.id}")
        else:
            self._threads.submit(functools.partial(self._call, run, body), functools.partial(self._finish, run))

    def _body(self, run: Run, task: TaskLike) -> Callable[[], Any]:
        """Return what runs a job: its function, wrapped in all the middleware there is for it."""
        options = self._options
        if not (task.pass_context or task.task_middleware or options.task_middleware or options.worker_middleware):
            return functools.partial(task.func, **run.job.task_kwargs)
        context = self._context(run)
        arguments = (context,) if task.pass_context else ()
        body: Callable[[], Any] = functools.partial(task.func, *arguments, **run.job.task_kwargs)
        own_kind = [each for each in options.task_middleware if is_async(each) is task.is_async]
        body = compose([*own_kind, *task.task_middleware], body, context, self._worker)
        if not options.worker_middleware:
            return body
        if not task.is_async:
            body = functools.partial(self._in_thread, run, body)
        return compose(options.worker_middleware, body, context, self._worker)

    async def _in_thread(self, run: Run, body: Callable[[], Any]) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration | GeneratorExit | KeyboardInterrupt):
                # A future does not take the one, and on the loop the others would mean something else.
                raised = RuntimeError(f"the task raised {type(error).__name__}")
                raised.__cause__ = error
                future.set_exception(raised)
            else:
                future.set_exception(error)

        self._threads.submit(functools.partial(self._call, run, body), done)
        return await future

    def abort(self, job_id: int, reason: AbortReason) -> None:
        """Ask a run to end: cancel an async one, flag a sync one. The first reason counts."""
        if run := self._runs.get(job_id):
            self._abort(run, reason)

    def _abort(self, run: Run, reason: AbortReason) -> None:
        if run.abort_reason is not None:
            return
        self._log(logging.INFO, "abort_job", f"Asking job {run.job.call_string} to end ({reason})", run)
        run.abort_reason = reason
        if run.handle is not None and run.is_cancellable:
            run.handle.cancel()
        elif run.awaitable is not None:
            run.awaitable.cancel()

    def tell_what_is_waited_for(self) -> None:
        """Log each run that a stop has to wait for."""
        for run in self._runs.values():
            waited = time.perf_counter() - run.began
            message = f"Waiting for job {run.job.call_string}, which began {waited:.3f} s ago"
            self._log(logging.INFO, "ending_job", message, run)

    def abandon(self) -> list[Job]:
        """Stop following whatever still runs, and return those jobs. What they end with is not stored."""
        runs = list(self._runs.values())
        self._runs.clear()
        for run in runs:
            run.let_go()
        return [run.job for run in runs]

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()

    def _begin(self, run: Run) -> None:
        if self.is_stopping and not run.has_begun:
            raise NotBegun
        run.has_begun = True

    def _call(self, run: Run, body: Callable[[], Any]) -> Any:
        self._begin(run)
        result = body()
        if not inspect.isawaitable(result):
            return result
        # A synchronous wrapper around an async function.
        run.awaitable = asyncio.run_coroutine_threadsafe(_awaited(result), self._loop)
        if run.abort_reason is not None:
            run.awaitable.cancel()
        try:
            return run.awaitable.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    async def _await(self, run: Run, body: Callable[[], Any]) -> None:
        try:
            self._begin(run)
            result = await body()
            while inspect.isawaitable(result):  # middleware that did not await what it called
                result = await result
        except BaseException as error:  # whatever it raises, SystemExit too, is the job's outcome, not ours
            if self._is_interrupt(error):
                raise
            self._finish(run, None, error)
        else:
            self._finish(run, result, None)

    def _is_interrupt(self, error: BaseException) -> bool:
        """Tell whether an error comes from outside of the job: from a signal, or because its loop is gone."""
        if isinstance(error, KeyboardInterrupt):
            return self._worker.may_be_interrupted
        return isinstance(error, GeneratorExit) and not self._loop.is_running()

    def _finish(self, run: Run, result: Any, error: BaseException | None) -> None:
        if error is None:
            if run.abort_reason is AbortReason.TIMEOUT:
                message = f"Job {run.job.call_string} went on past its time-out of {run.timeout:g} s, and succeeded"
                self._log(logging.WARNING, "timeout_ignored", message, run)
            self._end(run, self._ended(run, Status.SUCCEEDED), "job_success", result=result)
            return
        if isinstance(error, NotBegun):
            self._end(run, HandedBack.of(run.job), "job_aborted_retry")
            return
        if run.abort_reason is AbortReason.TIMEOUT:
            message = f"The job took longer than its time-out of {run.timeout:g} s."
            error, cause = exceptions.JobTimeout(message), error
            error.__cause__ = cause
        is_cancelled = isinstance(error, asyncio.CancelledError)
        is_aborted = isinstance(error, exceptions.JobAborted)
        if is_cancelled and run.abort_reason is None and run.handle is not None and run.handle.cancelling():
            # Nobody asked for its end: its event loop is ending.
            run.abort_reason = AbortReason.SHUTDOWN
        if run.abort_reason is AbortReason.SHUTDOWN and (is_cancelled or is_aborted):
            self._end(run, HandedBack.of(run.job), "job_aborted_retry")
        elif is_aborted:
            self._end(run, self._ended(run, Status.ABORTED, self._entry(run, error)), "job_aborted", error)
        elif is_cancelled and run.abort_reason is AbortReason.USER_REQUEST:
            self._end(run, self._ended(run, Status.ABORTED), "job_aborted")
        else:
            self._end(run, self._failed(run, error), "job_error", error)

    def _ended(self, run: Run, status: Status, entry: str | None = None) -> Ended:
        return Ended.of(run.job, status, self._options.delete_jobs, entry)

    def _entry(self, run: Run, error: BaseException) -> str:
        started = datetime.datetime.fromtimestamp(run.started, datetime.UTC)
        return error_entry(error, run.job, started, datetime.datetime.now(datetime.UTC))

    def _failed(self, run: Run, error: BaseException, *, retry: bool = True) -> Ended | Retried:
        entry = self._entry(run, error)
        if retry and run.abort_reason is not AbortReason.USER_REQUEST:
            try:
                decision = self._app.tasks[run.job.task_name].get_retry_exception(error, run.job)
                if decision is not None:
                    return Retried.of(run.job, decision.retry_decision, entry)
            except BaseException as broken:  # the strategy is user code; without its decision the job fails
                if self._is_interrupt(broken):
                    raise
                self._log(logging.ERROR, "job_error", "The retry strategy raised; the job fails", run, exc_info=True)
        return self._ended(run, Status.FAILED, entry)

    def _end(
        self,
        run: Run,
        outcome: Outcome,
        action: str,
        error: BaseException | None = None,
        result: Any = None,
    ) -> None:
        assert run.job.id is not None
        if self._runs.get(run.job.id) is not run:
            return  # let go of
        del self._runs[run.job.id]
        if run.timer is not None:
            run.timer.cancel()
        duration = time.perf_counter() - run.began
        self.mean_duration += (duration - self.mean_duration) * 0.1
        if action == "task_not_found":
            self._log(logging.ERROR, action, _unknown_task(run.job), run, duration, exc_info=error)
        elif action == "job_error":
            retried = isinstance(outcome, Retried)
            message = f"Job {run.job.call_string} raised {type(error).__name__}" + (
                ", to be retried" if retried else ""
            )
            action = "job_error_retry" if retried else action
            self._log(logging.INFO if retried else logging.ERROR, action, message, run, duration, exc_info=error)
        elif logger.isEnabledFor(logging.INFO):
            message = f"Job {run.job.call_string}: {ENDINGS[action]} in {duration:.3f} s"
            self._log(logging.INFO, action, message, run, duration, exc_info=error, result=result)
        self._on_end(outcome)

    def _context(self, run: Run) -> ContextLike:
        return self._app.make_context(
            run.job,
            start_timestamp=run.started,
            worker_name=self._options.name,
            worker_queues=self._options.queues,
            # One for each job: middleware puts its own into it.
            additional_context=dict(self._options.additional_context),
            abort_reason=lambda: run.abort_reason,
        )

    def _log(
        self,
        level: int,
        action: str,
        message: str,
        run: Run,
        duration: float | None = None,
        exc_info: Any = None,
        result: Any = None,
    ) -> None:
        extra: dict[str, Any] = {
            "action": action,
            "job": run.job.log_context(),
            "worker": {
                "name": self._options.name,
                "worker_id": run.job.worker_id,
                "job_id": run.job.id,
                "queues": self._options.queues,
            },
            "start_timestamp": run.started,
        }
        if duration is not None:
            extra |= {"duration": duration, "end_timestamp": run.started + duration, "result": result}
        try:
            logger.log(level, message, extra=extra, exc_info=exc_info)
        except Exception as error:  # handlers are the user's, and must not cost a job
            what = f"A log handler raised {type(error).__name__} for job {run.job.id}: {error}"
            self._loop.call_exception_handler({"message": what})


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _unknown_task(job: Job) -> str:
    return (
        f"No task named {job.task_name!r} is known to this worker, so job {job.id} failed. Name the module that declares "
        "it in the app's import_paths, or give a renamed task its old name as an alias."
    )
