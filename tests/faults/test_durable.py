"""Workers are killed, stopped and woken, and transactions rolled back, while tasks do what lasts."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn._domain.outcomes import Suspended
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.exceptions import JobSuspended
from support.waiting import until

SECONDS = float(os.environ.get("ADJOURN_TEST_DURABLE_SECONDS", "20"))
EFFECTS_A_ROUND, STORIES_A_ROUND = 30, 10
WORKERS = 3


class Fleet:
    """Worker processes on the durable app."""

    def __init__(self, dsn: str) -> None:
        self.environment = {**os.environ, "CRASH_DSN": dsn, "PYTHONPATH": str(Path(__file__).parent)}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.kills = self.stops = 0

    def start(self) -> None:
        command = [
            *(
                sys.executable,
                "-m",
                "adjourn",
                "--app=durable_app.app",
                "--log-level=CRITICAL",
                "worker",
                "--concurrency=8",
            ),
            *("--update-heartbeat-interval=0.2", "--stalled-worker-timeout=1", "--fetch-job-polling-interval=0.5"),
        ]
        self.processes.append(subprocess.Popen(command, env=self.environment))

    def disturb(self) -> None:
        """Kill one at random and start another, or stop one for longer than it counts as alive."""
        process = random.choice(self.processes)
        if random.random() < 0.6:
            self.kills += 1
            self.processes.remove(process)
            process.kill()
            process.wait()
            self.start()
        else:
            self.stops += 1
            process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            process.send_signal(signal.SIGCONT)

    def disturb_often(self) -> None:
        for _ in range(int(SECONDS)):
            self.disturb()
            time.sleep(0.4)

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.fixture
def fleet(database: str, observer: psycopg.Connection) -> Iterator[Fleet]:
    observer.execute("drop table if exists effects; drop table if exists calls")
    observer.execute("create table effects (id bigint not null, claim integer not null)")
    observer.execute("create table calls (id bigint not null, name text not null)")
    fleet = Fleet(database)
    yield fleet
    fleet.end()
    observer.execute("drop table effects; drop table calls")


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes half a minute: scripts/test-all runs it")
@pytest.mark.timeout(300)
def test_effects_and_ends_are_one_and_stories_go_on(database: str, observer: psycopg.Connection, fleet: Fleet) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    effect, story = app.configure_task("effect").job, app.configure_task("story").job
    effects: list[int] = []
    stories: list[int] = []
    with app.open():
        for _ in range(WORKERS):
            fleet.start()
        deadline = time.monotonic() + SECONDS
        disturbing = threading.Thread(target=fleet.disturb_often)
        disturbing.start()
        while time.monotonic() < deadline:
            locks = [random.choice(["a", "b", None, None]) for _ in range(EFFECTS_A_ROUND)]
            jobs = [effect.evolve(lock=lock) for lock in locks] + [story] * STORIES_A_ROUND
            ids = [job.id or 0 for job in app.job_manager.batch_defer_jobs(jobs)]
            effects += ids[:EFFECTS_A_ROUND]
            stories += ids[EFFECTS_A_ROUND:]
            # Some events are sent before anybody waits for them, some at that moment, some after it.
            time.sleep(random.choice([0, 0.5, 1]))
            app.send_events([(f"story {job_id}", job_id) for job_id in ids[EFFECTS_A_ROUND:]])
        disturbing.join()

        def left() -> int:
            (row,) = observer.execute("select count(*) from adjourn.adjourn_jobs").fetchall()
            return int(row[0])

        until(lambda: not left(), timeout=120)
    ended: dict[int, str] = dict(observer.execute("select id, status from adjourn.adjourn_finished_jobs").fetchall())
    print(f"{len(effects)} effects, {len(stories)} stories, {fleet.kills} kills, {fleet.stops} stops", end=" ")
    assert ended == dict.fromkeys([*effects, *stories], "succeeded")
    stored = [job_id for (job_id,) in observer.execute("select id from effects order by id")]
    assert stored == sorted(effects)
    # The claim of the effect is the claim of the end.
    (wrong,) = observer.execute(
        "select count(*) from effects e join adjourn.adjourn_finished_jobs f using (id) where e.claim <> f.claim"
    ).fetchall()
    assert wrong == (0,)
    for name in ("first", "last"):
        called = {job_id for (job_id,) in observer.execute("select id from calls where name = %s", [name])}
        assert called == set(stories)
    for table in ("adjourn_steps", "adjourn_event_notes"):
        assert observer.execute(f"select count(*) from adjourn.{table}".encode()).fetchone() == (0,)


def test_an_event_and_a_wait_that_meet_are_not_lost(database: str, observer: psycopg.Connection) -> None:
    """Each event is sent at the moment at which a job begins to wait for it, by a sender who sees less than others."""
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database, min_size=4, max_size=4))
    count = 2000 if "ADJOURN_TEST_THOROUGH" in os.environ else 60
    with app.open(), ThreadPoolExecutor(3) as threads:
        ids = app.configure_task("any").batch_defer(*[{}] * count)
        worker_id = app.job_manager.register_worker("one", None, 600)
        jobs = [app.job_manager.fetch_job(None, worker_id) for _ in ids]

        def wait() -> None:
            session = app.connector.session()
            worker = SyncWorkerManager(session, app.connector.json_loads)
            for job in jobs:
                assert job is not None
                outcome, _, _ = app.job_manager.runs.look_for_event(job, f"e{job.id}", None)
                if outcome == "waits":
                    suspended = Suspended.of(job, JobSuspended(None, f"e{job.id}"))
                    worker.exchange(worker_id, [suspended], limit=0, queues=None, probe=False)
            session.close()

        def send() -> None:
            with psycopg.connect(database) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                for job_id in ids:
                    app.send_event(f"e{job_id}", job_id, connection=connection)
                    connection.commit()

        def deliver() -> None:
            with psycopg.connect(database, autocommit=True) as connection:
                for _ in range(count):
                    connection.execute("select adjourn.adjourn_deliver_events_v1(1000)")

        for done in [threads.submit(wait), threads.submit(send), threads.submit(deliver)]:
            done.result(timeout=60)
    observer.execute("select adjourn.adjourn_deliver_events_v1(10000)")
    (waiting,) = observer.execute(
        "select count(*) from adjourn.adjourn_jobs where awaited_event is not null"
    ).fetchall()
    assert waiting == (0,)
    (done_,) = observer.execute(
        "select count(*) from adjourn.adjourn_steps where is_done and value = to_jsonb(job_id)"
    ).fetchall()
    assert done_ == (count,)
    assert observer.execute("select count(*) from adjourn.adjourn_event_notes").fetchone() == (0,)
