"""What is said of a pause: for how long, by whom and why."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TypeVar

from adjourn._domain.checks import check_reason
from adjourn._domain.noting import Note
from adjourn._domain.time_checks import check_aware, check_seconds
from adjourn._domain.wording import shown
from adjourn.exceptions import InvalidOption
from adjourn.types import JSONDict

P = TypeVar("P")


def pause_parameters(
    seconds: float | None, until: datetime.datetime | None, reason: str | None, note: Note | None
) -> JSONDict:
    """Return the parameters of a statement that pauses something.

    Raises
    ------
    InvalidOption
        If one of them is not valid, or there are two ends.
    """
    check_seconds("seconds", seconds, above_zero=True, optional=True)
    if until is not None:
        check_aware("until", until)
        if seconds is not None:
            raise InvalidOption("seconds and until exclude each other: pass one of them.")
    check_reason("reason", reason)
    return {"seconds": seconds, "until": until, "reason": reason, "by": None if note is None else note.author.name}


PAUSED = {
    ("queue", False): "Queue %(name)s is paused: no job of it starts until it is resumed.",
    ("queue", True): "Queue %(name)s is paused: no job of it starts until the pause ends.",
    ("task", False): "Task %(name)s is paused: no job of it starts until it is resumed.",
    ("task", True): "Task %(name)s is paused: no job of it starts until the pause ends.",
}
"""What is said of a pause that keeps jobs, by what is paused and whether the pause has an end."""


def keeping(
    pauses: Iterable[P], places: Iterable[tuple[str | None, str]], scope_and_name: Callable[[P], tuple[str, str]]
) -> list[P]:
    """Return the pauses that keep jobs from starting, in their order.

    Parameters
    ----------
    pauses
        Pauses, however the caller has them.
    places
        The queue of each job, None if it is not known, and its task.
    scope_and_name
        Returns of a pause what it pauses, such as ``"queue"``, and the name of that.
    """
    names = {key for queue, task in places for key in (("queue", queue), ("task", task))}
    return [pause for pause in pauses if scope_and_name(pause) in names]


def told_pauses(pauses: Iterable[tuple[str, str, bool]]) -> str:
    """Return what is added to the news that a job is to run, where something keeps it: one sentence for each pause, each after a space.

    Parameters
    ----------
    pauses
        Of each ``"queue"`` or ``"task"``, the name of that, and whether the pause has an end.
    """
    return "".join(f" {PAUSED[scope, ends] % {'name': shown(name)}}" for scope, name, ends in pauses)
