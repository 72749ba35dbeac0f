"""What the job of a task of the framework has as its arguments: an envelope around those of the task.

Values are changed before they are stored as the database would change them, so that `TaskResult.args` is the same when a task
is enqueued, when it runs, and when its result is looked up.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from adjourn._domain.arguments import check_storable
from adjourn.contrib.django.tasks.compat import InvalidTask, normalize_json
from adjourn.types import JSONDict

__all__ = ["Envelope", "as_stored"]


@attrs.frozen
class Envelope:
    """The arguments of a job.

    Attributes
    ----------
    args, kwargs
        The arguments of the task.
    backend
        The backend that it was enqueued with, by its name in ``TASKS``.
    run_after
        The task's ``run_after``, in ISO 8601. A retry changes the job's own time.
    """

    args: list[Any]
    kwargs: dict[str, Any]
    backend: str
    run_after: str | None

    @classmethod
    def sealed(
        cls, args: Sequence[Any], kwargs: Mapping[str, Any], backend: str, run_after: datetime.datetime | None
    ) -> Envelope:
        """Make the envelope of a task that is enqueued.

        Raises
        ------
        TypeError
            If an argument is of a type that is not JSON.
        InvalidTask
            If an argument cannot be stored; the message names it.
        """
        return cls(
            args=[_checked(f"args[{position}]", value) for position, value in enumerate(args)],
            kwargs={
                _checked("a keyword", name): _checked(f"kwargs[{name!r}]", value) for name, value in kwargs.items()
            },
            backend=backend,
            run_after=None if run_after is None else run_after.isoformat(),
        )

    @classmethod
    def opened(cls, task_name: str, arguments: JSONDict) -> Envelope:
        """Read the arguments of a job.

        Raises
        ------
        InvalidTask
            If they are not an envelope.
        """
        match arguments:
            case {
                "args": list(args),
                "kwargs": dict(kwargs),
                "backend": str(backend),
                "run_after": str() | None as when,
            }:
                envelope = cls(args, kwargs, backend, when)
            case _:
                raise InvalidTask(
                    f"The arguments of this job of {task_name} are not those that a task is enqueued with: args, kwargs, "
                    "backend and run_after."
                )
        try:
            envelope.due  # noqa: B018 - it raises if it is no time
        except ValueError as error:
            raise InvalidTask(f"The run_after of this job of {task_name} is not a time: {when!r}.") from error
        return envelope

    @property
    def due(self) -> datetime.datetime | None:
        """The task's ``run_after``."""
        return None if self.run_after is None else datetime.datetime.fromisoformat(self.run_after)

    def as_arguments(self) -> JSONDict:
        """Return the arguments of a job."""
        return attrs.asdict(self, recurse=False)


def as_stored(value: Any) -> Any:
    """Return what the database makes of a value.

    Raises
    ------
    TypeError
        If it, or a part of it, is of a type that is not JSON.
    ValueError
        If the database cannot store it, or would store only a part of it.
    """
    plain = normalize_json(value)
    if next(_clashes(plain), None) is not None:
        raise ValueError("two keys of a dictionary are the same text, so that only one of them would be stored")
    text = json.dumps(plain, allow_nan=False)
    check_storable(text)
    return json.loads(text, parse_float=_number)


def _checked(argument: str, value: Any) -> Any:
    try:
        return as_stored(value)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidTask(f"{argument} cannot be stored: {reason}. Pass plain values.") from error


def _number(text: str) -> int | float:
    """Read a number as the database writes it, which knows no exponents."""
    plain = format(decimal.Decimal(text), "f")
    # Nor does it know a negative zero.
    return float(plain) or 0.0 if "." in plain else int(plain)


def _clashes(value: Any) -> Iterator[Any]:
    """Find dictionaries with keys that become the same text, such as 1 and "1"."""
    if isinstance(value, dict):
        names = {key if isinstance(key, str) else json.dumps(key) for key in value}
        if len(names) < len(value):
            yield value
        for each in value.values():
            yield from _clashes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _clashes(each)
