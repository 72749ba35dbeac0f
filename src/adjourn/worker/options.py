"""The options of a worker, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs

from adjourn._domain.checks import (
    MIDDLEWARE_PARAMETERS,
    check_flag,
    check_known,
    check_name,
    check_seconds,
    check_takes,
    check_timeout,
    checked_names,
)
from adjourn._domain.jobs import DeleteJobCondition
from adjourn.exceptions import InvalidOption
from adjourn.middleware import TaskMiddleware, WorkerMiddleware, checked, checked_for_worker
from adjourn.types import WorkerOptions

WORKER_NAME = "worker"
WORKER_CONCURRENCY = 1
"""How many jobs run at once."""
FETCH_JOB_POLLING_INTERVAL = 5.0
ABORT_JOB_POLLING_INTERVAL = 5.0
SHORTEST_INTERVAL = 0.01
"""Seconds that a polling interval is at least, whatever was asked for."""


def _queues(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return checked_names("queues", value) or None


def _mapping(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise InvalidOption(f"additional_context={value!r}: pass a dictionary or None.")
    return value or {}


def _worker_name(value: str | None) -> str:
    return WORKER_NAME if value is None else value


def _interval(value: Any) -> Any:
    # Zero is "as soon as possible", and nothing may spin.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return SHORTEST_INTERVAL if is_number and 0 <= value < SHORTEST_INTERVAL else value


def _delete_jobs(value: str | DeleteJobCondition | None) -> DeleteJobCondition:
    if value is None:
        return DeleteJobCondition.NEVER
    try:
        return DeleteJobCondition(value)
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in DeleteJobCondition)
        raise InvalidOption(f"delete_jobs={value!r}: pass one of {choices}.") from error


def _at_least_one(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a whole number, one or more.")


def _positive(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value, above_zero=True)


def _not_negative_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_seconds(attribute.name, value, optional=True)


def _flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_flag(attribute.name, value)


def _middleware(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    for each in value:
        check_takes(attribute.name, each, MIDDLEWARE_PARAMETERS)


def _name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_name(attribute.name, value)


def _timeout(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    check_timeout(value)


def _task_middleware(value: Any) -> tuple[Any, ...]:
    return checked("task_middleware", value)


@attrs.frozen(kw_only=True)
class Options:
    """What `Worker` documents, with its defaults."""

    queues: tuple[str, ...] | None = attrs.field(default=None, converter=_queues)
    name: str = attrs.field(default=WORKER_NAME, converter=_worker_name, validator=_name)
    concurrency: int = attrs.field(default=WORKER_CONCURRENCY, validator=_at_least_one)
    wait: bool = attrs.field(default=True, validator=_flag)
    fetch_job_polling_interval: float = attrs.field(
        default=FETCH_JOB_POLLING_INTERVAL, converter=_interval, validator=_positive
    )
    shutdown_graceful_timeout: float | None = attrs.field(default=None, validator=_not_negative_or_none)
    listen_notify: bool = attrs.field(default=True, validator=_flag)
    delete_jobs: DeleteJobCondition = attrs.field(default=DeleteJobCondition.NEVER, converter=_delete_jobs)
    additional_context: Mapping[str, Any] = attrs.field(default=None, converter=_mapping)
    install_signal_handlers: bool = attrs.field(default=True, validator=_flag)
    update_heartbeat_interval: float = attrs.field(default=10.0, validator=_positive)
    stalled_worker_timeout: float = attrs.field(default=30.0, validator=_positive)
    abort_job_polling_interval: float = attrs.field(
        default=ABORT_JOB_POLLING_INTERVAL, converter=_interval, validator=_positive
    )
    timeout: float | None = attrs.field(default=None, validator=_timeout)
    task_middleware: tuple[TaskMiddleware, ...] = attrs.field(
        default=None, converter=_task_middleware, validator=_middleware
    )
    worker_middleware: tuple[WorkerMiddleware, ...] = attrs.field(
        default=None, converter=checked_for_worker, validator=_middleware
    )

    def __attrs_post_init__(self) -> None:
        if self.stalled_worker_timeout <= self.update_heartbeat_interval:
            raise InvalidOption(
                f"stalled_worker_timeout={self.stalled_worker_timeout!r}: pass more seconds than "
                f"update_heartbeat_interval ({self.update_heartbeat_interval!r}), or a live worker counts as dead."
            )


def checked_options(argument: str, given: Any) -> WorkerOptions:
    """Return some of a worker's options, if there are such options and they take these values.

    Parameters
    ----------
    argument
        What holds the options, for the message.
    given
        The options, by name.

    Raises
    ------
    InvalidOption
        Naming the option.
    """
    fields: dict[str, Any] = {field.name: field for field in attrs.fields(Options)}
    check_known(argument, given, fields)
    options = {}
    for name, value in given.items():
        # One by one: how they go together is known when all of them are.
        field = fields[name]
        options[name] = value if field.converter is None else field.converter(value)
        if field.validator is not None:
            field.validator(None, field, options[name])
    return cast("WorkerOptions", options)


def check_app(value: Any) -> None:
    """Refuse what is not an app.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    # By its looks: apps are built on top of workers.
    if getattr(value, "is_app", False) is not True:
        raise InvalidOption(f"app={value!r}: pass an app, as in Worker(app), or call app.run_worker().")
