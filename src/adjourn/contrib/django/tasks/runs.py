"""Runs a task of the framework as the job of a worker."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from adjourn import exceptions, tasks
from adjourn._domain.jobs import Job
from adjourn.app import App, JobContext
from adjourn.contrib.django.names import path_of
from adjourn.contrib.django.tasks.backend import AdjournBackend
from adjourn.contrib.django.tasks.compat import (
    AnyResult,
    AnyTask,
    InvalidTaskBackend,
    TaskContext,
    normalize_json,
    task_backends,
    task_started,
)
from adjourn.contrib.django.tasks.declared import located
from adjourn.contrib.django.tasks.envelopes import Envelope
from adjourn.contrib.django.tasks.results import result_of

__all__ = ["FrameworkTask", "backend_of", "loaded"]


class FrameworkTask(tasks.Task[..., Any, ...]):
    """A task of adjourn's that calls one of the framework."""

    def get_retry_exception(self, exception: BaseException, job: Job) -> exceptions.JobRetry | None:
        """Return whether a job runs again. One whose result cannot be stored would return the same again.

        Parameters
        ----------
        exception
            What the task raised.
        job
            The job.
        """
        if isinstance(exception, exceptions.InvalidResult) or isinstance(exception.__cause__, exceptions.InvalidResult):
            return None
        return super().get_retry_exception(exception, job)


def backend_of(alias: str) -> AdjournBackend:
    """Return a backend by its name in ``TASKS``.

    Raises
    ------
    TaskNotFound
        If this program has none of that name, or it is one of another kind.
    """
    try:
        backend = task_backends[alias]
    except InvalidTaskBackend as error:
        raise exceptions.TaskNotFound(
            f"TASKS[{alias!r}], with which the task was enqueued, is not there: {error}"
        ) from error
    if not isinstance(backend, AdjournBackend):
        raise exceptions.TaskNotFound(
            f"TASKS[{alias!r}], with which the task was enqueued, is not an AdjournBackend, but of type {type(backend).__name__}."
        )
    return backend


def loaded(app: App, job: Job) -> FrameworkTask:
    """Import the task of a job, and make it one that a worker can run.

    Parameters
    ----------
    app
        The app whose jobs are looked up.
    job
        The job.

    Raises
    ------
    TaskNotFound
        If there is no such task here, or no such backend.
    InvalidTask
        If the path is not that of a task, its module cannot be imported, or the job has no arguments of a task.
    """
    envelope = Envelope.opened(job.task_name, job.task_kwargs)
    task = located(path_of(job.task_name))
    options = backend_of(envelope.backend).run_options
    timeout = getattr(task, "timeout", None)
    return FrameworkTask(
        _runner_of(app, task, options.max_result_size),
        blueprint=app,
        name=job.task_name,
        retry=options.strategy(getattr(task, "retry", None)),
        pass_context=True,
        timeout=options.timeout if timeout is None else timeout,
        store_result=True,
        # The framework knows no results that lapse: they stay for as long as their jobs.
        result_ttl=math.inf,
        max_result_size=options.max_result_size,
    )


def _runner_of(app: App, task: AnyTask, max_size: int) -> Callable[..., Any]:
    """Return the function that a worker calls with the context and the arguments of a job."""

    def run(context: JobContext, **_: Any) -> Any:
        job: Job = context.job
        if job.attempts:
            job = _with_errors(job, app.job_manager.list_jobs(id=job.id))
        sender, result = _begin(task, job)
        task_started.send_robust(sender, task_result=result)
        return _checked(task.func(*_arguments(task, result), **result.kwargs), max_size)

    async def run_async(context: JobContext, **_: Any) -> Any:
        job: Job = context.job
        if job.attempts:
            job = _with_errors(job, await app.job_manager.list_jobs_async(id=job.id))
        sender, result = _begin(task, job)
        await task_started.asend_robust(sender, task_result=result)
        return _checked(await task.func(*_arguments(task, result), **result.kwargs), max_size)

    return run_async if inspect.iscoroutinefunction(task.func) else run


def _with_errors(job: Job, stored: list[Job]) -> Job:
    """Return a job with the errors of its earlier attempts, which a claimed job does not have."""
    return job.evolve(errors=stored[0].errors) if stored else job


def _begin(task: AnyTask, job: Job) -> tuple[type[AdjournBackend], AnyResult]:
    envelope = Envelope.opened(job.task_name, job.task_kwargs)
    return type(backend_of(envelope.backend)), result_of(job, task, envelope)


def _arguments(task: AnyTask, result: AnyResult) -> list[Any]:
    return [TaskContext(task_result=result), *result.args] if task.takes_context else result.args


def _checked(value: Any, max_size: int) -> Any:
    """Return what a task has returned as plain values.

    Raises
    ------
    TypeError
        If it is not JSON.
    InvalidResult
        If it is too large.
    """
    try:
        plain = normalize_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        cause = exceptions.InvalidResult(f"The task has returned what is not JSON: {error}. Return plain values.")
        raise TypeError(str(cause)) from cause
    # Looked at here already, in the task's own thread: to write very much as JSON would hold the worker up.
    if _has_more_than(max_size, [plain]):
        raise exceptions.InvalidResult(
            f"The task has returned more than the {max_size} bytes of JSON that are stored (max_result_size): keep it elsewhere, "
            "and return where it is."
        )
    return plain


def _has_more_than(limit: int, values: list[Any]) -> bool:
    """Return whether values certainly have more bytes as JSON."""
    while values and limit >= 0:
        value = values.pop()
        if isinstance(value, str):
            limit -= len(value)
        elif isinstance(value, dict):
            values.extend(value)
            values.extend(value.values())
        elif isinstance(value, list):
            limit -= len(value)
            values.extend(value)
    return limit < 0
