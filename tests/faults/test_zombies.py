"""A worker that is stopped after it has claimed a job, and woken when the job is somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import adjourn
from support.bench import Bench
from support.waiting import until, until_async

ZOMBIE = """
import asyncio, os, signal, time
import adjourn
from adjourn import events

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["ZOMBIE_DSN"]), import_paths=[__name__])
stopped = []

def begin(n):
    with open(os.environ["ZOMBIE_LEDGER"], "a") as ledger:
        ledger.write(f"{os.environ['ZOMBIE_NAME']} {n}\\n")

@app.task(name="in_loop")
async def in_loop(n):
    begin(n)

@app.task(name="in_thread")
def in_thread(n):
    begin(n)

async def stopping(call_next, context, worker):
    stop_once()
    return await call_next()

def stop_once(event=None):
    if os.environ["ZOMBIE_NAME"] == "zombie" and not stopped:
        stopped.append(1)
        os.kill(os.getpid(), signal.SIGSTOP)

if os.environ["ZOMBIE_AT"] == "start":
    app.events.subscribe(events.JobStarted, stop_once)
else:
    app.worker_defaults["worker_middleware"] = [stopping]
"""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Processes:
    """Worker processes that note which jobs they begin."""

    def __init__(self, directory: Path, dsn: str) -> None:
        (directory / "zombie_app.py").write_text(ZOMBIE)
        self.directory = directory
        self.ledger = directory / "ledger"
        self.ledger.touch()
        self.environment = {**os.environ, "ZOMBIE_DSN": dsn, "ZOMBIE_LEDGER": str(self.ledger)}
        self.all: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, at: str) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "adjourn", "--app=zombie_app.app", "--log-level=ERROR", "worker", f"--name={name}"),
            *("--update-heartbeat-interval=0.2", "--stalled-worker-timeout=1", "--fetch-job-polling-interval=0.2"),
        ]
        environment = {**self.environment, "ZOMBIE_NAME": name, "ZOMBIE_AT": at}
        self.all.append(subprocess.Popen(command, cwd=self.directory, env=environment))
        return self.all[-1]

    def begun(self) -> list[str]:
        return self.ledger.read_text().splitlines()


@pytest.fixture
def processes(tmp_path: Path, database: str) -> Iterator[Processes]:
    processes = Processes(tmp_path, database)
    yield processes
    for process in processes.all:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.parametrize("at", ["start", "middleware"])
@pytest.mark.parametrize("task", ["in_loop", "in_thread"])
async def test_a_zombie_does_not_begin_what_is_no_longer_its_own(
    database: str, processes: Processes, task: str, at: str
) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        bench = Bench(app)
        ids = await app.configure_task(task, lock="one").batch_defer_async(*({"n": n} for n in range(3)))
        zombie = processes.start("zombie", at)
        await until_async(lambda: is_stopped(zombie.pid))
        assert [await bench.status(job_id) for job_id in ids] == ["doing", "todo", "todo"]
        sound = processes.start("sound", at)
        for job_id in ids:
            await bench.ended(job_id)
        assert processes.begun() == ["sound 0", "sound 1", "sound 2"]
        sound.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(sound.wait, 20) == 0
        zombie.send_signal(signal.SIGCONT)
        # It goes on as a worker: the next job is its own.
        last = await app.configure_task(task, lock="one").defer_async(n=3)
        await bench.ended(last)
        assert processes.begun() == ["sound 0", "sound 1", "sound 2", "zombie 3"]
        zombie.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(zombie.wait, 20) == 0
        until(lambda: zombie.poll() == 0)
        job = await bench.job(ids[0])
        assert (job.status, job.attempts) == ("succeeded", 2)
