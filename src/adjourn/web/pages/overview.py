"""What goes on: how long jobs wait, how much is done, and what is wrong."""

from __future__ import annotations

import datetime
from typing import Any

from adjourn.monitor.slots import is_late, queues_by_worker, serving_of, slots_of
from adjourn.web import figures
from adjourn.web.page import Page, View
from adjourn.web.trends import trend

WORST = 3
MOST_LISTED = 8


def show(view: View) -> dict[str, Any]:
    """Return the figures of the whole queue."""
    queues = figures.queues(view)
    going = [queue for queue in queues if not queue["pause"]]  # a paused queue waits for its end
    crew = view.feed("crew")
    rates, depths = list(view.site.collector.rates), list(view.site.collector.depths)
    tasks = figures.ended(view)
    return {
        "queues": queues[:MOST_LISTED],
        "queue_count": len(queues),
        "latency": max((queue["latency"] for queue in going), default=0.0),
        "latest": max(going, key=lambda queue: queue["latency"], default=None),
        "held": sum(limit["waiting"] for limit in view.feed("limits")),
        "crew": crew,
        "alive": len(serving_of(crew)),
        "late": sum(is_late(worker) for worker in crew),
        "slots": slots_of(crew, queues_by_worker(view.feed("working"))),
        "working": view.feed("working"),
        "waits": figures.waits(view),
        "rates": rates,
        "depths": depths,
        "depth_since": view.clock(datetime.datetime.fromtimestamp(depths[0].at, datetime.UTC)) if depths else "",
        "ready": sum(queue["ready"] for queue in queues),
        "is_ready_capped": any(queue["is_capped"] for queue in queues),
        "failing": sorted((task for task in tasks if task["failed"]), key=lambda task: -task["failed"])[:MOST_LISTED],
        "ended": sum(task["ended"] for task in tasks),
        "failed": sum(task["failed"] for task in tasks),
        "worst": [row for row in view.feed("doctor") if row["level"] != "ok"][:WORST] if view.may("database") else [],
        "doctor": view.reading("doctor"),
        "trend": trend(view),
        "is_known": view.reading("crew").at is not None,
    }


PAGE = Page(
    name="overview",
    title="Overview",
    show=show,
    path="/",
    key="o",
    feeds=(
        "server",
        "latency",
        "late",
        "crew",
        "working",
        "counters",
        "pauses",
        "queues",
        "waiting",
        "unknown",
        "paused_tasks",
        "limits",
        "tasks",
        "doctor",
    ),
)
