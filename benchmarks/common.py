"""What all benchmarks share: a server, the libraries on it, and a table, or JSON, at the end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pgqueuer_side
import procrastinate
import psycopg
from rich.console import Console
from rich.table import Table

import adjourn
from adjourn import embedded

SETTINGS = {"shared_buffers": "1GB", "max_connections": "100", "autovacuum_naptime": "3s"}


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the address of a database that has the schemas of all libraries and no jobs."""
    with contextlib.ExitStack() as stack:
        dsn = os.environ.get("ADJOURN_BENCH_DSN")
        if dsn is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "data")
            path.parent.chmod(0o755)
            dsn = stack.enter_context(embedded.Server(path, settings=SETTINGS)).dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("drop schema if exists adjourn cascade")
            connection.execute("drop schema if exists graphile_worker cascade")
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
        for app in (make_adjourn(dsn), make_procrastinate(dsn)):
            with app.open():
                app.schema_manager.apply_schema()
        asyncio.run(pgqueuer_side.install(dsn))
        yield dsn


def make_adjourn(dsn: str, max_size: int = 10) -> adjourn.App:
    """Return an adjourn app with the tasks that are measured."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, max_size=max_size))
    app.task(_async_noop, name="async_noop")
    app.task(_sync_noop, name="sync_noop")
    return app


def make_procrastinate(dsn: str, max_size: int = 10) -> procrastinate.App:
    """Return a Procrastinate app with the same tasks."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=max_size))
    app.task(_async_noop, name="async_noop")
    app.task(_sync_noop, name="sync_noop")
    return app


async def _async_noop() -> None:
    pass


def _sync_noop() -> None:
    pass


def empty(dsn: str) -> None:
    """Remove all jobs of all libraries, and write a checkpoint now, so that none falls into a measurement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "truncate adjourn.adjourn_jobs, adjourn.adjourn_finished_jobs, adjourn.adjourn_lapses, adjourn.adjourn_headless_locks, "
            "adjourn.adjourn_workflows, adjourn.adjourn_dependencies, adjourn.adjourn_arrivals, "
            "adjourn.adjourn_unique_keys, adjourn.adjourn_open_limits, procrastinate_jobs, pgqueuer, pgqueuer_log cascade"
        )
        connection.execute("checkpoint")


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def parser_of(doc: str | None, repeat: int = 3) -> argparse.ArgumentParser:
    """Return a parser with the arguments that benchmarks share."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--repeat", type=int, default=repeat, help="runs of each (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all runs to this file, too")
    return parser


Found = dict[str, dict[str, list[float]]]
"""The measurements of each case, by side."""


def report(title: str, found: Found, unit: str, path: Path | None, digits: int = 0) -> None:
    """Print a table of medians and ranges, a row a case and a column a side, with the ratio of the first side to each other.

    Parameters
    ----------
    path
        Where to write all of them as JSON; None for nowhere.
    """
    sides = list(dict.fromkeys(side for by_side in found.values() for side in by_side))
    rows = []
    for case, by_side in found.items():
        ours, row = by_side.get(sides[0]), [case]
        for side in sides:
            values = by_side.get(side)
            row.append(spread(values, digits) if values else "-")
            if side != sides[0]:
                row.append(f"{statistics.median(ours) / statistics.median(values):.2f}" if ours and values else "-")
        rows.append(row)
    columns = ["", sides[0], *(name for side in sides[1:] for name in (side, "ratio"))]
    show(f"{title}, {unit}: median [range]", columns, rows)
    if path is not None:
        facts = {
            "title": title,
            "unit": unit,
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": sys.argv,
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
            "python": platform.python_version(),
            "found": found,
        }
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def beside(path: Path | None, name: str) -> Path | None:
    """Return where to write more figures of a benchmark whose first ones go to a path."""
    return None if path is None else path.with_stem(f"{path.stem}-{name}")


def measure(sides: dict[str, Callable[[], dict[str, float]]], repeat: int, prepare: Callable[[], Any]) -> Found:
    """Measure all sides in turn, so many times, and return the measurements of each case by side."""
    found: Found = {}
    for _ in range(repeat):
        for side, run in sides.items():
            prepare()
            # A look of the garbage collector at all that was imported here takes 50 ms, in whichever run it falls.
            gc.collect()
            gc.freeze()
            for case, value in run().items():
                found.setdefault(case, {}).setdefault(side, []).append(value)
                print(f"{case}: {side} {value:,.1f}", file=sys.stderr, flush=True)
    return found


def spread(values: list[float], digits: int = 0) -> str:
    """Return the median and, in brackets, the range."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]"
