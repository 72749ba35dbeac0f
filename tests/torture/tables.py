"""What the database says in the end: its jobs, waiting, running and finished, and its workers."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
from psycopg.rows import class_row

JOBS = """
    select j.id, j.task_name as task, j.status, j.claim, j.attempts, j.priority, j.lock, j.worker_id as worker,
           j.args ->> 'key' as key, (j.args ->> 'timestamp')::bigint as tick, j.scheduled_at > now() as is_scheduled,
           coalesce(f.losses, l.losses) as losses
    from adjourn.adjourn_all_jobs j
    left join adjourn.adjourn_jobs l on l.id = j.id and j.is_live
    left join adjourn.adjourn_finished_jobs f on f.id = j.id and not j.is_live
"""


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
    """

    jobs: list[JobRow]
    workers: set[int] = field(default_factory=set)
    sessions: list[str] = field(default_factory=list)


def read(connection: psycopg.Connection, sessions: list[str]) -> Tables:
    """Copy the tables."""
    with connection.transaction(), connection.cursor(row_factory=class_row(JobRow)) as cursor:
        connection.execute("set transaction isolation level repeatable read")
        jobs = cursor.execute(JOBS).fetchall()
        workers = {id_ for (id_,) in connection.execute("select id from adjourn.adjourn_workers where not dead")}
    return Tables(jobs, workers, sessions)
