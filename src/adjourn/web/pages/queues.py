"""The queues, and their pauses."""

from __future__ import annotations

from typing import Any

from adjourn.types import Row
from adjourn.web import figures
from adjourn.web.page import Page, View
from adjourn.web.pages import pausing
from adjourn.web.pages.queue import STATES

COUNTED = "states"
"""The feed of what waits for something else than a worker. Rows are read for it, so it is only for who has chosen such a column."""


def show(view: View) -> dict[str, Any]:
    """Return the queues."""
    wanted = view.query.text("find").lower()
    columns = view.query.several("column", STATES)
    others: dict[tuple[str, str], Row] = {}
    if columns:
        view.site.collector.wait((COUNTED,))
        others = {(row["queue"], row["state"]): row for row in view.feed(COUNTED) if row["state"] in columns}
    queues = figures.queues(view, {name for name, _ in others})
    return {
        "find": wanted,
        "queues": [queue for queue in queues if wanted in queue["name"].lower()],
        "every": len(queues),
        "histories": view.site.histories.by("queue", view.now),
        "waits": figures.waits(view),
        "counts": view.reading("queues"),
        "choices": STATES,
        "columns": columns,
        "others": others,
        "other_counts": view.reading(COUNTED),
    }


PAGE = Page(name="queues", title="Queues", show=show, key="q", feeds=(*figures.OF_QUEUES, "waiting"))
ACTIONS = pausing.pausing("queue")
