"""A primary that is lost, or takes no writes any more, between the moment a worker is told to stop and its end."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import adjourn
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.cli.exits import Exit
from support.waiting import BOUND, until
from torture.postgres import Postgres, own_server

PROGRAM = """
import asyncio, os, time, adjourn
from adjourn.worker import shutdown, worker

worker.LEAVE_TIMEOUT = worker.CANCEL_TIMEOUT = shutdown.CANCEL_TIMEOUT = 1.0
app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["STOP_DSN"], min_size=1))
SECONDS = 0.0 if "STOP_ENDS" in os.environ else 0.7

def note(what):
    with open(os.environ["STOP_LEDGER"], "a") as file:
        file.write(what + "\\n")

@app.task(name="short")
async def short(number):
    os.write(1, b"begun\\n")  # at once, from several threads
    await asyncio.sleep(SECONDS)
    note(f"short {number}")

@app.task(name="blocking")
def blocking(number):
    os.write(1, b"begun\\n")  # at once, from several threads
    time.sleep(SECONDS)
    note(f"blocking {number}")

@app.task(name="endless")
async def endless(number):
    os.write(1, b"begun\\n")  # at once, from several threads
    if os.environ.get("STOP_ENDS"):
        return note(f"endless {number}")
    await asyncio.sleep(600)

@app.periodic(cron="* * * * * *")
@app.task(name="tick", queue="nobody's")
def tick(timestamp):
    pass
"""
GRACE = 2.0
MARGIN = 10.0
"""Seconds of a loaded machine, besides those that the worker may take."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with own_server("adjourn-stop-") as server:
        yield server


def set_read_only(server: Postgres, value: str) -> None:
    with server.connect() as connection:
        connection.execute(f"alter system set default_transaction_read_only = {value}".encode())
        connection.execute("select pg_reload_conf()")


def lose(server: Postgres, how: str) -> None:
    """Have the server serve no writes, as long as `find` is not called."""
    set_read_only(server, "on") if how == "read only" else server.crash()


def find(server: Postgres, how: str) -> None:
    """Have it serve again, as the new primary does."""
    if how == "read only":
        set_read_only(server, "off")
    else:
        server.start()


def run_what_is_left(program: Path, environment: Mapping[str, str]) -> None:
    """Run the program's jobs by a worker of this process, until there are none."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, "STOP_ENDS": "1"}.items():
            patch.setenv(name, value)
        app: adjourn.App = runpy.run_path(str(program))["app"]
        app.run_worker(queues=["default"], concurrency=4, wait=False, install_signal_handlers=False)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("lasts", "tasks"), [("for good", "that do not"), ("for a moment", "that end")])
@pytest.mark.parametrize("how", ["read only", "dead"])
def test_a_stop_during_a_failover_ends_in_time_and_loses_nothing(
    server: Postgres, tmp_path: Path, how: str, tasks: str, lasts: str
) -> None:
    (tmp_path / "stopping.py").write_text(PROGRAM)
    ledger = tmp_path / "ledger"
    ledger.touch()
    environment = {**os.environ, "STOP_DSN": server.dsn, "STOP_LEDGER": str(ledger)}
    command = [sys.executable, "-m", "adjourn", "--app=stopping.app", "worker", "--queues=default", "--concurrency=4"]
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(server.dsn))
    names = ["short", "blocking"] if tasks == "that end" else ["short", "blocking", "endless"]
    with app.open():
        for name in names:
            # Some wait in the worker's buffer, and some behind a lock.
            app.configure_task(name).batch_defer(*({"number": number} for number in range(2)))
            app.configure_task(name, lock="one").batch_defer(*({"number": number} for number in range(2, 4)))
    with subprocess.Popen(
        [*command, f"--shutdown-graceful-timeout={GRACE}"],
        cwd=tmp_path,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            for _ in range(4):
                assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGTERM)
            stopped_at = time.monotonic()
            time.sleep(0.2)
            lose(server, how)
            if lasts == "for a moment":
                time.sleep(1)
                find(server, how)
            _, errors = process.communicate(timeout=BOUND)
            took = time.monotonic() - stopped_at
        finally:
            process.kill()
    if lasts == "for good":
        find(server, how)
    until(server.answers)
    assert took < GRACE + 3 + MARGIN, errors
    assert "Traceback" not in errors or "ConnectorException" in errors
    assert (
        process.returncode == Exit.DONE
        if lasts == "for a moment"
        else process.returncode in (Exit.DONE, Exit.NOT_STORED)
    ), errors

    with app.open(), contextlib.closing(app.connector.session()) as session:
        app.connector.execute_query("update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
        SyncWorkerManager(session, app.connector.json_loads).rescue(5, 0)
        run_what_is_left(tmp_path / "stopping.py", environment)
        assert [
            *app.job_manager.list_jobs(queue="default", status="todo"),
            *app.job_manager.list_jobs(queue="default", status="doing"),
        ] == []
        failed = app.job_manager.list_jobs(queue="default", status="failed")
        assert list(failed) == []
        app.connector.execute_query("delete from adjourn.adjourn_finished_jobs")
    ran = ledger.read_text().split("\n")[:-1]
    assert set(ran) == {f"{name} {number}" for name in names for number in range(4)}
    if lasts == "for a moment":
        assert len(ran) == len(set(ran)), "what was stored runs again"
