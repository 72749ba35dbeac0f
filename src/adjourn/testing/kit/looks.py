"""Look at what was deferred: `deferred`, `assert_deferred` and `refute_deferred`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict, Unpack

import attrs

from adjourn._domain.checks import check_count, check_flag, check_known
from adjourn._domain.jobs import Job
from adjourn._domain.time_checks import check_aware
from adjourn.app import App
from adjourn.exceptions import InvalidOption
from adjourn.tasks import Task
from adjourn.testing.kit.clock import clock_of
from adjourn.testing.kit.places import awaited_place, blocking_place
from adjourn.worker.options import check_app

__all__ = [
    "Filters",
    "assert_deferred",
    "assert_deferred_async",
    "deferred",
    "deferred_async",
    "refute_deferred",
    "refute_deferred_async",
]

TaskOrName: TypeAlias = Task[Any, Any, Any] | str
Window: TypeAlias = tuple[datetime.datetime | datetime.timedelta, datetime.datetime | datetime.timedelta]
NEAREST = 5
"""How many jobs a failure shows."""


class Filters(TypedDict, total=False):
    """What jobs are looked for. Each value is compared by ``==``, so that an object can stand for it that is equal to
    whatever fits, such as ``unittest.mock.ANY``. None is no filter.

    Attributes
    ----------
    args
        Only jobs with these arguments, among others.
    exact
        With ``args``: the jobs have no other arguments. Default: False.
    queue, priority, lock, queueing_lock, status, scheduled_at
        Only jobs with this value.
    scheduled_within
        Only jobs that are scheduled between two times: aware datetimes, or `datetime.timedelta` from now.
    """

    args: Mapping[str, Any] | None
    exact: bool
    queue: Any
    priority: Any
    lock: Any
    queueing_lock: Any
    status: Any
    scheduled_at: Any
    scheduled_within: Window | None


def deferred(
    app: App, task: TaskOrName | None = None, *, connection: Any = None, **filters: Unpack[Filters]
) -> list[Job]:
    """Return the jobs that were deferred, whether or not they have run, in the order of their ids. Blocks.

    Parameters
    ----------
    app
        The app.
    task
        Only jobs of this task: the task or its name. Default: None, any.
    connection
        Your own connection, in whose transaction the jobs are; see `drain`. Default: None, the app's.
    **filters
        Only jobs that fit these `Filters`.

    Raises
    ------
    UnknownOption
        If there is no filter of that name. It is a `TypeError`.
    InvalidOption
        If a filter is not valid.
    """
    wanted = Wanted.of(app, task, None, filters)
    with blocking_place(app, connection):
        return wanted.among(app.job_manager.list_jobs())


async def deferred_async(
    app: App, task: TaskOrName | None = None, *, connection: Any = None, **filters: Unpack[Filters]
) -> list[Job]:
    """Return the jobs that were deferred, whether or not they have run, in the order of their ids. See `deferred`."""
    wanted = Wanted.of(app, task, None, filters)
    with awaited_place(app, connection):
        return wanted.among(await app.job_manager.list_jobs_async())


def assert_deferred(
    app: App,
    task: TaskOrName | None = None,
    *,
    count: int | None = None,
    connection: Any = None,
    **filters: Unpack[Filters],
) -> list[Job]:
    """Fail unless such a job was deferred, and return those that were. Blocks.

    The message shows the jobs that come closest, and what is different about them.

    Parameters
    ----------
    app
        The app.
    task
        The task, or its name. Default: None, any.
    count
        How many such jobs there are. Default: None, one or more.
    connection
        Your own connection, in whose transaction the jobs are; see `drain`. Default: None, the app's.
    **filters
        What the jobs are like: `Filters`.

    Raises
    ------
    AssertionError
        If there is none, or another number.
    UnknownOption
        If there is no filter of that name. It is a `TypeError`.
    InvalidOption
        If a filter is not valid.
    """
    __tracebackhide__ = True
    wanted = Wanted.of(app, task, count, filters)
    with blocking_place(app, connection):
        return wanted.found(app.job_manager.list_jobs())


async def assert_deferred_async(
    app: App,
    task: TaskOrName | None = None,
    *,
    count: int | None = None,
    connection: Any = None,
    **filters: Unpack[Filters],
) -> list[Job]:
    """Fail unless such a job was deferred, and return those that were. See `assert_deferred`."""
    __tracebackhide__ = True
    wanted = Wanted.of(app, task, count, filters)
    with awaited_place(app, connection):
        return wanted.found(await app.job_manager.list_jobs_async())


def refute_deferred(
    app: App, task: TaskOrName | None = None, *, connection: Any = None, **filters: Unpack[Filters]
) -> None:
    """Fail if such a job was deferred. Blocks.

    Takes what `assert_deferred` takes, except ``count``, and raises the same errors.
    """
    __tracebackhide__ = True
    wanted = Wanted.of(app, task, 0, filters)
    with blocking_place(app, connection):
        wanted.found(app.job_manager.list_jobs())


async def refute_deferred_async(
    app: App, task: TaskOrName | None = None, *, connection: Any = None, **filters: Unpack[Filters]
) -> None:
    """Fail if such a job was deferred. See `refute_deferred`."""
    __tracebackhide__ = True
    wanted = Wanted.of(app, task, 0, filters)
    with awaited_place(app, connection):
        wanted.found(await app.job_manager.list_jobs_async())


COMPARED = ("queue", "priority", "lock", "queueing_lock", "status", "scheduled_at")


@attrs.frozen
class Wanted:
    """What a test looks for among jobs.

    Attributes
    ----------
    names
        The names of the task; empty for any.
    args, exact
        The arguments; None for any.
    values
        Other attributes by name.
    window
        The earliest and the latest time for which it is scheduled; None for any.
    count
        How many there should be; None for one or more.
    """

    names: tuple[str, ...]
    args: Mapping[str, Any] | None
    exact: bool
    values: Mapping[str, Any]
    window: tuple[datetime.datetime, datetime.datetime] | None
    count: int | None

    @classmethod
    def of(cls, app: App, task: TaskOrName | None, count: int | None, filters: Filters) -> Wanted:
        """Check what a test has asked for.

        Raises
        ------
        UnknownOption, InvalidOption
            If an argument is not valid.
        """
        check_app(app)
        check_known("jobs", filters, Filters.__annotations__)
        args, exact = filters.get("args"), filters.get("exact", False)
        if task is not None and not isinstance(task, Task | str):
            raise InvalidOption(f"task={task!r}: pass a task or its name.")
        if args is not None and not isinstance(args, Mapping):
            raise InvalidOption(f"args={args!r}: pass a dictionary of arguments.")
        check_flag("exact", exact)
        if count is not None:
            check_count("count", count)
        names = () if task is None else (task,) if isinstance(task, str) else (task.name, *task.aliases)
        values = {name: value for name, value in filters.items() if name in COMPARED and value is not None}
        return cls(names, args, exact, values, _window(app, filters.get("scheduled_within")), count)

    def among(self, jobs: list[Job]) -> list[Job]:
        """Return those jobs that fit."""
        return [job for job in jobs if not self.differences(job)]

    def found(self, jobs: list[Job]) -> list[Job]:
        """Return those jobs that fit.

        Raises
        ------
        AssertionError
            If they are not as many as there should be.
        """
        __tracebackhide__ = True
        fitting = self.among(jobs)
        if (self.count is None and fitting) or len(fitting) == self.count:
            return fitting
        raise AssertionError(self._message(jobs, fitting))

    def differences(self, job: Job) -> list[str]:
        """Say what about a job does not fit; an empty list if all does."""
        if self.names and job.task_name not in self.names:
            return [f"task is {job.task_name}, not {self.names[0]}"]
        told = [
            f"{name} is {actual!r}, not {value!r}"
            for name, value in self.values.items()
            if not _is_equal(value, actual := getattr(job, name))
        ]
        if self.window is not None:
            first, last = self.window
            if job.scheduled_at is None or not first <= job.scheduled_at <= last:
                told.append(f"scheduled_at is {job.scheduled_at!s}, not within {first} and {last}")
        for name, value in (self.args or {}).items():
            if name not in job.task_kwargs:
                told.append(f"argument {name} is missing")
            elif not _is_equal(value, job.task_kwargs[name]):
                told.append(f"argument {name} is {job.task_kwargs[name]!r}, not {value!r}")
        if self.args is not None and self.exact:
            told += [f"argument {name} is there" for name in job.task_kwargs if name not in self.args]
        return told

    def _message(self, jobs: list[Job], fitting: list[Job]) -> str:
        if self.count == 0:
            lines = [f"No job of {self} should have been deferred, but these were:"]
        elif not fitting:
            lines = [f"No job of {self} was deferred{self._should_be()}."]
        else:
            lines = [f"{len(fitting)} jobs of {self} were deferred{self._should_be()}:"]
        lines += [f"  {job.call_string}" for job in fitting[:NEAREST]]
        others = sorted(((self.differences(job), job) for job in jobs if job not in fitting), key=self._distance)
        if others and self.count != 0:
            lines.append(
                "Others that were deferred, the closest first:" if len(others) > 1 else "Another was deferred:"
            )
            lines += [f"  {job.call_string}: {'; '.join(told)}" for told, job in others[:NEAREST]]
            if len(others) > NEAREST:
                lines.append(f"  and {len(others) - NEAREST} more")
        elif self.count != 0 and not jobs:
            lines.append("Nothing was deferred at all.")
        return "\n".join(lines)

    def _should_be(self) -> str:
        return "" if self.count is None else f", and {self.count} should have been"

    def _distance(self, other: tuple[list[str], Job]) -> tuple[bool, int]:
        told, job = other
        return bool(self.names) and job.task_name not in self.names, len(told)

    def __str__(self) -> str:
        parts = [f"{name}={value!r}" for name, value in self.values.items()]
        if self.args is not None:
            parts.insert(0, f"{'exactly ' if self.exact else ''}args={dict(self.args)!r}")
        if self.window is not None:
            parts.append(f"scheduled_within=({self.window[0]}, {self.window[1]})")
        name = f"task {self.names[0]}" if self.names else "any task"
        return f"{name} with {', '.join(parts)}" if parts else name


def _is_equal(wanted: Any, actual: Any) -> bool:
    # What is wanted comes first: it may be an object that decides by itself what is equal to it.
    return bool(wanted == actual)


def _window(app: App, window: Any) -> tuple[datetime.datetime, datetime.datetime] | None:
    if window is None:
        return None
    if not isinstance(window, tuple | list) or len(window) != 2:
        raise InvalidOption(f"scheduled_within={window!r}: pass two times, the earliest and the latest.")
    first, last = (clock_of(app)() + each if isinstance(each, datetime.timedelta) else each for each in window)
    check_aware("scheduled_within", first)
    check_aware("scheduled_within", last)
    return first, last
