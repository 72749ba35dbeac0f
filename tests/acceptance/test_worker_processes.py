"""Workers in processes of their own: what signals do to them and to the processes that their tasks make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import adjourn
from adjourn.cli.exits import Exit
from support.waiting import BOUND

POOLED = """
import multiprocessing, os, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["PROGRAM_DSN"]))

@app.task(name="pooled")
def pooled():
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
"""

ENDLESS = """
import asyncio, os, signal, sys, time, adjourn
from adjourn.testing import InMemoryConnector

app = adjourn.App(connector=InMemoryConnector())
if "handled" in sys.argv:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))

@app.task
def endless():
    # The number that this process has outside of its container.
    print(os.getpid(), os.readlink("/proc/self"), flush=True)
    time.sleep(2 * 60)

async def main():
    async with app.open_async():
        await endless.defer_async()
        await app.run_worker_async()

asyncio.run(main())
"""

STARTING = """
import os, time
print(os.getpid(), os.readlink("/proc/self"), flush=True)
time.sleep(2 * 60)
"""


def test_pools_of_processes_in_a_series_of_jobs_end(database: str, tmp_path: Path) -> None:
    (tmp_path / "pooled.py").write_text(POOLED)
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        ids = app.configure_task("pooled").batch_defer(*[{}] * 60)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "adjourn", "--app=pooled.app", "worker", "--one-shot", "-c4"],
            cwd=tmp_path,
            env={**os.environ, "PROGRAM_DSN": database},
            capture_output=True,
            text=True,
            timeout=2 * BOUND,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert {app.job_manager.get_job_status(job_id) for job_id in ids} == {"succeeded"}


STUBBORN = """
import os, time, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["PROGRAM_DSN"]))

@app.task(name="stubborn", timeout=0.1)
def stubborn():
    while True:
        time.sleep(0.1)
"""


def test_a_worker_whose_jobs_do_not_end_ends_with_a_code_of_its_own(database: str, tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        ids = app.configure_task("stubborn").batch_defer({}, {})
        done = subprocess.run(
            [sys.executable, "-m", "adjourn", "--app=stubborn.app", "worker", "-c2", "--stuck-worker-timeout=0.5"],
            cwd=tmp_path,
            env={**os.environ, "PROGRAM_DSN": database},
            capture_output=True,
            text=True,
            timeout=2 * BOUND,
            check=False,
        )
        assert done.returncode == Exit.STUCK.value, done.stderr
        assert "all its 2 slots were held by jobs that were asked to end" in done.stderr.splitlines()[-1]
        assert {app.job_manager.get_job_status(job_id) for job_id in ids} == {"failed"}


def contained() -> list[str]:
    """How to make a program the first process of a container."""
    command = ["unshare", "--pid", "--fork", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=BOUND, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program `unshare`, which makes a container here")
    if done.returncode:
        pytest.skip("this account may not make a container: `unshare --pid --fork true` fails")
    return command


@contextmanager
def in_container(*arguments: str, cwd: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run Python as the first process of a container until it says its number; yield it with its number outside."""
    process = subprocess.Popen(
        [*contained(), sys.executable, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        inside, outside = map(int, process.stdout.readline().split())
        try:
            assert inside == 1
            yield process, outside
        finally:
            if process.poll() is None:
                os.kill(outside, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("arguments", "code"), [((), 128 + signal.SIGTERM), (("handled",), 7)])
def test_the_second_signal_ends_a_worker_that_is_the_first_process_of_a_container(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    program = tmp_path / "endless.py"
    program.write_text(ENDLESS)
    with in_container(str(program), *arguments) as (process, outside):
        os.kill(outside, signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)  # it waits for its job
        os.kill(outside, signal.SIGTERM)
        assert process.wait(BOUND) == code


def test_a_signal_ends_a_command_that_is_the_first_process_of_a_container_before_it_has_begun(tmp_path: Path) -> None:
    (tmp_path / "starting.py").write_text(STARTING)
    with in_container("-m", "adjourn", "--app=starting.app", "worker", cwd=tmp_path) as (process, outside):
        os.kill(outside, signal.SIGTERM)
        assert process.wait(BOUND) == 128 + signal.SIGTERM
