"""A queue: what waits and runs in it, who serves it, and what became of its jobs."""

from __future__ import annotations

from typing import Any

from adjourn.monitor.slots import serving_of
from adjourn.web import figures
from adjourn.web.failures import failures
from adjourn.web.page import Page, View
from adjourn.web.trends import trend

STATES = {"scheduled": "Scheduled", "blocked": "Behind locks", "unplaced": "Not placed yet"}
"""How jobs are told that wait for something else than a worker."""


def show(view: View) -> dict[str, Any]:
    """Return a queue. One that nobody has heard of is an empty one."""
    name = view.query.known_name("name")
    found = next((queue for queue in figures.queues(view) if queue["name"] == name), None)
    return {
        "title": f"Queue {name}",
        "of": name,
        "queue": found,
        "waiting": [
            (told, row)
            for state, told in STATES.items()
            for row in view.feed("states")
            if (row["queue"], row["state"]) == (name, state)
        ],
        "workers": serving_of(view.feed("crew"), name),
        "is_known": view.reading("queues").at is not None,
        "failures": failures(view, queue=name),
        "trend": trend(view, queue=name),
    }


PAGE = Page(
    name="queue", title="Queue", show=show, feeds=(*figures.OF_QUEUES, "states"), is_listed=False, within="queues"
)
