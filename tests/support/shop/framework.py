"""Tasks of the framework: of ``django.tasks``, or of its backport."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from adjourn import Limit, Unique
from adjourn.contrib.django.tasks import options
from adjourn.exceptions import JobAborted
from support.shop.models import Order

# The types of Django's own decorator and tasks do not know of a backend's options.
task: Callable[..., Any] = importlib.import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks").task

takes_context: Callable[..., Any] = task(takes_context=True)

calls: list[Any] = []
"""What the tasks were called with."""

not_a_task = calls.append


@task
def note(*args: Any, **kwargs: Any) -> list[Any]:
    """Note the call, and return it."""
    calls.append([*args, kwargs])
    return [*args, kwargs]


@task
async def note_async(*args: Any, **kwargs: Any) -> list[Any]:
    """Note the call, and how many orders there are."""
    calls.append([*args, kwargs, await Order.objects.acount()])
    return [*args, kwargs]


@task
def other() -> None:
    """Do nothing."""


@task
def fail(reason: str = "lost") -> None:
    """Raise an error."""
    raise LookupError(reason)


@takes_context
def attempt(context: Any, fails: int = 0) -> list[Any]:
    """Say which attempt this is, and fail so many times."""
    result = context.task_result
    calls.append([context.attempt, result.id, str(result.status), len(result.errors), len(result.worker_ids)])
    if context.attempt <= fails:
        raise LookupError(f"attempt {context.attempt}")
    return [context.attempt, result.id]


@takes_context
async def attempt_async(context: Any, fails: int = 0) -> list[Any]:
    """Do the same, asynchronously."""
    noted: list[Any] = attempt.func(context, fails)
    return noted


@task
def return_(kind: str, size: int = 0) -> Any:
    """Return something."""
    if kind == "text":
        return "x" * size
    return {
        "set": {1, 2},
        "object": object(),
        "tuple": (1, (2, b"three")),
        "nan": float("nan"),
        "bytes": b"\xff",
        "null": None,
        "list": ["x"] * min(size, 5000),
    }[kind]


@task
def order() -> int:
    """Store an order."""
    return int(Order.objects.create(name="ordered").pk)


@task
def hang_for(directory: str, times: int) -> int:
    """Hang in the first runs, and say in which process."""
    place = Path(directory)
    runs = len(list(place.iterdir()))
    (place / f"{runs}-{os.getpid()}").touch()
    if runs < times:
        time.sleep(600)
    return runs


@task
def abort() -> None:
    """End this job as aborted."""
    raise JobAborted


def not_found_by_its_name() -> None:
    """Be a function, not a task."""


class Shelf:
    """Has a function that no path leads to."""

    @staticmethod
    def inner() -> None:
        """Do nothing."""


@task
@options(retry=1)
def dogged() -> None:
    """Fail twice."""
    raise LookupError


running: dict[str, int] = {}
most: dict[str, int] = {}
"""How many calls of `limited` run for each tenant and in all, and how many have at most."""
_counting = threading.Lock()


@task
@options(limits=[Limit(concurrency=2), Limit(key="tenant", concurrency=1)])
def limited(tenant: str, number: int = 0, pause: float = 0.05) -> None:
    """Count the calls that run at the same time."""
    with _counting:
        for name in (tenant, "all"):
            running[name] = running.get(name, 0) + 1
            most[name] = max(most.get(name, 0), running[name])
    time.sleep(pause)
    with _counting:
        for name in (tenant, "all"):
            running[name] -= 1
    calls.append([tenant, number])


@takes_context
@options(unique=Unique(args=["customer"], on_conflict="skip"))
def greet(context: Any, customer: int, /, text: str = "hello", **more: Any) -> str:
    """Greet a customer once."""
    calls.append([context.attempt, customer, text])
    return text


@task
@options(unique=Unique())
async def sync_customer(customer: int, full: bool = False) -> None:
    """Do nothing, once at a time."""


if not (6, 0) <= django.VERSION < (6, 1):
    with_retry: Callable[..., Any] = task(retry=1)

    @with_retry
    def stubborn() -> None:
        """Fail twice."""
        raise LookupError
