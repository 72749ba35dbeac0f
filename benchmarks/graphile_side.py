"""Graphile Worker, as the benchmark of drains uses it: a Node process, with the settings that its page on performance recommends."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

VERSION = "0.18.0"
SCRIPT = Path(__file__).with_suffix(".mjs")
INSTALL_BOUND = 300.0
"""Seconds for npm."""


@contextlib.contextmanager
def installed() -> Iterator[Path | None]:
    """Yield a directory with the package, or None where there is no Node, or no registry of its packages."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as home:
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            home,
            f"graphile-worker@{VERSION}",
        ]
        done = subprocess.run(command, cwd=home, capture_output=True, timeout=INSTALL_BOUND, check=False)
        yield None if done.returncode else Path(home)


def drain(home: Path, dsn: str, jobs: int, concurrency: int, cpu_of_server: Callable[[], float]) -> tuple[float, float]:
    """Return jobs per second that one worker drains, and microseconds of CPU for each, of its process and of the server."""
    command = ["node", str(SCRIPT), dsn, str(jobs), str(concurrency)]
    with subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            cpu = cpu_of_server()
            process.stdin.write("begin\n")
            process.stdin.flush()
            found = json.loads(process.stdout.readline())
            cpu = (cpu_of_server() - cpu) * 1e6 + found["cpu"]
            process.stdin.write("end\n")
            process.stdin.flush()
            process.wait(30)
        finally:
            process.kill()
    return jobs / found["seconds"], cpu / jobs
