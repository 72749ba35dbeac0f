"""What the user's manual says of synchronous calls, on one app."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

import adjourn
from adjourn.connector import BaseConnector
from adjourn.exceptions import SyncConnectorConfigurationError
from conftest import Sessions
from selection.conftest import Stored
from selection.pairs import PAIRS, Pair, add, make_app

AWAITED: dict[str, Callable[[adjourn.App], Any]] = {
    "defer_async": lambda app: app.tasks["add"].defer_async(name="never"),
    "batch_defer_async": lambda app: app.tasks["add"].batch_defer_async({"name": "never"}, {"name": "nor this"}),
    "configure_task.defer_async": lambda app: app.configure_task("unknown").defer_async(name="never"),
    "open_async": lambda app: app.open_async(),
    "close_async": lambda app: app.close_async(),
    "check_connection_async": lambda app: app.check_connection_async(),
    "list_jobs_async": lambda app: app.job_manager.list_jobs_async(),
    "list_queues_async": lambda app: app.job_manager.list_queues_async(),
    "get_job_status_async": lambda app: app.job_manager.get_job_status_async(1),
    "cancel_job_by_id_async": lambda app: app.job_manager.cancel_job_by_id_async(1),
    "apply_schema_async": lambda app: app.schema_manager.apply_schema_async(),
    "run_worker_async": lambda app: app.run_worker_async(wait=False, install_signal_handlers=False),
}
"""What a synchronous connector refuses."""


def blocking_operations(app: adjourn.App) -> dict[str, Callable[[], object]]:
    """Every operation that has a blocking form; the first ones make the jobs that the others ask for."""
    manager = app.job_manager
    job_id = 0

    def defer() -> bool:
        nonlocal job_id
        job_id = app.tasks["add"].defer(name="a")
        return isinstance(job_id, int)

    return {
        "defer": defer,
        "batch_defer": lambda: len(set(app.tasks["add"].batch_defer({"name": "b"}, {"name": "c"}))) == 2,
        "configure_task": lambda: app.configure_task("unknown", queue="q").defer(name="d"),
        "check_connection": lambda: app.check_connection(),
        "list_jobs": lambda: len(list(manager.list_jobs())) == 4,
        "list_queues": lambda: len(list(manager.list_queues())) == 2,
        "list_tasks": lambda: len(list(manager.list_tasks())) == 2,
        "list_locks": lambda: isinstance(list(manager.list_locks()), list),
        "get_job_status": lambda: manager.get_job_status(job_id).value == "todo",
        "cancel_job_by_id": lambda: manager.cancel_job_by_id(job_id),
        "get_stalled_jobs": lambda: list(manager.get_stalled_jobs()) == [],
        "get_version": lambda: app.schema_manager.get_version() > 0,
    }


@pytest.fixture(params=PAIRS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Each pair of connectors."""
    assert isinstance(request.param, Pair)
    return request.param


def test_s1_an_app_on_a_synchronous_connector_opens_and_defers(
    database: str, stored: Stored, sessions: Sessions
) -> None:
    app = make_app(adjourn.SyncPsycopgConnector(conninfo=database))
    app.open()
    job_id = app.tasks["add"].defer(name="ann")
    assert isinstance(job_id, int)
    (job,) = app.job_manager.list_jobs(id=job_id)
    assert (job.task_name, job.task_kwargs) == ("add", {"name": "ann"})
    app.close()
    assert stored() == ["ann"]
    assert sessions.settle(0) == 0


def test_s2_libpqs_keywords_go_straight_to_the_connector(database: str, stored: Stored) -> None:
    keywords: dict[str, Any] = dict(conninfo_to_dict(database))
    app = make_app(adjourn.SyncPsycopgConnector(**keywords))
    with app.open():
        add(app, "ann")
    assert stored() == ["ann"]


