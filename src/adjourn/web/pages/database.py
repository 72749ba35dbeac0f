"""The state of the database: what the doctor says, the tables, and what the dashboard itself costs."""

from __future__ import annotations

import time
from typing import Any

from adjourn.web import rendering
from adjourn.web.page import Page, View
from adjourn.web.weeks import weeks_of

SMALL = 100
"""A table that is so many times smaller than the largest one is folded away."""


def show(view: View) -> dict[str, Any]:
    """Return what is known of the database."""
    collector, kept = view.site.collector, view.site.kept
    server = view.feed("server")
    seconds = max(1.0, time.monotonic() - collector.began)
    tables = view.feed("database")
    largest = max((row["bytes"] for row in tables), default=0)
    large = [row for row in tables if row["bytes"] * SMALL >= largest]
    return {
        "server": server[0] if server else None,
        "checks": view.feed("doctor"),
        "doctor": view.reading("doctor"),
        "tables": tables,
        "largest": largest,
        "large": large,
        "small": [row for row in tables if row not in large],
        "sizes": view.reading("database"),
        "weeks": weeks_of(view.feed("partitions"), view.now, rendering.size),
        "oldest": next(iter(view.feed("oldest_transaction")), None),
        "queries": (collector.queries + kept.queries) / seconds,
        "busy": 1000 * (collector.busy + kept.busy) / seconds,
        "slowed": [name for name in view.page.feeds if view.reading(name).is_slowed] if view.page else [],
    }


PAGE = Page(
    name="database",
    title="Database",
    show=show,
    permission="database",
    key="d",
    feeds=("server", "doctor", "database", "partitions", "oldest_transaction", "counters"),
)
