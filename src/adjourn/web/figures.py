"""Figures that several pages show, put together from what the collector has read."""

from __future__ import annotations

from typing import Any

from adjourn.web.page import View

LONG = 60.0
"""From how many seconds on a wait is bad."""
NOTICEABLE = 10.0
"""From how many seconds on it is worth a look."""
WAITS = {
    "scheduled": "scheduled",
    "lock": "behind locks",
    "task": "of tasks that no worker knows",
    "turn": "to run apart",
}
"""How the kinds of waits are told."""


def queues(view: View) -> list[dict[str, Any]]:
    """Return the queues with what waits and runs in each, the longest wait first. Also those that are paused, and those that a worker
    serves by name."""
    latency = {row["queue"]: row["latency"] for row in view.feed("latency")}
    counts = {row["queue"]: row for row in view.feed("queues")}
    paused = {row["name"]: row for row in view.feed("pauses") if row["scope"] == "queue"}
    alive = [worker for worker in view.feed("crew") if worker["is_alive"]]
    served = {name for worker in alive for name in worker["queues"] or ()}
    found = []
    for name in latency.keys() | counts.keys() | paused.keys() | served:
        row = counts.get(name, {})
        serving = [worker for worker in alive if worker["queues"] is None or name in worker["queues"]]
        found.append(
            {
                "name": name,
                "latency": latency.get(name, 0.0),
                "ready": row.get("ready", 0),
                "running": row.get("running", 0),
                "is_capped": row.get("is_capped", False),
                "workers": len(serving),
                "slots": sum((worker["details"] or {}).get("concurrency", 0) for worker in serving),
                "pause": paused.get(name),
            }
        )
    return sorted(found, key=lambda each: (-each["latency"], -each["ready"], each["name"]))


def waits(view: View) -> list[dict[str, Any]]:
    """Return what waits for something else than a worker."""
    return [{**row, "told": WAITS[row["kind"]]} for row in view.feed("waiting") if row["kind"] in WAITS]


def state_of(seconds: float) -> str:
    """Return the class of a wait: how bad it is."""
    return "bad" if seconds >= LONG else "warn" if seconds >= NOTICEABLE else ""
