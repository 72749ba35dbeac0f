"""The options of a worker: declared once, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs

from adjourn._domain.addresses import address_of
from adjourn._domain.checks import (
    MIDDLEWARE_PARAMETERS,
    check_flag,
    check_known,
    check_name,
    check_takes,
    checked_names,
)
from adjourn._domain.jobs import DeleteJobCondition
from adjourn._domain.middleware import checked, checked_for_worker
from adjourn._domain.options import told
from adjourn._domain.time_checks import check_seconds
from adjourn.exceptions import InvalidOption
from adjourn.types import AnyTaskMiddleware, AnyWorkerMiddleware, WorkerOptions

WORKER_NAME = "worker"
WORKER_CONCURRENCY = 1
"""How many jobs run at once."""
MOST_JOBS = 2**31 - 1
"""How many jobs a worker can ask the database for."""
MOST_DAYS = 36_500
"""How many days notes can be kept: a hundred years."""
FETCH_JOB_POLLING_INTERVAL = 5.0
ABORT_JOB_POLLING_INTERVAL = 5.0
SHORTEST_INTERVAL = 0.01
"""The shortest polling interval, in seconds; shorter ones are raised to this."""


def _queues(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return checked_names("queues", value) or None


def _name(value: str | None) -> str:
    return WORKER_NAME if value is None else value


def _interval(value: float) -> float:
    # Zero means "as soon as possible", but polling must not spin.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return SHORTEST_INTERVAL if is_number and 0 <= value < SHORTEST_INTERVAL else value


def _condition(value: str | None) -> DeleteJobCondition:
    if value is None:
        return DeleteJobCondition.NEVER
    try:
        return DeleteJobCondition(value)
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in DeleteJobCondition)
        raise InvalidOption(f"delete_jobs={value!r}: pass one of {choices}.") from error


def _mapping(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise InvalidOption(f"additional_context={value!r}: pass a dictionary or None.")
    return value or {}


def _task_middleware(value: Iterable[AnyTaskMiddleware] | None) -> tuple[AnyTaskMiddleware, ...]:
    return checked("task_middleware", value)


def _worker_middleware(value: Iterable[AnyWorkerMiddleware] | None) -> tuple[AnyWorkerMiddleware, ...]:
    return checked_for_worker(value)


def _is_name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_name(attribute.name, value)


def _is_at_least_one(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a whole number, one or more.")
    if value > MOST_JOBS:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a whole number up to {MOST_JOBS:,}.")


def _is_at_least_one_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _is_at_least_one(instance, attribute, value)


def _is_days(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    _is_at_least_one(instance, attribute, value)
    if value > MOST_DAYS:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a whole number of days up to {MOST_DAYS:,}.")


def _is_flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_flag(attribute.name, value)


def _is_above_zero(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value, above_zero=True)


def _is_above_zero_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value, above_zero=True, optional=True)


def _is_not_negative_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value, optional=True)


def _is_not_negative(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value)


def _is_address_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        address_of(attribute.name, value)


def _is_path_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value or "\0" in value):
        raise InvalidOption(f"{attribute.name}={value!r}: pass the path of a file, or None.")


def _is_middleware(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    for each in value:
        check_takes(attribute.name, each, MIDDLEWARE_PARAMETERS)


@attrs.frozen
class Options:
    """The options of a worker: each is declared here, and checked.

    A converter's parameter has the type that users may pass; the field has the type that the worker sees. Options that
    Procrastinate has can be passed by position, in this order; adjourn's own only by keyword.
    """

    queues: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=_queues,
        metadata=told(
            "run only the jobs of these queues",
            none="all queues",
            reads=list,
            letter="q",
            metavar="QUEUE,...",
            as_text="names separated by commas; an empty text means all queues",
        ),
    )
    name: str = attrs.field(
        default=WORKER_NAME,
        converter=_name,
        validator=_is_name,
        metadata=told("the worker's name in logs and lists, to tell workers apart", reads=str, letter="n"),
    )
    concurrency: int = attrs.field(
        default=WORKER_CONCURRENCY,
        validator=_is_at_least_one,
        metadata=told(
            "how many jobs to run at once, async ones as coroutines and sync ones in threads",
            reads=int,
            letter="c",
            metavar="JOBS",
        ),
    )
    wait: bool = attrs.field(
        default=True,
        validator=_is_flag,
        metadata=told(
            "wait for more jobs when none is left",
            reads=bool,
            letter="w",
            off=("--one-shot", "end when no job is left to run now"),
        ),
    )
    fetch_job_polling_interval: float = attrs.field(
        default=FETCH_JOB_POLLING_INTERVAL,
        converter=_interval,
        validator=_is_above_zero,
        metadata=told(
            "how often to look for jobs that no notification announced; 0 means 0.01",
            unit="seconds",
            reads=float,
            letter="p",
        ),
    )
    abort_job_polling_interval: float = attrs.field(
        default=ABORT_JOB_POLLING_INTERVAL,
        converter=_interval,
        validator=_is_above_zero,
        metadata=told(
            "how often to look for running jobs to abort that no notification announced; 0 means 0.01",
            unit="seconds",
            reads=float,
            letter="a",
        ),
    )
    shutdown_graceful_timeout: float | None = attrs.field(
        default=None,
        validator=_is_not_negative_or_none,
        metadata=told(
            "how long running jobs may take to end once the worker is stopped; after that, async jobs are cancelled, and 5 "
            "seconds later, jobs that have not ended go back to their queue",
            none="no limit",
            unit="seconds",
            reads=float,
        ),
    )
    listen_notify: bool = attrs.field(
        default=True,
        validator=_is_flag,
        metadata=told(
            "have Postgres announce new jobs at once",
            reads=bool,
            letter="l",
            off=("--no-listen-notify", "only poll for jobs, as a worker does by itself behind a pooler"),
        ),
    )
    delete_jobs: DeleteJobCondition = attrs.field(
        default=DeleteJobCondition.NEVER,
        converter=_condition,
        metadata=told(
            "which finished jobs to delete instead of keeping them; one with a result is kept",
            as_value='``"never"``, ``"successful"`` or ``"always"``',
            reads=DeleteJobCondition,
        ),
    )
    additional_context: Mapping[str, Any] = attrs.field(
        default=None,
        converter=_mapping,
        metadata=told("what tasks find in ``context.additional_context``", none="an empty dictionary"),
    )
    install_signal_handlers: bool = attrs.field(
        default=True,
        validator=_is_flag,
        metadata=told("stop gracefully on SIGINT and SIGTERM"),
    )
    update_heartbeat_interval: float = attrs.field(
        default=10.0,
        validator=_is_above_zero,
        metadata=told("how often to tell the database that this worker is alive", unit="seconds", reads=float),
    )
    stalled_worker_timeout: float = attrs.field(
        default=30.0,
        validator=_is_above_zero,
        metadata=told(
            "how long this worker may be silent before it counts as dead and others run its jobs again; more than the "
            "heartbeat interval",
            unit="seconds",
            reads=float,
        ),
    )
    round_trip_timeout: float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_above_zero_or_none,
        metadata=told(
            "how long the database may take to answer the worker itself; after that, the worker gives the connection up, "
            "and goes on with another one; less than stalled_worker_timeout",
            none="half of stalled_worker_timeout",
            unit="seconds",
            reads=float,
        ),
    )
    max_jobs: int | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_at_least_one_or_none,
        metadata=told(
            "end after so many runs of jobs, and claim no more jobs than that; each job of a batch counts, and each retry again",
            none="no limit",
            reads=int,
            metavar="JOBS",
        ),
    )
    audit_days: int = attrs.field(
        default=400,
        kw_only=True,
        validator=_is_days,
        metadata=told(
            "how many days the notes are kept of what people did by the dashboard or the shell; of several workers, the least counts",
            reads=int,
            metavar="DAYS",
        ),
    )
    unknown_task_timeout: float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_not_negative_or_none,
        metadata=told(
            "how long a job whose task no worker knows waits for a worker that knows it; after that, it fails",
            none="an hour; in memory, where no other program has the jobs, they fail at once",
            unit="seconds",
            reads=float,
        ),
    )
    priority_ageing: float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_above_zero_or_none,
        metadata=told(
            "after how long a ready job gains one in priority, and one more each time, up to the highest priority of the ready jobs "
            "that the worker serves",
            none="never",
            unit="seconds",
            reads=float,
        ),
    )
    timeout: float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_above_zero_or_none,
        metadata=told(
            "how long a run of a job may take, for tasks that have no timeout of their own",
            none="no limit",
            unit="seconds",
            reads=float,
        ),
    )
    stuck_worker_timeout: float | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_above_zero_or_none,
        metadata=told(
            "how long all of the worker's jobs may be jobs that were asked to end and do not; after that, they get their "
            "outcomes, and the worker ends, to be started again by its process manager",
            none="no limit",
            unit="seconds",
            reads=float,
        ),
    )
    http: str | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_address_or_none,
        metadata=told(
            "answer /livez, /readyz and /metrics at this address",
            none="no answers",
            reads=str,
            metavar="HOST:PORT",
        ),
    )
    health_file: str | None = attrs.field(
        default=None,
        kw_only=True,
        validator=_is_path_or_none,
        metadata=told(
            "write this file anew every five seconds while the worker is alive",
            none="no file",
            reads=str,
            metavar="PATH",
        ),
    )
    stall_after: float = attrs.field(
        default=300.0,
        kw_only=True,
        validator=_is_not_negative,
        metadata=told(
            "how long a task may block the event loop before the worker does not count as alive; 0 means for ever",
            unit="seconds",
            reads=float,
        ),
    )
    outage_patience: float = attrs.field(
        default=0.0,
        kw_only=True,
        validator=_is_not_negative,
        metadata=told(
            "how long the database may not answer before the worker does not count as alive; 0 means for ever: a restart would "
            "not help, and lose the outcomes that it keeps",
            unit="seconds",
            reads=float,
        ),
    )
    statistics: bool = attrs.field(
        default=True,
        kw_only=True,
        validator=_is_flag,
        metadata=told(
            "store every ten seconds how many jobs have ended, and how long they took",
            reads=bool,
            off=("--no-statistics", "do not store how many jobs have ended, and how long they took"),
        ),
    )
    task_middleware: tuple[AnyTaskMiddleware, ...] = attrs.field(
        default=None,
        kw_only=True,
        converter=_task_middleware,
        validator=_is_middleware,
        metadata=told(
            "functions that wrap the runs of all tasks of their kind, outside of the tasks' own middleware",
            none="no middleware",
        ),
    )
    worker_middleware: tuple[AnyWorkerMiddleware, ...] = attrs.field(
        default=None,
        kw_only=True,
        converter=_worker_middleware,
        validator=_is_middleware,
        metadata=told("async functions that wrap every run, outside of all other middleware", none="no middleware"),
    )

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> Options:
        """Pick the options from a function's arguments.

        Raises
        ------
        InvalidOption
            If an option is not valid; the message names it.
        """
        return cls(**{field.name: arguments[field.name] for field in attrs.fields(cls)})

    def __attrs_post_init__(self) -> None:
        if self.stalled_worker_timeout <= self.update_heartbeat_interval:
            raise InvalidOption(
                f"stalled_worker_timeout={self.stalled_worker_timeout!r}: pass more seconds than "
                f"update_heartbeat_interval ({self.update_heartbeat_interval!r}), or a live worker counts as dead."
            )
        if self.round_trip_timeout is not None and self.round_trip_timeout >= self.stalled_worker_timeout:
            raise InvalidOption(
                f"round_trip_timeout={self.round_trip_timeout!r}: pass fewer seconds than stalled_worker_timeout "
                f"({self.stalled_worker_timeout!r}), or a worker with a broken connection counts as dead before it has "
                "another one."
            )

    @property
    def longest_round_trip(self) -> float:
        """Seconds that the database may take to answer."""
        return self.stalled_worker_timeout / 2 if self.round_trip_timeout is None else self.round_trip_timeout


def checked_options(argument: str, given: Any) -> WorkerOptions:
    """Check some of a worker's options, and return them.

    Parameters
    ----------
    argument
        The name of the argument that holds the options, for the message.
    given
        The options, by name.

    Raises
    ------
    InvalidOption
        If an option does not exist, or its value is not valid; the message names the option.
    """
    fields: dict[str, Any] = {field.name: field for field in attrs.fields(Options)}
    check_known(argument, given, fields)
    options = {}
    for name, value in given.items():
        # Check each alone. Whether they fit together is checked when all are known.
        field = fields[name]
        options[name] = value if field.converter is None else field.converter(value)
        if field.validator is not None:
            field.validator(None, field, options[name])
    return cast("WorkerOptions", options)


def check_app(value: Any) -> None:
    """Refuse anything that is not an app.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    # Check an attribute, because this module cannot import apps, which import workers.
    if getattr(value, "is_app", False) is not True:
        raise InvalidOption(f"app={value!r}: pass an app, as in Worker(app), or call app.run_worker().")
