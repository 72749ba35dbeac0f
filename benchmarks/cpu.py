"""How much CPU this process, and the server on this machine, have used."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import psycopg

PROC = Path("/proc")


def cpu_of_process() -> float:
    """Return the seconds of CPU that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of_server(dsn: str) -> float:
    """Return the seconds of CPU that the server's processes have used, with those that have ended; 0 if it runs elsewhere."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("select pg_backend_pid()").fetchone()
        assert row is not None
        # As long as this session is open, its process is there, and says who its parent is.
        backend = PROC / str(row[0]) / "stat"
        if not _is_of_postgres(backend):
            return 0.0
        return cpu_of_tree(int(_stat(backend)[1])) / os.sysconf("SC_CLK_TCK")


def cpu_of_tree(parent: int) -> int:
    """Return the CPU of a process, of its children, and of those that have ended, in ticks of the system's clock."""
    while True:
        # One that ends meanwhile would be counted twice or not at all.
        ended = _ended(parent)
        live = sum(_cpu(path, parent) for path in PROC.glob("[0-9]*/stat"))
        if _ended(parent) == ended:
            return ended + live


def _is_of_postgres(path: Path) -> bool:
    try:
        return "(postgres" in path.read_text()
    except OSError:
        return False


def _ended(parent: int) -> int:
    """Return the CPU of the process's children that have ended."""
    return sum(map(int, _stat(PROC / str(parent) / "stat")[13:15]))


def _cpu(path: Path, parent: int) -> int:
    try:
        fields = _stat(path)
    except OSError:
        return 0  # it has ended
    if int(path.parent.name) == parent or int(fields[1]) == parent:
        return sum(map(int, fields[11:13]))
    return 0


def _stat(path: Path) -> list[str]:
    """Return the fields after the name of the program, which may have blanks."""
    return path.read_text().rpartition(")")[2].split()
