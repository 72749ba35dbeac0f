"""A task: a function, and the options for deferring its jobs."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, overload

import attrs

from adjourn import exceptions
from adjourn._compat.moved import moved
from adjourn._domain.arguments import Signature
from adjourn._domain.checks import (
    MIDDLEWARE_PARAMETERS,
    check_flag,
    check_name,
    check_one_of,
    check_priority,
    check_takes,
    check_unique,
    checked_names,
)
from adjourn._domain.headers import checked_headers
from adjourn._domain.job_limits import TaskLimits, checked_limit_key
from adjourn._domain.jobs import DEFAULT_PRIORITY, DEFAULT_QUEUE, Job
from adjourn._domain.masking import checked_sensitive, with_sensitive
from adjourn._domain.middleware import checked_for_task, is_async
from adjourn._domain.results import LARGEST_RESULT, ResultRule
from adjourn._domain.spelling import suggests_names
from adjourn._domain.terms import JobTerms, checked_expires_in, checked_terms
from adjourn._domain.time_checks import check_schedule, check_timeout
from adjourn.batches import Batch, check_no_lock, checked_batch
from adjourn.limits import Limit
from adjourn.manager import JobDeferrer, JobManager
from adjourn.manager.typed import TypedResults
from adjourn.retry import BaseRetryStrategy, RetryStrategy, RetryValue
from adjourn.types import AnyTaskMiddleware, JSONDict, TimeDeltaParams
from adjourn.types import ConfigureOptions as ConfigureTaskOptions
from adjourn.unique import Unique

__all__ = ["BlueprintLike", "ConfigureTaskOptions", "Task", "TaskResolver", "make_job"]

P = ParamSpec("P")
R = TypeVar("R")
Args = ParamSpec("Args")


def make_job(
    name: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    lock: str | None = None,
    queueing_lock: str | None = None,
    task_kwargs: JSONDict | None = None,
    schedule_at: datetime.datetime | None = None,
    schedule_in: TimeDeltaParams | None = None,
    unique: Unique | None = None,
    headers: Mapping[str, str] | None = None,
    limit_key: str | None = None,
    expires_at: datetime.datetime | None = None,
    expires_in: float | TimeDeltaParams | None = None,
    max_attempts: int | None = None,
) -> Job:
    """Check the options of a job, and return it.

    Parameters
    ----------
    name
        The task's name.
    queue, priority, lock, queueing_lock, task_kwargs, schedule_at, schedule_in, unique, headers, limit_key
        The options, as `Task.configure` takes them.
    expires_at, expires_in, max_attempts
        The options, as `Task.configure` takes them.

    Raises
    ------
    InvalidOption
        If an option is not valid; the message names it.
    """
    check_name("name", name)
    check_name("queue", queue, optional=True)
    check_name("lock", lock, optional=True)
    check_name("queueing_lock", queueing_lock, optional=True)
    if priority is not None:
        check_priority(priority)
    if task_kwargs is not None and not isinstance(task_kwargs, dict):
        raise exceptions.InvalidOption(f"task_kwargs={task_kwargs!r}: pass a dictionary of arguments.")
    check_unique(unique, queueing_lock)
    checked_limit_key(limit_key, None)
    delay = check_schedule(schedule_at, schedule_in)
    return Job(
        queue=DEFAULT_QUEUE if queue is None else queue,
        priority=DEFAULT_PRIORITY if priority is None else priority,
        lock=lock,
        queueing_lock=queueing_lock,
        task_name=name,
        task_kwargs=task_kwargs or {},
        scheduled_at=schedule_at,
        schedule_in=delay,
        unique=unique,
        headers=None if headers is None else checked_headers(headers),
        terms=checked_terms(expires_at, expires_in, max_attempts, schedule_at, delay),
    )


class TaskResolver(Protocol):
    """Finds tasks that no app declares, by their names: what `App.add_task_resolver` takes."""

    def may_know(self, name: str) -> bool:
        """Return whether it is worth trying to load the task of this name.

        It is asked for names whose jobs wait for a worker that knows them, so return False for those that `load` has not
        found.
        """

    def find(self, job: Job) -> Task[Any, Any, Any] | None:
        """Return a job's task if it is loaded already. Called on a worker's event loop, so it must not block."""

    def load(self, job: Job) -> Task[Any, Any, Any]:
        """Load a job's task, for instance by importing a module. A worker calls it in a thread, before it runs the job.

        Raises
        ------
        TaskNotFound
            If there is no such task here. The job waits for a worker that knows it, like any other of an unknown task. With
            any other exception, the job fails, and is not retried.
        """


class BlueprintLike(Protocol):
    """The part of an app or blueprint that its tasks need. `Blueprint` is one."""

    @property
    def is_everyones(self) -> bool:
        """Whether every app has its tasks."""

    @property
    def tasks(self) -> Mapping[str, Task[Any, Any, Any]]:
        """Its tasks by name and alias."""

    def job_manager_for(self, task_name: str) -> JobManager:
        """Return the job manager that stores jobs of its tasks.

        Raises
        ------
        UnboundTaskError
            If no app has added the blueprint.
        """


class Task(TypedResults[P, R, Args]):
    """A function that workers can be asked to call. ``@app.task`` makes one.

    Attributes
    ----------
    func
        The function. Calling the task calls it directly.
    name
        Its name in the database, ``module.function`` unless given.
    aliases
        Further names under which workers know it, for jobs that were deferred under an older name.
    queue, priority, lock, queueing_lock, unique, expires_in
        Defaults for its jobs, which ``configure`` can override.
    retry_strategy
        Decides whether a failed job is run again; None for never.
    pass_context
        Whether the function takes a `JobContext` first.
    is_async
        Whether the function is to be awaited.
    timeout
        Seconds that a run may take; None for the worker's.
    task_middleware
        Middleware that wraps each run, the first outermost.
    result_rule
        Whether and how the results of its jobs are stored.
    limits
        How many of its jobs run at once and start in a period of time; None for any number.
    batch
        How many jobs one call of it takes; None for one, whose arguments are those of the function.
    blueprint
        The app or blueprint that its jobs are deferred through.
    """

    def __init__(
        self,
        func: Callable[P, R],
        *,
        blueprint: BlueprintLike,
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
    ) -> None:
        if not callable(func):
            raise exceptions.InvalidOption(f"{func!r} is not callable: decorate a function.")
        _check_not_a_generator(func)
        check_flag("pass_context", pass_context)
        self.blueprint: BlueprintLike = blueprint
        self.func: Callable[P, R] = func
        self.name: str = _full_path(func) if name is None else name
        self.aliases: list[str] = list(checked_names("aliases", aliases) or ())
        check_name("name", self.name)
        check_name("queue", queue)
        check_name("lock", lock, optional=True)
        check_name("queueing_lock", queueing_lock, optional=True)
        check_priority(priority)
        self.queue = queue
        self.priority = priority
        self.lock = lock
        self.queueing_lock = queueing_lock
        check_unique(unique, queueing_lock)
        self.unique = unique
        self.expires_in: float | None = None if expires_in is None else checked_expires_in(expires_in)
        self.batch: Batch | None = checked_batch(batch, pass_context=pass_context, lock=lock)
        self.retry_strategy: BaseRetryStrategy | None = RetryStrategy.of(retry)
        self._hasty_strategy = None if isinstance(retry, BaseRetryStrategy) else self.retry_strategy
        self.pass_context = pass_context
        check_timeout(timeout)
        self.timeout = timeout
        self.result_rule: ResultRule = ResultRule.checked(store_result, result_ttl, max_result_size)
        self.is_async: bool = is_async(func)
        self.task_middleware: tuple[AnyTaskMiddleware, ...] = checked_for_task(
            self.name, self.is_async, task_middleware
        )
        for each in self.task_middleware:
            check_takes("task_middleware", each, MIDDLEWARE_PARAMETERS)
        # The arguments of a batch task's jobs are in its items, where nobody can see which they are.
        self.signature: Signature = Signature(self.name) if batch else Signature.of(self.name, func, pass_context)
        self.signature.check_unique(unique)
        self.sensitive: tuple[str, ...] = checked_sensitive(sensitive, self.signature.check_sensitive)
        self.limits: TaskLimits | None = TaskLimits.checked(limits, self.name, self.signature, func)
        self.__doc__ = func.__doc__
        self.__name__: str = getattr(func, "__name__", type(func).__name__)
        self.__module__ = func.__module__
        self.__wrapped__ = func

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function directly; nothing is deferred."""
        return self.func(*args, **kwargs)

    @property
    def full_path(self) -> str:
        """The function's path: its module and name."""
        return _full_path(self.func)

    def add_namespace(self, namespace: str) -> None:
        """Put ``namespace:`` before the task's name and aliases."""
        self.rename(f"{namespace}:{self.name}", [f"{namespace}:{alias}" for alias in self.aliases])

    def rename(self, name: str, aliases: Iterable[str]) -> None:
        """Give the task another name, and other aliases.

        Parameters
        ----------
        name
            The name.
        aliases
            Further names under which workers know it.
        """
        check_name("name", name)
        self.name = name
        self.aliases = list(aliases)
        self.signature = Signature(name) if self.batch else Signature.of(name, self.func, self.pass_context)

    @property
    def retries_at_once(self) -> bool:
        """Whether its ``retry`` is ``True`` or a number, so that failed jobs are retried without a wait."""
        strategy = self.retry_strategy
        return isinstance(strategy, RetryStrategy) and strategy is self._hasty_strategy and strategy.max_attempts != 0

    def bound_to(self, blueprint: BlueprintLike) -> Task[P, R, Args]:
        """Return a view of the task whose jobs are deferred through another app."""
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        view.blueprint = blueprint
        return view

    @overload
    def configure(
        self,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        task_kwargs: None = None,
        schedule_at: datetime.datetime | None = None,
        schedule_in: TimeDeltaParams | None = None,
        queue: str | None = None,
        priority: int | None = None,
        unique: Unique | None = None,
        headers: Mapping[str, str] | None = None,
        limit_key: str | None = None,
        expires_at: datetime.datetime | None = None,
        expires_in: float | TimeDeltaParams | None = None,
        max_attempts: int | None = None,
        connection: Any = None,
    ) -> JobDeferrer[Args]: ...

    @overload
    def configure(
        self,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        task_kwargs: JSONDict | None = None,
        schedule_at: datetime.datetime | None = None,
        schedule_in: TimeDeltaParams | None = None,
        queue: str | None = None,
        priority: int | None = None,
        unique: Unique | None = None,
        headers: Mapping[str, str] | None = None,
        limit_key: str | None = None,
        expires_at: datetime.datetime | None = None,
        expires_in: float | TimeDeltaParams | None = None,
        max_attempts: int | None = None,
        connection: Any = None,
    ) -> JobDeferrer: ...

    @suggests_names
    def configure(
        self,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        task_kwargs: JSONDict | None = None,
        schedule_at: datetime.datetime | None = None,
        schedule_in: TimeDeltaParams | None = None,
        queue: str | None = None,
        priority: int | None = None,
        unique: Unique | None = None,
        headers: Mapping[str, str] | None = None,
        limit_key: str | None = None,
        expires_at: datetime.datetime | None = None,
        expires_in: float | TimeDeltaParams | None = None,
        max_attempts: int | None = None,
        connection: Any = None,
    ) -> Any:
        """Set options for jobs of this task; call ``defer``, ``batch_defer`` or their async forms on the result.

        Parameters
        ----------
        lock
            Of the jobs with the same lock, only one runs at a time, in order of priority and then of deferring.
            Default: None, the task's.
        queueing_lock
            Of the jobs with the same queueing lock, only one waits at a time; deferring another fails: it raises
            `AlreadyEnqueued`. Default: None, the task's.
        task_kwargs
            Arguments of every job; those passed to ``defer`` go before. Default: None, no arguments.
        schedule_at
            Do not run the job before this time: an aware datetime. Default: None, at once.
        schedule_in
            Do not run the job before this much time has passed: keywords of `datetime.timedelta`, such as ``{"minutes":
            5}``; not together with ``schedule_at``. Default: None, at once.
        queue
            The queue that the job waits in. Default: None, the task's.
        priority
            Jobs with a higher priority go first; it may be negative. Default: None, the task's.
        unique
            Which jobs are the same, so that one of them is stored: see `Unique`; not together with ``queueing_lock``.
            Default: None, the task's.
        headers
            Texts by names that go with the job beside its arguments, such as ``{"tenant": "acme"}``; a task finds them
            in ``context.job.headers``. Default: None, none.
        limit_key
            The key under the task's limit for each key. Default: None, the one that the arguments make.
        expires_at
            If the job has not begun by this time, it does not run any more: an aware datetime, after the one when it is
            due. Default: None, never.
        expires_in
            If the job has not begun this much time after it is due, it does not run any more: seconds, or keywords of
            `datetime.timedelta`, such as ``{"minutes": 5}``; not together with ``expires_at``. Default: None, the
            task's.
        max_attempts
            How often the job is run again at most, after failures and the deaths of its workers together. Default:
            None, what the task's `RetryStrategy` says.
        connection
            Your own database connection, to store the job in its transaction: the job exists if that commits; of the
            connector's driver, synchronous for ``defer`` and asynchronous for ``defer_async``. Default: None, one of
            the app's.

        Raises
        ------
        InvalidOption
            If a value is not valid; the message names the option.
        InvalidTaskArguments
            If the task does not take the arguments in ``task_kwargs``, or they cannot be stored.
        UnboundTaskError
            If no app has added the blueprint that the task belongs to.
        """
        job_manager = self.blueprint.job_manager_for(self.name)
        job = self.make_job(
            queue=queue,
            priority=priority,
            lock=lock,
            queueing_lock=queueing_lock,
            task_kwargs=task_kwargs,
            schedule_at=schedule_at,
            schedule_in=schedule_in,
            unique=unique,
            headers=headers,
            expires_at=expires_at,
            expires_in=expires_in,
            max_attempts=max_attempts,
        )
        self.signature.check_unique(unique)
        deferrer: JobDeferrer = JobDeferrer(
            job_manager, job, connection, self.signature, self.limits, checked_limit_key(limit_key, self.limits)
        )
        return deferrer

    def make_job(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        lock: str | None = None,
        queueing_lock: str | None = None,
        unique: Unique | None = None,
        expires_at: datetime.datetime | None = None,
        expires_in: float | TimeDeltaParams | None = None,
        **options: Any,
    ) -> Job:
        """Return a job with these options, and the task's own for the rest.

        Parameters
        ----------
        queue, priority, lock, queueing_lock, unique, expires_at, expires_in, **options
            The options, as `Task.configure` takes them.
        """
        check_one_of(self.name, unique, queueing_lock, self.unique, self.queueing_lock)
        unique = self.unique if unique is None else unique
        queueing_lock = self.queueing_lock if queueing_lock is None else queueing_lock
        check_no_lock(self.batch, lock)
        job = make_job(
            self.name,
            queue=self.queue if queue is None else queue,
            priority=self.priority if priority is None else priority,
            lock=self.lock if lock is None else lock,
            queueing_lock=queueing_lock,
            unique=unique,
            expires_at=expires_at,
            expires_in=self.expires_in if expires_in is None and expires_at is None else expires_in,
            **options,
        )
        if self.sensitive:
            job = job.evolve(headers=with_sensitive(job.headers, self.sensitive))
        return job if self.batch is None else job.evolve(terms=attrs.evolve(job.terms or JobTerms(), is_batch=True))

    def defer(self, /, *args: Args.args, **kwargs: Args.kwargs) -> int:
        """Store a job that calls the task with these keyword arguments, and return its id. Blocks.

        Parameters
        ----------
        *args
            None: pass every argument by its name.
        **kwargs
            The arguments to call the task with; they must be storable as JSON.

        Raises
        ------
        InvalidTaskArguments
            If the task does not take these arguments (it never takes positional ones), or they cannot be stored.
        AlreadyEnqueued
            If the task's queueing lock is taken, or a unique job is there already.
        AppNotOpen
            If the app is not open.
        WrongCaller
            If this is the thread of the event loop that the app was opened on: ``await defer_async(...)`` there.
        """
        return self.configure().defer(*args, **kwargs)

    async def defer_async(self, /, *args: Args.args, **kwargs: Args.kwargs) -> int:
        """Store a job that calls the task with these keyword arguments, and return its id.

        Parameters
        ----------
        *args
            None: pass every argument by its name.
        **kwargs
            The arguments to call the task with; they must be storable as JSON.

        Raises
        ------
        InvalidTaskArguments
            If the task does not take these arguments (it never takes positional ones), or they cannot be stored.
        AlreadyEnqueued
            If the task's queueing lock is taken, or a unique job is there already.
        AppNotOpen
            If the app is not open.
        """
        return await self.configure().defer_async(*args, **kwargs)

    def batch_defer(self, *task_kwargs: JSONDict) -> list[int]:
        """Store one job for each dictionary of arguments, all or none, and return their ids in order. Blocks.

        Raises what `defer` raises; nothing is stored then.
        """
        return self.configure().batch_defer(*task_kwargs)

    async def batch_defer_async(self, *task_kwargs: JSONDict) -> list[int]:
        """Store one job for each dictionary of arguments, all or none, and return their ids in order.

        Raises what `defer_async` raises; nothing is stored then.
        """
        return await self.configure().batch_defer_async(*task_kwargs)

    def get_retry_exception(self, exception: BaseException, job: Job) -> exceptions.JobRetry | None:
        """Return the `JobRetry` with the decision to run the job again, or None if it is to fail.

        Parameters
        ----------
        exception
            What the task raised.
        job
            The job.
        """
        strategy = self.retry_strategy
        if strategy is None or (job.max_attempts is not None and job.attempts >= job.max_attempts):
            return None
        if hasattr(strategy, "get_retry_exception"):
            return strategy.get_retry_exception(exception=exception, job=job)
        decision = strategy.get_retry_decision(exception=exception, job=job)
        return None if decision is None else exceptions.JobRetry(decision)


def _full_path(func: Callable[..., Any]) -> str:
    module, name = getattr(func, "__module__", None), getattr(func, "__name__", None)
    if not module or not name:
        raise exceptions.FunctionPathError(f"{func!r} has no name to call its task by: pass @app.task(name=...).")
    return f"{module}.{name}"


def _check_not_a_generator(func: Callable[..., Any]) -> None:
    # The ``__call__`` of an object may be a generator too.
    for each in (func, getattr(func, "__call__", None)):  # noqa: B004
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            raise exceptions.InvalidOption(
                f"{func!r} is a generator, whose body nobody would run: return instead of `yield`, or defer a job for "
                "each item."
            )


if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
