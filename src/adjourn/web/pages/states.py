"""How the states of things are told."""

from __future__ import annotations

from typing import Any

from adjourn._domain import workflows


def status_of(workflow: dict[str, Any]) -> str:
    """Return the status of a workflow, as `adjourn.workflows.WorkflowStatus` has it."""
    names = ("is_cancelled", "has_ended", "failed", "cancelled")
    return workflows.status_of(**{name: workflow[name] for name in names}).value
