"""What the files of deploy/ run: the image's command as a process, and the autoscaler's query."""

from __future__ import annotations

import contextlib
import http.server
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import adjourn
from support.deployment import FILES, objects, of_dockerfile, of_kubernetes
from support.pages import ROOT, read
from support.waiting import BOUND, until

SHOP = """
import os, pathlib, time, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE_URL"]))

@app.task(queue="mail")
def send():
    time.sleep(float(os.environ["SECONDS"]))
    pathlib.Path("sent").touch()
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "seconds",
    [
        1,
        pytest.param(
            20,
            marks=pytest.mark.skipif(
                "ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes 20 seconds: scripts/test-all runs it"
            ),
        ),
    ],
)
def test_the_image_runs_a_worker_that_ends_its_job_when_it_is_stopped(
    database: str, tmp_path: Path, observer: psycopg.Connection, seconds: int
) -> None:
    health, command = sorted(of_dockerfile(), key=lambda each: "worker-health" not in each.words)
    (tmp_path / "shop.py").write_text(SHOP)
    environment = {
        **os.environ,
        **command.environment,
        "DATABASE_URL": database,
        "SECONDS": str(seconds),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ADJOURN_WORKER_HEALTH_FILE": str(tmp_path / "worker-health"),
    }
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with (
        app.open(),
        subprocess.Popen(
            command.words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process,
        contextlib.ExitStack() as ending,
    ):
        ending.callback(process.kill)  # nobody else would end it if this test fails
        job = app.configure_task("shop.send", queue="mail").defer()
        until(lambda: app.job_manager.get_job_status(job) == "doing")
        until((tmp_path / "worker-health").exists)
        asked = subprocess.run(
            health.words, env=environment, capture_output=True, text=True, check=False, timeout=BOUND
        )
        assert (asked.returncode, asked.stdout) == (0, "alive\n")
        assert "--shutdown-graceful-timeout=30" in command.words
        # A job of one second may be over on a machine that has a lot to do.
        assert seconds == 1 or not (tmp_path / "sent").exists()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=2 * BOUND)
        assert process.returncode == 0, said
        assert (tmp_path / "sent").exists()
        assert app.job_manager.get_job_status(job) == "succeeded"
    assert observer.execute("select count(*) from adjourn.adjourn_workers").fetchone() == (0,)


def test_the_program_sends_the_spans_of_who_defers_and_of_the_worker_to_a_collector(database: str) -> None:
    bodies: list[bytes] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        environment = {
            **os.environ,
            "ADJOURN_APP": "shop.app",
            "DATABASE_URL": database,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_SERVICE_NAME": "shop",
        }
        for words in (["defer", "shop.send", '{"to": "ann@example.com"}'], ["worker", "--one-shot"]):
            subprocess.run(
                [sys.executable, "-m", "adjourn", *words],
                cwd=FILES,
                env=environment,
                check=True,
                capture_output=True,
                timeout=BOUND,
            )
        collector.shutdown()
    sent = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    groups = [group for request in sent for group in request.resource_spans]
    names = {
        each.value.string_value for group in groups for each in group.resource.attributes if each.key == "service.name"
    }
    assert names == {"shop"}
    spans = {span.name: span for group in groups for scope in group.scope_spans for span in scope.spans}
    assert set(spans) == {"defer shop.send", "process shop.send"}
    defer, process = spans["defer shop.send"], spans["process shop.send"]
    assert (process.trace_id, process.parent_span_id) == (defer.trace_id, defer.span_id)


@pytest.fixture
def backlog(database: str) -> Iterator[psycopg.Connection]:
    """A connection that asks for the backlog."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def store(connection: psycopg.Connection, queue: str = "mail", hold: int = 0, due: float = 0, number: int = 1) -> None:
    connection.execute(
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, scheduled_at, lock)"
        " select %s, 'send', 0, '{}', %s, now() + make_interval(secs => %s), case when %s = 3 then 'lock' end"
        " from generate_series(1, %s)",
        (queue, hold, due, hold, number),
    )


