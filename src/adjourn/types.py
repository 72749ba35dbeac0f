"""Names for the shapes that travel between the rooms."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

import attrs

if TYPE_CHECKING:
    from adjourn._domain.jobs import DeleteJobCondition
    from adjourn.middleware import TaskMiddleware, WorkerMiddleware

JSONValue: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
JSONDict: TypeAlias = dict[str, Any]
JSONDumps: TypeAlias = Callable[[Any], str | bytes]
JSONLoads: TypeAlias = Callable[[str], Any]
Parameters: TypeAlias = Mapping[str, Any]
Row: TypeAlias = dict[str, Any]


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
    """The columns of a new job, by the names that programs written for Procrastinate know them by. Nothing here makes
    or takes one.
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
    """One SQL command, and the name by which people, logs and the in-memory connector know it."""

    name: str
    text: str


class ConfigureOptions(TypedDict, total=False):
    """The options of `Task.configure`."""

    lock: str | None
    queueing_lock: str | None
    task_kwargs: JSONDict | None
    schedule_at: datetime.datetime | None
    schedule_in: TimeDeltaParams | None
    queue: str | None
    priority: int | None
    connection: Any


class PeriodicOptions(TypedDict, total=False):
    """The options of `Task.configure` that jobs of periodic tasks can have."""

    lock: str | None
    queueing_lock: str | None
    task_kwargs: JSONDict | None
    queue: str | None
    priority: int | None


class PeriodicDefaults(TypedDict, total=False):
    """The options of periodic tasks that an app sets for all of them.

    Attributes
    ----------
    max_delay
        Seconds after its time for which a tick is still deferred, 600 by default.
    """

    max_delay: float


class WorkerOptions(TypedDict, total=False):
    """The options of `Worker`, which documents them."""

    queues: Iterable[str] | None
    name: str | None
    concurrency: int
    wait: bool
    fetch_job_polling_interval: float
    shutdown_graceful_timeout: float | None
    listen_notify: bool
    delete_jobs: str | DeleteJobCondition | None
    additional_context: Mapping[str, Any] | None
    install_signal_handlers: bool
    update_heartbeat_interval: float
    stalled_worker_timeout: float
    abort_job_polling_interval: float
    timeout: float | None
    task_middleware: Iterable[TaskMiddleware] | None
    worker_middleware: Iterable[WorkerMiddleware] | None
