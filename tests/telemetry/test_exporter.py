"""What ``adjourn metrics`` exports of a database, as Prometheus reads it, and the files that use it."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import adjourn
from adjourn._domain.statistics import OTHER
from adjourn.contrib import prometheus
from adjourn.exceptions import InvalidOption
from adjourn.monitor import exports
from adjourn.sql.constants import Hold
from adjourn.testing import InMemoryConnector
from support.bench import Bench
from support.deployment import FILES
from support.pages import ROOT

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Exporter:
    """An exporter that reads anew each time that it is asked."""

    def __init__(self, app: adjourn.App) -> None:
        self.collector = prometheus.DatabaseCollector(app)
        self.collector._exports._interval = 0

    def samples(self) -> Samples:
        return parsed(self.collector.text().decode())

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, tuple(sorted(labels.items()))))


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))
    async with app.open_async():
        yield app


@pytest.fixture
def exporter(app: adjourn.App) -> Iterator[Exporter]:
    exporter = Exporter(app)
    yield exporter
    exporter.collector.close()


def latencies(samples: Samples) -> dict[str, float]:
    return {labels[0][1]: value for (name, labels), value in samples.items() if name == "adjourn_queue_latency_seconds"}


async def test_latency_rises_with_time_while_no_worker_runs_and_only_for_jobs_that_could_run(
    app: adjourn.App, exporter: Exporter, observer: psycopg.Connection
) -> None:
    async def defer(queue: str, **options: Any) -> None:
        await app.configure_task("any", queue=queue, allow_unknown=True, **options).defer_async()

    def passes(seconds: float) -> None:
        """Have as much time passed since all that has happened."""
        observer.execute(
            "update adjourn.adjourn_jobs set enqueued_at = enqueued_at - %(by)s, scheduled_at = scheduled_at - %(by)s, "
            "started_at = started_at - %(by)s, ready_at = ready_at - %(by)s",
            {"by": datetime.timedelta(seconds=seconds)},
        )

    def read() -> tuple[dict[str, float], float]:
        """The latencies, and the database's time."""
        found = latencies(exporter.samples())
        (row,) = observer.execute("select extract(epoch from clock_timestamp())")
        return found, float(row[0])

    assert read()[0] == {}
    await defer("ready")
    await defer("due", schedule_in={"seconds": 20})
    await defer("unplaced", lock="free")
    await defer("running", lock="taken")
    await defer("paused")
    observer.execute("insert into adjourn.adjourn_pauses (scope, name) values ('queue', 'paused')")
    observer.execute("select adjourn.adjourn_place_v1(10)")
    observer.execute("update adjourn.adjourn_jobs set hold = %s where queue = 'unplaced'", (Hold.UNPLACED,))
    observer.execute(
        "update adjourn.adjourn_jobs set worker_id = 1, claim = 1, started_at = now() where queue = 'running'"
    )
    await defer("behind", lock="taken")  # no worker has placed it, and its lock has a head
    before, at = read()
    assert before["due"] == 0, "it is not due yet"
    (row,) = observer.execute(
        "select extract(epoch from now() - scheduled_at) from adjourn.adjourn_jobs where queue = 'due'"
    )
    expected = {"ready": before["ready"], "unplaced": before["unplaced"], "due": float(row[0])}
    for seconds in (1, 1, 1, 20, 1, 3600):
        passes(seconds)
        found, now = read()
        for queue in expected:
            expected[queue] += seconds + now - at
            # How long the reads themselves took is all that is not known.
            assert max(0.0, expected[queue] - (now - at)) - 0.2 <= found[queue] <= max(0.0, expected[queue]) + 0.2, (
                queue
            )
        assert {found[queue] for queue in ("running", "behind", "paused")} == {0.0}
        at = now
    observer.execute("delete from adjourn.adjourn_jobs")
    assert set(read()[0].values()) == {0.0}, "a queue that was there stays, so that alerts see that it is well"


