"""No statement that runs for each job, or all the time, reads a large table, or a large index, from one end to the other.

The server counts what each statement reads, also in functions, whose plans nobody can see.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import time
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from adjourn import sql
from adjourn._domain.jobs import DeleteJobCondition, Status
from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn._sync.managers.jobs import SyncJobManager
from adjourn._sync.managers.trial import SyncOneSession
from adjourn.connectors.memory import SyncInMemoryConnector
from adjourn.jobs import Job
from adjourn.sql import templates
from adjourn.types import Parameters, Row, Statement
from support.databases import apply_schema, new_database

ROWS = 4000
"""How many jobs there are of each sort."""
FEW = 1000
"""A hot statement reads fewer rows than these in any one place."""
FILLING = """
    insert into adjourn.adjourn_finished_jobs
        (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, started_at, finished_at, status)
    select -n, 'default', 't', 0, '{}', 1, 0, 1, false, now(), now(), now(), 'succeeded' from generate_series(1, ROWS) n;
    insert into adjourn.adjourn_jobs (queue, task_name, priority, lock, args, scheduled_at, hold)
    select 'q' || n % 50, 't', n % 3, null, '{}'::jsonb, null, @ready from generate_series(1, ROWS) n
    union all select 'default', 't', 0, null, '{}', now() + interval '1 day', @scheduled from generate_series(1, ROWS) n
    union all select 'locked', 't', 0, 'one', '{}', null, @unplaced from generate_series(1, ROWS) n
    union all select 'locked', 't', 0, 'l' || n % 500, '{}', null, @unplaced from generate_series(1, ROWS) n;
"""
AFTER_A_LOSS = {"disown", "list_unknown_claims", "rescue", "unregister_worker"}
"""Statements that look through all ready jobs for those of one worker, after a lost connection, a death, or at the end of a worker.
An index would be faster, and each claim would have to write into it."""
LOOKS = 20
"""So often, at most, does such a statement look through them."""
FOR_PEOPLE = {"list_jobs_to_abort"}
"""No worker executes it: it may read a table from one end to the other until the server has statistics of it."""
HOT = {
    "cancel_jobs", "defer_job", "defer_jobs", "defer_ticks", "exchange", "get_job_status", "heartbeat", "list_jobs_to_abort",
    "place", "read_jobs", "register_worker", "request_abort", "retry_job_by_id", "store_progress", "watch_jobs",
}  # fmt: skip
"""Statements that `work` must execute. The others are for people, for retention, for one feature, or once a process."""
READ = """
    select c.oid::regclass::text as name, pg_stat_get_xact_numscans(c.oid) as scans,
           pg_stat_get_xact_tuples_returned(c.oid) as rows
    from pg_class c where c.relnamespace = 'adjourn'::regnamespace and c.relkind in ('r', 'i')
"""


class Counted:
    """A session that notes which statements read how much of which table or index."""

    can_listen = True

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self.large: set[str] = set()
        """The tables that no statement may scan; an index, none may read much of."""
        self.has_statistics = False
        """Whether the server knows what is in them."""
        self.wrong: list[str] = []
        self.seen: set[str] = set()

    def execute(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute a statement by itself, as a session does, and count what it reads."""
        self.seen.add(statement.name)
        with self.connection.transaction():
            before = self._read()
            cursor = self.connection.execute(statement.text.encode(), parameters)
            rows = cursor.fetchall() if cursor.description else []
            for name, (scans, read) in self._read().items():
                scans, read = scans - before[name][0], read - before[name][1]
                if statement.name in AFTER_A_LOSS:
                    is_much = scans >= FEW or read > LOOKS * 4 * ROWS
                elif statement.name in FOR_PEOPLE and not self.has_statistics:
                    is_much = False
                else:
                    is_much = read >= FEW or (scans > 0 and name in self.large)
                if is_much:
                    self.wrong.append(f"{statement.name} reads {read} rows or entries of {name} in {scans} scans")
        return rows

    def _read(self) -> dict[str, tuple[int, int]]:
        rows = self.connection.execute(READ.encode()).fetchall()
        return {row["name"]: (row["scans"], row["rows"]) for row in rows}