@pytest.mark.parametrize("operation", AWAITED)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
async def test_s3_a_synchronous_connector_refuses_what_is_to_be_awaited_and_goes_on_deferring(
    pair: Pair, database: str, stored: Stored, operation: str, is_open: bool
) -> None:
    app = make_app(pair.synchronous(database, 2, 10))
    if is_open:
        app.open()
    with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
        await AWAITED[operation](app)
    app.open()
    jobs = list(app.job_manager.list_jobs())
    assert jobs == []
    add(app, "ann")
    assert len(list(app.job_manager.list_jobs())) == 1
    app.close()
    if not pair.is_in_memory:
        assert stored() == ["ann"]


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_s3_a_synchronous_connector_refuses_to_run_a_worker(pair: Pair, database: str, is_open: bool) -> None:
    app = make_app(pair.synchronous(database, 2, 10))
    if is_open:
        app.open()
    with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
        app.run_worker(wait=False)
    with app.open():
        add(app, "ann")
        assert [job.status for job in app.job_manager.list_jobs()] == ["todo"]


def test_s3_the_blocking_forms_work_on_a_synchronous_connector(pair: Pair, database: str) -> None:
    app = make_app(pair.synchronous(database, 2, 10))
    with app.open():
        for name, operation in blocking_operations(app).items():
            assert operation(), name


def test_s4_the_pool_is_psycopgs_and_honours_its_arguments(database: str, sessions: Sessions) -> None:
    connector = adjourn.SyncPsycopgConnector(database, min_size=2, max_size=3, timeout=7, max_idle=60)
    app = make_app(connector)
    with app.open():
        assert isinstance(connector.pool, ConnectionPool)
        pool = connector.pool
        assert (pool.min_size, pool.max_size, pool.timeout, pool.max_idle) == (2, 3, 7, 60)
        assert sessions.settle(2) == 2
    assert pool.closed


def test_s4_a_pool_that_is_given_is_used_and_nothing_beside_it(
    database: str, stored: Stored, sessions: Sessions
) -> None:
    connector = adjourn.SyncPsycopgConnector("host=nowhere.invalid")
    app = make_app(connector)
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as pool:
        pool.wait()
        app.open(pool)
        assert connector.pool is pool
        for name in "abcde":
            add(app, name)
        assert sessions.settle(1) == 1
        app.close()
    assert stored() == list("abcde")


def test_s11_an_async_connector_in_a_synchronous_program_needs_open_defer_and_close_only(
    app: adjourn.App, stored: Stored
) -> None:
    app.open()
    assert isinstance(add(app, "ann"), int)
    app.close()
    assert stored() == ["ann"]


def test_s12_every_connector_has_a_synchronous_one_and_a_synchronous_one_is_its_own(pair: Pair, database: str) -> None:
    synchronous = pair.synchronous(database, 2, 10)
    assert synchronous.get_sync_connector() is synchronous
    twin = pair.connector(database, 2, 10).get_sync_connector()
    assert isinstance(twin, BaseConnector)
    assert twin.get_sync_connector() is twin


@pytest.mark.parametrize("opening", ["open", "open_async"])
async def test_s13_every_synchronous_operation_asks_for_the_synchronous_connector(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch, opening: str
) -> None:
    asked = 0
    original = app.connector.get_sync_connector

    def ask() -> BaseConnector:
        nonlocal asked
        asked += 1
        return original()

    def check() -> None:
        for name, operation in blocking_operations(app).items():
            before = asked
            assert operation(), name
            assert asked > before, name

    monkeypatch.setattr(app.connector, "get_sync_connector", ask)
    if opening == "open":
        with app.open():
            check()
    else:
        async with app.open_async():
            await asyncio.to_thread(check)


def test_s14_before_opening_the_synchronous_connector_is_one_twin_without_an_event_loop(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("an event loop was started")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    threads = threading.active_count()
    twin = app.connector.get_sync_connector()
    assert isinstance(twin, adjourn.SyncPsycopgConnector)
    assert app.connector.get_sync_connector() is twin
    assert threading.active_count() == threads
    with app.open():
        assert app.connector.get_sync_connector() is twin
        add(app, "ann")
    assert app.connector.get_sync_connector() is twin


async def test_s15_after_opening_the_connector_serves_synchronous_calls_itself_on_the_connections_it_has(
    opened: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    assert opened.connector.get_sync_connector() is opened.connector
    assert isinstance(await sync_to_async(add)(opened, "ann"), int)
    assert stored() == ["ann"]
    assert sessions.settle(1) == 1
