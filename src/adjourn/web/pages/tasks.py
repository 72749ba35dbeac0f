"""The tasks: how often they fail, and how long they take."""

from __future__ import annotations

from typing import Any

from adjourn.monitor.unknown import by_task
from adjourn.sql.reading import COUNTED
from adjourn.web import figures
from adjourn.web.page import Page, View
from adjourn.web.pages import pausing


def show(view: View) -> dict[str, Any]:
    """Return the tasks whose jobs have ended lately, those that run, those that are paused, and those that the app declares."""
    wanted = view.query.text("find").lower()
    ended = {row["task"]: row for row in figures.ended(view)}
    paused = {row["name"]: row for row in view.feed("pauses") if row["scope"] == "task"}
    running: dict[str, int] = {}
    for job in view.feed("working"):
        running[job["task"]] = running.get(job["task"], 0) + 1
    unknown = {row["task"]: row for row in by_task(view.feed("unknown"))}
    declared = {name for name, task in view.app.tasks.items() if name == task.name}
    tasks: list[dict[str, Any]] = [
        {
            "name": name,
            "figures": ended.get(name),
            "running": running.get(name, 0),
            "pause": paused.get(name),
            "unknown": unknown.get(name),
            "is_declared": name in declared,
        }
        for name in ended.keys() | paused.keys() | running.keys() | unknown.keys() | declared
        if wanted in name.lower()
    ]
    tasks.sort(
        key=lambda task: (
            -_failed(task),
            task["unknown"] is None,
            -task["running"],
            task["figures"] is None,
            task["name"],
        )
    )
    histories = view.site.histories.by("task", view.now)
    return {
        "tasks": tasks,
        "histories": histories,
        "find": view.query.text("find"),
        "counted": COUNTED,
        "reading": view.reading("tasks"),
    }


def _failed(task: dict[str, Any]) -> int:
    return int(task["figures"]["failed"]) if task["figures"] else 0


PAGE = Page(
    name="tasks",
    title="Tasks",
    show=show,
    key="t",
    feeds=("server", "tasks", "pauses", "working", "unknown", "counters"),
)
ACTIONS = pausing.pausing("task")
