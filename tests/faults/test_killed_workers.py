"""Workers that are killed, or stopped and woken when their jobs are somebody else's."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn.sql.constants import MOST_LOSSES
from support.waiting import until

JOBS = 400
KILLS = 12


class Workers:
    """Worker processes on the crash app."""

    def __init__(self, dsn: str) -> None:
        self.environment = {**os.environ, "CRASH_DSN": dsn, "PYTHONPATH": str(Path(__file__).parent)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0

    def start(self, concurrency: int = 4, queues: str = "") -> None:
        self.started += 1
        command = [
            *(sys.executable, "-m", "adjourn", "--app=crash_app.app", "--log-level=ERROR", "worker"),
            f"--concurrency={concurrency}",
            *("--update-heartbeat-interval=0.2", "--stalled-worker-timeout=1", "--fetch-job-polling-interval=0.2"),
            f"--name={self.started}",
            *([f"--queues={queues}"] if queues else []),
        ]
        self.processes[str(self.started)] = subprocess.Popen(command, env=self.environment)

    def kill_one(self) -> None:
        """Kill one at random, and start another in its place."""
        process = self.processes.pop(random.choice(list(self.processes)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start()

    def restart_killed(self, concurrency: int) -> None:
        """Start another worker for each that is dead."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                del self.processes[name]
                self.start(concurrency)

    def end(self) -> list[int]:
        """Stop all gracefully, and return their exit codes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=30) for process in self.processes.values()]


@pytest.fixture
def workers(database: str, observer: psycopg.Connection) -> Iterator[Workers]:
    observer.execute("drop table if exists crash_runs")
    observer.execute(
        "create table crash_runs (id bigint, claim int, lock text, started_at timestamptz default clock_timestamp(), "
        "ended_at timestamptz, primary key (id, claim))"
    )
    workers = Workers(database)
    yield workers
    for process in workers.processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    observer.execute("drop table crash_runs")


def defer(database: str) -> list[int]:
    """Store jobs, a third of them on five locks, and return their ids."""
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        locks = [f"lock {n % 5}" if n % 3 == 0 else None for n in range(JOBS)]
        deferrers = [app.configure_task("crash", lock=lock, task_kwargs={"seconds": 0.02}) for lock in locks]
        return [job.id or 0 for job in app.job_manager.batch_defer_jobs([each.job for each in deferrers])]


def wait_until_finished(observer: psycopg.Connection) -> None:
    """Wait until no live job is left."""
    until(lambda: counted(observer, "select count(*) from adjourn.adjourn_jobs") == 0, 60)


def wait_for(observer: psycopg.Connection, query: str, number: int) -> None:
    """Wait until a count is as high as this."""
    until(lambda: counted(observer, query) >= number)


def counted(observer: psycopg.Connection, query: str) -> int:
    row = observer.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_no_job_is_lost_doubled_or_out_of_order_when_workers_are_killed(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    ids = defer(database)
    for _ in range(3):
        workers.start()
    wait_for(observer, "select count(*) from crash_runs", 1)
    for _ in range(KILLS):
        time.sleep(random.uniform(0.05, 0.5))
        workers.kill_one()
    wait_until_finished(observer)
    registered = (
        f"select count(*) from adjourn.adjourn_workers where name in ({', '.join(map(repr, workers.processes))})"
    )
    wait_for(observer, registered, 3)
    assert workers.end() == [0, 0, 0]

    finished = observer.execute("select id, status, claim from adjourn.adjourn_finished_jobs order by id").fetchall()
    assert [(id_, status) for id_, status, _ in finished] == [(id_, "succeeded") for id_ in ids]
    last_runs: dict[int, int] = dict(
        observer.execute("select id, max(claim) from crash_runs where ended_at is not null group by id")
    )
    assert last_runs == {id_: claim for id_, _, claim in finished}, "a job was ended by a run that had lost it"
    overlaps = """
        select count(*) from crash_runs a join crash_runs b on a.lock = b.lock and (a.id, a.claim) < (b.id, b.claim)
        where a.ended_at is not null and b.ended_at is not null
          and tstzrange(a.started_at, a.ended_at) && tstzrange(b.started_at, b.ended_at)
    """
    assert counted(observer, overlaps) == 0
    inversions = """
        select count(*) from crash_runs a join crash_runs b on a.lock = b.lock and a.id < b.id
        where a.ended_at is not null and b.ended_at is not null and b.started_at < a.started_at
    """
    assert counted(observer, inversions) == 0
    assert counted(observer, registered) == 0, "a worker that ended in order has left its name behind"


def test_a_worker_that_wakes_after_its_jobs_were_rescued_cannot_end_them(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        job_id = app.configure_task("crash", task_kwargs={"seconds": 1.5}).defer()
    workers.start()
    wait_for(observer, "select count(*) from crash_runs", 1)
    (zombie,) = workers.processes.values()
    zombie.send_signal(signal.SIGSTOP)
    workers.start()
    wait_for(observer, "select count(*) from crash_runs", 2)
    zombie.send_signal(signal.SIGCONT)
    wait_until_finished(observer)
    assert workers.end() == [0, 0]
    finished = observer.execute("select id, status, claim, attempts from adjourn.adjourn_finished_jobs").fetchall()
    assert finished == [(job_id, "succeeded", 2, 2)]


def test_a_job_that_kills_its_workers_fails_and_its_neighbours_do_not(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        work, kill = app.configure_task("work"), app.configure_task("kill")
        others = [work.defer(seconds=0.3) for _ in range(10)]
        killer = kill.defer(seconds=0.1)
        locked = app.configure_task("work", lock="one", queue="other")
        others += [work.defer(seconds=0.3) for _ in range(9)] + [locked.defer(seconds=0.2) for _ in range(3)]
    workers.start(concurrency=20)

    def all_have_ended() -> bool:
        workers.restart_killed(concurrency=20)
        return counted(observer, "select count(*) from adjourn.adjourn_jobs") == 0

    until(all_have_ended, 60)
    assert workers.started == MOST_LOSSES + 1
    finished = observer.execute("select id, status, attempts, errors from adjourn.adjourn_finished_jobs").fetchall()
    ended = {id_: status for id_, status, _, _ in finished}
    assert ended == {**dict.fromkeys(others, "succeeded"), killer: "failed"}
    ((attempts, errors),) = [each[2:] for each in finished if each[0] == killer]
    assert attempts == MOST_LOSSES
    assert errors[-1]["message"] == f"the worker was lost {MOST_LOSSES} times while it ran this job"


def test_the_last_heartbeat_of_a_killed_worker_says_which_of_the_jobs_that_it_had_claimed_ahead_were_lost(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        work = app.configure_task("work")
        work.batch_defer(*[{"seconds": 0}] * 300)
        workers.start(concurrency=1)
        # As far as it knows its jobs are short, so it claims many ahead.
        wait_until_finished(observer)
        _, _, begun, *waiting = work.batch_defer(*[{"seconds": seconds} for seconds in (0, 0, 600, 0, 0, 0)])
        says = (
            "select count(*) from adjourn.adjourn_jobs j join adjourn.adjourn_workers w on w.id = j.worker_id "
            f"where j.claimed_ahead and j.id = any(w.running) and j.id = {begun}"
        )
        wait_for(observer, says, 1)
        killed = workers.processes.pop("1")
        killed.kill()
        killed.wait()
        workers.start(queues="other")
        wait_for(observer, "select count(*) from adjourn.adjourn_audit", 1)
        jobs = {job.id: job for job in app.job_manager.list_jobs(status="todo")}
        (note,) = app.job_manager.actions.list_audit()
    assert workers.end() == [0]
    assert {job_id: job.attempts for job_id, job in jobs.items()} == {begun: 1, **dict.fromkeys(waiting, 0)}
    (lost,) = jobs[begun].errors
    assert lost["exception"] == "adjourn.exceptions.WorkerLost"
    assert note.details is not None
    assert (note.author.name, note.target) == ("2", f"worker {lost['worker_id']}")
    assert (note.details["name"], note.details["host"], note.details["pid"]) == ("1", socket.gethostname(), killed.pid)
    assert note.details["freed_ids"][0] == begun


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes half a minute: scripts/test-all runs it")
def test_a_job_that_holds_the_interpreter_for_longer_than_the_lease_fails_and_its_neighbours_do_not(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        work, hold = app.configure_task("work"), app.configure_task("hold")
        others = [work.defer(seconds=0.5) for _ in range(10)]
        holder = hold.defer(seconds=2.5)
        others += [work.defer(seconds=0.5) for _ in range(9)]
    workers.start(concurrency=20)
    workers.start(concurrency=20)
    until(lambda: counted(observer, "select count(*) from adjourn.adjourn_jobs") == 0, 90)
    assert workers.end() == [0, 0]
    finished: dict[int, str] = dict(observer.execute("select id, status from adjourn.adjourn_finished_jobs").fetchall())
    assert finished == {**dict.fromkeys(others, "succeeded"), holder: "failed"}
