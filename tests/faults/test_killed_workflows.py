"""Workflows whose workers are killed, beside transactions that stay open or are rolled back."""

from __future__ import annotations

import os
import random
import time

import psycopg
import pytest

import adjourn
from adjourn.workflows import Node, StoredWorkflow, Workflow
from faults.test_killed_workers import Workers, counted, wait_for, wait_until_finished
from faults.test_killed_workers import workers as workers

IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
KILLS = 60 if IS_THOROUGH else 3
FLOWS = 40 if IS_THOROUGH else 12


def defer(app: adjourn.App, connection: psycopg.Connection, seed: int) -> tuple[dict[int, list[int]], list[int]]:
    """Store workflows of all forms; return whom each of their jobs waits for, and the ids of the workflows."""
    chance, parents, flows = random.Random(seed), {}, []
    work = app.configure_task("crash", task_kwargs={"seconds": 0.005})
    known = [work.defer() for _ in range(FLOWS)]
    for number in range(FLOWS):
        flow = app.workflow()
        nodes: list[tuple[Node, list[Node | int]]] = []

        def add(
            waits: list[Node | int],
            count: int | None = None,
            flow: Workflow = flow,
            nodes: list[tuple[Node, list[Node | int]]] = nodes,
        ) -> Node:
            configured = app.configure_task(
                "crash", lock=chance.choice([None, None, "l"]), task_kwargs={"seconds": chance.choice([0, 0.01])}
            )
            rule = chance.choice(["all_succeeded", "all_done"]) if waits else "all_succeeded"
            if count is None:
                node = flow.add(configured, depends_on=waits, run_if=rule)  # type: ignore[arg-type]
            else:
                node = flow.map(configured, [{}] * count, depends_on=waits, run_if=rule)  # type: ignore[arg-type]
            nodes.append((node, waits))
            return node

        first = add([known[number]] if number % 2 else [])
        group = add([first], 10)
        callback = add([group])
        left, right = add([callback]), add([callback, first])
        add([left, right, known[(number + 1) % FLOWS]])
        stored = flow.defer(connection=connection) if number % 3 == 0 else flow.defer()
        if number % 3 == 0:
            time.sleep(chance.uniform(0, 0.02))
            if number % 2:
                connection.rollback()
                continue
            connection.commit()
        flows.append(stored.id)
        for node, waits in nodes:
            for id_ in stored.job_ids(node):
                parents[id_] = [parent for each in waits for parent in _ids(stored, each)]
    return parents, flows


def _ids(stored: StoredWorkflow, node: Node | int) -> list[int]:
    return [node] if isinstance(node, int) else stored.job_ids(node)


@pytest.mark.timeout(400)
def test_no_child_runs_before_its_parents_and_each_runs_once_when_workers_are_killed(
    database: str, observer: psycopg.Connection, workers: Workers
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open(), psycopg.connect(database) as connection:
        for _ in range(3):
            workers.start()
        wait_for(observer, "select count(*) from adjourn.adjourn_workers", 3)
        parents, flows = defer(app, connection, 7)
        for _ in range(KILLS):
            time.sleep(random.uniform(0.05, 0.5))
            workers.kill_one()
        for flow in flows:
            state = app.job_manager.wait_for_workflow(flow, timeout=60)
            assert (state.status, state.remaining, state.failed) == ("succeeded", 0, 0)
    wait_until_finished(observer)
    names = ", ".join(map(repr, workers.processes))
    wait_for(observer, f"select count(*) from adjourn.adjourn_workers where name in ({names})", 3)
    assert set(workers.end()) == {0}
    finished: dict[int, int] = dict(
        observer.execute("select id, claim from adjourn.adjourn_finished_jobs where status = 'succeeded'")
    )
    assert parents.keys() <= finished.keys()
    assert counted(observer, "select count(*) from adjourn.adjourn_finished_jobs where status <> 'succeeded'") == 0
    runs = observer.execute("select id, claim, started_at, ended_at from crash_runs").fetchall()
    ended_at = {id_: ended for id_, claim, _, ended in runs if claim == finished[id_]}
    early = [id_ for id_, _, started, _ in runs for parent in parents.get(id_, ()) if started < ended_at[parent]]
    assert early == [], "a child ran before its parents"
    late = "select count(*) from crash_runs r join adjourn.adjourn_finished_jobs f on f.id = r.id and r.claim > f.claim"
    assert counted(observer, late) == 0
    assert counted(observer, "select count(*) from adjourn.adjourn_arrivals") == 0
