"""The notes of workers that were declared dead."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Sequence
from typing import Any

from adjourn._memory.rules import stored_json
from adjourn._memory.tables import JobRow, Tables, WorkerRow
from adjourn.sql.constants import NOTED_TEXT, RESCUED_IDS
from adjourn.types import JSONDict


def note_deaths(
    tables: Tables, dead: Sequence[WorkerRow], jobs: Sequence[JobRow], failed: Collection[int], by: str, how: str
) -> list[JSONDict]:
    """Leave a note of each of these workers, and return the details of all."""
    return [_noted(tables, each, [job for job in jobs if job.worker_id == each.id], failed, by, how) for each in dead]


def _noted(
    tables: Tables, worker: WorkerRow, jobs: Sequence[JobRow], failing: Collection[int], by: str, how: str
) -> JSONDict:
    details_said: Any = json.loads(worker.details or "{}")
    said: JSONDict = details_said if isinstance(details_said, dict) else {}
    freed = sorted(job.id for job in jobs if job.id not in failing)
    failed = sorted(job.id for job in jobs if job.id in failing)
    is_silent = worker.expires_at < tables.now
    details: JSONDict = {
        "worker_id": worker.id,
        "name": worker.name,
        "host": said["host"] if isinstance(said.get("host"), str) else None,
        **{name: _number(said.get(name)) for name in ("pid", "rss")},
        "started_at": worker.started_at.isoformat(),
        "last_heartbeat_at": worker.last_heartbeat_at.isoformat(),
        "is_silent": is_silent,
        "freed": len(freed),
        "failed": len(failed),
        "freed_ids": freed[:RESCUED_IDS],
        "failed_ids": failed[:RESCUED_IDS],
    }
    host = "" if details["host"] is None else f" on {details['host'][:NOTED_TEXT]}"
    pid = "" if details["pid"] is None else f", pid {details['pid']}"
    left = "" if is_silent else ", left with jobs or was declared dead by hand"
    beat = worker.last_heartbeat_at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    told = f"{len(freed)} of its jobs freed, {len(failed)} failed" if jobs else "it had no jobs"
    note: dict[str, Any] = {"actor": by, "how": how, "action": "worker.died", "target": f"worker {worker.id}"}
    note |= {"filter": None, "details": stored_json(json.dumps(details)), "jobs": len(jobs)}
    outcome = f"{worker.name[:NOTED_TEXT]}{host}{pid}{left}, last heartbeat {beat}: {told}"
    tables.add_note({**note, "outcome": outcome, "address": None, "request_id": None})
    return details


def _number(said: object) -> int | None:
    """Return a number that a worker has said of itself; None if it is none that can be."""
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < 10**18 else None
