"""The options of a worker, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from adjourn.exceptions import InvalidOption
from adjourn.jobs import DeleteJobCondition
from adjourn.middleware import TaskMiddleware, WorkerMiddleware, checked, checked_for_worker
from adjourn.options import check_name, check_timeout


def _queues(value: Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise InvalidOption(f"queues={value!r}: pass a list of names, such as [{value!r}], or None for all queues.")
    queues = tuple(value)
    for queue in queues:
        check_name("queues", queue)
    return queues or None


def _mapping(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise InvalidOption(f"additional_context={value!r}: pass a dictionary or None.")
    return value or {}


def _delete_jobs(value: str | DeleteJobCondition) -> DeleteJobCondition:
    try:
        return DeleteJobCondition(value)
    except ValueError as error:
        choices = ", ".join(repr(each.value) for each in DeleteJobCondition)
        raise InvalidOption(f"delete_jobs={value!r}: pass one of {choices}.") from error


def _at_least_one(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a whole number, one or more.")


def _positive(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidOption(f"{attribute.name}={value!r}: pass a number of seconds above zero.")


def _not_negative_or_none(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
        raise InvalidOption(f"{attribute.name}={value!r}: pass a number of seconds, zero or more, or None.")


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
    name: str = attrs.field(default="worker", validator=_name)
    concurrency: int = attrs.field(default=1, validator=_at_least_one)
    wait: bool = True
    fetch_job_polling_interval: float = attrs.field(default=5.0, validator=_positive)
    shutdown_graceful_timeout: float | None = attrs.field(default=None, validator=_not_negative_or_none)
    listen_notify: bool = True
    delete_jobs: DeleteJobCondition = attrs.field(default=DeleteJobCondition.NEVER, converter=_delete_jobs)
    additional_context: Mapping[str, Any] = attrs.field(default=None, converter=_mapping)
    install_signal_handlers: bool = True
    update_heartbeat_interval: float = attrs.field(default=10.0, validator=_positive)
    stalled_worker_timeout: float = attrs.field(default=30.0, validator=_positive)
    abort_job_polling_interval: float = attrs.field(default=5.0, validator=_positive)
    timeout: float | None = attrs.field(default=None, validator=_timeout)
    task_middleware: tuple[TaskMiddleware, ...] = attrs.field(default=None, converter=_task_middleware)
    worker_middleware: tuple[WorkerMiddleware, ...] = attrs.field(default=None, converter=checked_for_worker)

    def __attrs_post_init__(self) -> None:
        if self.stalled_worker_timeout <= self.update_heartbeat_interval:
            raise InvalidOption(
                f"stalled_worker_timeout={self.stalled_worker_timeout!r}: pass more seconds than "
                f"update_heartbeat_interval ({self.update_heartbeat_interval!r}), or a live worker counts as dead."
            )