def count(connection: psycopg.Connection, arguments: str = "") -> int:
    row = connection.execute(f"select adjourn.adjourn_backlog_v1({arguments})".encode()).fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def test_the_autoscaler_asks_for_the_backlog(backlog: psycopg.Connection) -> None:
    (scaled,) = [each for each in objects() if each["kind"] == "ScaledObject"]
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    store(backlog)
    aged(backlog, 10)
    (jobs,), (seconds,) = [backlog.execute(query.encode()).fetchone() or (None,) for query in queries]
    assert jobs == 1
    assert 600 <= seconds < 700


REPORTS = """
import os, pathlib, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE_URL"]))

@app.task(queue="reports")
def write(month):
    pathlib.Path(f"report-{month}").touch()
"""


def test_the_autoscaler_starts_a_worker_for_each_job_of_a_queue(
    database: str, backlog: psycopg.Connection, tmp_path: Path
) -> None:
    (scaled,) = [each for each in objects() if each["kind"] == "ScaledJob"]
    (command,) = [each for each in of_kubernetes() if each.place.startswith("ScaledJob")]
    (trigger,) = scaled["spec"]["triggers"]
    (tmp_path / "shop.py").write_text(REPORTS)
    words = [word for word in command.words[1:] if not word.startswith("--http")]  # a pod has a port of its own
    environment = {**os.environ, "DATABASE_URL": database, "ADJOURN_APP": "shop.app"}
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))

    def wanted() -> int:
        row = backlog.execute(trigger["metadata"]["query"].encode()).fetchone()
        assert row is not None
        return math.ceil(int(row[0]) / int(trigger["metadata"]["targetQueryValue"]))

    with app.open():
        assert wanted() == 0
        for month in range(3):
            app.configure_task("shop.write", queue="reports").defer(month=month)
        for left in (3, 2, 1):
            assert wanted() == left
            subprocess.run(
                [sys.executable, "-m", "adjourn", *words],
                cwd=tmp_path,
                env=environment,
                check=True,
                capture_output=True,
                timeout=BOUND,
            )
            assert len(list(tmp_path.glob("report-*"))) == 4 - left
        assert wanted() == 0


def test_the_queries_of_the_page_are_right(backlog: psycopg.Connection) -> None:
    (block,) = [each for each in read(ROOT / "docs" / "how-to" / "deployment.md") if each.language == "sql"]
    queries = block.text.splitlines()
    assert len(queries) == 5
    for query in queries:
        assert backlog.execute(query.encode()).fetchone() == (0,)


def test_postgres_can_read_the_sql_of_the_runbook(backlog: psycopg.Connection) -> None:
    blocks = [each for each in read(ROOT / "docs" / "how-to" / "runbook.md") if each.language == "sql"]
    assert len(blocks) > 5
    for block in blocks:
        # Within a body that is read and not run.
        backlog.execute(f"do $$ begin return; {block.text} end $$".replace("select ", "perform ").encode())
        for statement in block.text.splitlines():
            if statement.startswith(("select", "update")):
                backlog.execute(f"explain {statement}".encode())


def test_the_backlog_is_what_runs_what_could_run_and_what_is_due_soon(backlog: psycopg.Connection) -> None:
    assert count(backlog) == 0
    store(backlog, number=3)
    store(backlog, "sms", number=2)
    assert (count(backlog), count(backlog, "'{mail}'"), count(backlog, "'{mail,sms,mail}'")) == (5, 3, 5)
    # A long job that runs keeps its worker.
    backlog.execute("update adjourn.adjourn_jobs set worker_id = 1, started_at = now()")
    assert count(backlog) == 5
    assert (count(backlog, "'{none}'"), count(backlog, "'{}'"), count(backlog, "null, null, null")) == (0, 0, 5)
    backlog.execute("delete from adjourn.adjourn_jobs")
    store(backlog, hold=1, due=20)
    store(backlog, hold=1, due=600, number=7)
    assert (count(backlog), count(backlog, "null, '0'"), count(backlog, "null, '1 hour'")) == (1, 0, 8)
    assert count(backlog, "'{sms}', '1 hour'") == 0


