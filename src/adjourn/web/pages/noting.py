"""Notes of what people did, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adjourn.web.page import View
from adjourn.web.pages.searching import told_filter

DONE = {
    "job.defer": "stored a job",
    "job.retry": "ran a job again",
    "job.run_now": "had a job run now",
    "job.reschedule": "put a job off",
    "job.priority": "changed a job's priority",
    "job.move": "moved a job to another queue",
    "job.cancel": "cancelled a job",
    "job.abort": "asked a job to end",
    "job.delete": "deleted a job",
    "job.change": "changed a job",
    "view_args": "looked at a job's hidden arguments",
    "bulk.retry": "ran many jobs again",
    "bulk.run_now": "had many jobs run now",
    "bulk.reschedule": "put many jobs off",
    "bulk.priority": "changed the priority of many jobs",
    "bulk.move": "moved many jobs to another queue",
    "bulk.cancel": "cancelled many jobs",
    "bulk.abort": "asked many jobs to end",
    "bulk.delete": "deleted many jobs",
    "bulk.change": "changed many jobs",
    "queue.pause": "paused a queue",
    "queue.resume": "resumed a queue",
    "task.pause": "paused a task",
    "task.resume": "resumed a task",
    "schedule.run": "ran a schedule now",
    "schedule.pause": "paused a schedule",
    "schedule.resume": "resumed a schedule",
    "limit.set": "set a limit",
    "limit.reset": "took a limit back",
    "workflow.cancel": "cancelled a workflow",
    "workflow.abort": "asked the jobs of a workflow to end",
    "workflow.retry": "ran a workflow again",
}
"""What each action is, after the name of who did it."""


def told_note(view: View, note: Mapping[str, Any]) -> dict[str, Any]:
    """Return a note with its action and its filter in words, and where its target leads."""
    action, target = note["action"], note["target"]
    is_bulk = action.startswith("bulk.")
    lead = ""
    if target is not None:
        if action.startswith("job.") or action == "view_args":
            lead = view.url("job", id=target)
        elif is_bulk:
            lead = view.url("audit", target=target)
        elif action.startswith("workflow."):
            lead = view.url("workflow", id=target)
        elif action.startswith("limit."):
            lead = view.url("limits")
        elif action.startswith("schedule."):
            lead = view.url("schedules")
        elif action.startswith(("queue.", "task.")):
            lead = view.url(action.partition(".")[0], name=target)
    return {
        **note,
        "told": DONE.get(action, action),
        "changed": view.url("jobs", change=target.removeprefix("bulk "))
        if is_bulk and target and note["has_ids"] and note["jobs"] and action != "bulk.delete"
        else "",
        "lead": lead,
        "what": f"change {target.removeprefix('bulk ')}" if is_bulk and target else target,
        "filters": told_filter(view, note["filter"] or {}),
    }
