"""Periodic tasks: which tasks are deferred by the clock, and which of their ticks are due."""

from __future__ import annotations

import datetime
import enum
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from adjourn import exceptions
from adjourn._domain.arguments import dump_arguments
from adjourn._domain.checks import check_known, check_name, check_seconds
from adjourn._domain.cron import Cron
from adjourn.types import JSONDumps, PeriodicDefaults, PeriodicOptions

if TYPE_CHECKING:
    from adjourn.tasks import Task

logger: logging.Logger = logging.getLogger("adjourn.periodic")

DEFAULT_MAX_DELAY = 600.0
"""Seconds after its time for which a tick is still deferred."""
MAX_DELAY = DEFAULT_MAX_DELAY
"""The same, by the name that it has in Procrastinate."""
ON_TIME = 60.0
"""Seconds after its time for which a tick does not count as missed."""


class MissedRuns(enum.StrEnum):
    """What becomes of ticks that came while no worker was there to defer them."""

    SKIP = "skip"
    """Nothing, unless the worker is late by less than a minute."""
    LATEST = "latest"
    """The latest of them is deferred, if it is not older than ``max_delay``."""
    ALL = "all"
    """All of them are deferred that are not older than ``max_delay``."""


@attrs.frozen(kw_only=True)
class PeriodicTask:
    """A task with one of its schedules.

    Attributes
    ----------
    task
        The task.
    cron
        When it is due.
    periodic_id
        Tells several schedules of one task apart.
    missed
        What becomes of missed ticks.
    max_delay
        Seconds after its time for which a tick is still deferred; None takes the app's.
    configure_kwargs
        The options of its jobs, as for `Task.configure`.
    """

    task: Task[Any, Any, Any]
    cron: Cron
    periodic_id: str
    missed: MissedRuns
    max_delay: float | None
    configure_kwargs: Mapping[str, Any]

    def due(self, since: datetime.datetime, now: datetime.datetime, max_delay: float) -> Iterator[datetime.datetime]:
        """Find the ticks to defer now, in order.

        Parameters
        ----------
        since
            Ticks up to this time have been seen to.
        now
            The time.
        max_delay
            Seconds, the app's default.
        """
        longest = self.max_delay if self.max_delay is not None else max_delay
        return self.cron.between(max(since, now - datetime.timedelta(seconds=longest)), now)

    def overdue(
        self, since: datetime.datetime | None, now: datetime.datetime, max_delay: float
    ) -> Iterable[datetime.datetime]:
        """Find the ticks to defer when a worker begins, in order: which of those that were missed, `missed` decides.

        Takes what `due` does; ``since`` is None where the schedule is new, so that none was missed.
        """
        if self.missed is MissedRuns.ALL and since is not None:
            return self.due(since, now, max_delay)
        longest = self.max_delay if self.max_delay is not None else max_delay
        if self.missed is MissedRuns.SKIP:
            longest = min(longest, ON_TIME)
        oldest = now - datetime.timedelta(seconds=longest)
        latest = self.cron.latest(oldest if since is None else max(since, oldest), now)
        return [] if latest is None else [latest]


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
        """Take in a periodic task.

        Raises
        ------
        TaskAlreadyRegistered
            If the task has a schedule with the same ``periodic_id`` already.
        """
        # By name: each app that shares the tasks has its own view of them.
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


def checked_periodic_id(value: Any) -> str:
    """Return a ``periodic_id`` that can be stored; unlike other names it may be empty."""
    if value != "":
        check_name("periodic_id", value)
    return str(value)


def checked_missed(value: Any) -> MissedRuns:
    """Return the policy that a ``missed`` option names."""
    try:
        return MissedRuns(value)
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in MissedRuns)
        raise exceptions.InvalidOption(f"missed={value!r}: pass one of {choices}.") from error


def checked_max_delay(value: Any) -> float | None:
    """Return a ``max_delay`` in seconds, None for the app's."""
    check_seconds("max_delay", value, optional=True)
    seconds: float | None = value
    return seconds


def checked_defaults(value: Any) -> PeriodicDefaults:
    """Return an app's options for all periodic tasks, with what they leave unsaid."""
    given: PeriodicDefaults = {} if value is None else value
    check_known("periodic_defaults", given, PeriodicDefaults.__annotations__)
    defaults: PeriodicDefaults = {"max_delay": DEFAULT_MAX_DELAY, **given}
    check_seconds("periodic_defaults: max_delay", defaults.get("max_delay"))
    return defaults


def checked_options(
    task: Task[Any, Any, Any], options: Mapping[str, Any], json_dumps: JSONDumps | None
) -> Mapping[str, Any]:
    """Return the options of a periodic task's jobs, if the task can be called with what they bring and ``timestamp``.

    Parameters
    ----------
    json_dumps
        How arguments become JSON; None where that is not known yet.
    """
    for name in options:
        if name not in PeriodicOptions.__annotations__:
            known = ", ".join(PeriodicOptions.__annotations__)
            raise exceptions.InvalidOption(f"{name!r} is not an option of periodic tasks; these are: {known}.")
    job = task.make_job(**options)
    if "timestamp" in job.task_kwargs:
        raise exceptions.InvalidOption("task_kwargs: leave `timestamp` out, it is the time that the task was due.")
    try:
        task.signature.check((), {**job.task_kwargs, "timestamp": 0})
        if json_dumps is not None:
            dump_arguments(task.name, job.task_kwargs, json_dumps)
    except exceptions.InvalidTaskArguments as error:
        message = f"{error} A periodic task is called with `timestamp`, and with task_kwargs."
        raise exceptions.InvalidOption(message) from error
    return dict(options)
