"""Types that several modules use."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeAlias, TypedDict

import attrs

from adjourn.unique import Unique

if TYPE_CHECKING:
    import typing_extensions  # Python has defaults of type parameters since 3.13

__all__ = [
    "AnyTaskMiddleware",
    "AnyWorkerMiddleware",
    "AsyncCallNext",
    "ConfigureOptions",
    "JSONDict",
    "JSONDumps",
    "JSONLoads",
    "JSONValue",
    "JobToDefer",
    "Parameters",
    "PeriodicDefaults",
    "PeriodicOptions",
    "Row",
    "Statement",
    "SyncCallNext",
    "TimeDeltaParams",
    "WorkerOptions",
]

# The arguments of a task; any, if nobody says.
if TYPE_CHECKING:
    Args = typing_extensions.ParamSpec("Args", default=...)
else:
    Args = ParamSpec("Args")

JSONValue: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
JSONDict: TypeAlias = dict[str, Any]
Parameters: TypeAlias = Mapping[str, Any]
Row: TypeAlias = dict[str, Any]

SyncCallNext: TypeAlias = Callable[[], Any]
AsyncCallNext: TypeAlias = Callable[[], Awaitable[Any]]
# The precise types, with those of the context and the worker, are in `adjourn.middleware`; those classes import this
# module.
AnyWorkerMiddleware: TypeAlias = Callable[[AsyncCallNext, Any, Any], Awaitable[Any]]
AnyTaskMiddleware: TypeAlias = Callable[[SyncCallNext, Any, Any], Any] | AnyWorkerMiddleware


# These are protocols, not aliases of `Callable`, because type checkers may take a class's attribute of type `Callable`
# for a method.
class JSONDumps(Protocol):
    """A function that turns a value into JSON, as text or as UTF-8."""

    def __call__(self, value: Any, /) -> str | bytes:
        """Return the JSON."""


class JSONLoads(Protocol):
    """A function that reads JSON."""

    def __call__(self, text: str, /) -> Any:
        """Return the value."""


class TimeDeltaParams(TypedDict, total=False):
    """The keywords of `datetime.timedelta`, as `schedule_in` and `retry_in` take them."""

    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float
    milliseconds: float
    microseconds: float


class JobToDefer(NamedTuple):
    """The columns of a new job, by the names that programs written for Procrastinate know. adjourn neither makes nor
    takes one.
    """

    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: JSONDict
    scheduled_at: datetime.datetime | None


@attrs.frozen
class Statement:
    """One SQL command, and the name that logs and the in-memory connector use for it.

    Parameters
    ----------
    name
        The name.
    text
        The SQL.
    may_take_long
        Whether the server may rightly take minutes for it, so that a connector allows it more than its
        ``response_timeout``: a change of the schema, or a batch or a deletion of many rows.
    takes_tuples
        Whether a connector may return its rows as tuples, which costs less than dictionaries. It need not.
    """

    name: str
    text: str
    may_take_long: bool = False
    takes_tuples: bool = False


class ConfigureOptions(TypedDict, total=False):
    """The options of `Task.configure`."""

    lock: str | None
    queueing_lock: str | None
    task_kwargs: JSONDict | None
    schedule_at: datetime.datetime | None
    schedule_in: TimeDeltaParams | None
    queue: str | None
    priority: int | None
    unique: Unique | None
    headers: Mapping[str, str] | None
    limit_key: str | None
    expires_at: datetime.datetime | None
    expires_in: float | TimeDeltaParams | None
    max_attempts: int | None
    connection: Any


class PeriodicOptions(TypedDict, total=False):
    """The options of `Task.configure` that jobs of periodic tasks can have."""

    lock: str | None
    queueing_lock: str | None
    task_kwargs: JSONDict | None
    queue: str | None
    priority: int | None
    headers: Mapping[str, str] | None
    expires_in: float | TimeDeltaParams | None
    max_attempts: int | None


class PeriodicDefaults(TypedDict, total=False):
    """The options of periodic tasks that an app sets for all of them.

    Attributes
    ----------
    max_delay
        How many seconds late a tick is still deferred.
    """

    max_delay: float


class WorkerOptions(TypedDict, total=False):
    """The options of `Worker`, which documents them."""

    queues: Iterable[str] | None
    name: str | None
    concurrency: int
    wait: bool
    fetch_job_polling_interval: float
    abort_job_polling_interval: float
    shutdown_graceful_timeout: float | None
    listen_notify: bool
    delete_jobs: str | None
    additional_context: Mapping[str, Any] | None
    install_signal_handlers: bool
    update_heartbeat_interval: float
    stalled_worker_timeout: float
    round_trip_timeout: float | None
    max_jobs: int | None
    audit_days: int
    unknown_task_timeout: float | None
    priority_ageing: float | None
    timeout: float | None
    stuck_worker_timeout: float | None
    http: str | None
    health_file: str | None
    stall_after: float
    outage_patience: float
    statistics: bool
    task_middleware: Iterable[AnyTaskMiddleware] | None
    worker_middleware: Iterable[AnyWorkerMiddleware] | None
