"""The rights that a role of the database needs, by what it does, as GRANT statements."""

from __future__ import annotations

from collections.abc import Mapping

from adjourn.sql.templates import DEFAULT_SCHEMA, checked, identifier

OWNER = "owner"
_EVERYONES = (
    "usage on schema {schema}",
    "execute on all functions in schema {schema}",
    "select on {adjourn_migrations}",
)
_VIEWS = ("all_jobs", "events")
_TABLES = (
    "jobs",
    "finished_jobs",
    "lapses",
    "workers",
    "schedules",
    "headless_locks",
    "steps",
    "sent_events",
    "event_notes",
    "dependencies",
    "arrivals",
    "workflows",
    "unique_keys",
    "limits",
    "open_limits",
    "starts",
    "due_rates",
    "pauses",
    "stats",
)

_PLACES = "limit_id, limit_key, key_slot, task_slot, queue_slot, turn, gate_id, gate_key"

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    OWNER: ("applies the schema and owns its tables; makes partitions, and drops old ones", ()),
    "worker": (
        "runs workers, defers jobs, and does all that operators do",
        (
            *_EVERYONES,
            *(f"select, insert, update, delete on {{adjourn_{table}}}" for table in _TABLES),
            *(f"select on {{adjourn_{view}}}" for view in _VIEWS),
            # It deletes old notes.
            "select, insert, delete on {adjourn_audit}",
            "usage on sequence {adjourn_jobs_id_seq}",
        ),
    ),
    "producer": (
        "defers jobs, replaces unique ones that wait, and cannot read their arguments",
        (
            *_EVERYONES,
            "insert on {adjourn_jobs}",
            # What a defer returns, and what the error about a taken queueing lock names.
            "select (id, waiting_queueing_lock, enqueued_at) on {adjourn_jobs}",
            # Whether a unique job is there, and what it gets if it is to be replaced.
            "select (worker_id, lock, hold, special) on {adjourn_jobs}",
            "update (queue, task_name, priority, lock, args, headers, scheduled_at) on {adjourn_jobs}",
            "update (losses, doubts, unknown_since, awaited_event, hold, has_steps, expires_at, max_attempts, is_batch, aged) on {adjourn_jobs}",
            # What a replaced job remembered.
            "delete on {adjourn_steps}",
            "select (job_id) on {adjourn_steps}",
            "select (id, status) on {adjourn_finished_jobs}",
            "select, insert, update on {adjourn_unique_keys}",
            "insert on {adjourn_headless_locks}",
            "select on {adjourn_workers}",
            # It sends events, and cannot read their payloads.
            "insert, update (name), delete, select (name, expires_at) on {adjourn_sent_events}",
            "insert on {adjourn_event_notes}",
            # Which limits a job has to pass, and what is noted for the worker that places it.
            "select, insert, update on {adjourn_limits}",
            "insert on {adjourn_open_limits}",
            "select on {adjourn_pauses}",
            f"select ({_PLACES}), update (special, {_PLACES}) on {{adjourn_jobs}}",
            "insert on {adjourn_dependencies}",
            "select, insert on {adjourn_arrivals}",
            "select, insert, update on {adjourn_workflows}",
            "usage on sequence {adjourn_jobs_id_seq}",
        ),
    ),
    "reader": (
        "lists jobs, workers and schedules, as a dashboard does, and waits for jobs",
        (
            *_EVERYONES,
            *(f"select on {{adjourn_{table}}}" for table in (*_VIEWS, *_TABLES, "audit")),
            # How many jobs are in no week's partition.
            "select on {adjourn_finished_jobs_default}",
            # Who waits for a job marks it.
            "update (waited, special) on {adjourn_jobs}",
            "update (waited) on {adjourn_workflows}",
        ),
    ),
    "operator": (
        "lists jobs as readers do, and retries, cancels, aborts and deletes them; sets limits and pauses",
        (
            *_EVERYONES,
            *(f"select on {{adjourn_{table}}}" for table in (*_VIEWS, "workers", "schedules")),
            *(
                f"select, insert, update, delete on {{adjourn_{table}}}"
                for table in (
                    *("jobs", "finished_jobs", "lapses", "dependencies", "arrivals", "workflows"),
                    *("steps", "sent_events", "event_notes"),
                )
            ),
            "insert on {adjourn_headless_locks}",
            "select, insert on {adjourn_stats}",
            "insert on {adjourn_open_limits}",
            "select, insert, update, delete on {adjourn_limits}",
            "select, insert, update, delete on {adjourn_pauses}",
            "insert, update (paused_at, pause_ends_at, paused_by, pause_reason) on {adjourn_schedules}",
            # What they have done. Nobody changes that.
            "select, insert on {adjourn_audit}",
            # A job that is deleted by hand does not count for its unique key any more.
            "select, update on {adjourn_unique_keys}",
        ),
    ),
}
"""What each kind of role does, and the rights that it needs."""


def grants(kind: str, role: str, schema: str = DEFAULT_SCHEMA) -> str:
    """Return the statements that give a role the rights of a kind, with a comment that says what the kind does.

    Parameters
    ----------
    kind
        One of `KINDS`.
    role
        The name of the role.
    schema
        The name of the schema.
    """
    checked(schema)
    what, rights = KINDS[kind]
    lines = [f"-- {kind}: {what}"]
    if kind == OWNER:
        lines.append(f"create schema if not exists {identifier(schema)} authorization {identifier(role)};")
    lines.extend(f"grant {right.format_map(_Names(schema))} to {identifier(role)};" for right in rights)
    return "\n".join(lines) + "\n"


class _Names(dict[str, str]):
    """The quoted names of a schema and of what is in it."""

    def __init__(self, schema: str) -> None:
        super().__init__(schema=identifier(schema))

    def __missing__(self, name: str) -> str:
        return f"{self['schema']}.{name}"