async def test_latency_tells_of_ready_due_and_unplaced_jobs_while_no_worker_runs(
    app: adjourn.App, exporter: Exporter, observer: psycopg.Connection
) -> None:
    async def defer(queue: str, **options: Any) -> int:
        return await app.configure_task("any", queue=queue, **options).defer_async()

    await defer("ready")
    for queue in ("due", "later"):
        await defer(queue, schedule_in={"hours": 1})
    await defer("unplaced", lock="free")
    head = await defer("running", lock="taken")
    await defer("behind", lock="taken")
    await defer("paused")
    observer.execute("select adjourn.adjourn_place_v1(10)")
    await defer("unplaced", lock="another")
    observer.execute(
        "update adjourn.adjourn_jobs set worker_id = 1, claim = 1, started_at = now() where id = %s", (head,)
    )
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = enqueued_at - interval '100 s'")
    observer.execute("update adjourn.adjourn_jobs set scheduled_at = now() - interval '100 s' where queue = 'due'")
    observer.execute("insert into adjourn.adjourn_pauses (scope, name) values ('queue', 'paused')")
    found = exporter.samples()
    latency = latencies(found)
    assert all(100 <= latency[queue] < 150 for queue in ("ready", "unplaced", "due"))
    assert {name for name, value in latency.items() if not value} == {"later", "running", "behind", "paused"}
    assert found["adjourn_queue_paused", (("queue", "paused"),)] == 1
    assert ("adjourn_queue_pause_ends_timestamp_seconds", (("queue", "paused"),)) not in found
    await app.job_manager.pause_queue_async("paused", until=datetime.datetime(2101, 1, 1, tzinfo=datetime.UTC))
    assert exporter.value("adjourn_queue_pause_ends_timestamp_seconds", queue="paused") == 4_133_980_800
    states = {
        (dict(labels)["queue"], dict(labels)["state"]): value
        for (name, labels), value in found.items()
        if name == "adjourn_queue_jobs" and value
    }
    assert states == {
        ("ready", "ready"): 1,
        ("due", "scheduled"): 1,
        ("later", "scheduled"): 1,
        ("unplaced", "ready"): 1,
        ("unplaced", "unplaced"): 1,
        ("running", "running"): 1,
        ("behind", "blocked"): 1,
        ("paused", "ready"): 1,
    }
    assert exporter.value("adjourn_locks_waiting") == 2
    assert exporter.value("adjourn_headless_locks") == 1
    assert (exporter.value("adjourn_lock_wait_seconds") or 0) == pytest.approx(100, abs=50)
    # A queue that is empty again is shown, and is well.
    observer.execute("delete from adjourn.adjourn_jobs")
    assert exporter.value("adjourn_queue_latency_seconds", queue="ready") == 0


async def test_jobs_of_tasks_that_no_worker_knows_are_told_with_their_age(
    app: adjourn.App, exporter: Exporter, observer: psycopg.Connection
) -> None:
    for task, queue, jobs in (("gone", "mail", 2), ("gone", "news", 1), ("old", "mail", 1)):
        for _ in range(jobs):
            await app.configure_task(task, queue=queue, allow_unknown=True).defer_async()
    await app.run_worker_async(wait=False)
    observer.execute("update adjourn.adjourn_jobs set unknown_since = now() - interval '100 s' where queue = 'news'")
    for task, queue, jobs in (("gone", "mail", 2), ("gone", "news", 1), ("old", "mail", 1)):
        assert exporter.value("adjourn_unknown_task_jobs", task=task, queue=queue) == jobs
    assert (exporter.value("adjourn_unknown_task_seconds", task="gone", queue="news") or 0) == pytest.approx(
        100, abs=50
    )
    assert (exporter.value("adjourn_unknown_task_seconds", task="old", queue="mail") or 0) < 50
    observer.execute("delete from adjourn.adjourn_jobs")
    assert exporter.value("adjourn_unknown_task_jobs", task="gone", queue="mail") is None


