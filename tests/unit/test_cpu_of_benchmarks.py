"""What benchmarks count as the CPU of a server, whose processes come and go meanwhile."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import pytest

TICKS = os.sysconf("SC_CLK_TCK")
POSTMASTER, BACKEND, OTHER = 10, 11, 12


@pytest.fixture
def cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which reads of processes that the test makes up."""
    path = Path(__file__).parents[2] / "benchmarks" / "cpu.py"
    spec = importlib.util.spec_from_file_location("cpu", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PROC", tmp_path)
    return module


def write(proc: Path, pid: int, parent: int, used: int, ended: int = 0, name: str = "postgres") -> None:
    """Have a process that has used so many ticks, and whose children that ended have used so many."""
    fields = ["S", parent, *["0"] * 9, used - 1, 1, ended, 0, 0]
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")


def end(proc: Path, pid: int, used: int) -> None:
    """Have a child of the server end that has used so many ticks."""
    shutil.rmtree(proc / str(pid))
    write(proc, POSTMASTER, 1, used=5, ended=used)


class Session:
    """A session whose process ends with it."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.proc / str(BACKEND))

    def execute(self, query: str) -> Session:
        return self

    def fetchone(self) -> tuple[int]:
        return (BACKEND,)


def test_the_session_that_asks_has_not_ended_when_its_server_is_looked_up(
    cpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu.psycopg, "connect", lambda *args, **options: Session(tmp_path))
    write(tmp_path, POSTMASTER, 1, used=5, ended=100)
    write(tmp_path, BACKEND, POSTMASTER, used=7)
    write(tmp_path, OTHER, POSTMASTER, used=30, name="postgres: a b) S (c")
    write(tmp_path, 99, 1, used=1000)
    assert cpu.cpu_of_server("") == (5 + 100 + 7 + 30) / TICKS


def test_a_server_elsewhere_has_used_nothing_here(
    cpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu.psycopg, "connect", lambda *args, **options: Session(tmp_path))
    # A process of the same number.
    write(tmp_path, BACKEND, POSTMASTER, used=7, name="python")
    write(tmp_path, POSTMASTER, 1, used=5)
    assert cpu.cpu_of_server("") == 0.0


@pytest.mark.parametrize("when", ["before it is read", "after it was read"])
def test_a_process_that_ends_meanwhile_is_counted_once(
    cpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    write(tmp_path, POSTMASTER, 1, used=5)
    write(tmp_path, OTHER, POSTMASTER, used=30)
    read_text = Path.read_text
    others: list[Path] = []

    def read(path: Path, *args: Any, **options: Any) -> str:
        if path.parent.name != str(OTHER) or others:
            return read_text(path, *args, **options)
        others.append(path)
        if when == "before it is read":
            end(tmp_path, OTHER, used=30)
        text = read_text(path, *args, **options)
        end(tmp_path, OTHER, used=30)
        return text

    monkeypatch.setattr(Path, "read_text", read)
    assert cpu.cpu_of_tree(POSTMASTER) == 35
    assert others
