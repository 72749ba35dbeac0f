"""The server's queue of notifications is full, as a session that listens sits in a transaction: errors say so, and all goes on after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest

import adjourn
from adjourn import embedded, exceptions
from support.databases import SETTINGS, apply_schema

PAGES = 64
"""The least that the server allows, of 8 kB each."""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    settings = {**SETTINGS, "max_notify_queue_pages": str(PAGES)}
    path = Path(tempfile.gettempdir(), f"adjourn-notified-{os.getpid()}")
    with embedded.Server(path, temporary=True, settings=settings) as server:
        apply_schema(server.dsn)
        yield server.dsn


def notify_often(connection: psycopg.Connection) -> None:
    for number in range(PAGES * 2):
        connection.execute("select pg_notify('news', %s || repeat('x', 7000))", [f"{number:05}"])


def fill(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.OperationalError, match="NOTIFY queue"):
        notify_often(connection)


@pytest.mark.timeout(60)
async def test_an_error_says_who_keeps_the_queue_full_and_nothing_is_lost(dsn: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(dsn))
    ran: list[int] = []

    @app.task(name="note")
    async def note(number: int) -> None:
        ran.append(number)

    async with app.open_async(), anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: app.run_worker_async(update_heartbeat_interval=0.5, install_signal_handlers=False))
        await note.defer_async(number=1)
        with anyio.fail_after(20):
            while not ran:
                await anyio.sleep(0.01)
        with psycopg.connect(dsn, autocommit=True) as filler, psycopg.connect(dsn, autocommit=True) as sleeper:
            sleeper.execute("listen news")
            sleeper.execute("begin")
            sleeper.execute("select 1")
            await anyio.to_thread.run_sync(fill, filler)
            with pytest.raises(exceptions.ConnectorException, match=r"NOTIFY queue.*end the one.*pg_stat_activity"):
                await note.defer_async(number=2)
            sleeper.execute("commit")
        with anyio.fail_after(20):
            while len(ran) < 2:
                try:
                    await note.defer_async(number=3)
                except exceptions.ConnectorException:
                    await anyio.sleep(0.05)
                await anyio.sleep(0.05)
        assert 2 not in ran
        tasks.cancel_scope.cancel()
