"""How the states of things are told."""

from __future__ import annotations

from typing import Any


def status_of(workflow: dict[str, Any]) -> str:
    """Return the status of a workflow, as `adjourn.workflows.WorkflowStatus` has it."""
    if workflow["is_cancelled"]:
        return "cancelled"
    if not workflow["has_ended"]:
        return "running"
    return "failed" if workflow["failed"] else "succeeded"
