"""Run a task as a worker would, without a job that is stored: `perform`."""

from __future__ import annotations

import itertools
from typing import Any

from adjourn import exceptions
from adjourn._domain.arguments import dump_arguments
from adjourn._domain.jobs import Job, Status
from adjourn.app import App
from adjourn.tasks import Task
from adjourn.testing.kit.loops import Loop, refuse_cancelled
from adjourn.testing.kit.places import blocking_place
from adjourn.testing.kit.runs import OUTCOMES, TrialRun

__all__ = ["perform", "perform_async"]

_numbers = itertools.count(1)


def perform(task: Task[Any, Any, Any], /, **task_kwargs: Any) -> Any:
    """Run a task as a worker would run its job, and return what it returns. Blocks.

    The arguments are checked, and become JSON and back. The task gets its context, and middleware and time-outs apply.
    Nothing is stored; jobs that the task defers are. An async task runs on an event loop that is made for it.

    Parameters
    ----------
    task
        The task.
    **task_kwargs
        Its arguments.

    Raises
    ------
    InvalidTaskArguments
        If the task does not take these arguments, or they cannot be stored.
    InvalidResult
        If the result is to be stored, and cannot be.
    UnboundTaskError
        If the task belongs to a blueprint that no app has added.
    Exception
        What the task raises. If its job would be retried, a note of the exception says so.
    """
    app, job = _prepared(task, task_kwargs)
    with blocking_place(app, None), Loop("perform") as loop:
        run = TrialRun(app, job, is_stored=False)
        try:
            result = run.call(loop)
            run.stored_result(result)
            return result
        except OUTCOMES as error:
            raise _told(run, error) from error.__cause__


async def perform_async(task: Task[Any, Any, Any], /, **task_kwargs: Any) -> Any:
    """Run a task as a worker would run its job, and return what it returns. A synchronous task runs in a thread.

    See `perform`.
    """
    app, job = _prepared(task, task_kwargs)
    run = TrialRun(app, job, is_stored=False)
    try:
        result = await run.call_async()
        run.stored_result(result)
        return result
    except OUTCOMES as error:
        refuse_cancelled(error)
        raise _told(run, error) from error.__cause__


def _prepared(task: Task[Any, Any, Any], task_kwargs: dict[str, Any]) -> tuple[App, Job]:
    if not isinstance(task, Task):
        raise exceptions.InvalidOption(f"task={task!r}: pass a task, such as @app.task makes of a function.")
    deferrer = task.configure()
    job = through_json(deferrer.make_job((), task_kwargs), deferrer.job_manager.connector)
    app = task.blueprint
    assert isinstance(app, App)  # another blueprint has no job manager
    return app, job.evolve(id=next(_numbers), status=Status.DOING.value, claim=1)


def through_json(job: Job, connector: Any) -> Job:
    """Return a job with the arguments that its task will get: they have become JSON and back.

    Parameters
    ----------
    job
        The job.
    connector
        The connector, for its functions that write and read JSON.
    """
    text = dump_arguments(job.task_name, job.task_kwargs, connector.json_dumps)
    return job.evolve(task_kwargs=connector.json_loads(text))


def _told(run: TrialRun, error: BaseException) -> BaseException:
    """Return what a run has raised, with a note if its job would be retried."""
    if isinstance(error, exceptions.JobRetry):
        decision, error = error.retry_decision, error.__cause__ or error
    else:
        error = run.error_of(error)
        retry = run.task.get_retry_exception(error, run.job)
        if retry is None:
            return error
        decision = retry.retry_decision
    when = "at once" if decision.retry_at is None else f"at {decision.retry_at}"
    error.add_note(f"The job would be retried {when}.")
    return error
