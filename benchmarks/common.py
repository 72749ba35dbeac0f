"""What all benchmarks share: a server, the two libraries on it, and a table at the end."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import procrastinate
import psycopg
from rich.console import Console
from rich.table import Table

import adjourn
from adjourn import embedded

SETTINGS = {"shared_buffers": "1GB", "max_connections": "100", "autovacuum_naptime": "3s"}


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the address of a database that has the schemas of both libraries and no jobs."""
    with contextlib.ExitStack() as stack:
        dsn = os.environ.get("ADJOURN_BENCH_DSN")
        if dsn is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "data")
            path.parent.chmod(0o755)
            dsn = stack.enter_context(embedded.Server(path, settings=SETTINGS)).dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("drop schema if exists adjourn cascade")
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
        for app in (make_adjourn(dsn), make_procrastinate(dsn)):
            with app.open():
                app.schema_manager.apply_schema()
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
    """Remove all jobs of both libraries, and write a checkpoint now, so that none falls into a measurement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "truncate adjourn.adjourn_jobs, adjourn.adjourn_finished_jobs, adjourn.adjourn_lapses, adjourn.adjourn_headless_locks, adjourn.adjourn_unique_keys, procrastinate_jobs cascade"
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


def spread(values: list[float], digits: int = 0) -> str:
    """Return the median and, in brackets, the range."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]"
