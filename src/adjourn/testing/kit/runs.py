"""One run of a job in a test: what a worker does around a task, and what it makes of the end."""

from __future__ import annotations

import asyncio
import datetime
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from adjourn import exceptions
from adjourn._domain.drains import Ran, Verdict
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn._domain.middleware import compose, is_async
from adjourn._domain.outcomes import Attempt, Ended, Result, Retried, Suspended, error_entry, suspension_in
from adjourn._domain.runs import AbortReason, Completion, LooseRun
from adjourn.app import App
from adjourn.batches import BatchItem
from adjourn.tasks import Task
from adjourn.testing.kit.loops import Loop, in_thread
from adjourn.worker import Worker

OUTCOMES = (Exception, asyncio.CancelledError, SystemExit)
"""What a task may raise to end its job. Anything else, such as pytest's own exceptions, ends the test."""


class TrialRun:
    """One run of a job.

    Parameters
    ----------
    app
        The app.
    job
        The job.
    is_stored
        Whether the job is stored. If not, nothing is stored of what its task does durably, either.

    Raises
    ------
    TaskNotFound
        If the app has no task of the job's name.
    """

    def __init__(self, app: App, job: Job, *, is_stored: bool = True) -> None:
        task = app.task_of(job)
        self.task: Task[Any, Any, Any] = task
        self.job: Job = job
        self._app = app
        self._worker = Worker(app, **app.worker_defaults)
        options = self._worker.options
        self._timeout = task.timeout or options.timeout
        self._middleware = options.worker_middleware
        self._began = time.monotonic()
        self._started = time.time()
        self._is_late = False
        self._run = LooseRun(is_stored=is_stored)
        context = app.make_context(
            job,
            start_timestamp=self._started,
            worker_name=options.name,
            worker_queues=options.queues,
            additional_context=dict(options.additional_context),
            abort_reason=self._abort_reason,
            run=self._run,
        )
        self._context = context
        arguments = (context,) if task.pass_context else ()
        own_kind = [each for each in options.task_middleware if is_async(each) is task.is_async]
        # A batch task gets one job at a time.
        self._item = None if task.batch is None else BatchItem(job)
        body = functools.partial(task.func, *arguments, **job.task_kwargs)
        if self._item is not None:
            body = functools.partial(task.func, [self._item])
        self._body = compose([*own_kind, *task.task_middleware], body, context, self._worker)

    def call(self, loop: Loop) -> Any:
        """Run the task, and return its result or raise its exception. What is async runs on ``loop``."""
        if self.task.is_async or self._middleware:
            result = loop.run(functools.partial(self._call_async, loop.call_back))
        else:
            result = self._body()
            if inspect.isawaitable(result):
                result = loop.run(functools.partial(_awaited, result))
        if self._has_completed:
            _check_committed(self._app.job_manager.runs.ask_completion(self.job))
        return self._own(result)

    async def call_async(self) -> Any:
        """Run the task, and return its result or raise its exception. What is synchronous runs in a thread."""
        result = await self._call_async(in_thread)
        if self._has_completed:
            _check_committed(await self._app.job_manager.runs.ask_completion_async(self.job))
        return self._own(result)

    def _own(self, result: Any) -> Any:
        """Return what the job of a batch task has returned, or raise what it has failed with."""
        if self._item is None:
            return result
        if self._item.error is not None:
            raise self._item.error
        return self._item.result

    @property
    def _has_completed(self) -> bool:
        """Whether the task has completed its job in a transaction, which may not be committed."""
        return self._run.is_stored and self._run.durable is not None and self._run.durable.completions > 0

    async def _call_async(self, call_back: Callable[[Callable[[], Any]], Awaitable[Any]]) -> Any:
        body = self._body if self.task.is_async else functools.partial(call_back, self._body)
        if self._middleware:
            body = compose(self._middleware, body, self._context, self._worker)
        # A task of its own, so that what it does to itself is not done to the test.
        running = asyncio.ensure_future(_awaited(body()))
        limit = asyncio.timeout(self._timeout if self.task.is_async else None)
        try:
            async with limit:
                return await running
        finally:
            self._is_late = limit.expired()
            running.cancel()

    def error_of(self, error: BaseException) -> BaseException:
        """Return the error that a worker would see: `JobTimeout` if the run took too long."""
        if self._abort_reason() is not AbortReason.TIMEOUT:
            return error
        late = exceptions.JobTimeout(f"The job took longer than its timeout of {self._timeout:g} s.")
        late.__cause__ = error
        return late

    def stored_result(self, result: Any) -> Result | None:
        """Return what would be stored of what the task has returned; None if that is not stored.

        Raises
        ------
        InvalidResult
            If it cannot be stored.
        """
        rule = self.task.result_rule.of_app(self._app.store_results, self._app.result_ttl)
        if not rule.store:
            return None
        return Result(rule.dump(result, self._app.connector.json_dumps), rule.seconds, self._attempt)

    def succeeded(self, result: Any) -> Ran:
        """Return what a worker would make of a run that has returned."""
        if self._run.durable is not None and self._run.durable.suspension is not None:
            return self._failed(exceptions.SuspensionIgnored.of(self._run.durable.suspension))
        try:
            stored = self.stored_result(result)
        except exceptions.InvalidResult as error:
            return self._failed(error)
        ended = self._ended(Status.SUCCEEDED) if stored is None else Ended.with_result(self.job, stored)
        return Ran(ended, Verdict.SUCCEEDED)

    def raised(self, error: BaseException) -> Ran:
        """Return what a worker would make of a run that has raised."""
        if self._item is not None and self._item.has_ended:
            if self._item.error is None:
                return self.succeeded(self._item.result)
            error = self._item.error
        if (why := suspension_in(error)) is not None:
            return Ran(Suspended.of(self.job, why), Verdict.SUSPENDED)
        error = self.error_of(error)
        if isinstance(error, exceptions.JobAborted | asyncio.CancelledError):
            return Ran(self._ended(Status.ABORTED, error), Verdict.CANCELLED, error)
        retry = self.task.get_retry_exception(error, self.job)
        if retry is not None:
            retried = Retried.of(self.job, retry.retry_decision, error_entry(error, self._attempt()))
            return Ran(retried, Verdict.RETRIED, error)
        return self._failed(error)

    def _failed(self, error: BaseException) -> Ran:
        error.add_note(f"This was job {self.job.call_string}, attempt {self.job.attempts + 1}.")
        return Ran(self._ended(Status.FAILED, error), Verdict.FAILED, error)

    def _ended(self, status: Status, error: BaseException | None = None) -> Ended:
        entry = None if error is None else error_entry(error, self._attempt())
        return Ended.of(self.job, status, DeleteJobCondition.NEVER, entry)

    def _attempt(self) -> Attempt:
        return Attempt(
            number=self.job.attempts + 1,
            worker_id=self.job.worker_id,
            worker_name=self._worker.options.name,
            started_at=datetime.datetime.fromtimestamp(self._started, datetime.UTC),
            ended_at=datetime.datetime.now(datetime.UTC),
        )

    def _abort_reason(self) -> AbortReason | None:
        if self._is_late or (self._timeout is not None and time.monotonic() - self._began > self._timeout):
            return AbortReason.TIMEOUT
        return AbortReason.USER_REQUEST if self.job.abort_requested else None


def _check_committed(completion: Completion) -> None:
    if completion is not Completion.STORED:
        raise exceptions.CompletionRolledBack


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    result: Any = await awaitable
    while inspect.isawaitable(result):  # middleware that did not await what it called
        result = await result
    return result
