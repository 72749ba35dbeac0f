"""Worker processes that are told to stop while their database is silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import adjourn
from adjourn.cli.exits import Exit
from support.proxy import proxied
from support.waiting import BOUND, until

AWAY = """
import asyncio, os, time, adjourn
from adjourn.worker import shutdown, worker

worker.LEAVE_TIMEOUT = worker.CANCEL_TIMEOUT = shutdown.CANCEL_TIMEOUT = 1.0
app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["AWAY_DSN"], min_size=1))

@app.task(name="work")
async def work():
    print("begun", flush=True)
    await asyncio.sleep(0.5)

@app.task(name="deferring")
def deferring():
    print("begun", flush=True)
    while True:
        app.configure_task("work", queue="nobody's").defer()
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("task", "code"),
    [(None, Exit.DONE), ("work", Exit.NOT_STORED), ("deferring", Exit.DONE)],
    ids=["idle", "with an outcome to store", "with a task that waits for the database"],
)
def test_a_worker_whose_database_is_silent_ends_in_time_and_says_what_it_could_not_store(
    database: str, tmp_path: Path, task: str | None, code: Exit
) -> None:
    (tmp_path / "away.py").write_text(AWAY)
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    command = [sys.executable, "-m", "adjourn", "--app=away.app", "worker", "-q", "default"]
    command.append("--shutdown-graceful-timeout=1")
    with app.open(), proxied(database) as (proxy, dsn):
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "AWAY_DSN": dsn},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # The pool, the exchange and the heartbeat.
            until(lambda: len(proxy.links) == 3)
            if task is not None:
                app.configure_task(task).defer()
                assert process.stdout is not None
                assert process.stdout.readline() == "begun\n"
                time.sleep(0.2)
            proxy.silence()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=BOUND / 2)
        finally:
            process.kill()
    assert process.returncode == code, errors
    assert ("adjourn: The worker has ended, and the outcome of 1 job that has ended" in errors) is (
        code is Exit.NOT_STORED
    )
    assert "could not unregister" in errors
