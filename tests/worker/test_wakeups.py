"""Whoever waits for notifications is woken, by whichever driver it waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._sync.connectors.memory import SyncInMemorySession
from adjourn.connectors.adapted import AdaptedConnector
from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector
from adjourn.testing import InMemoryConnector
from adjourn.worker import Worker
from support.drivers import PsycopgDriver
from support.waiting import until_async

LONG, BOUND = 60.0, 10.0


CONNECTORS: dict[str, Callable[[str], Any]] = {
    "psycopg": adjourn.PsycopgConnector,
    "psycopg2": AsyncPsycopg2Connector,
    "memory": lambda dsn: InMemoryConnector(),
    "adapted": lambda dsn: AdaptedConnector(lambda: PsycopgDriver(dsn)),
}


@pytest.fixture(params=CONNECTORS)
def connector(request: pytest.FixtureRequest, database: str) -> Any:
    """A connector that is not open."""
    return CONNECTORS[request.param](database)


@pytest.fixture
def session(connector: Any) -> Iterator[Any]:
    """A session that listens, in a thread."""
    session = connector.session()
    session.listen("channel")
    yield session
    session.close()


def woken_after(delay: float, session: Any) -> float:
    """Wait for a notification that never comes while another thread wakes; how many seconds it took."""
    threading.Timer(delay, session.wake).start()
    began = time.monotonic()
    assert session.wait_for_notifications(LONG) == []
    return time.monotonic() - began


def test_a_wait_in_a_thread_ends_when_it_is_woken(session: Any) -> None:
    assert session.is_wakeable
    assert woken_after(0.05, session) < BOUND
    assert woken_after(0.05, session) < BOUND


def test_a_wake_before_the_wait_ends_the_next_one_and_no_other(session: Any) -> None:
    session.wake()
    session.wake()
    began = time.monotonic()
    assert session.wait_for_notifications(LONG) == []
    assert time.monotonic() - began < BOUND
    began = time.monotonic()
    assert session.wait_for_notifications(0.1) == []
    assert time.monotonic() - began >= 0.1


def test_waking_a_closed_session_does_nothing(connector: Any) -> None:
    session = connector.session()
    session.listen("channel")
    session.wait_for_notifications(0)
    session.close()
    session.wake()


async def test_a_wait_on_a_loop_ends_when_it_is_woken_from_a_thread(connector: Any) -> None:
    session = await connector.session_async()
    try:
        await session.listen_async("channel")
        for _ in range(2):
            threading.Timer(0.05, session.wake).start()
            async with asyncio.timeout(BOUND):
                assert await session.wait_for_notifications_async(LONG) == []
        session.wake()
        async with asyncio.timeout(BOUND):
            assert await session.wait_for_notifications_async(LONG) == []
        began = time.monotonic()
        assert await session.wait_for_notifications_async(0.1) == []
        assert time.monotonic() - began >= 0.09
    finally:
        await session.close_async()


async def wait_for_conversation(connector: Any) -> None:
    """Wait until the heartbeat of a worker has beaten on an in-memory connector."""
    await until_async(lambda: "heartbeat" in {name for name, _ in connector.queries})


async def test_a_stop_wakes_a_heartbeat_that_has_nothing_to_do_for_a_minute() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    for listen_notify in (True, False):
        connector.reset()
        worker = Worker(
            app,
            install_signal_handlers=False,
            listen_notify=listen_notify,
            update_heartbeat_interval=LONG,
            abort_job_polling_interval=LONG,
            fetch_job_polling_interval=LONG,
            stalled_worker_timeout=2 * LONG,
        )
        async with app.open_async(), asyncio.timeout(BOUND):
            running = asyncio.create_task(worker.run())
            await wait_for_conversation(connector)
            worker.stop()
            await running


async def test_a_heartbeat_beats_when_its_worker_has_registered_anew() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    worker = Worker(
        app,
        install_signal_handlers=False,
        update_heartbeat_interval=LONG,
        abort_job_polling_interval=LONG,
        fetch_job_polling_interval=0.05,
        stalled_worker_timeout=2 * LONG,
    )
    async with app.open_async(), asyncio.timeout(BOUND):
        running = asyncio.create_task(worker.run())
        await wait_for_conversation(connector)
        former = worker.worker_id
        assert await app.job_manager.prune_stalled_workers_async(0) == [former]
        await until_async(lambda: worker.worker_id not in (None, former))
        await until_async(
            lambda: worker.worker_id in {given["worker_id"] for name, given in connector.queries if name == "heartbeat"}
        )
        worker.stop()
        await running


async def test_a_worker_ends_soon_on_sessions_that_cannot_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyncInMemorySession, "is_wakeable", False)
    monkeypatch.setattr(SyncInMemorySession, "wake", lambda session: None)
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    worker = Worker(app, install_signal_handlers=False, update_heartbeat_interval=LONG, stalled_worker_timeout=2 * LONG)
    async with app.open_async(), asyncio.timeout(BOUND):
        running = asyncio.create_task(worker.run())
        await wait_for_conversation(connector)
        worker.stop()
        await running


async def test_a_worker_that_does_not_wait_keeps_house_before_it_runs_anything() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    ran: list[int] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        ran.append(context.job.attempts)

    async with app.open_async():
        job_id = await work.defer_async()
        # A worker that fell silent while it had the job.
        manager = AsyncWorkerManager(connector.get_async_connector(), connector.json_loads)
        gone = await manager.register_worker_async("gone", None, 1.0)
        exchanged = await manager.exchange_async(gone, [], limit=1, queues=None)
        assert [job.id for job in exchanged.jobs] == [job_id]
        connector.advance(seconds=60)
        async with asyncio.timeout(BOUND):
            await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert ran == [1]
    assert {"rescue", "heal", "make_partitions"} <= {name for name, _ in connector.queries}


async def test_a_worker_with_nothing_to_do_makes_no_round_trip_in_vain() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    async with app.open_async(), asyncio.timeout(BOUND):
        await app.run_worker_async(wait=False, install_signal_handlers=False)  # which does the upkeep of this minute
        begun = len(connector.queries)
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    asked = [name for name, _ in connector.queries[begun:]]
    assert asked == ["schema_exists", "register_worker", "exchange", "unregister_worker"]


async def test_a_worker_that_does_not_wait_hears_of_aborts_too() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    begun = asyncio.Event()

    @app.task(name="sleep")
    async def sleep() -> None:
        begun.set()
        await asyncio.sleep(LONG)

    async with app.open_async(), asyncio.timeout(BOUND):
        job_id = await sleep.defer_async()
        running = asyncio.create_task(app.run_worker_async(wait=False, install_signal_handlers=False))
        await begun.wait()
        await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await running
        assert (await app.job_manager.get_job_status_async(job_id)).value == "aborted"
