"""What the README shows, done as it says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.processes import run_python

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "postgresql://localhost/mydb"


@pytest.fixture
def program(tmp_path: Path, database: str) -> Path:
    """A directory with the README's files, on this test's database."""
    blocks = re.findall(r"```python\n(# (\w+\.py)\n.*?)```", README.read_text("utf-8"), re.DOTALL)
    for text, name in blocks:
        (tmp_path / name).write_text(text.replace(ADDRESS, database), "utf-8")
    assert {name for _, name in blocks} == {"tasks.py", "sync_program.py", "async_program.py"}
    return tmp_path


def run(program: Path, *command: str) -> str:
    done = run_python(*command, cwd=program, environment={"PYTHONWARNINGS": "error"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_s_programs_defer_jobs_that_its_worker_runs(program: Path) -> None:
    adjourn = ("-m", "adjourn", "--app=tasks.app")
    run(program, *adjourn, "schema", "--apply")
    run(program, "sync_program.py")
    run(program, "async_program.py")
    printed = run(program, *adjourn, "worker", "--concurrency=10", "--one-shot")
    assert sorted(printed.splitlines()) == ["Welcome, ada@example.org!", "Welcome, eve@example.org!"]


def test_each_command_that_the_readme_names_exists() -> None:
    text = README.read_text("utf-8")
    commands = set(re.findall(r"(?:\./)?scripts/(\w+)", text))
    assert commands == {"demo", "test", "bench", "unasync"}
    for command in commands - {"unasync"}:
        assert os.access(README.parent / "scripts" / command, os.X_OK)
    for name in re.findall(r"scripts/bench (\w+)", text):
        assert (README.parent / "benchmarks" / f"{name}.py").exists()
