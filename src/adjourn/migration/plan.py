"""The step `plan`: what there is, and what stands in the way. It reads only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from adjourn._domain.wording import counted
from adjourn.app import App
from adjourn.migration.database import Database
from adjourn.migration.report import Report
from adjourn.sql import templates
from adjourn.types import Row

LISTED = 20
"""How many jobs of a kind are listed."""
SMALL_IDS = 2**31 - 1
"""The largest number of type integer."""
MOVED_A_SECOND = 5000
COPIED_A_SECOND = 15000
"""About how many jobs that wait are moved a second, and how many that have ended are copied."""
STALLED_AFTER = 30.0
"""Seconds after which a worker of Procrastinate that sends no heartbeat counts as gone."""


def make_plan(app: App, database: Database, id_gap: int, *, map_ids: bool) -> Report:
    """Look at everything, and return what was found."""
    source = database.source
    release = "3.1 or later" if source.has_heartbeats else "3.0" if source.is_third else "2"
    counts = database.rows("count_jobs")
    by_status: Counter[str] = Counter()
    for row in counts:
        by_status[row["status"]] += row["jobs"]
    live, events = database.row("count_live"), database.row("count_events")["events"]
    refused = database.rows("list_refused", limit=LISTED)
    facts: dict[str, Any] = {
        "from_schema": source.schema,
        "release": release,
        "by_status": dict(by_status),
        "jobs": counts,
        "events": events,
        "schedules": database.rows("list_ticks"),
        "refused": refused,
        "foreign_keys": database.rows("list_foreign_keys"),
        "triggers": database.rows("list_triggers"),
        "is_started": database.state() is not None,
        "seconds": 1 + live["todo"] // MOVED_A_SECOND + sum(by_status.values()) // COPIED_A_SECOND,
    }
    facts["warnings"] = [*_warnings(app, database, facts), *_id_warnings(database, id_gap, map_ids=map_ids)]
    to_decide = obstacles(database, id_gap, map_ids=map_ids)
    if live["refused"]:
        ids = ", ".join(f"{row['id']} ({row['reason']})" for row in refused)
        to_decide.append(
            f"{counted(live['refused'], 'job')} cannot be moved, and would stay, with all jobs of their locks: {ids}. "
            "Mend them with SQL, or cancel them."
        )
    return Report(step="plan", facts=facts, lines=_lines(facts), to_decide=to_decide)


def obstacles(database: Database, id_gap: int, *, map_ids: bool) -> list[str]:
    """Return why a migration cannot be started, each with its remedy."""
    return [
        *_missing_rights(database),
        *_foreign_keys(database),
        *([] if database.state() or map_ids else _taken_ids(database, id_gap)),
    ]


def first_id(ids: dict[str, Any], id_gap: int) -> int:
    """Return the first id that new jobs of ours get: there is room for those that Procrastinate stores meanwhile."""
    return int(max(ids["their_highest"], ids["their_last"])) + id_gap + 1


def _missing_rights(database: Database) -> list[str]:
    rows = database.rows("list_missing_rights", name=database.source.schema)
    return [
        "Triggers on a table need the rights of its owner, which this role does not have. Let the owner or a superuser run "
        f"`grant {templates.identifier(row['owner'])} to {templates.identifier(row['role'])};`."
        for row in rows
    ]


def _foreign_keys(database: Database) -> list[str]:
    told = {
        "cascade": "would delete its rows with the jobs that move",
        "restrict": "would keep these jobs from moving",
        "no action": "would keep these jobs from moving",
    }
    return [
        f"The foreign key {row['name']} of the table {row['table']} to procrastinate_jobs {told[row['on_delete']]} (on delete "
        f"{row['on_delete']}). Drop it: `alter table {row['table']} drop constraint {templates.identifier(row['name'])};`. Jobs keep their "
        "ids."
        for row in database.rows("list_foreign_keys")
        if row["on_delete"] in told
    ]


def _taken_ids(database: Database, id_gap: int) -> list[str]:
    ids = database.row("list_ids")
    their_last = max(ids["their_highest"], ids["their_last"])
    shared = database.row("count_shared_ids", their_last=their_last, first_id=first_id(ids, id_gap))
    if not shared["jobs"]:
        return []
    found = f"{counted(shared['jobs'], 'job')} already, with ids from {shared['lowest']} on"
    return [f"adjourn has {found}, which old jobs have or will have, too. Pass --map-ids to give those new ids."]


def _id_warnings(database: Database, id_gap: int, *, map_ids: bool) -> list[str]:
    if map_ids or database.state():
        return []
    first = first_id(database.row("list_ids"), id_gap)
    if first <= SMALL_IDS:
        return []
    return [
        f"New jobs would get ids from {first:,} on, too large for columns of type integer. Pass a smaller --id-gap."
    ]


def _warnings(app: App, database: Database, facts: dict[str, Any]) -> list[str]:
    return [
        *_warnings_of_app(app, facts),
        *(
            f"Job {row['id']} has a lock of more than 255 characters: it runs, but no other can be deferred with it."
            for row in database.rows("list_long_locks", limit=LISTED)
        ),
        *(
            f"Job {row['id']} of {row['task_name']} runs, and its worker is gone: `move --take-over-stalled` runs it again."
            for row in _stalled(database)
        ),
        *(
            f"The foreign key {row['name']} of the table {row['table']} forgets its job when that moves (on delete "
            f"{row['on_delete']}). Drop it to keep the ids."
            for row in facts["foreign_keys"]
            if row["on_delete"] in ("set null", "set default")
        ),
        *(
            f"The trigger {row['name']} on procrastinate_jobs ({row['function']}) fires for each job that moves."
            for row in facts["triggers"]
        ),
    ]


def _warnings_of_app(app: App, facts: dict[str, Any]) -> list[str]:
    waiting = {row["task_name"] for row in facts["jobs"] if row["status"] in ("todo", "doing", "aborting")}
    return [
        *(
            f"The app has no task {name!r}, of which jobs wait: declare it, or pass the name in `aliases` to the task that "
            "replaces it."
            for name in sorted(waiting - set(app.tasks))
        ),
        *(
            f"The app has no schedule {row['periodic_id']!r} of the task {row['task_name']!r}, which Procrastinate has "
            "deferred: the old workers go on with it until they are stopped."
            for row in facts["schedules"]
            if (row["task_name"], row["periodic_id"]) not in app.periodic_registry.periodic_tasks
        ),
    ]


def _stalled(database: Database) -> list[Row]:
    # Without heartbeats nobody knows.
    if not database.source.has_heartbeats:
        return []
    return database.rows("list_stalled", stalled_after=STALLED_AFTER, limit=LISTED)


def _lines(facts: dict[str, Any]) -> list[str]:
    by_task: Counter[tuple[str, str, str]] = Counter()
    for row in facts["jobs"]:
        by_task[row["status"], row["queue"], row["task_name"]] += row["jobs"]
    shown = [
        f"  {status:9} {number:>10,}  queue {queue}  task {task}" for (status, queue, task), number in by_task.items()
    ]
    total = sum(facts["by_status"].values())
    numbers = (
        f"{counted(total, 'job')}, {counted(facts['events'], 'event')}, {counted(len(facts['schedules']), 'schedule')}"
    )
    return [
        f"Procrastinate {facts['release']} in the schema {facts['from_schema']!r}: {numbers}",
        *shown,
        f"Moving and copying all of them takes about {counted(facts['seconds'], 'second')}",
        *(f"Warning: {each}" for each in facts["warnings"]),
    ]
