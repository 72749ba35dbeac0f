"""The metrics of all workers together count each run of a job once, also where runs are tried again, aborted, handed back, and lost."""

from __future__ import annotations

import collections
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

import adjourn
from support.waiting import until

Counts = collections.Counter[tuple[str, str]]
"""How many runs of a task had an outcome."""

PROGRAM = '''
"""A worker that writes down its metrics when it has ended, and its tasks, which note each run's end in a file of their own."""

import asyncio
import os
import sys
import time
from pathlib import Path

import adjourn
from adjourn.contrib import prometheus

directory = Path(os.environ["COUNTED"])
app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["COUNTED_DSN"]))


def note(text):
    with (directory / f"runs-{os.getpid()}").open("a") as file:
        file.write(text + "\\n")


@app.task(name="well")
async def well():
    note("well succeeded")


@app.task(name="in_thread")
def in_thread():
    note("in_thread succeeded")


@app.task(name="flaky", pass_context=True, retry=2)
def flaky(context):
    note("flaky retried" if context.job.attempts < 2 else "flaky failed")
    raise LookupError("as it was told to")


@app.task(name="endless")
async def endless():
    (directory / "endless").touch()
    try:
        await asyncio.sleep(600)
    finally:
        note("endless aborted")


@app.task(name="patient", pass_context=True)
async def patient(context):
    """Outlast the first worker, which hands it back."""
    if context.job.claim > 1:
        note("patient succeeded")
        return
    (directory / "patient").touch()
    try:
        await asyncio.sleep(600)
    finally:
        note("patient returned")


@app.task(name="lost", pass_context=True)
async def lost(context):
    """Have the first worker killed meanwhile."""
    if context.job.claim == 1:
        (directory / "lost").touch()
        await asyncio.sleep(600)
    note("lost succeeded")


def main():
    name, address, graceful = sys.argv[1:]
    app.run_worker(
        name=name,
        http=address,
        concurrency=20,
        shutdown_graceful_timeout=float(graceful),
        update_heartbeat_interval=0.2,
        stalled_worker_timeout=1.0,
        fetch_job_polling_interval=0.1,
    )
    (directory / f"metrics-{name}").write_bytes(prometheus.exposition()[1])


if __name__ == "__main__":
    main()
'''


class Crew:
    """Workers in processes of their own."""

    def __init__(self, path: Path, dsn: str) -> None:
        self.path = path
        (path / "counted.py").write_text(textwrap.dedent(PROGRAM), "utf-8")
        self.environment = {**os.environ, "COUNTED": str(path), "COUNTED_DSN": dsn}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.addresses: dict[str, str] = {}

    def start(self, name: str, graceful: float = 20.0) -> None:
        """Start a worker, and wait until it is ready."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = self.addresses[name] = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-W", "ignore", "counted.py", name, address, str(graceful)]
        self.processes[name] = subprocess.Popen(command, cwd=self.path, env=self.environment)
        until(lambda: self.answers(name))

    def answers(self, name: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.addresses[name]}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def text(self, name: str) -> str:
        with urllib.request.urlopen(f"http://{self.addresses[name]}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def scraped(self, name: str) -> Counts:
        """Return what a worker says now."""
        return counted(self.text(name))

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self, name: str) -> Counts:
        """Stop a worker gracefully, and return what it said last."""
        process = self.processes[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        return counted((self.path / f"metrics-{name}").read_text("utf-8"))

    def runs(self, name: str) -> Counts:
        """Return the runs that have ended in a worker, as its tasks have noted them."""
        notes = self.path / f"runs-{self.processes[name].pid}"
        lines = notes.read_text("utf-8").splitlines() if notes.exists() else []
        return collections.Counter((task, outcome) for task, outcome in map(str.split, lines))

    def has(self, file: str) -> bool:
        return (self.path / file).exists()


def counted(text: str) -> Counts:
    found: Counts = collections.Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "adjourn_jobs_ended_total":
                found[sample.labels["task"], sample.labels["outcome"]] += int(sample.value)
    return found


def gauges(text: str) -> dict[str, float]:
    """The metrics without labels of what was scraped."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {sample.name: sample.value for sample in samples if not sample.labels}


@pytest.fixture
def crew(tmp_path: Path, database: str) -> Iterator[Crew]:
    crew = Crew(tmp_path, database)
    yield crew
    for process in crew.processes.values():
        process.kill()
        process.wait()


