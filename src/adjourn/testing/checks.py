"""Helpers for the tests of the contract; they need no test framework."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import Any, TypeVar

ErrorT = TypeVar("ErrorT", bound=BaseException)


def unique() -> str:
    """Return a unique name."""
    return f"contract {uuid.uuid4()}"


def new_job(**changes: Any) -> dict[str, Any]:
    """Return the parameters that store a job in its own queue."""
    plain = {"priority": 0, "lock": None, "args": "{}", "headers": None, "own_transaction": False}
    return {"queue": unique(), "task_name": "any", **plain, "scheduled_at": None, "schedule_in": None, **changes}


def check_that(is_true: bool, promise: str) -> None:
    """Fail with the text of a promise if it is not kept."""
    if not is_true:
        raise AssertionError(promise)


def check_equal(found: Any, expected: Any) -> None:
    """Fail if two values differ."""
    check_that(found == expected, f"expected {expected!r}, found {found!r}")


async def check_raises(kind: type[ErrorT], call: Awaitable[Any]) -> ErrorT:
    """Return the exception that a call raises; fail if it raises none. Exceptions of another kind pass through."""
    try:
        result = await call
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__} to be raised, found the result {result!r}")
