"""The workers, what each of them runs, and which were declared dead in the last day."""

from __future__ import annotations

from typing import Any

from adjourn.monitor.deaths import Death, deaths
from adjourn.monitor.slots import is_late, taken_of
from adjourn.web.page import Page, View

_TOLD = ("host", "pid", "version", "python", "concurrency", "buffered", "outbox", "rss", "ending")
"""What the page shows of a worker's details. One that has registered and sent no heartbeat has none."""

SHOWN = 50
"""So many workers that were declared dead are shown."""


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
    dead, is_more = deaths(view.feed("deaths"))
    return {
        "workers": workers,
        "deaths": [(each, _again(each, workers)) for each in dead[:SHOWN]],
        "died": len(dead),
        "is_more": is_more,
        "silent": sum(not worker["is_alive"] for worker in workers),
        "versions": sorted({each["details"]["version"] for each in workers if each["details"]["version"]}),
        "reading": view.reading("crew"),
    }


def _again(dead: Death, workers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the worker of the same name and process that is there now: the dead one was only silent, or was started again."""
    was = dead.worker
    if was.host is None:
        return None
    return next(
        (
            worker
            for worker in workers
            if worker["is_alive"]
            and worker["id"] > was.id
            and (worker["name"], worker["details"]["host"], worker["details"]["pid"]) == (was.name, was.host, was.pid)
        ),
        None,
    )


PAGE = Page(
    name="workers", title="Workers", show=show, key="w", feeds=("server", "crew", "working", "counters", "deaths")
)
