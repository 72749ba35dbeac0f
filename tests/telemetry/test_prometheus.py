"""Metrics of programs that defer jobs and of workers, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import adjourn
from adjourn import telemetry
from adjourn._domain.statistics import OTHER, RUN_BOUNDS
from adjourn.contrib import prometheus
from adjourn.contrib.prometheus.private import observe
from adjourn.events import JobStarted, JobSucceeded
from adjourn.exceptions import AlreadyEnqueued
from adjourn.monitor import exports
from adjourn.worker import recording
from support.bench import Bench
from support.pages import ROOT
from support.waiting import until_async

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scraped:
    """A registry of a test, as Prometheus reads it."""

    def __init__(self, app: adjourn.App) -> None:
        self.registry = CollectorRegistry()
        self.end = prometheus.instrument(app, self.registry)
        self.metrics = prometheus._made[self.registry]

    def samples(self) -> list[Any]:
        text = generate_latest(self.registry).decode()
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        total: float = sum(
            sample.value for sample in self.samples() if sample.name == name and labels.items() <= sample.labels.items()
        )
        return total


@pytest.fixture
def scraped(app: adjourn.App) -> Iterator[Scraped]:
    before = telemetry.OBSERVERS
    scraped = Scraped(app)
    yield scraped
    scraped.end()
    telemetry.OBSERVERS = before


async def test_what_is_deferred_and_run_is_counted_once_and_timed(
    app: adjourn.App, bench: Bench, scraped: Scraped
) -> None:
    prometheus.instrument(app, scraped.registry)  # twice counts once

    @app.task(name="work", queue="q")
    async def work() -> None: ...

    @app.task(name="flaky", queue="q", retry=adjourn.RetryStrategy(max_attempts=1))
    def flaky() -> None:
        raise LookupError("no")

    await work.batch_defer_async({}, {}, {})
    await flaky.defer_async()
    deferrer = work.configure(queueing_lock="one")
    await deferrer.defer_async()
    with pytest.raises(AlreadyEnqueued):
        await deferrer.defer_async()
    await app.configure_task("nobody knows").defer_async()
    await bench.drain(concurrency=2)
    value = scraped.value
    assert value("adjourn_defers_total", queue="q", task="work", result="stored") == 4
    assert value("adjourn_defers_total", result="already_enqueued") == 1
    assert value("adjourn_defer_seconds_count") == 5
    assert value("adjourn_jobs_started_total", queue="q", task="work") == 4
    assert value("adjourn_jobs_ended_total", outcome="succeeded") == 4
    assert value("adjourn_jobs_ended_total", outcome="retried") == 1
    assert value("adjourn_jobs_ended_total", task="flaky", outcome="failed") == 1
    assert value("adjourn_jobs_ended_total") == 7  # one of them is of an unknown task, and never began
    assert value("adjourn_job_run_seconds_count") == 7
    assert value("adjourn_job_wait_seconds_count", queue="q") == 6


async def test_what_is_counted_costs_a_run_neither_an_event_nor_an_observer(
    app: adjourn.App, bench: Bench, scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LATEST", 0.01)
    own = telemetry.Observers(each for each in telemetry.OBSERVERS if isinstance(each, prometheus._Defers))
    monkeypatch.setattr(telemetry, "OBSERVERS", own)  # Sentry's stays once it was there

    assert not own.of_runs
    for kind in (JobStarted, JobSucceeded):
        # The log may have subscribed, if another test has set its level.
        assert not [each for each in app.events._found[kind] if "prometheus" in each.subscriber.__module__]

    @app.task(name="work", queue="q")
    async def work() -> None: ...

    @app.task(name="long", queue="q")
    async def long() -> None:
        # Nobody scrapes: these are counted all the same, for other processes that share the metrics.
        await until_async(lambda: scraped.metrics._ended.labels("q", "work", "succeeded")._value.get() == 300)
        assert scraped.metrics._started.labels("q", "long")._value.get() == 1

    await work.batch_defer_async(*[{}] * 300)
    await long.defer_async()
    await bench.drain(concurrency=10)
    assert scraped.value("adjourn_jobs_ended_total", outcome="succeeded") == 301
    assert scraped.value("adjourn_job_run_seconds_count") == 301
    assert scraped.value("adjourn_job_run_seconds_bucket", le="+Inf") == 301
    assert scraped.value("adjourn_job_wait_seconds_count") == 301
    assert scraped.value("adjourn_job_run_seconds_sum", task="long") > 0
    # Histograms that were fed by the client's own method are the same.
    ours, theirs = scraped.metrics._run_seconds.labels("a", "a"), scraped.metrics._run_seconds.labels("b", "b")
    values = [0.0, 0.005, 0.0051, 3, 3600, 3601, 1e6]
    counts = [0] * (len(RUN_BOUNDS) + 1)
    for each in values:
        theirs.observe(each)
        counts[bisect_left(RUN_BOUNDS, each)] += 1
    observe(ours, RUN_BOUNDS, counts, sum(values))
    alike = [
        [
            (sample.name, sample.labels.get("le"), sample.value)
            for sample in scraped.samples()
            if sample.labels.get("task") == name and not sample.name.endswith("_created")
        ]
        for name in "ab"
    ]
    assert alike[0] == alike[1]


async def test_after_the_end_nothing_is_counted(app: adjourn.App, bench: Bench, scraped: Scraped) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    scraped.end()
    await work.defer_async()
    await bench.drain()
    assert scraped.value("adjourn_jobs_ended_total") == 0


async def test_a_flood_of_names_is_bounded(app: adjourn.App, bench: Bench, scraped: Scraped) -> None:
    names = 5000 if "ADJOURN_TEST_THOROUGH" in os.environ else prometheus.MOST_PAIRS + 200
    for number in range(names):
        app.task(name=f"task {number}", queue=f"queue {number % 7}")(bool)
    await app.configure_task("task 0").defer_jobs_async(
        [app.tasks[f"task {number}"].configure().job for number in range(names)]
    )
    await bench.drain(concurrency=50)
    samples = scraped.samples()
    for name in (
        "adjourn_defers_total",
        "adjourn_jobs_started_total",
        "adjourn_jobs_ended_total",
        "adjourn_job_run_seconds_count",
    ):
        counts = {sample.labels["task"]: sample.value for sample in samples if sample.name == name}
        assert len(counts) == prometheus.MOST_PAIRS + 1, name
        assert counts.pop(OTHER) == names - prometheus.MOST_PAIRS, name
        assert set(counts.values()) == {1}, name
    # Once when they were deferred, once when they began, and once when they ended.
    overflow = [sample.value for sample in samples if sample.name == "adjourn_metrics_overflow_total"]
    assert overflow == [3 * (names - prometheus.MOST_PAIRS)]


async def test_no_label_holds_an_id_a_lock_or_an_argument(app: adjourn.App, bench: Bench, scraped: Scraped) -> None:
    @app.task(name="work")
    async def work(secret: str) -> None:
        raise LookupError("of-the-error")

    await work.configure(lock="of-a-lock", queueing_lock="of-another").defer_async(secret="of-an-argument")
    await bench.drain(name="a-worker")
    labels = {f"{name}={value}" for sample in scraped.samples() for name, value in sample.labels.items()}
    allowed = {"queue=default", "task=work", "result=stored", "outcome=failed"}
    assert {each for each in labels if not each.startswith("le=")} == allowed


def documented() -> set[str]:
    page = (ROOT / "docs" / "how-to" / "metrics.md").read_text("utf-8")
    return set(re.findall(r"`(adjourn_[a-z_]+)`", page))


async def test_the_page_names_every_metric_and_no_other(app: adjourn.App, scraped: Scraped) -> None:
    families = text_string_to_metric_families(generate_latest(scraped.registry).decode())
    made = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    of_the_database = {each.name for each in exports.DECLARED}
    assert {name for name in made if not name.endswith("_created")} | of_the_database == documented()


async def test_a_worker_serves_its_metrics(app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = telemetry.OBSERVERS
    # Other tests of this process may have used up the names of the client's own registry.
    monkeypatch.setattr(prometheus, "MOST_PAIRS", 10_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

    @app.task(name="served", queue="served")
    async def served() -> None: ...

    def get(accept: str) -> tuple[str, str]:
        request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    async with bench.working(http=address, concurrency=7, name="one") as worker:
        await bench.ended(await served.defer_async())
        await until_async(lambda: worker.worker_id)
        kind, text = await asyncio.to_thread(get, "text/plain")
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("adjourn_worker") or sample.labels.get("queue") == "served"
        }
        assert kind.startswith("text/plain")
        assert (values["adjourn_worker_slots"], values["adjourn_jobs_ended_total"]) == (7, 1)
        assert values["adjourn_worker_exchange_seconds_count"] >= 1
        assert values["adjourn_worker_exchange_seconds_sum"] > 0
        carried = re.findall(r'adjourn_worker_exchange_jobs_total\{direction="(\w+)"\} (\S+)', text)
        assert carried == [("claimed", "1.0"), ("stored", "1.0")]
        assert values["adjourn_worker_last_exchange_timestamp_seconds"] > 1e9
        kind, text = await asyncio.to_thread(get, "application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        worker.stop()
    prometheus.instrument(app)()
    assert "adjourn_worker_slots 7" not in generate_latest(prometheus_client.REGISTRY).decode()
    telemetry.OBSERVERS = before


PROCESS = """
import asyncio, sys, adjourn
from adjourn.contrib import prometheus
from adjourn.contrib.prometheus.private import observe
from adjourn.events import JobStarted, JobSucceeded
from adjourn.testing import InMemoryConnector