async def test_what_has_become_of_jobs_is_counted_from_when_the_exporter_began(
    app: adjourn.App, bench: Bench, exporter: Exporter
) -> None:
    @app.task(name="works", queue="q")
    async def works() -> None: ...

    def total() -> float | None:
        return exporter.value("adjourn_history_jobs_total", queue="q", task="works", status="succeeded")

    await works.defer_async()
    await bench.drain()
    assert total() is None
    for expected in (1, 2):
        await works.defer_async()
        await bench.drain()
        assert total() == expected
        assert total() == expected


async def test_a_flood_of_names_is_bounded(app: adjourn.App, exporter: Exporter, observer: psycopg.Connection) -> None:
    exporter.samples()
    observer.execute(
        "insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs) "
        "select date_trunc('minute', now()), 0, 'q', 'task ' || n, 'failed', 1 from generate_series(1, 5000) n"
    )
    found = exporter.samples()
    assert sum(name == "adjourn_history_jobs_total" for name, _ in found) == exports.MOST_PAIRS + 1
    labels = (("queue", OTHER), ("status", "failed"), ("task", OTHER))
    assert found["adjourn_history_jobs_total", labels] == found["adjourn_metrics_overflow_total", ()] == 4500


async def test_workers_schedules_tables_and_the_server(app: adjourn.App, bench: Bench, exporter: Exporter) -> None:
    @app.periodic(cron="* * * * *")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    running = threading.Event()

    @app.task(name="long", queue="slow")
    def long() -> None:
        running.wait(30)

    await long.defer_async()
    await app.configure_task("any", queue="slow").defer_async()
    async with bench.working(queues=["slow"], concurrency=3, update_heartbeat_interval=0.1):
        await bench.until(lambda: exporter.value("adjourn_oldest_running_seconds", queue="slow"))
        found = exporter.samples()
        running.set()
    value = {name: value for (name, labels), value in found.items()}
    assert found["adjourn_workers", (("state", "alive"),)] == 1
    assert found["adjourn_workers", (("state", "silent"),)] == 0
    assert found["adjourn_queue_workers", (("queue", "slow"),)] == 1
    assert found["adjourn_queue_slots", (("queue", "slow"),)] == 3
    assert found["adjourn_table_bytes", (("part", "heap"), ("table", "adjourn_jobs"))] > 0
    assert value["adjourn_partitions_ahead"] == 8
    assert value["adjourn_schema_version"] == value["adjourn_schema_version_needed"]
    assert all(number for (name, _), number in found.items() if name == "adjourn_collector_success")


async def test_overdue_ticks_are_seen_although_nobody_ticks(exporter: Exporter, observer: psycopg.Connection) -> None:
    observer.execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, next_tick) values "
        "('tick', '', '0 * * * *', 'UTC', now() - interval '5 h', now() - interval '4 h'), ('old', '', '0 * * * *', 'UTC', now(), null)"
    )
    labels = {"task": "tick", "periodic_id": ""}
    last, following, overdue = (
        exporter.value(f"adjourn_schedule_{name}", **labels) or 0
        for name in ("last_tick_timestamp_seconds", "next_tick_timestamp_seconds", "overdue_seconds")
    )
    assert following - last == 3600
    assert 4 * 3600 <= overdue <= 4 * 3600 + 60
    assert exporter.value("adjourn_schedule_overdue_seconds", task="old", periodic_id="") is None
    assert exporter.value("adjourn_schedule_paused", **labels) == 0
    observer.execute("update adjourn.adjourn_schedules set paused_at = now()")
    assert exporter.value("adjourn_schedule_overdue_seconds", **labels) == 0
    assert exporter.value("adjourn_schedule_paused", **labels) == 1


