"""What it costs to look does not grow with the number of jobs: the server counts the pages that each query reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn.doctor import examine
from adjourn.monitor.reader import Reader
from adjourn.sql import reading, templates
from adjourn.web.failures import LISTED, LOOK, MOST
from support.databases import apply_schema, new_database

READY, OTHERS = 8000, 1000
"""How many jobs are ready, in eight queues and three priorities, and how many there are of each other kind."""
SCHEDULES, TICKS = 20, 5
FAILED = 12_000
"""How many jobs have failed, of two tasks, one of them rarely; each has an error that is stored beside the row."""
FILLING = """
    -- Jobs of all kinds are side by side in the table.
    insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, enqueued_at, lock, scheduled_at)
    select * from (
        select 'q' || n % 8, 't', n % 3, '{}'::jsonb, @ready, now() - interval '1 hour', null, null from generate_series(1, READY) n
        union all
        select 'q', 't', 0, '{}', kind, now(), case when kind in (@behind, @unplaced) then 'l' || n % 50 end,
               case when kind = @scheduled then now() + interval '1 day' end
        from generate_series(1, OTHERS) n, unnest(array[@scheduled, @behind, @unplaced, @unknown, @apart]) kind
    ) job order by random();
    do $$ begin
        for n in 1 .. 30 loop
            execute 'create table adjourn.old_week_' || n || ' partition of adjourn.adjourn_finished_jobs for values from ('
                || quote_literal('2001-01-01'::timestamptz + (n - 1) * interval '1 week') || ') to ('
                || quote_literal('2001-01-01'::timestamptz + n * interval '1 week') || ')';
        end loop;
    end $$;
    insert into adjourn.adjourn_finished_jobs
        (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, finished_at, status)
    select -n, 'q', 't', 0, '{}', 1, 0, 1, false, now(), '2001-01-01'::timestamptz + n * interval '1 week' / 50, 'succeeded'
    from generate_series(0, 50 * 30 - 1) n;
    insert into adjourn.adjourn_finished_jobs
        (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, finished_at, status)
    select -10000 - n, 'q', 't', 0, '{}', 1, 0, 1, false, now(), now(), 'failed' from generate_series(1, SCHEDULES) n;
    insert into adjourn.adjourn_finished_jobs
        (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, finished_at, status, errors)
    select -100000 + n, 'q', case when n % 6 = 0 then 'rare' else 'mass' end, 0, '{}', 1, 0, 1, false, now(), now() - (FAILED - n) * interval '1 s', 'failed',
           jsonb_build_array(jsonb_build_object('exception', 'builtins.ValueError', 'message', 'm', 'traceback', traceback.text))
    from generate_series(1, FAILED) n
    cross join (select string_agg(md5(k::text), '') as text from generate_series(1, 100) k) traceback;
    insert into adjourn.adjourn_audit (at, actor, how, action, target, details, jobs, ids, outcome)
    select now() - (NOTES - n) * interval '3 s', 'one', 'worker', case when n % 1000 = 0 then 'worker.died' else 'bulk.retry' end, 'worker ' || n,
           case when n % 1000 = 0 then '{}'::jsonb end, 500, array_fill(n::bigint, array[100]), 'done'
    from generate_series(1, NOTES) n;
    insert into adjourn.adjourn_schedules
        (task_name, periodic_id, cron, timezone, last_tick, next_tick, last_job_id, recent_ticks, recent_job_ids)
    select 't', n::text, '0 * * * *', 'UTC', now() - interval '1 minute', now() + interval '1 hour', -10000 - n,
           array_fill(now() - interval '1 minute', array[TICKS]), array_fill((-10000 - n)::bigint, array[TICKS])
    from generate_series(1, SCHEDULES) n;
