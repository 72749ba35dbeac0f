"""The limits of a task, and what a job has to know of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption
from adjourn.limits import Limit, Scope, checked_text
from adjourn.types import JSONDict


@attrs.frozen
class JobLimit:
    """What a new job has to do with limits: that there is one for its task or queue, or the limit of its key.

    Attributes
    ----------
    name, key
        The name of its key's limit, and its key; None without one.
    limit
        The numbers of that limit.
    """

    name: str | None = None
    key: str | None = None
    limit: Limit | None = None

    def members(self) -> JSONDict:
        """Return what the statement that stores the job takes of it."""
        if self.limit is None:
            return {}
        return {
            "limit_name": self.name,
            "limit_key": self.key,
            "concurrency": self.limit.concurrency,
            "rates": self.limit.rates,
        }


class SignatureLike(Protocol):
    """The arguments that a task takes. `Signature` is one."""

    @property
    def known(self) -> bool:
        """Whether the function could be looked at."""

    @property
    def takes_any(self) -> bool:
        """Whether it takes arguments of any name."""

    @property
    def required(self) -> frozenset[str]:
        """Arguments without a default."""

    @property
    def optional(self) -> frozenset[str]:
        """Arguments with one."""


@attrs.frozen
class TaskLimits:
    """The limits that a task declares.

    Attributes
    ----------
    whole
        The one for all of its jobs, if there is one.
    keyed
        The one for those of each key.
    defaults
        The arguments of jobs that do not have them, if there is one with a key.
    """

    whole: Limit | None = None
    keyed: Limit | None = None
    defaults: Mapping[str, Any] = attrs.field(factory=dict, eq=False)

    @classmethod
    def checked(
        cls, limits: Any, task_name: str, signature: SignatureLike, function: Callable[..., Any]
    ) -> TaskLimits | None:
        """Return the limits that were passed; None for none.

        Parameters
        ----------
        limits
            A `Limit`, or several.
        task_name
            The task's name.
        signature
            The arguments that it takes.
        function
            Its function, for the defaults of arguments.

        Raises
        ------
        InvalidOption
            If one is not a `Limit`, two are without a key, or two have one; or if a key is no argument of the task.
        """
        given = [limits] if isinstance(limits, Limit) else limits
        if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
            raise InvalidOption(f"limits={limits!r}: pass a list of Limit(...).")
        kinds: dict[bool, Limit] = {}
        for limit in given:
            if not isinstance(limit, Limit):
                raise InvalidOption(f"limits: {limit!r} is no limit; pass a list of Limit(...).")
            is_keyed = limit.key is not None
            if is_keyed in kinds:
                raise InvalidOption(
                    f"limits: two of them have {'a' if is_keyed else 'no'} key; a task can have one of each."
                )
            kinds[is_keyed] = limit
        if not kinds:
            return None
        keyed = kinds.get(True)
        for name in keyed.arguments if keyed is not None and signature.known and not signature.takes_any else ():
            if name not in signature.required | signature.optional:
                names = signature.required | signature.optional
                raise InvalidOption(f"limits: key={name!r} is no argument of task {task_name}{hint(name, names)}")
        return cls(kinds.get(False), keyed, {} if keyed is None else _defaults(function))

    def of_job(self, task_name: str, arguments: JSONDict, limit_key: str | None = None) -> JobLimit | None:
        """Return what a job with these arguments has to know; None if there is nothing.

        Parameters
        ----------
        task_name
            The task's name.
        arguments
            The job's arguments.
        limit_key
            The key, instead of the one that the arguments make.

        Raises
        ------
        InvalidOption
            If there is no key, or one that cannot be stored.
        """
        if self.keyed is None:
            return None if self.whole is None else JobLimit()
        key = (
            self.keyed.key_of({**self.defaults, **arguments})
            if limit_key is None
            else checked_text("limit_key", limit_key)
        )
        return JobLimit(self.keyed.name or task_name, key, self.keyed)


def checked_queue_limits(queue_limits: Any) -> dict[str, Limit]:
    """Return an app's limits of queues, by the queues' names.

    Raises
    ------
    InvalidOption
        If it is no mapping of names to limits without a key.
    """
    if not isinstance(queue_limits, Mapping):
        raise InvalidOption(f"queue_limits={queue_limits!r}: pass a dictionary of queues and limits.")
    for queue, limit in queue_limits.items():
        checked_text("queue", queue)
        if not isinstance(limit, Limit) or limit.key is not None:
            raise InvalidOption(f"queue_limits: {queue!r} has {limit!r}; pass a Limit(...) without a key.")
    return dict(queue_limits)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments of a function that have a default, with it."""
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def checked_limit_key(limit_key: str | None, limits: TaskLimits | None) -> str | None:
    """Return a key that was passed for a job.

    Raises
    ------
    InvalidOption
        If it cannot be stored, or this app declares no limit with a key for the task.
    """
    if limit_key is None:
        return None
    if limits is None or limits.keyed is None:
        raise InvalidOption(f"limit_key={limit_key!r}: this app declares no limit with a key for the task.")
    return checked_text("limit_key", limit_key)


def check_names_agree(limits: TaskLimits | None, others: Iterable[TaskLimits | None]) -> None:
    """Refuse a limit whose name another task has given to one with other numbers.

    Raises
    ------
    InvalidOption
        If there is one.
    """
    if limits is None or limits.keyed is None or limits.keyed.name is None:
        return
    for other in others:
        keyed = None if other is None else other.keyed
        if (
            keyed is not None
            and keyed.name == limits.keyed.name
            and ((keyed.concurrency, keyed.rate) != (limits.keyed.concurrency, limits.keyed.rate))
        ):
            raise InvalidOption(
                f"limits: name={keyed.name!r} is another limit elsewhere; give both the same numbers, or two names."
            )


def declared_limits(
    tasks: Iterable[tuple[str, TaskLimits | None]], queue_limits: Mapping[str, Limit]
) -> dict[tuple[Scope, str], Limit]:
    """Return all limits that a program declares, by what they are for and the name.

    Parameters
    ----------
    tasks
        The tasks' names and limits.
    queue_limits
        The limits of queues.
    """
    declared: dict[tuple[Scope, str], Limit] = {("queue", queue): limit for queue, limit in queue_limits.items()}
    for name, limits in tasks:
        if limits is not None and limits.whole is not None:
            declared["task", name] = limits.whole
        if limits is not None and limits.keyed is not None:
            declared["key", limits.keyed.name or name] = limits.keyed
    return declared
