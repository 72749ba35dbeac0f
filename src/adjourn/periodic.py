"""Periodic tasks: which tasks have schedules, and which of their ticks are due."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from adjourn import exceptions
from adjourn._compat.moved import moved
from adjourn._compat.names import MAX_DELAY
from adjourn._domain.arguments import dump_arguments
from adjourn._domain.checks import checked_periodic_id
from adjourn._domain.cron import Cron
from adjourn._domain.rows import RegisteredSchedule
from adjourn._domain.schedules import DEFAULT_MAX_DELAY, MissedRuns, Schedule
from adjourn._domain.spelling import hint
from adjourn.tasks import Task
from adjourn.types import JSONDumps, PeriodicOptions

__all__ = [
    "DEFAULT_MAX_DELAY",
    "MAX_DELAY",
    "MissedRuns",
    "PeriodicRegistry",
    "PeriodicTask",
    "RegisteredSchedule",
    "checked_options",
]

_OWN_OPTIONS = ("cron", "periodic_id", "timezone", "missed", "max_delay")

logger: logging.Logger = logging.getLogger("adjourn.periodic")


@attrs.frozen(kw_only=True)
class PeriodicTask(Schedule):
    """A task with one of its schedules.

    Attributes
    ----------
    task
        The task.
    cron, periodic_id, missed, max_delay
        The schedule: see `Blueprint.periodic`.
    configure_kwargs
        The options of its jobs, as for `Task.configure`.
    """

    task: Task[Any, Any, Any]
    configure_kwargs: Mapping[str, Any]

    @property
    def queue(self) -> str:
        """The queue of its jobs."""
        return self.task.configure(**self.configure_kwargs).job.queue


class PeriodicRegistry:
    """The periodic tasks of an app or blueprint.

    Attributes
    ----------
    periodic_tasks
        By the task's name and the ``periodic_id``.
    """

    def __init__(self) -> None:
        self.periodic_tasks: dict[tuple[str, str], PeriodicTask] = {}

    def add(self, periodic_task: PeriodicTask) -> None:
        """Add a periodic task.

        Raises
        ------
        TaskAlreadyRegistered
            If the task has a schedule with the same ``periodic_id`` already.
        """
        # Compare names: each app that shares the tasks has its own view of them.
        key = (periodic_task.task.name, periodic_task.periodic_id)
        if key in self.periodic_tasks:
            raise exceptions.TaskAlreadyRegistered(
                f"Task {key[0]} has a schedule with periodic_id={key[1]!r} already. Give each of its schedules one of its "
                "own."
            )
        self.periodic_tasks[key] = periodic_task
        logger.debug(
            "Task %s is periodic: %s (%s)",
            periodic_task.task.name,
            periodic_task.cron.expression,
            periodic_task.cron.timezone,
            extra={
                "action": "registering_periodic_task",
                "task": periodic_task.task.name,
                "cron": periodic_task.cron.expression,
                "periodic_id": periodic_task.periodic_id,
                "kwargs": str(dict(periodic_task.configure_kwargs)),
            },
        )

    def register_task(
        self, task: Task[Any, Any, Any], cron: str, periodic_id: str, configure_kwargs: Mapping[str, Any]
    ) -> PeriodicTask:
        """Add a schedule of a task, for programs written for Procrastinate; others decorate with `Blueprint.periodic`.

        Parameters
        ----------
        task
            The task.
        cron, periodic_id
            The schedule, in UTC: see `Blueprint.periodic`.
        configure_kwargs
            The options of its jobs, as for `Task.configure`.

        Raises
        ------
        InvalidOption
            If an option is not valid, or the task does not take ``timestamp``.
        TaskAlreadyRegistered
            If the task has a schedule with the same ``periodic_id`` already.
        """
        periodic_task = PeriodicTask(
            task=task,
            cron=Cron(cron),
            periodic_id=checked_periodic_id(periodic_id),
            missed=None,
            max_delay=None,
            configure_kwargs=checked_options(task, configure_kwargs, None),
        )
        self.add(periodic_task)
        return periodic_task


def checked_options(
    task: Task[Any, Any, Any], options: Mapping[str, Any], json_dumps: JSONDumps | None
) -> Mapping[str, Any]:
    """Check that a periodic task can be called with these options and ``timestamp``, and return the options.

    Parameters
    ----------
    task
        The task.
    options
        The options, as `Task.configure` takes them.
    json_dumps
        The function that turns arguments into JSON; None if it is not known yet.
    """
    for name in options:
        if name not in PeriodicOptions.__annotations__:
            known = (*_OWN_OPTIONS, *PeriodicOptions.__annotations__)
            raise exceptions.UnknownOption(
                f"{name!r} is not an option of periodic tasks{hint(name, known)} These are: {', '.join(known)}."
            )
    if task.limits is not None and task.limits.keyed is not None:
        raise exceptions.InvalidOption(
            f"Task {task.name} has a limit with a key, and a periodic task cannot have one. A limit of the task or of its queue is fine."
        )
    job = task.make_job(**options)
    if job.unique is not None:
        raise exceptions.InvalidOption(
            f"unique: task {task.name} is periodic, and each tick of it is deferred once. Give it a queueing_lock, or have it "
            "defer unique jobs of another task."
        )
    if "timestamp" in job.task_kwargs:
        raise exceptions.InvalidOption("task_kwargs: leave `timestamp` out, it is the time when the task was due.")
    try:
        task.signature.check((), {**job.task_kwargs, "timestamp": 0})
        if json_dumps is not None:
            dump_arguments(task.name, job.task_kwargs, json_dumps)
    except exceptions.InvalidTaskArguments as error:
        message = f"{error} A periodic task is called with `timestamp`, and with task_kwargs."
        raise exceptions.InvalidOption(message) from error
    return dict(options)


if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