def work(counted: Counted) -> None:
    """Do once what programs and workers do all the time."""
    source = SyncOneSession(cast("Any", counted), SyncInMemoryConnector())
    jobs, manager = SyncJobManager(source), SyncWorkerManager(counted, json.loads)
    numbers = itertools.count(time.monotonic_ns())
    job = Job(queue="default", task_name="t")
    stored = [
        jobs.defer_job(job),
        jobs.defer_job(job.evolve(lock="one", queue="locked")),
        jobs.defer_job(job.evolve(queueing_lock=f"a{next(numbers)}")),
        *jobs.batch_defer_jobs(
            [job, job.evolve(queueing_lock=f"b{next(numbers)}", lock="l1"), job.evolve(schedule_in=60.0)]
        ),
        *jobs.batch_defer_alike(job, [{}] * 40),
    ]
    ids = [each.id for each in stored if each.id is not None]
    worker, other = (manager.register_worker(name, None, 60) for name in ("one", "two"))
    manager.heal(None, 20)
    manager.place(20)
    tick: dict[str, Any] = {
        "task_names": ["t"],
        "periodic_ids": [""],
        "crons": ["* * * * *"],
        "timezones": ["UTC"],
        "headers": None,
        "terms": None,
    }
    tick |= {"queues": ["default"], "priorities": [0], "locks": [None], "queueing_locks": ["t"], "args": ["{}"]}
    now = datetime.datetime.now(datetime.UTC)
    tick |= {"ticks": [now], "next_ticks": [now]}
    counted.execute(sql.statements()["defer_ticks"], tick)
    outcomes: list[Outcome] = []
    for queues in (None, ["locked"], ["default", "q1"], [f"q{n}" for n in range(40)], None):
        for probe in (False, True):
            claimed = manager.exchange(worker, outcomes, limit=10, queues=queues, probe=probe).claimed
            outcomes = [
                Ended.of(each, Status.SUCCEEDED, DeleteJobCondition.NEVER) for each in claimed[:-4] or claimed[:1]
            ]
            outcomes += [HandedBack.of(each) for each in claimed[1:][-4:-2]]
            outcomes += [Retried(each.id, each.claim) for each in claimed[1:][-2:]]
    manager.exchange(worker, outcomes, limit=0, queues=None)
    claimed = manager.exchange(worker, [], limit=5, queues=None).claimed
    manager.heartbeat(worker, 60, [])
    manager.store_progress(worker, {(claimed[0].id, claimed[0].claim): "0.5"})
    manager.list_unknown_claims(worker, [(each.id, each.claim) for each in claimed[:3]])
    manager.disown(worker, [(each.id, each.claim) for each in claimed[:3]])
    counted.connection.execute("update adjourn.adjourn_workers set expires_at = '-infinity' where id = %s", [other])
    manager.rescue(5, 0)
    jobs.cancel_job_by_id(ids[0])
    jobs.cancel_job_by_id(claimed[0].id, abort=True)
    jobs.retry_job_by_id(ids[1])
    jobs.list_jobs_to_abort()
    for name, parameters in {
        "get_job_status": {"job_id": ids[0]},
        "watch_jobs": {"ids": ids[:3]},
        "read_jobs": {"ids": ids[:3]},
    }.items():
        counted.execute(sql.statements()[name], parameters)
    manager.unregister_worker(worker)


