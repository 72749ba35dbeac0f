"""The queues, and their pauses."""

from __future__ import annotations

from typing import Any

from adjourn.web import figures
from adjourn.web.page import Action, Done, Page, View
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


def pause(view: View) -> Done:
    """Start no more jobs of a queue."""
    return pausing.pause(view, "queue")


def resume(view: View) -> Done:
    """Start jobs of a queue again."""
    return pausing.resume(view, "queue")


PAGE = Page(name="queues", title="Queues", show=show, key="q", feeds=(*figures.OF_QUEUES, "waiting"))
ACTIONS = (
    Action(name="queue.pause", permission="queue.pause", act=pause),
    Action(name="queue.resume", permission="queue.pause", act=resume),
)
