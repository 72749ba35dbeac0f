"""Methods of one manager that call operations of another manager, which it holds.

So users call several managers as one: a new feature gets its own manager, and its methods appear on the main one, with
the types, signatures and docstrings of the operations that they call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from adjourn._domain.spelling import names_check

Manager = TypeVar("Manager")
P = ParamSpec("P")
R = TypeVar("R")


def forwards_to(
    operation: Callable[Concatenate[Manager, P], R],
) -> Callable[[Callable[[Any], Manager]], Callable[Concatenate[Any, P], R]]:
    """Turn a method that returns a manager into one that calls this operation of that manager.

    Parameters
    ----------
    operation
        The method of the other manager's class.
    """
    name = operation.__name__
    check = names_check(operation)

    def forwarding(manager_of: Callable[[Any], Manager]) -> Any:
        @functools.wraps(operation)
        async def forwarded_async(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            check(kwargs)
            return await getattr(manager_of(self), name)(*args, **kwargs)

        return forwarded_async

    return forwarding


def part_of(manager: Any, kind: type[Manager]) -> Manager:
    """Return the manager of another kind that works for this one; always the same, unless this one has got another
    connector or schema since.

    Parameters
    ----------
    manager
        The manager that users call.
    kind
        The class of the other manager.
    """
    parts: dict[type, Any] = vars(manager).setdefault("_parts", {})
    part = parts.get(kind)
    if part is None or part.connector is not manager.connector or part.schema != manager.schema:
        part = parts[kind] = kind(manager.connector, manager.schema)  # type: ignore[call-arg]
        vars(part)["note"] = manager.note
    return part
