"""The queues, and their pauses."""

from __future__ import annotations

from typing import Any

from adjourn.types import Row
from adjourn.web import figures
from adjourn.web.page import Page, View
from adjourn.web.pages import pausing
from adjourn.web.pages.queue import STATES
from adjourn.web.problems import BadInput

COUNTED = "states"
"""The feed of what waits for something else than a worker. Rows are read for it, so it is only for who has chosen such a column."""


def show(view: View) -> dict[str, Any]:
    """Return the queues."""
    wanted = view.query.text("find").lower()
    columns = _chosen(view)
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


def _chosen(view: View) -> list[str]:
    """Return the columns that the address names, in their order.

    Raises
    ------
    BadInput
        If it names one that there is not.
    """
    asked = set(view.query.values.get("column", ()))
    for name in asked:
        if name not in STATES:
            raise BadInput("column", f"{name[:40]!r} is none of {', '.join(STATES)}.")
    return [name for name in STATES if name in asked]


PAGE = Page(name="queues", title="Queues", show=show, key="q", feeds=(*figures.OF_QUEUES, "waiting"))
ACTIONS = pausing.pausing("queue")
