"""The statements of what people do with jobs, and the notes of it."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Sequence

from adjourn import exceptions
from adjourn._memory.rules import due_at, stored_json, wake
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables
from adjourn.sql import EVEN_WITHOUT_JOBS
from adjourn.sql.constants import APART_FROM, HEADS, Hold
from adjourn.types import Row


@answers
def change_jobs(
    tables: Tables,
    *,
    ids: Sequence[int],
    priority: int | None,
    queue: str | None,
    reschedule: bool,
    at: datetime.datetime | None,
) -> list[Row]:
    """Change those of these jobs that wait."""
    changed = []
    for id_ in sorted(set(ids)):
        job = tables.jobs.get(id_)
        if job is None or job.worker_id is not None or job.hold is Hold.HELD:
            continue
        if reschedule and (job.hold is Hold.PARENTS or job.awaited_event is not None):
            continue
        if job.lock is not None and job.hold in HEADS:
            tables.headless.add(job.lock)
        new_time = due_at(tables, at, None) if reschedule else job.scheduled_at
        tables.change(
            job,
            priority=job.priority if priority is None else priority,
            queue=job.queue if queue is None else queue,
            scheduled_at=new_time,
            hold=_hold(tables, job, reschedule, new_time),
        )
        changed.append(id_)
    if changed:
        wake(tables, always=True)
    return [{"id": id_} for id_ in changed]


def _hold(tables: Tables, job: JobRow, reschedule: bool, at: datetime.datetime | None) -> Hold:
    if job.hold is Hold.PARENTS:
        return job.hold
    if (at is not None and at > tables.now) if reschedule else job.hold is Hold.SCHEDULED:
        return Hold.SCHEDULED
    if job.lock is not None:
        return Hold.UNPLACED
    if job.unknown_since is not None:
        return Hold.UNKNOWN
    return Hold.APART if job.doubts >= APART_FROM else Hold.READY


@answers
def hold_job(tables: Tables, *, job_id: int) -> list[Row]:
    """Refuse."""
    raise exceptions.ConnectorException(
        "The in-memory connector has no transactions, so it holds no job for anybody: use a connector to Postgres.",
        sqlstate="0A000",
    )


# The notes of what people do


@answers
def add_audit(
    tables: Tables,
    *,
    actor: str,
    how: str,
    action: str,
    target: str | None,
    filter: str | None,  # noqa: A002 - the statement's parameter
    jobs: int,
    ids: Sequence[int] | None,
    outcome: str,
    address: str | None,
    request_id: str | None,
) -> list[Row]:
    """Store a note. Its ids are for the dashboard, which reads Postgres."""
    row: Row = {"actor": actor, "how": how, "action": action, "target": target, "jobs": jobs}
    row["filter"] = None if filter is None else stored_json(filter)
    return [{"id": tables.add_note({**row, "outcome": outcome, "address": address, "request_id": request_id})}]


def note_down(tables: Tables, statement: str, note: str, rows: list[Row]) -> None:
    """Store the note of a statement with these rows, if it has changed something."""
    counts = [_changed(row) for row in rows]
    changed = sum(count for count in counts if count is not None)
    if changed > 0 or (statement in EVEN_WITHOUT_JOBS and counts != [None]):
        row = json.loads(note)
        row["filter"] = None if row["filter"] is None else stored_json(json.dumps(row["filter"]))
        tables.add_note({**row, "jobs": changed if row["jobs"] is None else row["jobs"]})


def _changed(row: Row) -> int | None:
    """Return how much a statement has changed, told from a row of it; None if there is no such thing."""
    ((name, value),) = row.items()
    return 1 if name in ("id", "name") else value == "changed" if name == "outcome" else value


@answers
def forget_audit(tables: Tables, *, days: int, limit: int) -> list[Row]:
    """Delete old notes, the oldest first."""
    before = tables.now - datetime.timedelta(days=days)
    old = [note["id"] for note in tables.notes if note["at"] < before][:limit]
    tables.notes = [note for note in tables.notes if note["id"] not in old]
    return [{"forgotten": len(old)}]


@answers
def list_audit(tables: Tables, *, target: str | None, before_id: int | None, limit: int) -> list[Row]:
    """List notes, the newest first."""
    found = (
        note
        for note in reversed(tables.notes)
        if (before_id is None or note["id"] < before_id) and target in (None, note["target"])
    )
    return [dict(note) for note in itertools.islice(found, limit)]