def ended(observer: psycopg.Connection) -> Counts:
    """Return how many jobs have ended, as the database knows it."""
    rows = observer.execute("select task_name, status, count(*) from adjourn.adjourn_finished_jobs group by 1, 2")
    return collections.Counter({(task, status): number for task, status, number in rows})


def live(observer: psycopg.Connection, ids: list[int]) -> bool:
    """Whether one of these jobs waits or runs yet."""
    return bool(observer.execute("select 1 from adjourn.adjourn_jobs where id = any(%s) limit 1", (ids,)).fetchall())


def test_the_workers_count_each_run_once(crew: Crew, database: str, observer: psycopg.Connection) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        manager = app.job_manager

        def defer(task: str, number: int = 1) -> list[int]:
            return list(app.configure_task(task, allow_unknown=True).batch_defer(*[{}] * number))

        # The first worker hands a job back when it is stopped.
        crew.start("stopped", graceful=0.5)
        defer("patient")
        some = defer("well", 150) + defer("in_thread", 50) + defer("flaky", 20)
        until(lambda: crew.has("patient") and not live(observer, some))
        # The second one is killed while it runs one.
        crew.start("killed")
        said = {"stopped": crew.stop("stopped")}
        (aborted,) = defer("endless")
        some = defer("well", 70) + defer("flaky", 10)
        until(lambda: crew.has("endless"))
        manager.cancel_job_by_id(aborted, abort=True)
        until(lambda: not live(observer, [aborted, *some]))
        defer("lost")
        until(lambda: crew.has("lost"))
        said["killed"] = crew.scraped("killed")
        crew.kill("killed")
        # The others do what is left.
        crew.start("third")
        crew.start("fourth")
        defer("well", 300)
        defer("in_thread", 100)
        until(lambda: not observer.execute("select 1 from adjourn.adjourn_jobs limit 1").fetchall(), 60)
        said |= {name: crew.stop(name) for name in ("third", "fourth")}
    for name, counts in said.items():
        assert counts == crew.runs(name), name
    total = sum(said.values(), collections.Counter())
    assert total == {
        ("well", "succeeded"): 520,
        ("in_thread", "succeeded"): 150,
        ("flaky", "retried"): 60,
        ("flaky", "failed"): 30,
        ("endless", "aborted"): 1,
        ("patient", "returned"): 1,
        ("patient", "succeeded"): 1,
        ("lost", "succeeded"): 1,
    }
    # Every job of the database has ended in exactly one of these runs.
    assert {key: number for key, number in total.items() if key[1] not in ("retried", "returned")} == ended(observer)


def test_processes_that_share_their_metrics_add_up_and_the_gauges_of_a_dead_one_vanish(
    crew: Crew, database: str, observer: psycopg.Connection, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    crew.environment["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
    names = ["one", "two", "three", "four"]
    for name in names:
        crew.start(name)
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        some = app.configure_task("well", allow_unknown=True).batch_defer(*[{}] * 300)
        some += app.configure_task("flaky", allow_unknown=True).batch_defer(*[{}] * 20)
        until(lambda: not live(observer, list(some)))
    total = {("well", "succeeded"): 300, ("flaky", "retried"): 40, ("flaky", "failed"): 20}
    # Whoever is asked says it for all; the others write what they know within a second.
    until(lambda: all(crew.scraped(name) == total for name in names))

    def idle() -> dict[str, float]:
        now = gauges(crew.text("one"))
        found = [now[f"adjourn_{name}"] for name in ("worker_slots", "jobs_running", "worker_outbox_jobs")]
        return now if found == [80, 0, 0] else {}

    now = until(idle)
    assert 0 <= time.time() - now["adjourn_worker_last_exchange_timestamp_seconds"] < 60
    assert 0 <= time.time() - now["adjourn_worker_last_heartbeat_timestamp_seconds"] < 60

    def carried() -> bool:
        found = re.findall(r'adjourn_worker_exchange_jobs_total\{direction="(\w+)"\} (\S+)', crew.text("two"))
        # What was claimed ahead may have been handed back.
        return len(found) == 2 and all(float(number) >= 360 for _, number in found)

    until(carried)
    assert now["adjourn_worker_exchange_seconds_count"] >= 4
    crew.kill("one")
    left = gauges(crew.text("two"))
    assert left["adjourn_worker_slots"] == 60, "what is dead has no slots"
    assert crew.scraped("two") == total, "its runs stay counted"
    assert crew.stop("two") == total
    left = gauges(crew.text("three"))
    assert left["adjourn_worker_slots"] == 40
    assert 0 <= time.time() - left["adjourn_worker_last_exchange_timestamp_seconds"] < 60
