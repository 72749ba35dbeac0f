"""Pauses of queues and tasks: what is done, and said."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from adjourn._domain.checks import LONGEST_REASON
from adjourn._domain.pauses import keeping, told_pauses
from adjourn._domain.wording import span
from adjourn.exceptions import ConnectorException
from adjourn.types import Row
from adjourn.web.inputs import Inputs
from adjourn.web.page import Action, Done, View
from adjourn.web.problems import Conflict, Unavailable

Scope: TypeAlias = Literal["queue", "task"]

LONGEST = 10 * 366 * 86_400
"""Seconds of a pause with an end."""


def pause(view: View, scope: Scope) -> Done:
    """Pause a queue or a task, for as long as the form says, and because of what it says.

    Raises
    ------
    Conflict
        If it is paused already, which the form did not know: it would take the end and the reason of somebody else's pause away.
    """
    name = view.form.known_name(scope)
    seconds = view.form.duration("seconds", most=LONGEST)
    reason = view.form.text("reason", most=LONGEST_REASON).strip() or None
    change = view.manager.pause_queue if scope == "queue" else view.manager.pause_task
    if not view.form.text("again"):
        _refuse_paused(view, scope, name)
    with view.database.changing() as connection:
        changed = change(name, seconds=seconds, reason=reason, connection=connection)
    told = f"is paused{'' if seconds is None else f' for {span(seconds)}'}" if changed else "was paused already"
    return _done(view, scope, name, told)


def pausing(scope: Scope) -> tuple[Action, Action]:
    """Return what pauses a queue or a task, and what resumes it."""
    name = f"{scope}.pause"

    def asked(form: Inputs) -> dict[str, list[str]]:
        return {"name": form.values.get(scope, [])}

    return (
        Action(name=name, permission="queue.pause", act=lambda view: pause(view, scope), page=scope, asked=asked),
        Action(name=f"{scope}.resume", permission="queue.pause", act=lambda view: resume(view, scope)),
    )


def resume(view: View, scope: Scope) -> Done:
    """Resume a queue or a task."""
    name = view.form.known_name(scope)
    change = view.manager.resume_queue if scope == "queue" else view.manager.resume_task
    with view.database.changing() as connection:
        changed = change(name, connection=connection)
    return _done(view, scope, name, "is resumed" if changed else "was resumed already")


def pauses_of(rows: Iterable[Row], places: Iterable[tuple[str | None, str]]) -> list[Row]:
    """Return the pauses, out of what the monitor reads, that keep jobs of some queues and tasks; a queue is None if it is not known."""
    return keeping(rows, places, lambda row: (row["scope"], row["name"]))


def told_waits(view: View, find: Callable[[], Iterable[tuple[str | None, str]]]) -> str:
    """Return which pauses keep jobs that were stored just now or are to run, each in a sentence after a space; empty if none does.

    It is empty, too, if nothing can be read: what was asked for is done already, and an error would have it done again.

    Parameters
    ----------
    find
        Returns the queue of each, None if it is not known, and the task; it may read.
    """
    with contextlib.suppress(ConnectorException, Unavailable):
        pauses = pauses_of(view.database.rows("pauses"), find())
        return told_pauses((row["scope"], row["name"], row["ends_at"] is not None) for row in pauses)
    return ""


def _refuse_paused(view: View, scope: Scope, name: str) -> None:
    # The app need not be open, so this is read as pages read.
    for old in view.database.rows("pauses"):
        if (old["scope"], old["name"]) == (scope, name):
            who = f" by {old['by']}" if old["by"] else ""
            why = f", because {old['reason']}" if old["reason"] else ""
            what = f"{scope.capitalize()} {name}"
            raise Conflict(
                f"{what} is paused already{who}{why}, and so nothing was done. Its page changes the pause.",
                lead=(f"{what} as it is now", view.url(scope, name=name)),
            )


def _done(view: View, scope: Scope, name: str, told: str) -> Done:
    view.site.collector.forget("pauses")
    is_own = view.form.text("page") == scope and not view.form.text("back")
    address = view.url(scope, name=name) if is_own else view.way_back() or view.url(f"{scope}s")
    return Done(f"{scope.capitalize()} {name} {told}.", address)
