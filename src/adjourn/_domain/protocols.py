"""Protocols for the objects that users hold: an app, its tasks and schedules, a context, a worker.

An app makes workers, a worker runs an app's tasks, and a task gets both. To avoid import cycles, the lower of two
modules uses a protocol from here, which has only what that module needs. Users hold the classes themselves (`App`,
`Task`, `JobContext`, `Worker`).

Everything is read only, so that a class may have an attribute of a more precise type than the protocol asks for.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.cron import Cron
from adjourn._domain.job_limits import TaskLimits
from adjourn._domain.jobs import Job
from adjourn._domain.results import ResultRule
from adjourn._domain.runs import AbortReason, Completion, RunLike
from adjourn._domain.schedules import DueTicks
from adjourn._domain.ticks import LastTick, Tick, TickOutcome
from adjourn.exceptions import JobRetry
from adjourn.limits import Limit, Scope
from adjourn.types import JSONDumps, JSONLoads, Parameters, PeriodicDefaults, Row, Statement

OptionsT_co = TypeVar("OptionsT_co", covariant=True)


# The database


class AsyncSessionLike(Protocol):
    """A worker's own connection, whose calls are awaited. Each connector's `AsyncSession` is one."""

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows."""

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait at most ``timeout`` seconds for notifications, and return their payloads."""

    def abandon(self) -> None:
        """Give the connection up at once: whatever waits on it raises. May be called from any thread."""

    async def close_async(self) -> None:
        """Close the connection; never raises because it is broken."""


class SyncSessionLike(Protocol):
    """A worker's own connection that blocks, for its threads. Each connector's `SyncSession` is one."""

    def execute(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows."""

    def listen(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""

    def wait_for_notifications(self, timeout: float) -> list[str]:
        """Wait at most ``timeout`` seconds for notifications, and return their payloads."""

    @property
    def can_listen(self) -> bool:
        """Whether notifications arrive."""

    @property
    def is_wakeable(self) -> bool:
        """Whether `wake` ends a wait."""

    def wake(self) -> None:
        """End the wait that is under way, or else the next one. May be called from any thread."""

    def abandon(self) -> None:
        """Give the connection up at once: whatever waits on it raises. May be called from any thread."""

    def close(self) -> None:
        """Close the connection; never raises because it is broken."""


class ConnectorLike(Protocol):
    """What a worker needs of a connector. Each `BaseConnector` is one."""

    @property
    def is_shared(self) -> bool:
        """Whether other programs may have its jobs as well."""

    @property
    def json_dumps(self) -> JSONDumps:
        """The function that writes the results of jobs."""

    @property
    def json_loads(self) -> JSONLoads:
        """The function that reads the arguments of jobs."""

    @property
    def applies_schema(self) -> str:
        """What applies the schema, for messages."""

    def get_async_connector(self) -> ConnectorLike:
        """Return the connector that serves asynchronous calls."""

    async def session_async(self) -> AsyncSessionLike:
        """Open another connection, for the caller alone."""

    def session(self) -> SyncSessionLike:
        """Open another connection, for the calling thread alone. Blocks."""


class TicksLike(Protocol):
    """What a worker needs of the manager of ticks. `Ticks` is one."""

    async def defer_ticks_async(self, ticks: Sequence[Tick]) -> list[tuple[TickOutcome, int | None]]:
        """Record ticks, each with its job, and return what became of each."""

    async def last_ticks_async(self) -> dict[tuple[str, str], LastTick]:
        """Return the last tick of each schedule that is recorded."""


class RunsLike(Protocol):
    """What a worker needs of the operations of runs. `Runs` is one."""

    async def ask_completion_async(self, job: Job) -> Completion:
        """Return what became of a job that was completed in a transaction of the task's own."""


class LimitsLike(Protocol):
    """What a worker needs of the manager of limits. `Limits` is one."""

    async def declare_async(self, declared: Mapping[tuple[Scope, str], Limit]) -> dict[tuple[Scope, str], Limit]:
        """Store the limits that a program declares. Return those that another transaction holds, which are not stored."""


class JobManagerLike(Protocol):
    """What workers and their tasks need of the job manager. `JobManager` is one."""

    @property
    def runs(self) -> RunsLike:
        """What runs do with their own jobs."""

    @property
    def schema(self) -> str:
        """The database schema that holds adjourn's tables."""

    @property
    def limits(self) -> LimitsLike:
        """Sets limits."""

    @property
    def ticks(self) -> TicksLike:
        """Defers many ticks of periodic tasks at once."""

    async def get_time_async(self) -> datetime.datetime:
        """Return the database's time."""

    async def keep_schedules_async(self, known: Sequence[tuple[str, str]], seconds: float) -> list[tuple[str, str]]:
        """Record that schedules are still in use, and forget others."""

    async def delete_old_jobs_async(
        self,
        nb_hours: float | Mapping[str, float],
        queue: str | None = None,
        include_failed: bool = False,
        include_cancelled: bool = False,
        include_aborted: bool = False,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete jobs that finished more than ``nb_hours`` hours ago."""


class EventsLike(Protocol):
    """Passes events to subscribers. `Events` is one."""

    def wants(self, kind: type[Any]) -> bool:
        """Return whether this class of events has subscribers. If not, no event is made."""

    def emit(self, event: Any) -> None:
        """Call the subscribers."""


# Tasks


class BatchLike(Protocol):
    """What a worker needs of how many jobs a call takes. `Batch` is one."""

    @property
    def size(self) -> int:
        """The most jobs of one call."""

    @property
    def wait(self) -> float:
        """For how many seconds a worker waits for more."""


class TaskLike(Protocol):
    """What a worker needs of a task. `Task` is one."""

    @property
    def sensitive(self) -> Sequence[str]:
        """The names of the arguments whose values nobody else is to see."""

    @property
    def name(self) -> str:
        """Its name in the database."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function to call."""

    @property
    def is_async(self) -> bool:
        """Whether the function is to be awaited."""

    @property
    def pass_context(self) -> bool:
        """Whether the function takes a `JobContext` first."""

    @property
    def timeout(self) -> float | None:
        """Seconds that a run may take; None for the worker's."""

    @property
    def result_rule(self) -> ResultRule:
        """Whether and how the results of its jobs are stored."""

    @property
    def limits(self) -> TaskLimits | None:
        """How many of its jobs run at once and start in a period of time; None for any number."""

    @property
    def batch(self) -> BatchLike | None:
        """How many jobs one call of it takes; None for one."""

    @property
    def retries_at_once(self) -> bool:
        """Whether failed jobs are retried without a wait, because ``retry`` is a number or True."""

    @property
    def task_middleware(self) -> tuple[Callable[..., Any], ...]:
        """What wraps each run, the first outermost."""

    def make_job(self, **options: Any) -> Job:
        """Return a job with these options, and the task's own for the rest."""

    def get_retry_exception(self, exception: BaseException, job: Job) -> JobRetry | None:
        """Return the exception that means to run the job again, or None if the job is to fail."""


class TaskResolverLike(Protocol):
    """Finds tasks that no app declares. `TaskResolver` is one."""

    def may_know(self, name: str) -> bool:
        """Return whether it is worth trying to load the task of this name."""

    def find(self, job: Job) -> TaskLike | None:
        """Return a job's task if it is loaded already. Does not block."""

    def load(self, job: Job) -> TaskLike:
        """Load a job's task. May block."""


class PeriodicTaskLike(Protocol):
    """What a scheduler needs of a task with one of its schedules. `PeriodicTask` is one."""

    @property
    def task(self) -> TaskLike:
        """The task."""

    @property
    def cron(self) -> Cron:
        """When it is due."""

    @property
    def periodic_id(self) -> str:
        """Tells several schedules of one task apart."""

    @property
    def configure_kwargs(self) -> Mapping[str, Any]:
        """The options of its jobs."""

    def due(
        self, since: datetime.datetime | None, now: datetime.datetime, app_max_delay: float | None, *, is_up: bool
    ) -> DueTicks:
        """Find out what to do about the ticks up to now."""


class PeriodicRegistryLike(Protocol):
    """The periodic tasks of an app. `PeriodicRegistry` is one."""

    @property
    def periodic_tasks(self) -> Mapping[tuple[str, str], PeriodicTaskLike]:
        """By the task's name and the ``periodic_id``."""


# What users hold


class AppLike(Protocol):
    """What a worker, its roles and the builtin tasks need of an app. `App` is one."""

    @property
    def connector(self) -> ConnectorLike:
        """How to reach the database."""

    @property
    def job_manager(self) -> JobManagerLike:
        """The operations on jobs."""

    @property
    def events(self) -> EventsLike:
        """Passes events to subscribers."""

    @property
    def tasks(self) -> Mapping[str, TaskLike]:
        """The tasks by name and alias."""

    def resolver_of(self, task_name: str) -> TaskResolverLike | None:
        """Return what finds the task of this name, if it is not one of `tasks`."""

    def may_know(self, task_name: str) -> bool:
        """Return whether the task of this name is declared, or may be found."""

    @property
    def periodic_registry(self) -> PeriodicRegistryLike:
        """The periodic tasks."""

    @property
    def periodic_defaults(self) -> PeriodicDefaults:
        """The options of periodic tasks that do not set their own."""

    @property
    def queue_limits(self) -> Mapping[str, Limit]:
        """The limits of queues."""

    def declared_limits(self) -> dict[tuple[Scope, str], Limit]:
        """Return the limits of its tasks and queues, by what they are for and the name."""

    @property
    def store_results(self) -> bool:
        """Whether the results of jobs are stored whose tasks do not say."""

    @property
    def result_ttl(self) -> float:
        """Seconds after which results lapse whose tasks do not say; infinity for never."""

    def make_context(
        self,
        job: Job | ClaimedJob,
        *,
        start_timestamp: float,
        worker_name: str | None = None,
        worker_queues: Iterable[str] | None = None,
        additional_context: Mapping[str, Any] | None = None,
        abort_reason: Callable[[], AbortReason | None] | None = None,
        say_progress: Callable[[Job, str], None] | None = None,
        run: RunLike | None = None,
        keeps_jobs: bool = True,
    ) -> ContextLike:
        """Return the context that a task gets for one run of a job."""


class ContextLike(Protocol):
    """What the builtin tasks, and the declaration of a task, need of a context. `JobContext` is one."""

    @property
    def app(self) -> AppLike:
        """The app whose worker runs the job."""

    @property
    def job(self) -> Job:
        """The job."""

    def should_abort(self) -> bool:
        """Return whether the job is asked to end."""

    def set_progress(self, current: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job has come."""


class WorkerLike(Protocol[OptionsT_co]):
    """What a worker's roles need of the worker that they belong to. `Worker` is one, of its `Options`."""

    @property
    def app(self) -> AppLike:
        """The app whose jobs it runs."""

    @property
    def options(self) -> OptionsT_co:
        """Its options, checked."""

    @property
    def worker_id(self) -> int | None:
        """The worker's id in the database; None while it is not registered."""

    @property
    def may_be_interrupted(self) -> bool:
        """Whether a `KeyboardInterrupt` can come from a signal."""

    def stop(self) -> None:
        """Stop gracefully. May be called from any thread."""
