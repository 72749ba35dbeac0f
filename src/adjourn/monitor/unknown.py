"""Jobs of tasks that no worker knows: how they are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adjourn._domain.wording import counted, shown, span, verb

Row = Mapping[str, Any]


def by_task(rows: Iterable[Row]) -> list[Row]:
    """Add up what waits in several queues: rows of ``sql/monitor/unknown``, and return a row a task, the longest wait first."""
    found: dict[str, Row] = {}
    for row in rows:
        other = found.get(row["task"])
        if other is not None:
            row = {
                "task": row["task"],
                "jobs": row["jobs"] + other["jobs"],
                "is_capped": row["is_capped"] or other["is_capped"],
                "seconds": max(row["seconds"] or 0.0, other["seconds"] or 0.0),
            }
        found[row["task"]] = row
    return sorted(found.values(), key=lambda row: (-(row["seconds"] or 0.0), row["task"]))


def waiting(row: Row) -> str:
    """Return how many jobs wait, and for how long: ``3 jobs wait, the first for 5 min``."""
    more = " or more" if row["is_capped"] else ""
    wait = verb(row["jobs"], "waits", "wait")
    return f"{counted(row['jobs'], 'job')}{more} {wait}, the first for {span(row['seconds'])}"


def told(rows: Iterable[Row]) -> str:
    """Return which tasks no worker knows, of one at least: ``no worker knows task send: 3 jobs wait, the first for 5 min``."""
    first, *others = by_task(rows)
    more = f"; nor {counted(len(others), 'other task')} of which jobs wait" if others else ""
    return f"no worker knows task {shown(first['task'])}: {waiting(first)}{more}"
