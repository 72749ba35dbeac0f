"""What the database says in the end: its jobs, waiting, running and finished, and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import class_row

JOBS = """
    select j.id, j.task_name as task, j.status, j.claim, j.attempts, j.priority, j.lock, j.worker_id as worker,
           j.args ->> 'key' as key, (j.args ->> 'timestamp')::bigint as tick, j.scheduled_at > now() as is_scheduled,
           coalesce(f.losses, l.losses) as losses, j.args, j.workflow_id as workflow
    from adjourn.adjourn_all_jobs j
    left join adjourn.adjourn_jobs l on l.id = j.id and j.is_live
    left join adjourn.adjourn_finished_jobs f on f.id = j.id and not j.is_live
"""
WORKFLOWS = "select id, jobs, remaining, failed, finished_at is not null as is_ended from adjourn.adjourn_workflows"


@dataclass(frozen=True)
class JobRow:
    """A job as it is stored."""

    id: int
    task: str
    status: str
    claim: int
    attempts: int = 0
    priority: int = 0
    lock: str | None = None
    worker: int | None = None
    key: str | None = None
    """The name that its deferrer gave this one call of ``defer``."""
    tick: int | None = None
    is_scheduled: bool | None = None
    losses: int = 0
    args: dict[str, Any] = field(default_factory=dict)
    workflow: int | None = None


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow as it is stored."""

    id: int
    jobs: int
    remaining: int
    failed: int
    is_ended: bool


@dataclass(frozen=True)
class Tables:
    """A copy of what the checker compares the ledger with.

    Attributes
    ----------
    jobs
        All jobs.
    workers
        The ids of the workers that are registered.
    sessions
        What each session was, that was still connected after all processes had ended.
    workflows
        All workflows.
    effects
        The job and the claim of each effect that was stored with the end of its job.
    """

    jobs: list[JobRow]
    workers: set[int] = field(default_factory=set)
    sessions: list[str] = field(default_factory=list)
    workflows: list[WorkflowRow] = field(default_factory=list)
    effects: list[tuple[int, int]] = field(default_factory=list)


def read(connection: psycopg.Connection, sessions: list[str]) -> Tables:
    """Copy the tables."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        with connection.cursor(row_factory=class_row(JobRow)) as cursor:
            jobs = cursor.execute(JOBS).fetchall()
        with connection.cursor(row_factory=class_row(WorkflowRow)) as cursor:
            workflows = cursor.execute(WORKFLOWS).fetchall()
        workers = {id_ for (id_,) in connection.execute("select id from adjourn.adjourn_workers where not dead")}
        effects = connection.execute("select job, claim from torture.effects").fetchall()
    return Tables(jobs, workers, sessions, workflows, effects)


def make_effects(connection: psycopg.Connection) -> None:
    """Make an empty table of effects."""
    connection.execute("drop schema if exists torture cascade")
    connection.execute("create schema torture")
    connection.execute("create table torture.effects (job bigint not null, claim integer not null)")


def remove_effects(connection: psycopg.Connection) -> None:
    """Remove the table of effects."""
    connection.execute("drop schema torture cascade")
