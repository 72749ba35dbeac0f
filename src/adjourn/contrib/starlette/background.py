"""Background tasks that outlive the server: jobs that are stored before the answer is sent."""

from __future__ import annotations

import inspect
from types import TracebackType
from typing import Any, Self

from starlette.concurrency import run_in_threadpool

from adjourn._drivers.connections import kind_of
from adjourn.exceptions import InvalidTaskArguments
from adjourn.jobs import Job
from adjourn.manager import JobDeferrer
from adjourn.tasks import Task


class DurableTasks:
    """Collects jobs as Starlette's ``BackgroundTasks`` collects functions, and stores them before the answer, all or none.

    They run in a worker, at least once, with arguments that went through JSON; a job sees nothing of the request.

    Parameters
    ----------
    connection
        The session or connection whose transaction the jobs belong to, as ``task.configure(connection=...)`` takes it.
        Default: None, none.

    Examples
    --------
    ::

        async def sign_up(request: Request) -> Response:
            async with DurableTasks() as background:
                background.add_task(welcome, "ada@example.org")
            return Response(status_code=201)
    """

    def __init__(self, connection: Any = None) -> None:
        self._connection = connection
        self._added: list[tuple[JobDeferrer, Job]] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not self._added

    def add_task(self, task: Task[Any, Any, Any], /, *args: Any, **kwargs: Any) -> None:
        """Add a job of a task.

        Parameters
        ----------
        task
            The task.
        *args, **kwargs
            Its arguments. Positional ones get the names that the task's function has for them.

        Raises
        ------
        TypeError
            If it is not a task of adjourn's.
        InvalidTaskArguments
            If the task does not take these arguments, or they cannot be stored. It is a `TypeError`, too.
        """
        given: object = task
        if not isinstance(given, Task):
            name = getattr(given, "__qualname__", repr(given))
            raise TypeError(
                f"{name} is not a task of adjourn's, and only tasks can run in another process. Decorate the function with "
                "@app.task, and pass the task."
            )
        deferrer = task.configure(connection=self._connection, task_kwargs=_named(task, args, kwargs))
        self._added.append((deferrer, deferrer.make_job((), {})))  # which refuses missing arguments

    async def store_async(self) -> None:
        """Store the jobs that were added, in their order. If it raises, none of an app is stored, and it can be tried again.

        Raises
        ------
        AlreadyEnqueued
            If a queueing lock is taken, or two of the jobs have the same.
        AppNotOpen
            If the app is not open, and there is no connection.
        """
        kind = None if self._connection is None else kind_of(self._connection)
        is_blocking = kind is not None and not kind.is_awaited
        while self._added:
            first = self._added[0][0]
            # Nearly always all of them: a program has one app.
            together = [each for each in self._added if each[0].job_manager is first.job_manager]
            jobs = [job for _, job in together]
            # A session that blocks would keep the event loop.
            await (run_in_threadpool(first.defer_jobs, jobs) if is_blocking else first.defer_jobs_async(jobs))
            self._added = [each for each in self._added if each not in together]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.store_async()


def _named(task: Task[Any, Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Give positional arguments their names."""
    if not args:
        return kwargs
    parameters = list(inspect.signature(task.func, follow_wrapped=False).parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in parameters[task.pass_context :] if each.kind in kinds]
    if len(args) > len(names):
        takes = ", ".join(names) or "none"
        raise InvalidTaskArguments(
            f"Task {task.name}: {len(args)} positional arguments are more than it takes ({takes})."
        )
    named = dict(zip(names, args, strict=False))
    if twice := named.keys() & kwargs.keys():
        raise InvalidTaskArguments(f"Task {task.name}: argument {min(twice)!r} is given twice.")
    return {**named, **kwargs}