def latency(connection: psycopg.Connection, arguments: str = "") -> int:
    """The latency in minutes, because the machine may be slow."""
    row = connection.execute(f"select adjourn.adjourn_latency_v1({arguments})".encode()).fetchone()
    assert row is not None
    assert isinstance(row[0], float)
    return round(row[0] / 60)


def aged(connection: psycopg.Connection, minutes: int, where: str = "true") -> None:
    ago = f"now() - interval '{minutes} min'"
    connection.execute(
        f"update adjourn.adjourn_jobs set enqueued_at = {ago}, ready_at = case when ready_at is not null then {ago} end, "
        f"scheduled_at = case when hold = 1 then {ago} end where {where}".encode()
    )


def test_the_latency_is_that_of_the_oldest_job_which_could_run(backlog: psycopg.Connection) -> None:
    assert (latency(backlog), latency(backlog, "'{mail}'"), latency(backlog, "'{}'"), latency(backlog, "null")) == (
        0,
    ) * 4
    store(backlog, number=3)
    store(backlog, "sms")
    aged(backlog, 10)
    aged(backlog, 20, "queue = 'sms'")
    wanted = ("", "'{mail}'", "'{sms}'", "'{mail,sms,mail}'", "'{nobody}'", "null")
    assert [latency(backlog, each) for each in wanted] == [20, 10, 20, 20, 0, 20]
    # Another priority is looked at as well, and those that run are not.
    backlog.execute(
        "update adjourn.adjourn_jobs set priority = -5, enqueued_at = now() - interval '30 min' where id in (select min(id) from adjourn.adjourn_jobs)"
    )
    assert [latency(backlog, each) for each in wanted] == [30, 30, 20, 30, 0, 30]
    backlog.execute("update adjourn.adjourn_jobs set worker_id = 1, started_at = now()")
    assert latency(backlog) == 0
    # What only a worker makes ready counts from when it could run.
    backlog.execute("delete from adjourn.adjourn_jobs")
    store(backlog, hold=1, due=600)
    assert latency(backlog) == 0
    aged(backlog, 40)
    assert (latency(backlog), latency(backlog, "'{sms}'")) == (40, 0)
    backlog.execute("delete from adjourn.adjourn_jobs")
    store(backlog, hold=3)
    aged(backlog, 50)
    assert (latency(backlog), latency(backlog, "'{sms}'")) == (50, 0)
    backlog.execute(
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, lock) values ('mail', 'send', 0, '{}', 0, 'lock')"
    )
    assert latency(backlog) == 0


@pytest.mark.parametrize(("scope", "name"), [("queue", "mail"), ("task", "send")])
@pytest.mark.parametrize("hold", [0, 1, 3])
def test_jobs_that_are_paused_have_no_latency(backlog: psycopg.Connection, scope: str, name: str, hold: int) -> None:
    store(backlog, hold=hold)
    aged(backlog, 10)
    assert latency(backlog) == 10
    backlog.execute("insert into adjourn.adjourn_pauses (scope, name) values (%s, %s)", (scope, name))
    assert (latency(backlog), latency(backlog, "'{mail}'")) == (0, 0)
    backlog.execute("update adjourn.adjourn_pauses set ends_at = now() - interval '1 s'")
    assert latency(backlog) == 10


@pytest.mark.parametrize("hold", [1, 3])
def test_many_jobs_that_do_not_count_hide_none_that_does(backlog: psycopg.Connection, hold: int) -> None:
    for queue, number in (("sms", 1500), ("mail", 1)):
        store(backlog, queue, hold=hold, number=number)
    aged(backlog, 10)
    backlog.execute(
        "update adjourn.adjourn_jobs set scheduled_at = scheduled_at - interval '1 s' where queue = 'sms' and hold = 1"
    )
    assert latency(backlog, "'{mail}'") == 10
    backlog.execute("insert into adjourn.adjourn_pauses (scope, name) values ('queue', 'sms')")
    assert latency(backlog) == 10
    backlog.execute("insert into adjourn.adjourn_pauses (scope, name) values ('queue', 'mail')")
    assert latency(backlog) == 0


