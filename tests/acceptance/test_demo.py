"""The demo, from beginning to end and interrupted in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import until

FILES = 250
TIMEOUT = 100


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name, as sockets need it, that the server's user can enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="adjourn-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def environment(directory: Path) -> dict[str, str]:
    """An environment whose temporary files are all in one directory, and whose settings for workers are in the way."""
    return {
        **os.environ,
        "TMPDIR": str(directory),
        "ADJOURN_WORKER_QUEUES": "none-of-these",
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "300",
    }


def start(environment: dict[str, str], files: int = FILES, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "adjourn", "demo", "--files", str(files), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_nothing_is_left(process: subprocess.Popen[str], directory: Path) -> None:
    """Neither a process of the demo's group nor a file in its directory, a moment after its end."""
    until(lambda: not [*members(process.pid), *directory.iterdir()])


def members(group: int) -> list[str]:
    """The group, if there are processes in it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    return [f"process group {group}"]


def test_the_demo_counts_every_file_exactly_once_although_a_worker_is_killed(
    environment: dict[str, str], directory: Path
) -> None:
    with start(environment) as process:
        output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors
    # How far it is goes to stderr.
    shares = [re.fullmatch(rf"Counting: (\d+)%, [\d,]+ of {FILES:,} in \d+ s", line) for line in errors.splitlines()]
    tenths = [int(each[1]) // 10 for each in shares if each is not None]
    assert len(tenths) == len(shares)
    assert tenths == sorted(tenths)
    assert "Counting" not in output
    killed = re.search(r"kill -9 of worker 1, which was running (\d+) jobs", output)
    rescued = re.search(r"(\d+) jobs of the killed worker were rescued", output)
    assert killed is not None
    assert rescued is not None
    assert int(killed[1]) > 0
    # It was running a few; the others ran once.
    assert 0 < int(rescued[1]) < FILES / 2
    assert re.search(rf"all +│ +{FILES} │", output)
    assert f"each of the {FILES} files was counted exactly once" in output
    assert_nothing_is_left(process, directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(
    environment: dict[str, str], directory: Path, number: signal.Signals
) -> None:
    with start(environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "is running" in line:
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert all(line.startswith("Counting: ") for line in errors.splitlines())
    assert_nothing_is_left(process, directory)


def test_the_dashboard_shows_a_shop_at_work_until_the_demo_is_ended(
    environment: dict[str, str], directory: Path
) -> None:
    with start(environment, 20, "--quiet", "--web", "127.0.0.1:0") as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "orders come in" in line:
                break
        address = re.search(r"The dashboard is at (\S+)", said)
        assert address is not None, said

        def shows_orders() -> bool:
            with urllib.request.urlopen(f"{address[1]}queues") as answer:
                page = answer.read().decode()
            return all(queue in page for queue in ("billing", "mail"))

        until(shows_orders)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=TIMEOUT)
    assert "each of the 20 files was counted exactly once" in said
    assert (process.returncode, errors) == (0, "")
    assert "The shop is closed." in rest
    assert_nothing_is_left(process, directory)
