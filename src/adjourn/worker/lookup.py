"""Finds the tasks of jobs whose tasks are not declared: a resolver loads them, or the jobs wait for another worker."""

from __future__ import annotations

import functools
from collections.abc import Callable

from adjourn import exceptions
from adjourn._async.managers.exchange import PATIENCE
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.protocols import AppLike, TaskLike
from adjourn.worker.runners import Run, ThreadRunner


class Lookup:
    """The tasks that one worker does not know, or not yet.

    Parameters
    ----------
    app
        The app, which may have resolvers.
    timeout
        Seconds that a job waits for a worker that knows its task; None for the default.
    in_threads
        Where resolvers load tasks.
    """

    def __init__(self, app: AppLike, timeout: float | None, in_threads: ThreadRunner) -> None:
        self._app = app
        self._in_threads = in_threads
        default = PATIENCE if app.connector.is_shared else 0.0
        self.patience: float = default if timeout is None else timeout
        """Seconds that a job waits for a worker that knows its task."""
        self.too_long: set[int] = set()
        """The ids of jobs that have waited so long."""
        self._told: set[str] = set()

    def find(
        self, run: Run, found: Callable[[TaskLike], None], done: Callable[[TaskLike | None, BaseException | None], None]
    ) -> bool:
        """Have a resolver find the task of a run, and return whether there is a resolver.

        Parameters
        ----------
        run
            The run.
        found
            Called at once with a task that is loaded already.
        done
            Called later, with a task that had to be loaded, or with why it could not be.
        """
        resolver = self._app.resolver_of(run.claimed.task_name)
        if resolver is None:
            return False
        if (task := resolver.find(run.job)) is not None:
            found(task)
        else:
            self._in_threads.load(run, functools.partial(resolver.load, run.job), done)
        return True

    def may_wait(self, job: ClaimedJob) -> bool:
        """Return whether a job whose task nobody has found waits for a worker that knows it; if not, it fails."""
        if self.patience and job.id not in self.too_long:
            return True
        self.too_long.discard(job.id)
        return False

    def is_news(self, name: str) -> bool:
        """Return whether it was not told before that jobs of this task wait."""
        if name in self._told:
            return False
        self._told.add(name)
        return True


def not_found(job: ClaimedJob) -> exceptions.TaskNotFound:
    """Return the error of a job whose task nobody knows."""
    return exceptions.TaskNotFound(
        f"No task named {job.task_name!r} is known to this worker, so job {job.id} failed. Name the module that declares "
        "it in the app's import_paths, or give a renamed task its old name as an alias."
    )