"""
NOTES = 60_000
"""How many notes the audit has, of two days; one of a thousand is of a worker that was declared dead."""
BOUNDS = {
    ("monitor", "latency"): 1000,
    ("monitor", "schedules"): 40 * SCHEDULES,
    ("monitor", "recent_ticks"): 20 * TICKS * SCHEDULES,
    ("doctor", "ready_queues"): 1000,
    # A page of the index, and one of the table for each death of the last day.
    ("monitor", "deaths"): 50,
    # A page of the table for each of those that are looked at, and some for each error that is read.
    ("monitor", "failures"): LOOK + 12 * MOST,
}
"""The most pages of 8 kB: each was many more when the query read rows instead of entries of an index, all of a kind, or all weeks."""

ASKED = {"queue": None, "task": "rare", "look": LOOK, "most": MOST, "listed": LISTED, "schedules": 100}
"""What the queries are asked; each takes of it what it needs."""


@pytest.fixture(scope="module")
def filled(server_dsn: str) -> Iterator[str]:
    """The address of a database with many jobs."""
    with new_database(server_dsn, f"adjourn_costs_{os.getpid()}") as dsn:
        apply_schema(dsn)
        text = (
            templates.render(FILLING, "adjourn")
            .replace("READY", str(READY))
            .replace("OTHERS", str(OTHERS))
            .replace("FAILED", str(FAILED))
            .replace("NOTES", str(NOTES))
        )
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(text.replace("SCHEDULES", str(SCHEDULES)).replace("TICKS", str(TICKS)).encode())
            connection.execute("vacuum analyze")
        yield dsn


@pytest.mark.parametrize(("folder", "name"), BOUNDS)
def test_a_look_reads_a_bounded_number_of_pages(filled: str, folder: str, name: str) -> None:
    query = reading.queries(folder, "adjourn")[name]
    with psycopg.connect(filled) as connection:
        connection.execute("set jit = off")
        rows = connection.execute(query.text.encode(), ASKED).fetchall()
        assert rows, "it shows something"
        (plan,) = connection.execute(
            b"explain (analyze, buffers, format json) " + query.text.encode(), ASKED
        ).fetchone() or ([],)
    read = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert read <= BOUNDS[folder, name]


@pytest.fixture(scope="module")
def empty(server_dsn: str) -> Iterator[str]:
    """The address of a database in which nothing ever happened."""
    with new_database(server_dsn, f"adjourn_costs_empty_{os.getpid()}") as dsn:
        apply_schema(dsn)
        yield dsn


QUERIES = [
    (folder, name)
    for folder in ("monitor", "doctor")
    for name, query in reading.queries(folder, "adjourn").items()
    if "adjourn_jobs" in query.text or "finished_jobs" in query.text
]


@pytest.mark.parametrize(("folder", "name"), QUERIES)
def test_no_look_reads_all_jobs_where_statistics_know_nothing_of_them(empty: str, folder: str, name: str) -> None:
    # An empty table that was never vacuumed: the planner reads it rather than its indexes if it may.
    query = reading.queries(folder, "adjourn")[name]
    parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", query.text))
    with psycopg.connect(empty) as connection:
        for text in reading.begin(2.0).text.split(";"):
            connection.execute(text.encode())
        (plan,) = connection.execute(b"explain (format json) " + query.text.encode(), parameters).fetchone() or ([],)
    read = [node for node in nodes(plan[0]["Plan"]) if node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")]
    whole = [node["Relation Name"] for node in read]
    assert [each for each in whole if re.match("adjourn_(jobs|finished_jobs)", each)] == [], plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan, and those below it."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_what_is_shown_is_right_nevertheless(filled: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(filled))
    reader = Reader(app, "monitor")
    try:
        states = {(row["queue"], row["state"]): row["jobs"] for row in reader.rows("states")}
        assert states == {
            **{(f"q{n}", "ready"): READY // 8 for n in range(8)},
            **{("q", state): OTHERS for state in ("scheduled", "blocked", "unplaced")},
        }
        assert {row["kind"]: row["jobs"] for row in reader.rows("waiting")} == {
            "scheduled": OTHERS,
            "lock": 2 * OTHERS,
            "task": OTHERS,
            "turn": OTHERS,
        }
        (unknown,) = reader.rows("unknown")
        assert (unknown["task"], unknown["queue"], unknown["jobs"], unknown["is_capped"]) == ("t", "q", OTHERS, False)
        assert {row["last_status"] for row in reader.rows("schedules", most=SCHEDULES)} == {"failed"}
    finally:
        reader.close()
    (check,) = examine(app, only=["jobs"], timeout=60).checks
    for n in range(8):
        assert any(f"queue 'q{n}' could have run" in each.text for each in check.findings)


def test_latency_is_seen_behind_more_running_jobs_than_a_hundred(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        connection.execute("update adjourn.adjourn_jobs set worker_id = 1 where queue = 'q0'")
        connection.execute(
            "update adjourn.adjourn_jobs set worker_id = null where id = (select max(id) from adjourn.adjourn_jobs where queue = 'q0')"
        )
        text = reading.queries("monitor", "adjourn")["latency"].text
        rows = [row for (row,) in connection.execute(f"select facts::json from ({text}) all_of_them".encode(), {})]
        assert {row["queue"]: row["latency"] > 3500 for row in rows}["q0"]
        connection.rollback()


def latencies(connection: psycopg.Connection) -> tuple[dict[str, float], int]:
    """The latency of each queue, and how many pages it took to find them."""
    text = reading.queries("monitor", "adjourn")["latency"].text
    rows = [row for (row,) in connection.execute(f"select facts::json from ({text}) all_of_them".encode(), {})]
    (plan,) = connection.execute(b"explain (analyze, buffers, format json) " + text.encode(), {}).fetchone() or ([],)
    read = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    return {row["queue"]: row["latency"] for row in rows}, read


@pytest.mark.parametrize("younger", ["ready_at = now() - interval '5 s'", "scheduled_at = now() - interval '5 s'"])
def test_jobs_that_could_run_only_lately_hide_no_older_ones_behind_them(filled: str, younger: str) -> None:
    with psycopg.connect(filled) as connection:
        _, before = latencies(connection)
        first = (
            "select id from (select id, row_number() over (partition by queue, priority order by id) as place "
            "from adjourn.adjourn_jobs where queue ~ '^q.$') job where place <= 80"
        )
        connection.execute(f"update adjourn.adjourn_jobs set {younger} where id in ({first})".encode())
        found, read = latencies(connection)
        assert found.keys() == {f"q{n}" for n in range(8)}
        assert all(latency > 3500 for latency in found.values())
        # Entries of 80 jobs more are looked at for each of 24 pairs of a queue and a priority, each in some versions here.
        assert read <= before + 24 * 3 * 80
        # Where they are more, it is the first one's.
        connection.execute(f"update adjourn.adjourn_jobs set {younger} where queue = 'q0'".encode())
        assert 4 < latencies(connection)[0]["q0"] < 60
        connection.rollback()


def test_nor_do_they_where_every_job_was_due_later(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        connection.execute(b"update adjourn.adjourn_jobs set scheduled_at = enqueued_at where queue = 'q0'")
        first = "select id from adjourn.adjourn_jobs where queue = 'q0' and worker_id is null order by id limit 1"
        connection.execute(
            f"update adjourn.adjourn_jobs set priority = 1000, scheduled_at = now() where id = ({first})".encode()
        )
        connection.execute(f"update adjourn.adjourn_jobs set priority = 1000 where id in ({first} offset 1)".encode())
        connection.execute(b"update adjourn.adjourn_jobs set queue = 'other' where queue = 'q0' and priority < 1000")
        assert latencies(connection)[0]["q0"] > 3500
        text = reading.queries("doctor", "adjourn")["ready_queues"].text
        rows = [row for (row,) in connection.execute(f"select facts::json from ({text}) all_of_them".encode(), {})]
        assert {row["queue"]: row["seconds"] > 3500 for row in rows}["q0"]
        connection.rollback()