app = adjourn.App(connector=InMemoryConnector())

@app.task(name="work")
async def work(): ...

async def main():
    prometheus.instrument(app)
    async with app.open_async():
        await work.batch_defer_async({}, {})
        await app.run_worker_async(wait=False, install_signal_handlers=False)

asyncio.run(main())
if sys.argv[1:]:
    print(prometheus.exposition()[1].decode())
"""


def test_the_metrics_of_several_processes_add_up(tmp_path: Path) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-W", "ignore", "-c", PROCESS]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    done = subprocess.run([*command, "show"], env=environment, check=True, capture_output=True, text=True)
    assert 'adjourn_jobs_ended_total{outcome="succeeded",queue="default",task="work"} 4.0' in done.stdout


FILES = """
import sys
import threading
import time
from pathlib import Path
import prometheus_client
from prometheus_client import values
if sys.argv[1] == "own":
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: 3)
from adjourn.contrib.prometheus.shared import forget_dead
prometheus_client.Gauge("some", "Any", multiprocess_mode="livesum", registry=None).set(1)
folder = Path(sys.argv[2])
Path(folder, "gauge_livesum_4194305.db").write_bytes(b"")  # no system has such a pid
forget_dead()
print(sorted(each.name for each in folder.glob("gauge_*")))
"""


@pytest.mark.parametrize("numbers", ["pids", "own"])
def test_only_files_with_pids_in_their_names_are_those_of_dead_processes(tmp_path: Path, numbers: str) -> None:
    """uWSGI's workers have numbers of their own there."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-W", "ignore", "-c", FILES, numbers, str(tmp_path)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert ("gauge_livesum_4194305.db" in done.stdout) is (numbers == "own")
    assert ("gauge_livesum_3.db" in done.stdout) is (numbers == "own")


def test_an_app_that_several_threads_instrument_at_once_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = adjourn.App(connector=adjourn.testing.InMemoryConnector())
    before = telemetry.OBSERVERS
    registry, made, ready = CollectorRegistry(), list[object](), threading.Barrier(4)
    record = recording.record

    def slow(*arguments: Any) -> Any:
        made.append(arguments)
        time.sleep(0.05)  # in which another thread may come
        return record(*arguments)

    def instrument() -> None:
        ready.wait()
        prometheus.instrument(app, registry)

    monkeypatch.setattr(prometheus, "record", slow)
    threads = [threading.Thread(target=instrument) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    prometheus.instrument(app, registry)()
    telemetry.OBSERVERS = before