async def test_scrapes_share_one_read(app: adjourn.App) -> None:
    collector = prometheus.DatabaseCollector(app)
    reads = 0
    collect = collector._exports._collect

    def counted() -> Any:
        nonlocal reads
        reads += 1
        time.sleep(0.1)
        return collect()

    collector._exports._collect = counted  # type: ignore[method-assign]
    with ThreadPoolExecutor(20) as threads:
        texts = set(threads.map(lambda _: collector.text(), range(20)))
    collector.close()
    assert (reads, len(texts)) == (1, 1)


async def test_figures_that_cannot_be_read_leave_the_others(
    app: adjourn.App, exporter: Exporter, observer: psycopg.Connection
) -> None:
    observer.execute("alter table adjourn.adjourn_stats rename to adjourn_statz")
    try:
        found = exporter.samples()
    finally:
        observer.execute("alter table adjourn.adjourn_statz rename to adjourn_stats")
    assert found["adjourn_collector_success", (("collector", "history"),)] == 0
    assert found["adjourn_collector_success", (("collector", "queues"),)] == 1
    assert found["adjourn_up", ()] == 1
    assert exporter.value("adjourn_collector_success", collector="history") == 1


@pytest.mark.parametrize("answers", [False, True])
async def test_a_server_that_is_away_is_said_so_in_time(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One refuses connections, and the other accepts them and says nothing."""
    monkeypatch.setattr(exports, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if not answers:
            listening.close()
        app = adjourn.App(connector=adjourn.PsycopgConnector(f"host=127.0.0.1 port={port} user=x dbname=x"))
        exporter = Exporter(app)
        assert exporter.samples() == {("adjourn_up", ()): 0}
        assert not exporter.collector.is_up


async def test_it_recovers(app: adjourn.App, exporter: Exporter, observer: psycopg.Connection) -> None:
    assert exporter.value("adjourn_up") == 1
    observer.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert exporter.value("adjourn_up") == 0
    assert exporter.value("adjourn_up") == 1


async def test_in_memory_there_is_nothing_to_export() -> None:
    with pytest.raises(InvalidOption, match="no database"):
        prometheus.DatabaseCollector(adjourn.App(connector=InMemoryConnector()))


@pytest.mark.parametrize("interval", [0, True, float("nan"), "10"])
async def test_an_interval_is_a_number_of_seconds(app: adjourn.App, interval: Any) -> None:
    with pytest.raises(InvalidOption, match="interval="):
        prometheus.DatabaseCollector(app, interval)


PROGRAM = "import os, adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(os.environ['EXPORTED_DSN']))\n"


def test_the_command_serves_until_it_is_stopped(database: str, tmp_path: Path) -> None:
    (tmp_path / "exported.py").write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, "EXPORTED_DSN": database, "PYTHONPATH": str(tmp_path)}
    words = [sys.executable, "-m", "adjourn", "--app=exported.app", "metrics"]
    with subprocess.Popen(
        [*words, "--bind=127.0.0.1:0"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            (url,) = re.findall(r"http://\S+", process.stdout.readline())

            def get(path: str, accept: str = "") -> tuple[int, str, str]:
                request = urllib.request.Request(url.replace("/metrics", path), headers={"Accept": accept})
                try:
                    with urllib.request.urlopen(request, timeout=20) as answer:
                        return answer.status, answer.headers["Content-Type"], answer.read().decode()
                except urllib.error.HTTPError as error:
                    return error.code, "", error.read().decode()

            status, kind, text = get("/metrics")
            assert (status, kind.split(";")[0]) == (200, "text/plain")
            assert parsed(text)["adjourn_up", ()] == 1
            assert get("/metrics", "application/openmetrics-text")[1].startswith("application/openmetrics-text")
            assert get("/livez")[0] == get("/readyz")[0] == 200
            assert get("/else")[0] == 404
            taken = subprocess.run(
                [*words, f"--bind={url.split('/')[2]}"], env=environment, capture_output=True, text=True, timeout=60
            )
            assert (taken.returncode, "in use" in taken.stderr) == (1, True)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


# The files that use metrics


def exported() -> dict[str, set[str]]:
    """The labels of each metric that the code has, by the name that a query gives it."""
    made = {each.name: set(each.labels) for each in exports.DECLARED}
    app = adjourn.App(connector=InMemoryConnector())
    registry = CollectorRegistry()
    prometheus.instrument(app, registry)()
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = set(getattr(collector, "_labelnames", ()))
            if family.name == "adjourn_worker_info":
                labels = {"name", "version", "python"}
            names = {
                "counter": [f"{family.name}_total"],
                "histogram": [f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"],
            }.get(family.type, [family.name])
            for name in names:
                made[name] = made.get(name, set()) | labels | ({"le"} if name.endswith("_bucket") else set())
    return made


def queries() -> dict[str, str]:
    """Each query of the files, by where it is."""
    found = {}
    recorded = {}
    for group in yaml.safe_load((FILES / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            found[rule.get("alert") or rule["record"]] = rule["expr"]
            if "record" in rule:
                recorded[rule["record"]] = rule["expr"]
    board = json.loads((FILES / "grafana" / "adjourn.json").read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["query"]
    for annotation in board["annotations"]["list"]:
        found[f"annotation {annotation['name']}"] = annotation["expr"]
    return found


TARGETS = {"instance", "job"}
"""The labels that Prometheus adds."""
METRIC = re.compile(r"\b(adjourn_[a-z_]+)(?:\{([^}]*)\})?")


@pytest.mark.parametrize(("where", "query"), queries().items())
def test_a_query_asks_for_metrics_and_labels_that_there_are(where: str, query: str) -> None:
    there = exported()
    used = METRIC.findall(query)
    assert used or ":" in query
    known = {"task", "queue"} if ":" in query and not used else TARGETS.copy()
    for name, matchers in used:
        assert name in there, name
        known |= there[name]
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in there[name] | TARGETS, f"{name}: {label}"
    for labels in re.findall(r"\bby \(([^)]*)\)", query):
        assert {each.strip() for each in labels.split(",")} <= known | TARGETS


def test_every_metric_of_the_database_is_shown_alerted_on_or_told() -> None:
    page = (ROOT / "docs" / "how-to" / "metrics.md").read_text("utf-8")
    assert {each.name for each in exports.DECLARED} <= set(re.findall(r"`(adjourn_[a-z_]+)`", page))


SITE = "https://docs.example.com/adjourn"
"""Where the documentation is, until somebody says where it is."""


def test_the_page_says_how_to_lead_alerts_to_your_runbook(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "metrics.md").read_text("utf-8")
    (line,) = re.findall(r"^\$ (sed .*alerts\.yaml)$", page, re.MULTILINE)
    rules = tmp_path / "alerts.yaml"
    rules.write_bytes((FILES / "prometheus" / "alerts.yaml").read_bytes())
    subprocess.run(line, shell=True, cwd=tmp_path, check=True)
    urls = [
        rule["annotations"]["runbook_url"]
        for group in yaml.safe_load(rules.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert urls
    assert all(url.startswith("https://wiki.internal/adjourn/how-to/runbook.html#adjourn") for url in urls)


def test_an_alert_leads_to_its_entry_in_the_runbook() -> None:
    anchors = {
        heading.lower()
        for heading in re.findall(r"^### (.*)$", (ROOT / "docs/how-to/runbook.md").read_text("utf-8"), re.M)
    }
    for group in yaml.safe_load((FILES / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                address, _, anchor = rule["annotations"]["runbook_url"].partition("#")
                assert address == f"{SITE}/how-to/runbook.html"
                assert anchor in anchors
                assert (
                    "{{ $value" in rule["annotations"]["description"]
                    or "absent" in rule["expr"]
                    or "== 0" in rule["expr"]
                )
