"""What a dashboard rarely shows, for tests in a browser and for pictures that are looked at."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
from collections.abc import Iterator

import psycopg

import adjourn
from support import dashboard

KEPT = (1, *range(4, 13))
"""Of twelve attempts, the errors of the first and of the last nine are kept."""


def tried_often(app: adjourn.App, connection: psycopg.Connection) -> int:
    """Store a job that has failed twelve times, at longer and longer intervals, and is to be tried again; return its id."""
    id_ = app.tasks["shop.reconcile"].configure(schedule_in={"minutes": 52}).defer(order=1207)
    now = datetime.datetime.now(datetime.UTC)
    errors = []
    for attempt in KEPT:
        before_now = 400 + 720 * (1.4 ** (12 - attempt) - 1) / 0.4
        began = now - datetime.timedelta(seconds=before_now)
        name, message, seconds = "requests.exceptions.HTTPError", _UNAVAILABLE, 0.8
        if attempt % 4 == 0:
            name, message, seconds = "TimeoutError", "the bank has not answered within 340 s", 340.0
        errors.append(
            {
                "attempt": attempt,
                "worker_id": 7,
                "worker_name": "worker-7",
                "exception": name,
                "message": message,
                "traceback": _TRACEBACK.format(name, message),
                "started_at": began.isoformat(),
                "ended_at": (began + datetime.timedelta(seconds=seconds)).isoformat(),
            }
        )
    connection.execute(
        "update adjourn.adjourn_jobs set attempts = 12, errors = %s, enqueued_at = now() - interval '27 h', started_at = %s where id = %s",
        (json.dumps(errors), errors[-1]["started_at"], id_),
    )
    return id_


_UNAVAILABLE = (
    "503 Server Error: Service Unavailable for url: "
    "https://bank.example/v2/accounts/DE02120300000000202051/statements?order=1207&from=2026-01-01"
)
_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/tasks.py", line 214, in reconcile
    statement = bank.statement(order)
  File "/srv/shop/bank.py", line 88, in statement
    response.raise_for_status()
{}: {}
"""


def large_workflow(app: adjourn.App) -> int:
    """Store a workflow of thirty jobs, run what can be run, and return its id: one has failed, one runs, and some wait."""
    tasks = {name: app.tasks[f"shop.{name}"].configure(queue="catalogue") for name in ("inventory", "reconcile")}
    monthly = app.tasks["shop.monthly"].configure(queue="catalogue")
    later = app.tasks["shop.inventory"].configure(queue="catalogue", schedule_in={"hours": 1})
    flow = app.workflow("catalogue of autumn")
    begin = flow.add(tasks["inventory"], task_kwargs={"warehouse": "all"})
    parts = [
        flow.add(later if n == 8 else tasks["inventory"], depends_on=begin, task_kwargs={"warehouse": f"W{n}"})
        for n in range(9)
    ]
    checks = [
        flow.add(tasks["reconcile"], depends_on=part, task_kwargs={"order": n + 1}) for n, part in enumerate(parts)
    ]
    prices = [flow.add(tasks["reconcile"], depends_on=checks[n : n + 3], task_kwargs={"order": 11}) for n in range(7)]
    groups = [prices[:2], prices[2:5], prices[5:]]
    pages = [flow.add(monthly, depends_on=group, task_kwargs={"month": "2026-10"}) for group in groups]
    flow.add(monthly, depends_on=pages, run_if="all_done", task_kwargs={"month": "2026-11"})
    stored = flow.defer()
    dashboard.work(app, queues=["catalogue"])
    return stored.id


