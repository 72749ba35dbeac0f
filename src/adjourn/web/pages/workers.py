"""The workers, and what each of them runs."""

from __future__ import annotations

from typing import Any

from adjourn.monitor.slots import is_late, taken_of
from adjourn.web.page import Page, View

_TOLD = ("host", "pid", "version", "python", "concurrency", "buffered", "outbox", "rss")
"""What the page shows of a worker's details. One that has registered and sent no heartbeat has none."""


def show(view: View) -> dict[str, Any]:
    """Return the workers with their jobs: those that are silent first, then those that run most."""
    jobs: dict[int, list[dict[str, Any]]] = {}
    for job in view.feed("working"):
        jobs.setdefault(job["worker_id"], []).append(job)
    workers = [
        {
            **worker,
            "details": dict.fromkeys(_TOLD) | (worker["details"] or {}),
            "jobs": jobs.get(worker["id"], []),
            "is_late": is_late(worker),
            "told": taken_of(worker, len(jobs.get(worker["id"], ()))),
        }
        for worker in view.feed("crew")
    ]
    workers.sort(key=lambda worker: (worker["is_alive"], -len(worker["jobs"]), worker["name"], worker["id"]))
    return {
        "workers": workers,
        "silent": sum(not worker["is_alive"] for worker in workers),
        "versions": sorted({each["details"]["version"] for each in workers if each["details"]["version"]}),
        "reading": view.reading("crew"),
    }


PAGE = Page(name="workers", title="Workers", show=show, key="w", feeds=("server", "crew", "working", "counters"))
