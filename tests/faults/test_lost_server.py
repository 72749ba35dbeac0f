"""A database server that dies and comes back under load."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import adjourn
from adjourn import embedded
from adjourn.exceptions import AppNotOpen, ConnectorException
from adjourn.worker import Worker
from support.waiting import until, until_async

DEATHS = 3


@pytest.fixture
def data() -> Iterator[Path]:
    """A place for a server's data that every user of the system can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, "data")


def kill(server: embedded.Server) -> None:
    """End a server at once, as a crash does."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    until(lambda: not Path(f"/proc/{pid}").exists())
    server.stop()


def has(acknowledged: set[int], number: int) -> bool:
    return len(acknowledged) >= number


@pytest.mark.timeout(180)
async def test_every_acknowledged_job_runs_though_the_server_dies_and_comes_back(data: Path) -> None:
    server = embedded.Server(data)
    server.start()
    dsn = server.dsn
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, timeout=5))
    ran: set[int] = set()

    @app.task(name="note")
    async def note(n: int) -> None:
        await asyncio.sleep(0.01)
        ran.add(n)

    acknowledged: set[int] = set()
    stop = asyncio.Event()

    async def defer() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            try:
                await note.configure(lock=f"lock {n % 3}" if n % 2 else None).defer_async(n=n)
            except (ConnectorException, AppNotOpen):
                await asyncio.sleep(0.05)
            else:
                acknowledged.add(n)
            await asyncio.sleep(0.005)

    async def nothing_is_left() -> bool:
        # A job may be stored although its defer has raised: the server died before it could answer.
        return all(job.finished_at for job in await app.job_manager.list_jobs_async())

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = Worker(app, concurrency=10, install_signal_handlers=False, fetch_job_polling_interval=0.5)
        running = asyncio.create_task(worker.run())
        deferring = asyncio.create_task(defer())
        for _ in range(DEATHS):
            enough = len(acknowledged) + 50
            await until_async(functools.partial(has, acknowledged, enough))
            await asyncio.to_thread(kill, server)
            await asyncio.sleep(0.5)
            server = embedded.Server(data)
            await asyncio.to_thread(server.start)
            assert server.dsn == dsn
        stop.set()
        await deferring
        async with asyncio.timeout(60):
            await until_async(lambda: acknowledged <= ran, 60)
            await until_async(nothing_is_left, 60)
            worker.stop()
            await running
        left = [job for job in await app.job_manager.list_jobs_async() if job.status != "succeeded"]
    server.stop()
    assert left == []
    assert len(acknowledged) >= 50 * DEATHS
