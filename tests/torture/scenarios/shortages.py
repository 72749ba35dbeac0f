"""A server or a program that has run out of something."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from torture.exceptions import NotRun
from torture.postgres import NOT_OURS, Postgres, make_database
from torture.scenarios.registry import scenario
from torture.trial import Trial

DISK = 160
"""Megabytes of a small disk."""


@scenario("all sessions taken", seconds=30)
def all_sessions_taken(trial: Trial) -> None:
    """Another program takes all sessions that the server allows (`max_connections`), and ends those of the load."""
    trial.allowed = {"is not a PostgreSQL backend process": "a session has ended just before the bench ends it"}
    with trial.server(max_connections="30") as server, trial.load(server.dsn):
        for _ in trial.rounds(3, 4):
            with trial.disturbed("all sessions taken"), contextlib.ExitStack() as taken:
                end = time.monotonic() + 5
                while time.monotonic() < end:
                    try:
                        connection = psycopg.connect(f"{server.dsn} application_name=bench connect_timeout=2")
                        taken.enter_context(contextlib.closing(connection))
                        _end_others(connection)
                    except psycopg.OperationalError:
                        time.sleep(0.05)


def _end_others(connection: psycopg.Connection) -> None:
    connection.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {NOT_OURS}".encode())


@scenario("pool exhausted", seconds=20)
def pool_exhausted(trial: Trial) -> None:
    """Each process has a pool of one connection and waits half a second for it, while the server pauses now and then."""
    with (
        trial.server() as server,
        trial.load(server.dsn, options={"min_size": 1, "max_size": 1, "timeout": 0.5}, rate=60),
    ):
        for _ in trial.rounds(1, 2):
            with trial.disturbed("pause"):
                server.pause()
                time.sleep(2)
                server.resume()


@scenario("full disk", seconds=30)
def full_disk(trial: Trial) -> None:
    """The server's disk is full for some seconds. The server refuses to store, or crashes, until there is room again."""
    trial.allowed = {
        "No space left on device|could not (extend|write|open|fsync|create)|could not find|WAL|checkpoint": "the disk is full",
        "disk full": "the disk is full",
        "in a read-only transaction": "the server recovers",
    }
    with small_disk(trial.directory / "disk") as disk:
        server = Postgres(disk / "server", {"max_wal_size": "16MB", "min_wal_size": "2MB"}, initdb=("--wal-segsize=1",))
        with trial.own(server):
            server.initialize()
            server.start()
            make_database(server)
            with trial.load(server.dsn):
                for _ in trial.rounds(2, 4):
                    with trial.disturbed("full disk"):
                        fill(disk / "ballast")
                        time.sleep(5)
                        (disk / "ballast").unlink()
                        if server.server is not None and server.server.poll() is not None:
                            server.start()


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """Mount a file system of `DISK` megabytes."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=755", "tmpfs", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotRun(f"a small disk needs the command mount: {error}") from error
    if done.returncode:
        raise NotRun(f"a small disk has to be mounted, by root: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=False)


def fill(ballast: Path) -> None:
    """Fill a disk to the last byte."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
