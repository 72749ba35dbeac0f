"""Notes of what people and workers did, in words."""

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
    "worker.died": "declared a worker dead",
}
"""What each action is, after the name of who did it."""
DEATH = "worker.died"
"""The action of who has declared a worker dead."""


def told_note(view: View, note: Mapping[str, Any]) -> dict[str, Any]:
    """Return a note with its action and its filter in words, and where its target leads."""
    action, target = note["action"], note["target"]
    is_bulk, is_death = action.startswith("bulk."), action == DEATH
    lead, what = "", target
    if target is not None:
        if action.startswith("job.") or action == "view_args":
            lead = view.url("job", id=target)
        elif is_bulk:
            lead, what = view.url("audit", target=target), f"change {target.removeprefix('bulk ')}"
        elif is_death:
            lead, what = view.url("workers"), f"{(note['details'] or {}).get('name', '')} ({target})"
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
        if (is_bulk or is_death) and target and note["has_ids"] and note["jobs"] and action != "bulk.delete"
        else "",
        "lead": lead,
        "what": what,
        "filters": told_filter(view, note["filter"] or {}),
    }
