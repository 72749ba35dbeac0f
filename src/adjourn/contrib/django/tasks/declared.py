"""Tasks of the framework: how one declares options that only adjourn has, and how a worker finds one by its path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from adjourn.contrib.django.tasks.arguments import declare
from adjourn.contrib.django.tasks.compat import AnyTask, InvalidTask, Task
from adjourn.exceptions import TaskNotFound
from adjourn.limits import Limit
from adjourn.retry import RetryValue
from adjourn.unique import Unique

__all__ = ["AdjournTask", "changed", "is_findable", "located", "options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

DECLARED = "_adjourn_options"
"""The attribute of a function with what `options` was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjournTask(Task):  # type: ignore[type-arg] # that of Django 6.0 takes none
    """A task of the framework with options of adjourn's, which the decorator takes: ``@task(retry=3, timeout=60)``.

    The decorator of Django 6.0 takes none: there, `options` below it says them. That of Django 6.1 and that of the backport do.

    Attributes
    ----------
    retry
        What to do when it raises: what ``@app.task(retry=...)`` takes, False for nothing. None (the default) takes what the
        ``OPTIONS`` of the backend say.
    timeout
        Seconds that a run may take; None (the default) takes what the ``OPTIONS`` say.
    lock
        Of the jobs with the same lock, only one runs at a time, in the order of their priorities; None (the default) for no
        lock.
    queueing_lock
        Of the jobs with the same queueing lock, only one waits at a time; enqueueing another raises `AlreadyEnqueued`. None
        (the default) for none.
    unique
        Which of its jobs are the same, so that one of them is stored: see ``adjourn.Unique``. It goes by the names of arguments,
        however these are passed. Not together with ``queueing_lock``. None (the default) for none.
    limits
        How many of its jobs run at once and start in a period of time, as in ``@app.task(limits=...)``: an ``adjourn.Limit``, or
        several. Workers store them when they start, if the task's module is imported by then. Default: none.
    limit_key
        The key under the limit for each key. None (the default) for the one that the arguments make. For `using`.
    """

    retry: RetryValue | None = None
    timeout: float | None = None
    lock: str | None = None
    queueing_lock: str | None = None
    # These are not kept with a job, so two results are of the same task without them.
    unique: Unique | None = field(default=None, compare=False)
    limits: Limit | Iterable[Limit] = field(default=(), compare=False)
    limit_key: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Take the options that `options` has given to the function, unless the task has others, and check all of them."""
        # Of a queueing lock and a rule which jobs are the same, a task has one.
        taken = {"queueing_lock", "unique"} if self.queueing_lock is not None or self.unique is not None else set()
        for name, value in getattr(self.func, DECLARED, {}).items():
            if getattr(self, name) in (None, ()) and name not in taken:
                object.__setattr__(self, name, value)
        if isinstance(self.limits, list | tuple | Iterator):
            object.__setattr__(self, "limits", tuple(self.limits))
        # Not super(): a class with slots is not the one in which the method was defined.
        Task.__post_init__(self)
        if self.limits != ():
            declare(self)

    def using(
        self,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        unique: Unique | None = None,
        limit_key: str | None = None,
        **changes: Any,
    ) -> Any:
        """Return the task with other options.

        Parameters
        ----------
        lock, queueing_lock
            The locks of its jobs; None (the default) leaves those that it has.
        unique
            Which of its jobs are the same; None (the default) leaves what it has. It replaces a queueing lock, and the other
            way round.
        limit_key
            The key of its jobs under its limit for each key; None (the default) for the one that the arguments make.
        **changes
            What every task of the framework takes: ``priority``, ``queue_name``, ``run_after`` and ``backend``.

        Raises
        ------
        InvalidTask
            If an option is not valid; the message says why.
        """
        given: dict[str, Any] = {"lock": lock, "queueing_lock": queueing_lock, "unique": unique, "limit_key": limit_key}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given.keys() & {"queueing_lock", "unique"}) == 1:
            given = {"queueing_lock": None, "unique": None} | given
        # Not super(): a class with slots is not the one in which the method was defined.
        return replace(Task.using(self, **changes), **given)


def options(
    *,
    retry: RetryValue | None = None,
    timeout: float | None = None,
    lock: str | None = None,
    queueing_lock: str | None = None,
    unique: Unique | None = None,
    limits: Limit | Iterable[Limit] = (),
) -> Callable[[_Function], _Function]:
    """Give a function options of adjourn's, for a task that is made of it: below ``@task``, on any version of Django.

    What ``@task`` or ``using`` say goes first. Backends of others do not see them.

    Parameters
    ----------
    retry, timeout, lock, queueing_lock, unique, limits
        As for `AdjournTask`. They are checked when the task is made.

    Raises
    ------
    TypeError
        If what it decorates is a task already.

    Examples
    --------
    ::

        @task
        @options(retry=5, timeout=10, lock="invoices")
        def write_invoice(number: int) -> None: ...
    """
    given: dict[str, Any] = {"retry": retry, "timeout": timeout, "lock": lock, "queueing_lock": queueing_lock}
    # The function may be that of several tasks.
    given |= {"unique": unique, "limits": tuple(limits) if isinstance(limits, Iterator) else limits}

    def declare(function: _Function) -> _Function:
        if isinstance(function, Task):
            raise TypeError(f"{function.name} is a task already: put @options below @task.")
        setattr(function, DECLARED, {name: value for name, value in given.items() if value not in (None, ())})
        return function

    return declare


def changed(task: AnyTask, **changes: Any) -> AnyTask:
    """Return a task with other values, without asking its backend whether they are valid: they were, when it was enqueued.

    Parameters
    ----------
    task
        The task.
    **changes
        The values. Those that tasks of its class do not have are left out.
    """
    copy: AnyTask = object.__new__(type(task))
    for each in fields(task):
        object.__setattr__(copy, each.name, changes.get(each.name, getattr(task, each.name)))
    return copy


def is_findable(task: AnyTask) -> bool:
    """Return whether a worker will find a task by its path. One of the program's main module it does not."""
    module = sys.modules.get(task.func.__module__)
    return task.func.__module__ != "__main__" and isinstance(getattr(module, task.func.__qualname__, None), Task)


def located(path: str) -> AnyTask:
    """Import a task by its path. Nothing is ever called.

    Raises
    ------
    TaskNotFound
        If there is no such module, or it has no such name.
    InvalidTask
        If the module cannot be imported, or the name is not that of a task; the message says why.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise TaskNotFound(f"There is no task {path!r} here: {error}.") from error
        raise _broken(path, error) from error
    except Exception as error:  # the module is the user's
        raise _broken(path, error) from error
    try:
        found = getattr(module, name)
    except AttributeError as error:
        raise TaskNotFound(f"There is no task {path!r} here: {error}.") from error
    if not isinstance(found, Task):
        raise InvalidTask(f"{path!r} is not a task, but of type {type(found).__name__}, so it is not called.")
    return found


def _broken(path: str, error: Exception) -> InvalidTask:
    return InvalidTask(f"The module of the task {path!r} cannot be imported: {type(error).__name__}: {error}.")