@pytest.fixture
def filled(server_dsn: str, dsn: str) -> Iterator[str]:
    """A database of its own: its statistics, and the pages that many rows leave, would change other tests."""
    with new_database(server_dsn, f"adjourn_plans_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as address:
        apply_schema(address)
        yield address


@contextlib.contextmanager
def counting(address: str) -> Iterator[Counted]:
    """Execute each statement while the tables are empty, so that plans are made and kept that suit empty tables; then fill
    them."""
    counted = Counted(address)
    with counted.connection:
        for _ in range(6):
            work(counted)
        counted.connection.execute(templates.render(FILLING.replace("ROWS", str(ROWS)), sql.DEFAULT_SCHEMA).encode())
        tables = "select oid::regclass::text as name from pg_class where relnamespace = 'adjourn'::regnamespace and relkind = 'r'"
        for row in counted.connection.execute(tables.encode()).fetchall():
            count = counted.connection.execute(f"select count(*) as rows from {row['name']}".encode()).fetchone()
            if count is not None and count["rows"] >= ROWS:
                counted.large.add(row["name"])
        counted.wrong.clear()
        yield counted


def test_no_hot_statement_reads_a_table_from_one_end_to_the_other(filled: str) -> None:
    with counting(filled) as counted:
        assert len(counted.large) == 2  # jobs, and the finished ones of this week
        work(counted)
        counted.connection.execute("analyze")
        counted.has_statistics = True
        work(counted)
        assert sorted(set(counted.wrong)) == []
        assert counted.seen >= HOT | AFTER_A_LOSS


def test_without_an_index_the_test_above_fails(filled: str) -> None:
    with counting(filled) as counted:
        for index in ("ready", "chain", "abort_requested"):
            counted.wrong.clear()
            with counted.connection.transaction(force_rollback=True):
                counted.connection.execute(f"drop index adjourn.adjourn_jobs_{index}".encode())
                work(counted)
            assert counted.wrong, index


SEARCHES: list[dict[str, Any]] = [
    {"statuses": ["failed", "cancelled"], "queue": "none"},
    {"statuses": ["succeeded"], "args": {"none": 1}, "look": 100},
    {"finished_before": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "task": "none"},
    {"finished_after": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC), "task": "none"},
    {"task": "none", "look": 100, "newest_first": False},
    {"task": "none", "look": 100, "after": "ended:-1"},
    {"ids": list(range(1, 20_000, 20))},
    {"waits_for": "pause", "look": 100},
]


def test_a_search_reads_no_more_than_it_may_look_at(filled: str) -> None:
    counted = Counted(filled)
    with counted.connection as connection:
        connection.execute(templates.render(FILLING.replace("ROWS", str(ROWS)), sql.DEFAULT_SCHEMA).encode())
        tables = "select oid::regclass::text as name from pg_class where relkind = 'r' and relname like 'adjourn%jobs%'"
        counted.large = {row["name"] for row in connection.execute(tables.encode())}
        jobs = SyncJobManager(SyncOneSession(cast("Any", counted), SyncInMemoryConnector()))
        for search in SEARCHES:
            jobs.search_jobs(**search)
        assert counted.wrong == []
        connection.execute("drop index adjourn.adjourn_finished_jobs_unsuccessful")
        jobs.search_jobs(**SEARCHES[0])
        assert counted.wrong


EXPRESSIONS = """
    select p.proname as name, array(select format_type(t, null) from unnest(p.proargtypes) t) as types
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'adjourn'::regnamespace and l.lanname = 'sql' and not p.proretset and p.provolatile <> 'v' and p.prosrc !~* '\\yfrom\\y'
"""


def test_a_function_that_is_an_expression_becomes_part_of_the_statement_that_calls_it(database: str) -> None:
    """A call of it takes 5 microseconds, for each row. The planner makes none if the body is no less stable than the function claims."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        functions = connection.execute(EXPRESSIONS.encode()).fetchall()
        assert {"adjourn_with_error_v1", "adjourn_kept_v1"} <= {each["name"] for each in functions}
        connection.execute("set local search_path = adjourn")
        called = []
        for number, function in enumerate(functions):
            columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(function["types"]))
            names = ", ".join(f"c{place}" for place in range(len(function["types"])))
            connection.execute(f"create temporary table of_{number} ({columns})".encode())
            plan = connection.execute(
                f"explain verbose select {function['name']}({names}) from of_{number}".encode()
            ).fetchall()
            called += [function["name"] for row in plan if f"{function['name']}(" in row["QUERY PLAN"]]
        assert called == []
