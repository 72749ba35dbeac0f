"""Limits whose workers are killed and stopped, beside transactions that stay open: counted by ledgers of the tests' own."""

from __future__ import annotations

import os
import random
import signal
import time

import psycopg
import pytest

import adjourn
from faults.crash_tasks import limited_tasks
from faults.test_killed_workers import Workers, counted, wait_for, wait_until_finished
from faults.test_killed_workers import workers as workers

IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
KILLS = 30 if IS_THOROUGH else 3
JOBS = 1500 if IS_THOROUGH else 90
OVERLAPS = """
    with runs as (
        select r.lock, r.started_at, r.ended_at, f.queue from crash_runs r
        join adjourn.adjourn_finished_jobs f on f.id = r.id
        -- A run that its worker has lost may go on for a while, as under a lock.
        where r.ended_at is not null and (r.claim = f.claim or f.attempts = 2 and r.claim = f.claim - 1 and f.losses = 0)
    )
    select max((
        select count(*) from runs b where {same} and b.started_at <= a.started_at and a.started_at < b.ended_at
    )) from runs a where {which}
"""
LEDGER = """
    create table if not exists claims (tenant text, at timestamptz);
    create or replace function note_claim() returns trigger language plpgsql as $$
    begin
        insert into public.claims values (new.args ->> 'tenant', clock_timestamp());
        return null;
    end $$;
    create trigger note_claim after update on adjourn.adjourn_jobs for each row
    when (old.worker_id is null and new.worker_id is not null and new.task_name = 'rated') execute function note_claim();
"""
FORGET = "drop trigger note_claim on adjourn.adjourn_jobs; drop function note_claim(); drop table claims"


def disturb(workers: Workers) -> None:
    """Kill workers, and stop some for longer than they may be silent."""
    for number in range(KILLS):
        time.sleep(random.uniform(0.05, 0.5))
        if number % 3 == 2:
            process = random.choice(list(workers.processes.values()))
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.3)
            process.send_signal(signal.SIGCONT)
        else:
            workers.kill_one()


def end(workers: Workers, observer: psycopg.Connection) -> None:
    """End the workers, once those that were started last are there."""
    names = ", ".join(map(repr, workers.processes))
    wait_for(observer, f"select count(*) from adjourn.adjourn_workers where name in ({names})", len(workers.processes))
    assert set(workers.end()) == {0}


@pytest.mark.timeout(600)
def test_no_more_jobs_of_a_key_or_a_queue_run_at_once_when_workers_are_killed(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    limited, _ = limited_tasks(app)
    chance = random.Random(5)
    with app.open(), psycopg.connect(database) as connection:
        for _ in range(3):
            workers.start()
        wait_for(observer, "select count(*) from adjourn.adjourn_workers", 3)
        ids = []
        for number in range(JOBS):
            where = connection if number % 5 == 0 else None
            configured = limited.configure(queue=chance.choice(["wide", "narrow"]), connection=where)
            ids.append(configured.defer(tenant=chance.choice("abcd"), seconds=0.02, fails=number % 7 == 0))
            if number % 25 == 0:
                connection.rollback()
                ids.pop()
            elif where is not None:
                connection.commit()
        disturb(workers)
        cancelled = app.job_manager.cancel_jobs(ids[::10])
        wait_until_finished(observer)
    end(workers, observer)
    ended: dict[int, str] = dict(observer.execute("select id, status from adjourn.adjourn_finished_jobs"))
    assert set(ids) <= ended.keys()
    assert {id_ for id_, status in ended.items() if status == "cancelled"} == set(cancelled)
    assert set(ended.values()) <= {"succeeded", "cancelled"}
    assert counted(observer, OVERLAPS.format(same="a.lock = b.lock", which="true")) == 2
    narrow = OVERLAPS.format(same="b.queue = 'narrow'", which="a.queue = 'narrow'")
    assert counted(observer, narrow) <= 5


@pytest.mark.timeout(600)
def test_no_more_jobs_start_in_a_period_when_workers_are_killed(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    observer.execute(LEDGER.encode())
    try:
        app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
        _, rated = limited_tasks(app)
        with app.open():
            rated.batch_defer(*({"tenant": tenant} for tenant in "abc" for _ in range(24 if IS_THOROUGH else 8)))
            for _ in range(3):
                workers.start()
            wait_for(observer, "select count(*) from claims", 1)
            disturb(workers)
            wait_until_finished(observer)
        # The claim notes its time a moment before the ledger does.
        worst = """
            select max((select count(*) from claims b where b.tenant = a.tenant and b.at >= a.at and b.at < a.at + interval '0.4 s'))
            from claims a
        """
        assert counted(observer, worst) <= 4
        end(workers, observer)
    finally:
        observer.execute(FORGET.encode())