def overdue(connection: psycopg.Connection) -> None:
    """Have a schedule whose tick is overdue, and one that is paused."""
    connection.execute(
        "update adjourn.adjourn_schedules set last_tick = last_tick - interval '25 min', next_tick = last_tick - interval '20 min'"
    )
    connection.execute(
        "update adjourn.adjourn_schedules set recent_ticks = array(select last_tick - n * interval '5 min' from generate_series(19, 0, -1) n), "
        "recent_job_ids = array(select case when n = 7 then null else id end from ("
        "select f.id, row_number() over (order by f.id) as n from adjourn.adjourn_finished_jobs f) job where n <= 20 order by n)"
    )
    connection.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, paused_at, paused_by, pause_reason) "
        "values ('shop.nightly', '', '0 3 * * 1-5', 'Europe/Berlin', date_trunc('day', now()), now() - interval '2 h', 'ann', "
        "'the figures of October are being corrected')"
    )


def deaths(connection: psycopg.Connection) -> int:
    """Have three workers be declared dead: one with jobs, one idle, one that had never said where it was. Return a job that one was lost with."""
    dead = [
        row[0]
        for row in connection.execute(
            "insert into adjourn.adjourn_workers (name, started_at, last_heartbeat_at, expires_at, details) values "
            "('mail-7f9c4d-x2x8q', now() - interval '2 d', now() - interval '50 min', now() - interval '49 min', "
            """'{"host": "mail-7f9c4d-x2x8q", "pid": 1, "rss": 2040000000}'), """
            "('worker-3', now() - interval '5 h', now() - interval '4 h', now() - interval '4 h', "
            """'{"host": "app-2", "pid": 2231, "rss": 83000000}'), """
            "('night', now(), now() - interval '9 h', now() - interval '9 h', null) returning id"
        )
    ]
    (found,) = connection.execute(
        "select array_agg(id) from (select id from adjourn.adjourn_finished_jobs order by id desc limit 4) j"
    )
    jobs: list[int] = found[0]
    connection.execute(
        "select adjourn.adjourn_note_deaths_v1(%s, %s, %s, %s, 'worker-1', 'worker')",
        (dead, jobs, [dead[0]] * 4, jobs[:1]),
    )
    for number, minutes in zip(dead, (49, 239, 539), strict=True):
        connection.execute(
            "update adjourn.adjourn_audit set at = now() - %s * interval '1 min' where target = %s",
            (minutes, f"worker {number}"),
        )
    connection.execute("delete from adjourn.adjourn_workers where id = any(%s)", (dead,))
    connection.execute(
        "update adjourn.adjourn_finished_jobs set attempts = attempts + 1, errors = jsonb_build_array(jsonb_build_object('exception', "
        "'adjourn.exceptions.WorkerLost', 'message', 'the worker was lost while it ran this job', 'attempt', 1, 'worker_id', %s::bigint, "
        "'worker_name', 'mail-7f9c4d-x2x8q', 'started_at', started_at - interval '52 min', 'ended_at', started_at - interval '49 min')) "
        "where id = %s",
        (dead[0], jobs[-1]),
    )
    return jobs[-1]


@contextlib.contextmanager
def beating(dsn: str) -> Iterator[None]:
    """Have the worker of the shop that works send heartbeats until the block ends."""
    end = threading.Event()

    def beat() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not end.wait(1):
                connection.execute(
                    "update adjourn.adjourn_workers set last_heartbeat_at = now() where name = 'worker-1' and running is not null"
                )

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(20)


@contextlib.contextmanager
def trouble(connection: psycopg.Connection) -> Iterator[None]:
    """Have a database that the doctor calls critical, until the block ends."""
    connection.execute("alter table adjourn.adjourn_jobs set (autovacuum_enabled = off)")
    connection.execute("alter system set track_counts = off")
    connection.execute("alter index adjourn.adjourn_jobs_chain rename to adjourn_jobs_gone")
    connection.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        connection.execute("alter index adjourn.adjourn_jobs_gone rename to adjourn_jobs_chain")
        connection.execute("alter table adjourn.adjourn_jobs reset (autovacuum_enabled)")
        connection.execute("alter system reset track_counts")
        connection.execute("select pg_reload_conf()")
