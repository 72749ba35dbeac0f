"""A program that was written for Procrastinate does the same when its import line is changed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.databases import new_database

PROGRAM = Path(__file__).parent / "migrated_program.py"
EXPECTED = PROGRAM.with_suffix(".txt")


def run(dsn: str, migrated_to: str) -> list[str]:
    """Run the program to its end; what it prints, but for what is known to differ."""
    process = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**os.environ, "MIGRATED_DSN": dsn, "MIGRATED_TO": migrated_to},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return [line for line in process.stdout.splitlines() if not line.startswith("(differs)")]


@pytest.fixture
def empty_database(server_dsn: str) -> Iterator[str]:
    """The address of a database for another library's tables."""
    with new_database(server_dsn, f"migrated_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as address:
        yield address


def test_the_program_does_on_adjourn_what_it_was_written_to_do(database: str) -> None:
    assert run(database, "adjourn") == EXPECTED.read_text().splitlines()


def test_what_it_was_written_to_do_is_what_it_does_on_procrastinate(empty_database: str) -> None:
    if importlib.util.find_spec("procrastinate") is None:
        pytest.skip("Procrastinate is not installed here; the expectations were made with version 3.10 of it")
    assert run(empty_database, "procrastinate") == EXPECTED.read_text().splitlines()
