"""Maintenance tasks that every app has.

Each is named ``builtin:`` and its path, such as ``builtin:adjourn.builtin_tasks.remove_old_jobs``. No other task has
such a name, so lists and logs show that the job is a builtin one. The path alone, and Procrastinate's names for these
tasks, are aliases.

The jobs are in the queue ``builtin``: a worker that serves only some queues has to name it.
"""

from __future__ import annotations

import gc
import weakref

from adjourn import exceptions
from adjourn._domain.checks import check_filter, check_flags
from adjourn._domain.protocols import ContextLike
from adjourn._domain.retention import rounds_of
from adjourn.blueprints import Blueprint
from adjourn.manager import JobManager

__all__ = ["Builtins", "builtin", "remove_old_jobs"]

QUEUE = "builtin"


class Builtins(Blueprint):
    """The owner of the tasks, for every app. An app has views of the tasks, and never changes them.

    Attributes
    ----------
    apps
        The apps of the program. An app that `App.with_connector` returned counts as the original app.
    """

    is_everyones = True

    def __init__(self) -> None:
        super().__init__()
        self.apps: weakref.WeakSet[Blueprint] = weakref.WeakSet()

    def job_manager_for(self, task_name: str) -> JobManager:
        """Return the manager that stores jobs of the program's only app.

        Raises
        ------
        UnboundTaskError
            If the program has several apps, or none: the caller must then choose one.
        """
        if len(self.apps) > 1:
            gc.collect()  # unused apps must not count, and may still exist in reference cycles
        apps = list(self.apps)
        if len(apps) != 1:
            raise exceptions.UnboundTaskError(
                f"Task {task_name} is every app's, and this program has {len(apps)} apps: defer it through one, as in "
                f"app.configure_task({task_name!r}), or app.tasks[{task_name!r}]."
            )
        return apps[0].job_manager_for(task_name)


builtin: Builtins = Builtins()
"""All builtin tasks."""


@builtin.task(
    name="builtin:adjourn.builtin_tasks.remove_old_jobs",
    aliases=(
        "adjourn.builtin_tasks.remove_old_jobs",
        "builtin:procrastinate.builtin_tasks.remove_old_jobs",
        "procrastinate.builtin_tasks.remove_old_jobs",
    ),
    pass_context=True,
    queue=QUEUE,
)
async def remove_old_jobs(
    context: ContextLike,
    *,
    max_hours: float | dict[str, float],
    queue: str | None = None,
    remove_failed: bool = False,
    remove_cancelled: bool = False,
    remove_aborted: bool = False,
    timestamp: int | None = None,
) -> None:
    """Delete jobs that finished more than ``max_hours`` hours ago; by default only those that succeeded.

    Defer it on a schedule with ``app.periodic(cron="0 4 * * *", task_kwargs={"max_hours": 72})(remove_old_jobs)``, once
    with ``remove_old_jobs.defer(max_hours=72)`` (in a program of several apps with
    ``app.configure_task("builtin:adjourn.builtin_tasks.remove_old_jobs")``), or await it in a task of your own.
    `JobManager.delete_old_jobs_async` says what it does and what it needs.

    Parameters
    ----------
    context
        The context of the run; the jobs of its app are deleted.
    max_hours
        The age in hours above which jobs are deleted; or the age for each status, such as ``{"succeeded": 24, "failed": 720}``:
        jobs with other statuses are kept.
    queue
        Only jobs of this queue; None (the default) for all.
    remove_failed, remove_cancelled, remove_aborted
        Which jobs to delete besides those that succeeded; not together with an age for each status.
    timestamp
        When it was due; not used, but every periodic task gets it.

    Raises
    ------
    InvalidOption
        If ``max_hours`` is not a number of hours, zero or more, or another argument has the wrong type.
    """
    check_filter("queue", queue)
    also = {"failed": remove_failed, "cancelled": remove_cancelled, "aborted": remove_aborted}
    check_flags(remove_failed=remove_failed, remove_cancelled=remove_cancelled, remove_aborted=remove_aborted)
    rounds_of(max_hours, [status for status, is_removed in also.items() if is_removed], "max_hours")
    await context.app.job_manager.delete_old_jobs_async(
        nb_hours=max_hours,
        queue=queue,
        include_failed=remove_failed,
        include_cancelled=remove_cancelled,
        include_aborted=remove_aborted,
        progress=lambda number: context.set_progress(number, message="deleted"),
    )
