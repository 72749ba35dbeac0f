"""The queues, and their pauses."""

from __future__ import annotations

from typing import Any

from adjourn.web import figures
from adjourn.web.page import Page, View
from adjourn.web.pages import pausing


def show(view: View) -> dict[str, Any]:
    """Return the queues."""
    wanted = view.query.text("find").lower()
    queues = figures.queues(view)
    return {
        "find": wanted,
        "queues": [queue for queue in queues if wanted in queue["name"].lower()],
        "every": len(queues),
        "histories": view.site.histories.by("queue", view.now),
        "waits": figures.waits(view),
        "counts": view.reading("queues"),
    }


PAGE = Page(name="queues", title="Queues", show=show, key="q", feeds=(*figures.OF_QUEUES, "waiting"))
ACTIONS = pausing.pausing("queue")
