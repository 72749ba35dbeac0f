"""Pauses of queues and tasks: what is done, and said."""

from __future__ import annotations

from typing import Literal, TypeAlias

from adjourn._domain.checks import LONGEST_REASON
from adjourn._domain.wording import span
from adjourn.web.page import Done, View

Scope: TypeAlias = Literal["queue", "task"]

LONGEST = 10 * 366 * 86_400
"""Seconds of a pause with an end."""


def pause(view: View, scope: Scope) -> Done:
    """Pause a queue or a task, for as long as the form says, and because of what it says."""
    name = view.form.known_name(scope)
    seconds = view.form.number("seconds", least=1, most=LONGEST)
    reason = view.form.text("reason", most=LONGEST_REASON).strip() or None
    change = view.manager.pause_queue if scope == "queue" else view.manager.pause_task
    with view.database.changing() as connection:
        changed = change(name, seconds=seconds, reason=reason, connection=connection)
    told = f"is paused{'' if seconds is None else f' for {span(seconds)}'}" if changed else "was paused already"
    return _done(view, scope, name, told)


def resume(view: View, scope: Scope) -> Done:
    """Resume a queue or a task."""
    name = view.form.known_name(scope)
    change = view.manager.resume_queue if scope == "queue" else view.manager.resume_task
    with view.database.changing() as connection:
        changed = change(name, connection=connection)
    return _done(view, scope, name, "is resumed" if changed else "was resumed already")


def _done(view: View, scope: Scope, name: str, told: str) -> Done:
    view.site.collector.forget("pauses")
    return Done(f"{scope.capitalize()} {name} {told}.", view.url(f"{scope}s"))
