"""A task: how often it fails, how long it takes, and what became of its jobs."""

from __future__ import annotations

from typing import Any

from adjourn.web.failures import failures
from adjourn.web.page import Page, View
from adjourn.web.trends import trend


def show(view: View) -> dict[str, Any]:
    """Return a task. One that nobody has heard of is one that has never run."""
    name = view.query.known_name("name")
    declared = view.app.tasks.get(name)
    return {
        "title": f"Task {name}",
        "of": name,
        "declared": declared if declared is not None and declared.name == name else None,
        "pause": next((row for row in view.feed("pauses") if row["scope"] == "task" and row["name"] == name), None),
        "working": [job for job in view.feed("working") if job["task"] == name],
        "limit": next((row for row in view.feed("limits") if row["scope"] == "task" and row["name"] == name), None),
        "failures": failures(view, task=name),
        "trend": trend(view, task=name),
    }


PAGE = Page(
    name="task",
    title="Task",
    show=show,
    feeds=("server", "pauses", "working", "limits", "counters"),
    is_listed=False,
    within="tasks",
)
