"""Metrics of a program in several processes of gunicorn, which share them in files."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.gunicorn import gunicorn, post
from support.waiting import until

PROCESSES, CONCURRENCY = 4, 3
PROGRAM = f"""
import json, os, threading
import adjourn
from adjourn.contrib import prometheus

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["SHOP_DSN"]))
prometheus.instrument(app)
making = threading.Lock()
made = []

@app.task(name="send", queue="mail")
def send(): ...

def work():
    app.run_worker(concurrency={CONCURRENCY}, http="127.0.0.1:0", install_signal_handlers=False)

def open_here():
    with making:
        if not made:
            made.append(app.open())

def serve(environ, start_response):
    path, answer = environ["PATH_INFO"], os.getpid()
    if path == "/metrics":
        answer = prometheus.exposition()[1].decode()
    else:
        open_here()
    if path == "/defer":
        send.defer()
    if path == "/work" and len(made) == 1:
        made.append(threading.Thread(target=work, daemon=True))
        made[1].start()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""


def samples(listens: Path) -> Counter[str]:
    """Scrape the program, and add up what it says by name and outcome."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(post(listens, "/metrics")):
        for sample in family.samples:
            if sample.name.startswith("adjourn") and not sample.name.endswith("_bucket"):
                found[sample.name] += int(sample.value)
    return found


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["each imports", "preload"])
def test_what_processes_count_adds_up_and_one_that_is_killed_has_no_gauges(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM, "utf-8")
    (tmp_path / "metrics").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("SHOP_DSN", database)
    with gunicorn(tmp_path, "shop:serve", *options, workers=PROCESSES) as listens:
        working: set[int] = set()

        def works() -> bool:
            working.add(post(listens, "/work"))
            return len(working) == PROCESSES

        until(works)
        deferring = Counter(post(listens, "/defer") for _ in range(40))
        assert deferring.keys() <= working
        # What a worker has counted shows within a second.
        until(lambda: samples(listens)["adjourn_jobs_ended_total"] == 40)
        until(lambda: samples(listens)["adjourn_worker_slots"] == PROCESSES * CONCURRENCY)
        before = samples(listens)
        assert before["adjourn_defers_total"] == before["adjourn_jobs_started_total"] == 40
        assert before["adjourn_defer_seconds_count"] == before["adjourn_job_run_seconds_count"] == 40
        assert before["adjourn_worker_info"] == 1
        # It dies without a word, and gunicorn starts another one, without a worker.
        os.kill(max(deferring, key=deferring.__getitem__), signal.SIGKILL)
        until(lambda: samples(listens)["adjourn_worker_slots"] == (PROCESSES - 1) * CONCURRENCY)
        after = samples(listens)
        assert {name: after[name] for name in before if name.endswith("_total") and "exchange" not in name} == {
            name: before[name] for name in before if name.endswith("_total") and "exchange" not in name
        }
        for _ in range(10):
            post(listens, "/defer")
        until(lambda: samples(listens)["adjourn_jobs_ended_total"] == 50)
        assert samples(listens)["adjourn_defers_total"] == 50


def asked(listens: Path, path: str) -> str:
    """Return the answer to a request, as text."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(listens))
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_the_program_of_metrics_md_counts_what_all_processes_defer(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "metrics.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(# web_shop\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "web_shop.py").write_text(program.replace('"postgresql://localhost/mydb"', repr(database)), "utf-8")
    (tmp_path / "metrics").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    with gunicorn(tmp_path, "web_shop:web", workers=PROCESSES) as listens:
        for _ in range(20):
            assert asked(listens, "/orders") == "Thank you\n"
        told = 'adjourn_defers_total{queue="mail",result="stored",task="send_mail"} 20.0'
        assert told in asked(listens, "/metrics")
