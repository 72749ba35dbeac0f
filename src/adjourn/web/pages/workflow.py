"""A workflow: which of its jobs wait for which."""

from __future__ import annotations

from typing import Any

from adjourn.sql.reading import LISTED
from adjourn.web.graphs import GraphNode, graph
from adjourn.web.page import Page, View
from adjourn.web.pages.states import status_of
from adjourn.web.problems import BadInput, NotFound

NAMED = 3
"""So many of the jobs that failed are named at once."""


def show(view: View) -> dict[str, Any]:
    """Return a workflow, its jobs, and their picture."""
    number = view.query.number("id")
    if number is None:
        raise BadInput("id", "it is missing: pass the number of a workflow.")
    with view.database.reader() as reader:
        found = reader.rows("workflow", id=number)
        jobs = reader.rows("workflow_jobs", id=number) if found else []
    if not found:
        raise NotFound(f"There is no workflow {number}. Workflows are deleted some time after they have ended.")
    flow = {**found[0], "status": status_of(found[0])}
    nodes = [
        GraphNode(
            id=job["id"],
            text=job["task"],
            number=str(job["id"]),
            status=job["status"],
            parents=job["parents"],
            address=view.url("job", id=job["id"]),
        )
        for job in jobs
    ]
    told = flow["name"] or f"number {number}"
    label = f"Workflow {told}: {flow['jobs']} jobs, {flow['remaining']} have not ended, {flow['failed']} have failed. The table below lists them."
    return {
        "title": f"Workflow {told}",
        "flow": flow,
        "jobs": jobs,
        "failed": [job for job in jobs if job["status"] in ("failed", "aborted")][:NAMED],
        "picture": graph(nodes, label),
        "most": LISTED,
    }


PAGE = Page(name="workflow", title="Workflow", show=show, is_listed=False, within="workflows")
