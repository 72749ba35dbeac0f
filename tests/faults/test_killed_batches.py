"""Workers that are killed while a call of a batch task has many jobs."""

from __future__ import annotations

import os
import random
import time

import psycopg
import pytest

import adjourn
from adjourn.sql.constants import MOST_LOSSES
from faults.crash_tasks import batch_task
from faults.test_killed_workers import Workers, counted, wait_for, wait_until_finished
from faults.test_killed_workers import workers as workers
from support.waiting import until

JOBS = 400
KILLS = MOST_LOSSES - 1
"""No job can have lost so many workers that it fails."""


@pytest.mark.timeout(300)
@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes half a minute: scripts/test-all runs it")
def test_each_job_of_a_call_runs_again_when_its_worker_is_killed_and_none_ends_twice(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    gather = batch_task(app)
    with app.open():
        ids = gather.batch_defer(*({} for _ in range(JOBS)))
    for _ in range(2):
        workers.start(concurrency=2)
    cut: set[tuple[int, int]] = set()
    for _ in range(KILLS):
        # Some worker is in the middle of a call of each of these.
        now = "select r.id, r.claim from crash_runs r join adjourn.adjourn_jobs j using (id, claim) where r.ended_at is null"
        until(lambda now=now: len(observer.execute(now.encode()).fetchall()) > 1)  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.2))
        workers.kill_one()
        cut |= set(observer.execute(now.encode()).fetchall())
    wait_until_finished(observer)
    names = ", ".join(map(repr, workers.processes))
    wait_for(observer, f"select count(*) from adjourn.adjourn_workers where name in ({names})", 2)
    assert set(workers.end()) == {0}
    finished = observer.execute(
        "select id, status, claim, attempts from adjourn.adjourn_finished_jobs order by id"
    ).fetchall()
    assert [(id_, status) for id_, status, *_ in finished] == [(id_, "succeeded") for id_ in ids]
    # The run that has ended each job is its last one, and it came to its end.
    last: dict[int, int] = dict(
        observer.execute("select id, max(claim) from crash_runs where ended_at is not null group by id")
    )
    assert last == {id_: claim for id_, _, claim, _ in finished}
    unended = set(observer.execute("select id, claim from crash_runs where ended_at is null").fetchall())
    assert unended <= cut
    assert len(unended) > 1, "no call was cut"
    # Each run that was lost is an attempt, and nothing else is.
    lost: dict[int, int] = dict(unended)
    assert all(claim > lost[id_] and attempts > 1 for id_, _, claim, attempts in finished if id_ in lost)
    assert counted(observer, "select count(*) from adjourn.adjourn_jobs") == 0
