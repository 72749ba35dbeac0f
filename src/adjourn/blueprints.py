"""Declares tasks, in an app or in a blueprint that is later added to an app."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

import attrs

from adjourn import exceptions
from adjourn._domain.checks import check_name, checked_periodic_id
from adjourn._domain.cron import Cron
from adjourn._domain.job_limits import check_names_agree
from adjourn._domain.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE
from adjourn._domain.protocols import ContextLike
from adjourn._domain.results import LARGEST_RESULT
from adjourn._domain.schedules import MissedRuns, checked_max_delay, checked_missed
from adjourn._domain.spelling import suggests_names
from adjourn._domain.wording import counted
from adjourn._runtime.callers import caller_module, caller_stacklevel
from adjourn.batches import Batch, BatchItem
from adjourn.limits import Limit
from adjourn.manager import JobManager
from adjourn.periodic import PeriodicRegistry, PeriodicTask, checked_options
from adjourn.retry import RetryValue
from adjourn.tasks import Task
from adjourn.types import AnyTaskMiddleware, JSONDumps, PeriodicOptions, TimeDeltaParams
from adjourn.unique import Unique

__all__ = ["Blueprint", "TaskRegistry"]

P = ParamSpec("P")
R = TypeVar("R")
Args = ParamSpec("Args")
AnyTask = Task[Any, Any, Any]
# A `JobContext`. Functions may annotate the parameter with that class, or with one derived from it.
Context = TypeVar("Context", bound=ContextLike)

logger: logging.Logger = logging.getLogger("adjourn.blueprints")


def check_task(task: Any) -> None:
    """Raise `InvalidOption` unless it is a task."""
    if not isinstance(task, Task):
        raise exceptions.InvalidOption(f"task={task!r}: pass a task, such as @app.task makes of a function.")


class TaskRegistry(MutableMapping[str, AnyTask]):
    """The tasks of a blueprint by name and alias, each deferring through that blueprint.

    Apps that share their tasks (see `App.with_connector`) share one dictionary, each through its own registry.

    Parameters
    ----------
    owner
        The blueprint or app that jobs are deferred through.
    declared
        The tasks by name and alias.
    """

    def __init__(self, owner: Blueprint, declared: dict[str, AnyTask]) -> None:
        self._owner = owner
        self._declared = declared
        self._views: dict[str, AnyTask] = {}

    def __getitem__(self, name: str) -> AnyTask:
        task = self._declared[name]
        if task.blueprint is self._owner:
            return task
        view = self._views.get(name)
        if view is None or view.func is not task.func or view.name != task.name:
            view = self._views[name] = task.bound_to(self._owner)
        return view

    def __setitem__(self, name: str, task: AnyTask) -> None:
        check_name("name", name)
        check_task(task)
        self._declared[name] = task

    def __delitem__(self, name: str) -> None:
        del self._declared[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._declared))

    def __len__(self) -> int:
        return len(self._declared)

    def add(self, task: AnyTask) -> None:
        """Register a task under its name and aliases, all or none."""
        self.add_names(task, (task.name, *task.aliases))

    def add_names(self, task: AnyTask, names: Iterable[str]) -> None:
        """Register a task under more names, all or none.

        Parameters
        ----------
        task
            The task.
        names
            The names.

        Raises
        ------
        TaskAlreadyRegistered
            If one of the names is taken.
        """
        names = tuple(names)
        for name in names:
            if name in self._declared or names.count(name) > 1:
                message = f"There is a task named {name!r} already. Give this one another with @app.task(name=...)."
                raise exceptions.TaskAlreadyRegistered(message)
        self._declared.update(dict.fromkeys(names, task))

    def declared(self) -> dict[str, AnyTask]:
        """Return the dictionary itself, to be shared with another app."""
        return self._declared


class Blueprint:
    """A collection of tasks that an app adds with ``app.add_tasks_from(blueprint, namespace=...)``."""

    is_everyones: bool = False
    """Whether every app has the tasks already, and no app may change them."""
    is_app: bool = False
    """Whether it has a connector."""

    def __init__(self) -> None:
        self._registry = TaskRegistry(self, {})
        self.periodic_registry: PeriodicRegistry = PeriodicRegistry()
        self._warn_in_main()

    def _warn_in_main(self) -> None:
        if caller_module() == "__main__":
            warnings.warn(
                f"This {'App' if self.is_app else 'Blueprint'} is created in the program's main module, whose name is `__main__` here and "
                "another in a worker, so that workers will not find its tasks by their default names. Move it to a "
                "module that is imported, or give its tasks a name.",
                stacklevel=caller_stacklevel(),
            )

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name and alias. Assign a dictionary of tasks by name to have others, as tests do."""
        return self._registry

    @tasks.setter
    def tasks(self, tasks: Mapping[str, AnyTask]) -> None:
        if isinstance(tasks, TaskRegistry):
            tasks = tasks.declared()
        for name, task in tasks.items():
            check_name("tasks", name)
            check_task(task)
        self._registry = TaskRegistry(self, tasks if isinstance(tasks, dict) else dict(tasks))

    def will_configure_task(self) -> None:
        """Raise if jobs of this collection's tasks cannot be deferred yet.

        Raises
        ------
        UnboundTaskError
            If no app has added the blueprint.
        """
        self.job_manager_for("")

    def job_manager_for(self, task_name: str) -> JobManager:
        """Return the manager that stores jobs of this collection's tasks.

        Raises
        ------
        UnboundTaskError
            If no app has added the blueprint.
        """
        raise exceptions.UnboundTaskError(
            f"{f'Task {task_name}' if task_name else 'A task'} belongs to a blueprint that no app has added: call "
            "app.add_tasks_from(blueprint, namespace=...) before it is deferred."
        )

    def json_dumps_of_jobs(self) -> JSONDumps | None:
        """Return the function that turns jobs' arguments into JSON; None if no app has added this collection."""
        return None

    def add_tasks_from(self, blueprint: Blueprint, *, namespace: str) -> None:
        """Add the tasks of a blueprint, under names that begin with ``namespace:``.

        The blueprint's tasks are then deferred through this app. If another app has added them before, they stay with
        that app, and this app gets its own copies: ``app.tasks["namespace:name"]``.

        Parameters
        ----------
        blueprint
            The blueprint.
        namespace
            The beginning of the names of its tasks in this app, before a colon.

        Raises
        ------
        TaskAlreadyRegistered
            If one of the names is taken; then no task is added.
        InvalidOption
            If the namespace is not a name, or every app has the tasks already, or arguments of a periodic task cannot
            be stored.
        """
        check_name("namespace", namespace)
        if not isinstance(blueprint, Blueprint) or blueprint.is_app:
            raise exceptions.InvalidOption(f"blueprint={blueprint!r}: pass an adjourn.Blueprint.")
        if blueprint.is_everyones:
            raise exceptions.InvalidOption(f"{blueprint!r} need not be added: every app has its tasks already.")
        renamed = {f"{namespace}:{name}": task for name, task in blueprint.tasks.declared().items()}
        for name in renamed:
            check_name("namespace and name", name)
            if name in self.tasks:
                message = f"There is a task named {name!r} already. Add the blueprint under another namespace."
                raise exceptions.TaskAlreadyRegistered(message)
        for each in blueprint.periodic_registry.periodic_tasks.values():
            checked_options(each.task, each.configure_kwargs, self.json_dumps_of_jobs())
        taken: dict[int, AnyTask] = {}
        for task in renamed.values():
            if id(task) not in taken:
                name, *aliases = (each for each, other in renamed.items() if other is task)
                taken[id(task)] = task if task.blueprint is blueprint else task.bound_to(self)
                taken[id(task)].blueprint = self
                taken[id(task)].rename(name, aliases)
        for name, task in renamed.items():
            self.tasks.add_names(taken[id(task)], [name])
        logger.debug(
            "Adding %s under %r",
            counted(len(renamed), "task"),
            namespace,
            extra={"action": "loading_blueprint", "namespace": namespace, "tasks": list(renamed)},
        )
        for each in blueprint.periodic_registry.periodic_tasks.values():
            self.periodic_registry.add(attrs.evolve(each, task=taken.get(id(each.task), each.task)))

    def add_task_alias(self, task: AnyTask, alias: str) -> None:
        """Register a further name for a task, by which workers find it.

        Parameters
        ----------
        task
            A task of this collection.
        alias
            The further name.

        Raises
        ------
        TaskAlreadyRegistered
            If the name is taken.
        InvalidOption
            If it is not a task of this collection, or the alias is not a name.
        """
        self._check_own(task)
        check_name("alias", alias)
        self.tasks.add_names(task, [alias])
        if not task.blueprint.is_everyones:
            task.aliases.append(alias)

    def _check_own(self, task: Any) -> None:
        check_task(task)
        known = self.tasks.declared().get(task.name)
        if known is None or known.func is not task.func:
            raise exceptions.InvalidOption(
                f"{task!r} is a task of another {type(task.blueprint).__name__}: pass one of this "
                f"{type(self).__name__}, such as its `tasks` hold by their names."
            )

    def periodic(
        self,
        *,
        cron: str,
        periodic_id: str = "",
        timezone: str = "UTC",
        missed: str | MissedRuns | None = None,
        max_delay: float | None = None,
        **configure_kwargs: Unpack[PeriodicOptions],
    ) -> Callable[[Task[P, R, Args]], Task[P, R, Args]]:
        """Defer a task on a schedule; the first of the workers does it. Use it above ``@app.task``.

        The task is called with ``timestamp``, the time when it was due, in whole seconds since the epoch.

        Parameters
        ----------
        cron
            Five fields, a sixth for seconds, or an alias such as ``@hourly``.
        periodic_id
            Tells several schedules of one task apart.
        timezone
            The IANA name of the time zone that the fields are in, UTC by default.
        missed
            What happens to ticks that came while no worker was running: ``"latest"`` defers the latest of them, ``"all"``
            each, ``"skip"`` none that is more than a minute old. None (the default) defers the latest of them if it is
            not older than ``max_delay``. Of a new schedule, the latest tick counts as missed.
        max_delay
            How many seconds late a tick is still deferred; later ones are skipped, whatever ``missed`` says, and the log
            tells. None (the default) takes the app's ``periodic_defaults``. If they do not say either, it is 600, and no
            limit for a schedule with ``missed="latest"`` or ``missed="all"``; of a new schedule, it is always 600.
        **configure_kwargs
            Options of the jobs, as for `Task.configure`, except those for the time and the connection.

        Raises
        ------
        InvalidOption
            If an option is not valid, the task does not take ``timestamp``, or it is not one of this collection.
        TaskAlreadyRegistered
            If the task has a schedule with this ``periodic_id`` already.
        """

        def declare(task: Task[P, R, Args]) -> Task[P, R, Args]:
            if not isinstance(task, Task):
                raise exceptions.InvalidOption(f"{task!r} is not a task: write @app.periodic(...) above @app.task.")
            self._check_own(task)
            self.periodic_registry.add(
                PeriodicTask(
                    task=task,
                    cron=Cron(cron, timezone),
                    periodic_id=checked_periodic_id(periodic_id),
                    missed=checked_missed(missed),
                    max_delay=checked_max_delay(max_delay),
                    configure_kwargs=checked_options(task, configure_kwargs, self.json_dumps_of_jobs()),
                )
            )
            return task

        return declare

    @overload
    def task(self, _func: Callable[P, R]) -> Task[P, R, P]: ...

    @overload
    def task(
        self,
        _func: None = None,
        *,
        name: str | None = None,
        aliases: Iterable[str] | None = None,
        retry: RetryValue | None = False,
        pass_context: Literal[False] = False,
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        lock: str | None = None,
        queueing_lock: str | None = None,
        timeout: float | None = None,
        task_middleware: Iterable[AnyTaskMiddleware] | None = None,
        store_result: bool | None = None,
        result_ttl: float | None = None,
        max_result_size: int = LARGEST_RESULT,
        unique: Unique | None = None,
        limits: Limit | Iterable[Limit] = (),
        expires_in: float | TimeDeltaParams | None = None,
        batch: None = None,
        sensitive: Iterable[str] = (),
    ) -> Callable[[Callable[P, R]], Task[P, R, P]]: ...

    @overload
    def task(
        self,
        _func: None = None,
        *,
        name: str | None = None,
        aliases: Iterable[str] | None = None,
        retry: RetryValue | None = False,
        pass_context: Literal[True],
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        lock: str | None = None,
        queueing_lock: str | None = None,
        timeout: float | None = None,
        task_middleware: Iterable[AnyTaskMiddleware] | None = None,
        store_result: bool | None = None,
        result_ttl: float | None = None,
        max_result_size: int = LARGEST_RESULT,
        unique: Unique | None = None,
        limits: Limit | Iterable[Limit] = (),
        expires_in: float | TimeDeltaParams | None = None,
        batch: None = None,
        sensitive: Iterable[str] = (),
    ) -> Callable[[Callable[Concatenate[Context, P], R]], Task[Concatenate[Context, P], R, P]]: ...

    @overload
    def task(
        self,
        _func: None = None,
        *,
        name: str | None = None,
        aliases: Iterable[str] | None = None,
        retry: RetryValue | None = False,
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        queueing_lock: str | None = None,
        timeout: float | None = None,
        task_middleware: Iterable[AnyTaskMiddleware] | None = None,
        store_result: bool | None = None,
        result_ttl: float | None = None,
        max_result_size: int = LARGEST_RESULT,
        unique: Unique | None = None,
        limits: Limit | Iterable[Limit] = (),
        expires_in: float | TimeDeltaParams | None = None,
        batch: Batch,
        sensitive: Iterable[str] = (),
    ) -> Callable[[Callable[[list[BatchItem]], R]], Task[[list[BatchItem]], R, ...]]: ...

    @suggests_names
    def task(
        self,
        _func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        aliases: Iterable[str] | None = None,
        retry: RetryValue | None = False,
        pass_context: bool = False,
        queue: str = DEFAULT_QUEUE,
        priority: int = DEFAULT_PRIORITY,
        lock: str | None = None,
        queueing_lock: str | None = None,
        timeout: float | None = None,
        task_middleware: Iterable[AnyTaskMiddleware] | None = None,
        store_result: bool | None = None,
        result_ttl: float | None = None,
        max_result_size: int = LARGEST_RESULT,
        unique: Unique | None = None,
        limits: Limit | Iterable[Limit] = (),
        expires_in: float | TimeDeltaParams | None = None,
        batch: Batch | None = None,
        sensitive: Iterable[str] = (),
    ) -> Any:
        """Declare a function as a task; use as ``@app.task`` or ``@app.task(...)``.

        Parameters
        ----------
        name
            Its name in the database, ``module.function`` by default.
        aliases
            Further names by which workers find it.
        retry
            What to do when it raises. ``False`` (the default) or None lets the job fail. A `RetryStrategy` decides by its
            own rules: ``RetryStrategy(max_attempts=5, exponential_wait=2)`` runs it again five times at most, after 2, 4,
            8, 16 and 32 seconds. ``True`` runs it again at once without limit, a number at once that many times at most,
            so all may fail for the same reason within milliseconds; a worker that starts warns of it.
        pass_context
            Whether the function's first parameter is a `JobContext`.
        queue, priority, lock, queueing_lock, unique
            Defaults for its jobs, which ``configure`` can override.
        timeout
            Seconds that a run may take; None (the default) takes the worker's. After that time, an async task is
            cancelled, and its job fails with `JobTimeout` unless the task catches the cancellation and returns. A
            thread cannot be cancelled: for a synchronous task, ``context.should_abort()`` becomes true. Its job fails
            with `JobTimeout` if the task then raises, and succeeds if it returns.
        task_middleware
            Middleware that wraps each run, the first outermost: functions of ``(call_next, context, worker)``, plain
            ones for a synchronous task and async ones for an async task.
        store_result
            Whether what it returns is stored as JSON, for `JobManager.get_result`. A job whose result cannot be stored fails
            with `InvalidResult`, and is not retried. None (the default) takes the app's ``store_results``.
        result_ttl
            Seconds after the end of a job until its result lapses, ``math.inf`` for as long as the job is kept; only together
            with ``store_result=True``. None (the default) takes the app's ``result_ttl``.
        max_result_size
            Bytes of JSON that a result may have, a megabyte (1,048,576) by default, and 64 of them at most.
        limits
            How many of its jobs run at once, or start in a period of time: a `Limit` for all of them, one for those of each key, or
            both.
        expires_in
            A job that has not begun so many seconds after it is due does not run any more: seconds, or keywords of
            `datetime.timedelta`. ``configure`` can override it. None (the default) means never.
        batch
            How many jobs one call takes, as `Batch` says: the function gets a list of `BatchItem`. None (the default) means one job,
            with its arguments.
        sensitive
            The names of arguments whose values nobody but the task is to see: log records, the dashboard, the shell, traces and error
            reports hide them, also where they appear in errors. None by default.

        Raises
        ------
        InvalidOption
            If an option is not valid, or the function cannot be called by keywords.
        MiddlewareKindMismatch
            If a middleware is of another kind than the task.
        TaskAlreadyRegistered
            If the name is taken.
        """

        def declare(func: Callable[..., Any]) -> AnyTask:
            task: AnyTask = Task(
                func,
                blueprint=self,
                name=name,
                aliases=aliases,
                retry=retry,
                pass_context=pass_context,
                queue=queue,
                priority=priority,
                lock=lock,
                queueing_lock=queueing_lock,
                timeout=timeout,
                task_middleware=task_middleware,
                store_result=store_result,
                result_ttl=result_ttl,
                max_result_size=max_result_size,
                unique=unique,
                limits=limits,
                expires_in=expires_in,
                batch=batch,
                sensitive=sensitive,
            )
            check_names_agree(task.limits, (each.limits for each in self.tasks.values()))
            self.tasks.add(task)
            return task

        return declare if _func is None else declare(_func)
