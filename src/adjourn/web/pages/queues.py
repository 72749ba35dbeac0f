"""The queues, and their pauses."""

from __future__ import annotations

from typing import Any

from adjourn.web import figures
from adjourn.web.page import Action, Done, Page, View


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
    return _change(view, pause=True)


def resume(view: View) -> Done:
    """Start jobs of a queue again."""
    return _change(view, pause=False)


def _change(view: View, *, pause: bool) -> Done:
    name = view.form.known_name("queue")
    changed = view.pause("queue", name, pause=pause)
    word = "paused" if pause else "resumed"
    text = f"Queue {name} is {word}." if changed else f"Queue {name} was {word} already."
    return Done(text, view.url("queues"))


PAGE = Page(name="queues", title="Queues", show=show, key="q", feeds=(*figures.OF_QUEUES, "waiting"))
ACTIONS = (
    Action(name="queue.pause", permission="queue.pause", act=pause),
    Action(name="queue.resume", permission="queue.pause", act=resume),
)
