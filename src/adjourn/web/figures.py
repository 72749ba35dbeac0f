"""Figures that several pages show, put together from what the collector has read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from adjourn._domain.wording import counted, shown, verb
from adjourn.monitor.figures import latencies
from adjourn.monitor.reasons import NOTICEABLE, UNSERVED, held_back, told_held, why_late
from adjourn.monitor.slots import queues_by_worker, serving_of, slots_of
from adjourn.monitor.unknown import told
from adjourn.web.page import View

OF_QUEUES = (
    "server",
    "latency",
    "late",
    "crew",
    "pauses",
    "paused_tasks",
    "queues",
    "unknown",
    "limits",
    "working",
    "counters",
)
"""The feeds that the figures of queues are made of."""
LONG = 60.0
"""From how many seconds on a wait is bad."""
WAITS = {
    "scheduled": "scheduled",
    "lock": "behind locks",
    "task": "of tasks that no worker knows",
    "turn": "to run apart",
}
"""How the kinds of waits are told."""


def queues(view: View, also: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the queues with what waits and runs in each, the longest wait for a worker first. Also those that are paused, and those that a worker
    serves by name.

    Parameters
    ----------
    also
        The names of queues that are returned in any case.
    """
    waits = {row["queue"] for row in view.feed("latency") if row["latency"] > 0}
    latency = latencies(view.feed("latency"), view.feed("late"))
    counts = {row["queue"]: row for row in view.feed("queues")}
    paused = {row["name"]: row for row in view.feed("pauses") if row["scope"] == "queue"}
    alive = serving_of(view.feed("crew"))
    served = {name for worker in alive for name in worker["queues"] or ()}
    held = held_back(view.feed("limits"))
    unknown: dict[str, list[dict[str, Any]]] = {}
    for row in view.feed("unknown"):
        unknown.setdefault(row["queue"], []).append(row)
    set_aside: dict[str, list[dict[str, Any]]] = {}
    for row in view.feed("paused_tasks"):
        set_aside.setdefault(row["queue"], []).append(row)
    running: Counter[str] = Counter(job["queue"] for job in view.feed("working"))
    working = queues_by_worker(view.feed("working"))
    found: list[dict[str, Any]] = []
    for name in (
        latency.keys()
        | counts.keys()
        | paused.keys()
        | running.keys()
        | unknown.keys()
        | set_aside.keys()
        | held.keys()
        | served
        | set(also)
    ):
        row = counts.get(name, {})
        ready = max(0, row.get("jobs", 0) - running[name])
        # Waits are read more often than jobs are counted: where one waits that is ready there is one at least.
        is_more = not ready and name in waits
        found.append(
            {
                "name": name,
                "held": held.get(name, ()),
                "latency": latency.get(name, 0.0),
                "ready": 1 if is_more else ready,
                "running": running[name],
                "is_capped": is_more or row.get("is_capped", False),
                "workers": len(serving_of(alive, name)),
                "slots": slots_of(alive, working, name),
                "pause": paused.get(name),
                "unknown": unknown.get(name, []),
                "paused_tasks": set_aside.get(name, []),
            }
        )
    for each in found:
        each["states"] = judged(each)
        each["reasons"] = [why for _, _, why in each["states"] if why]
    return sorted(found, key=lambda each: (-_wait(each), -each["ready"], each["name"]))


def _wait(queue: dict[str, Any]) -> float:
    """Return for how long the first job waits that could run if all were well."""
    waits: list[float] = [queue["latency"], *(row["seconds"] or 0.0 for row in queue["unknown"])]
    return max(waits)


def judged(queue: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return all states that a queue is in: each in a word, how bad that is, and why, as far as it can be seen."""
    found: list[tuple[str, str, str]] = []
    if queue["pause"]:
        until = "then" if queue["pause"].get("ends_at") else "it is resumed"
        found.append(("paused", "warn", f"no job starts until {until}"))
    if (queue["ready"] or queue["latency"]) and not queue["workers"]:
        found.append(("no worker", "bad", UNSERVED))
    if queue["latency"] >= NOTICEABLE and not queue["pause"]:
        word, grade = ("late", "bad") if queue["latency"] >= LONG else ("waiting", "warn")
        found.append((word, grade, why_late(queue["slots"], queue["held"], is_served=queue["workers"] > 0)))
    if queue["unknown"]:
        found.append(("unknown task", "bad", told(queue["unknown"])))
    if queue["paused_tasks"]:
        found.append(("paused task", "warn", _told_tasks(queue["paused_tasks"])))
    if queue["held"]:
        found.append(("limited", "warn", told_held(queue["held"])))
    if found:
        return found
    return [("working", "good", "")] if queue["ready"] or queue["running"] else [("idle", "", "")]


def _told_tasks(tasks: list[dict[str, Any]]) -> str:
    first, *others = tasks
    more = " or more" if first["is_capped"] else ""
    text = f"task {shown(first['task'])} is paused: {counted(first['jobs'], 'job')}{more} {verb(first['jobs'], 'waits', 'wait')}"
    return f"{text}; so {verb(len(others), 'is', 'are')} {counted(len(others), 'other task')} here" if others else text


def ended(view: View) -> list[dict[str, Any]]:
    """Return how many jobs of each task have ended within the last hour and how, those with most first.

    The latest jobs are known at once, but of a busy queue they are those of some minutes. Workers count all, and tell it every ten
    seconds, unless they were started without statistics. Neither counts too many: what has counted more is right.
    """
    latest = {row["task"]: row for row in view.feed("tasks")}
    found = dict(latest)
    for task, history in view.site.histories.by("task", view.now).items():
        failed, given_up = history.count("failed"), history.count("cancelled", "aborted")
        jobs = history.count("succeeded") + failed + given_up
        row = latest.get(task)
        if jobs > (row["ended"] if row else 0):
            seconds, longest = history.run.mean, row["longest"] if row else None
            found[task] = {
                "task": task,
                "ended": jobs,
                "failed": failed,
                "given_up": given_up,
                "seconds": seconds,
                "longest": longest,
            }
    return sorted(found.values(), key=lambda row: (-row["ended"], row["task"]))


def waits(view: View) -> list[dict[str, Any]]:
    """Return what waits for something else than a worker, with where there is more about it."""
    found = [{**row, "told": WAITS[row["kind"]]} for row in view.feed("waiting") if row["kind"] in WAITS]
    limits = view.feed("limits")
    if held := sum(limit["waiting"] for limit in limits):
        is_capped = any(limit["is_capped"] for limit in limits)
        found.append({"kind": "limit", "jobs": held, "is_capped": is_capped, "told": "held back by limits"})
    addresses = {
        "scheduled": view.url("jobs", order="due"),
        "limit": view.url("limits"),
        **{kind: view.url("jobs", waits_for=kind) for kind in ("lock", "task", "turn")},
    }
    return [{**row, "address": addresses.get(row["kind"])} for row in found]


def state_of(seconds: float) -> str:
    """Return the class of a wait: how bad it is."""
    return "bad" if seconds >= LONG else "warn" if seconds >= NOTICEABLE else ""