@pytest.mark.parametrize("lately", ["ready_at = now()", "scheduled_at = now()"])
def test_jobs_that_could_run_only_lately_hide_no_older_ones(backlog: psycopg.Connection, lately: str) -> None:
    store(backlog, number=40)
    store(backlog, "sms")
    aged(backlog, 10)
    # Those that were run again stay before those that have waited ever since.
    backlog.execute(
        f"update adjourn.adjourn_jobs set {lately} where queue = 'mail' and id < (select max(id) - 1 from adjourn.adjourn_jobs)".encode()
    )
    assert [latency(backlog, each) for each in ("'{mail}'", "'{sms}'", "")] == [10, 10, 10]
    # One of a paused task does not count, wherever it stands.
    backlog.execute(
        "update adjourn.adjourn_jobs set task_name = 'other' where queue = 'mail' and ready_at is null and scheduled_at is null"
    )
    backlog.execute("insert into adjourn.adjourn_pauses (scope, name) values ('task', 'other')")
    assert latency(backlog, "'{mail}'") == 0


@pytest.mark.parametrize(
    "note",
    [
        "insert into adjourn.adjourn_headless_locks values ('lock')",
        "insert into adjourn.adjourn_arrivals values (1, 1, 0)",
        "insert into adjourn.adjourn_open_limits values (1, 'key')",
        "insert into adjourn.adjourn_due_rates values (1, 'key', now() + interval '10 s')",
    ],
)
def test_what_only_a_worker_can_bring_forward_asks_for_one(backlog: psycopg.Connection, note: str) -> None:
    backlog.execute(note.encode())
    assert count(backlog) == 1


@pytest.mark.parametrize("hold", [3, 5])
def test_jobs_that_a_worker_has_to_look_at_ask_for_one(backlog: psycopg.Connection, hold: int) -> None:
    store(backlog, hold=hold, number=4)
    assert (count(backlog), count(backlog, "'{mail}'"), count(backlog, "'{sms}'")) == (1, 1, 0)


IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
MANY = [
    12_000,
    pytest.param(1_000_000, marks=pytest.mark.skipif(not IS_THOROUGH, reason="scripts/test-all stores a million")),
]
READ = (
    "select coalesce(sum(seq_scan) filter (where relname = 'adjourn_jobs'), 0)::bigint, coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::bigint "
    "from pg_stat_xact_user_tables where schemaname = 'adjourn'"
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize("number", MANY)
def test_the_backlog_has_a_bound_and_is_read_from_indexes(
    backlog: psycopg.Connection, number: int, is_analyzed: bool
) -> None:
    if is_analyzed:  # as it was while there were no jobs, or as it is with them
        store(backlog, number=number)
        store(backlog, "sms", hold=1, number=number)
        backlog.execute("analyze adjourn.adjourn_jobs")
    else:
        backlog.execute("analyze adjourn.adjourn_jobs")
        store(backlog, number=number)
        store(backlog, "sms", hold=1, number=number)
    for arguments, jobs, most in (
        ("", 10_000, 20_000),
        ("'{mail}', '0', 50", 50, 100),
        # Who serves a queue that has no jobs looks through those that are due, and no further.
        ("'{sms}'", 10_000, 20_000),
        ("'{nobody}'", 0, 10_000),
        ("'{}'", 0, 10_000),
        ("null, null, null", 10_000, 20_000),
    ):
        with backlog.transaction():
            scans, before = backlog.execute(READ).fetchone() or (0, 0)
            assert count(backlog, arguments) == jobs, arguments
            scans_then, after = backlog.execute(READ).fetchone() or (0, 0)
            # Of the tables of notes, which are empty here, one row is enough to know.
            assert after - before <= most, arguments
            assert scans_then == scans, arguments
    for arguments, most in (("", 2000), ("'{mail}'", 11_000), ("'{nobody}'", 11_000), ("'{mail,sms}'", 2000)):
        with backlog.transaction():
            scans, before = backlog.execute(READ).fetchone() or (0, 0)
            backlog.execute(f"select adjourn.adjourn_latency_v1({arguments})".encode())
            scans_then, after = backlog.execute(READ).fetchone() or (0, 0)
            assert after - before <= most, arguments
            assert scans_then == scans, arguments
