"""Pure rules for which functions can wrap a task, and how several are nested.

`adjourn.middleware` says what a middleware is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from adjourn.exceptions import InvalidOption, MiddlewareKindMismatch


def is_async(function: Any) -> bool:
    """Return whether calling this must be awaited: an async function, a partial of one, or an object with an async
    call."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an instance may have an async __call__
    )


def compose(
    middleware: Iterable[Callable[..., Any]], body: Callable[[], Any], context: object, worker: object
) -> Callable[[], Any]:
    """Nest middleware around a body, the first outermost."""
    for each in reversed(tuple(middleware)):
        body = functools.partial(each, body, context, worker)
    return body


def checked(argument: str, value: Any) -> tuple[Any, ...]:
    """Return a list of middleware, which must be callable.

    Raises
    ------
    InvalidOption
        Naming the argument.
    """
    if value is None:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise InvalidOption(f"{argument}={value!r}: pass a list of functions.")
    middleware = tuple(value)
    for each in middleware:
        if not callable(each):
            raise InvalidOption(
                f"{argument}: {each!r} cannot be called; pass functions of (call_next, context, worker)."
            )
    return middleware


def checked_for_task(task_name: str, is_async_task: bool, value: Any) -> tuple[Any, ...]:
    """Return the middleware of one task, which must be of the task's kind.

    Raises
    ------
    MiddlewareKindMismatch
        If one is not.
    """
    middleware = checked("task_middleware", value)
    for each in middleware:
        if is_async(each) is not is_async_task:
            kinds = ("an async", "a plain") if is_async_task else ("a plain", "an async")
            raise MiddlewareKindMismatch(
                f"Task {task_name} is {'async' if is_async_task else 'synchronous'} and needs {kinds[0]} function as its "
                f"middleware; {each!r} is {kinds[1]} one."
            )
    return middleware


def checked_for_worker(value: Any) -> tuple[Any, ...]:
    """Return the middleware that wraps every job of a worker, which must be async.

    Raises
    ------
    MiddlewareKindMismatch
        If one is not.
    """
    middleware = checked("worker_middleware", value)
    for each in middleware:
        if not is_async(each):
            raise MiddlewareKindMismatch(f"worker_middleware: {each!r} must be an async function: it runs on the loop.")
    return middleware
