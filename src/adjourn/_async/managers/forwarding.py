"""Names of one manager that stand for operations of another, which it holds.

So several managers read as one: a new feature is a manager of its own, with names where people look for them. Such a
name has the types, the signature and the docstring of what it stands for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

Manager = TypeVar("Manager")
P = ParamSpec("P")
R = TypeVar("R")


def forwards_to(
    operation: Callable[Concatenate[Manager, P], R],
) -> Callable[[Callable[[Any], Manager]], Callable[Concatenate[Any, P], R]]:
    """Make of a method that returns a manager one that calls this operation of that manager.

    Parameters
    ----------
    operation
        The method of the other manager's class.
    """
    name = operation.__name__

    def forwarding(manager_of: Callable[[Any], Manager]) -> Any:
        @functools.wraps(operation)
        async def forwarded_async(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return await getattr(manager_of(self), name)(*args, **kwargs)

        return forwarded_async

    return forwarding
