"""What the user's manual says of synchronous calls, on one app."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg.conninfo import conninfo_to_dict
from psycopg2.pool import ThreadedConnectionPool
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine

import adjourn
from adjourn.connector import BaseConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import AppNotOpen, SyncConnectorConfigurationError
from dispatch.conftest import Stored
from dispatch.pairs import PAIRS, SYNCHRONOUS, Pair
from support.addresses import address
from support.apps import add, make_app
from support.places import together
from support.sessions import Sessions
from support.waiting import BOUND

EACH_SYNCHRONOUS = pytest.mark.parametrize("synchronous", SYNCHRONOUS)
BACKEND = "SELECT pg_backend_pid() AS pid"

AWAITED: dict[str, Callable[[adjourn.App], Any]] = {
    "defer_async": lambda app: app.tasks["add"].defer_async(name="never"),
    "batch_defer_async": lambda app: app.tasks["add"].batch_defer_async({"name": "never"}, {"name": "nor this"}),
    "configure_task.defer_async": lambda app: app.configure_task("unknown").defer_async(name="never"),
    "connection=.defer_async": lambda app: app.configure_task("add", connection=object()).defer_async(name="never"),
    "connection=.batch_defer_async": lambda app: (
        app.tasks["add"].configure(connection=object()).batch_defer_async({"name": "never"}, {"name": "nor this"})
    ),
    "open_async": lambda app: app.open_async(),
    "close_async": lambda app: app.close_async(),
    "check_connection_async": lambda app: app.check_connection_async(),
    "list_jobs_async": lambda app: app.job_manager.list_jobs_async(),
    "list_queues_async": lambda app: app.job_manager.list_queues_async(),
    "list_tasks_async": lambda app: app.job_manager.list_tasks_async(),
    "list_locks_async": lambda app: app.job_manager.list_locks_async(),
    "get_job_status_async": lambda app: app.job_manager.get_job_status_async(1),
    "cancel_job_by_id_async": lambda app: app.job_manager.cancel_job_by_id_async(1),
    "cancel_job_by_id_async(connection=)": lambda app: app.job_manager.cancel_job_by_id_async(1, connection=object()),
    "abort": lambda app: app.job_manager.cancel_job_by_id_async(1, abort=True),
    "retry_job_by_id_async": lambda app: app.job_manager.retry_job_by_id_async(1),
    "cancel_jobs_async": lambda app: app.job_manager.cancel_jobs_async([1]),
    "abort_jobs_async": lambda app: app.job_manager.abort_jobs_async([1]),
    "retry_jobs_async": lambda app: app.job_manager.retry_jobs_async([1]),
    "delete_jobs_async": lambda app: app.job_manager.delete_jobs_async([1]),
    "get_stalled_jobs_async": lambda app: app.job_manager.get_stalled_jobs_async(),
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

    def retry() -> adjourn.jobs.Status:
        manager.retry_job_by_id(job_id)
        return manager.get_job_status(job_id)

    def get_result() -> bool:
        with pytest.raises(adjourn.exceptions.JobNotFinished):
            manager.get_result(job_id)
        return True

    def wait() -> bool:
        with pytest.raises(adjourn.exceptions.WaitTimeout):
            manager.wait_for_jobs([job_id], timeout=0)
        with pytest.raises(adjourn.exceptions.WaitTimeout):
            manager.wait_for_job(job_id, timeout=0.01)
        return True

    def workflow() -> bool:
        flow = app.workflow()
        flow.add(app.tasks["add"], task_kwargs={"name": "w"})
        stored = flow.defer()
        assert manager.get_workflow(stored.id).remaining == 1
        assert [each.id for each in manager.list_workflows()] == [stored.id]
        with pytest.raises(adjourn.exceptions.WaitTimeout):
            manager.wait_for_workflow(stored.id, timeout=0)
        assert manager.close_workflow(app.workflow().open().id)
        return manager.cancel_workflow(stored.id) == 1 and manager.retry_workflow(stored.id) == 1

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
        "get_result": get_result,
        "wait_for_jobs": wait,
        "workflow": lambda: workflow(),
        "get_progress": lambda: manager.get_progress(job_id) is None,
        "cancel_job_by_id": lambda: manager.cancel_job_by_id(job_id),
        "retry_job_by_id": lambda: retry().value == "todo",
        "abort": lambda: manager.cancel_job_by_id(job_id, abort=True),
        "retry_jobs": lambda: manager.retry_jobs([job_id]) == [job_id],
        "change_jobs": lambda: manager.change_jobs([job_id], priority=1) == [job_id],
        "abort_jobs": lambda: manager.abort_jobs([job_id]) == [],
        "cancel_jobs": lambda: manager.cancel_jobs([job_id]) == [job_id],
        "count_jobs": lambda: manager.count_jobs(statuses=["cancelled"]) == 1,
        "search_jobs": lambda: [job.id for job in manager.search_jobs(statuses=["cancelled"]).jobs] == [job_id],
        "delete_jobs": lambda: manager.delete_jobs([job_id]) == [job_id],
        "list_workers": lambda: list(manager.list_workers()) == [],
        "get_stalled_jobs": lambda: list(manager.get_stalled_jobs()) == [],
        "pause_schedule": lambda: manager.pause_schedule("add", cron="@daily"),
        "resume_schedule": lambda: manager.resume_schedule("add"),
        "get_version": lambda: app.schema_manager.get_version() > 0,
    }


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


@EACH_SYNCHRONOUS
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
async def test_s3_a_synchronous_connector_refuses_what_is_to_be_awaited_and_goes_on_deferring(
    synchronous: str, database: str, stored: Stored, is_open: bool
) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))
    if is_open:
        app.open()
    for number, (operation, call) in enumerate(AWAITED.items()):
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            await call(app)
        with app.open() if not is_open else contextlib.nullcontext():
            assert len(list(app.job_manager.list_jobs())) == number, operation
            add(app, f"{number:02}")
    app.close()
    if synchronous != "SyncInMemoryConnector":
        assert stored() == [f"{number:02}" for number in range(len(AWAITED))]


@EACH_SYNCHRONOUS
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_s3_a_synchronous_connector_refuses_to_run_a_worker(synchronous: str, database: str, is_open: bool) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))
    if is_open:
        app.open()
    with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
        app.run_worker(wait=False)
    with app.open():
        add(app, "ann")
        assert [job.status for job in app.job_manager.list_jobs()] == ["todo"]


@EACH_SYNCHRONOUS
def test_s3_the_blocking_forms_work_on_a_synchronous_connector(synchronous: str, database: str) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))
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


def test_s5_the_pool_is_psycopg2s_and_honours_its_arguments(database: str, stored: Stored, sessions: Sessions) -> None:
    connector = adjourn.Psycopg2Connector(database, minconn=2, maxconn=3)
    app = make_app(connector)
    with app.open():
        pool = connector.pool
        assert isinstance(pool, ThreadedConnectionPool)
        assert (pool.minconn, pool.maxconn) == (2, 3)
        assert sessions.settle(2) == 2
        assert isinstance(add(app, "ann"), int)
    assert pool.closed
    assert stored() == ["ann"]
    assert sessions.settle(0) == 0


def test_s5_a_psycopg2_pool_that_is_given_is_used_and_no_session_is_made_beside_it(
    database: str, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    connector = adjourn.Psycopg2Connector("host=nowhere.invalid")
    app = make_app(connector)
    pool = ThreadedConnectionPool(1, 1, database)
    connection = pool.getconn()
    pid = connection.info.backend_pid
    pool.putconn(connection)
    del connection
    made = connections_made()
    app.open(pool)
    assert connector.pool is pool
    names = [f"{number:02}" for number in range(12)]
    together(12, lambda number: add(app, names[number]))
    assert connector.execute_query_one(BACKEND) == {"pid": pid}
    assert sessions.settle(1) == 1
    app.close()
    assert not pool.closed
    with pytest.raises(AppNotOpen):
        add(app, "never")
    pool.closeall()
    assert sessions.settle(0) == 0
    assert connections_made() == made
    assert stored() == names


def test_s6_the_pages_code_for_sqlalchemy_works_as_it_stands(
    database: str, monkeypatch: pytest.MonkeyPatch, stored: Stored, sessions: Sessions
) -> None:
    found = conninfo_to_dict(database)
    for name in ("host", "port", "user", "password", "dbname"):
        if name in found:
            monkeypatch.setenv("PGDATABASE" if name == "dbname" else f"PG{name.upper()}", str(found[name]))

    from sqlalchemy import create_engine

    from adjourn import App
    from adjourn.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector

    engine = create_engine("postgresql+psycopg2://", echo=True)

    app = App(connector=SQLAlchemyPsycopg2Connector())
    app.open(engine)

    @app.task(name="add")
    def add(name: str) -> None: ...

    assert isinstance(add.defer(name="ann"), int)
    assert stored() == ["ann"]
    assert sessions.settle(1) == 1
    app.close()
    engine.dispose()
    # Without an engine of the application's it makes one of its own.
    with app.open():
        add.defer(name="bob")
    assert stored() == ["ann", "bob"]
    assert sessions.settle(0) == 0


@pytest.mark.parametrize(
    ("kind", "driver"), [(SQLAlchemyPsycopgConnector, "psycopg"), (SQLAlchemyPsycopg2Connector, "psycopg2")]
)
def test_s7_the_applications_engine_and_its_one_connection_are_shared_and_left_to_it_by_close(
    kind: Any, driver: str, database: str, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    engine = create_engine(address(database, driver), pool_size=1, max_overflow=0)
    app = make_app(kind())
    with engine.connect() as connection:
        pid = connection.exec_driver_sql(BACKEND).scalar()
    made = connections_made()
    app.open(engine)
    assert app.connector.engine is engine  # type: ignore[attr-defined]
    for name in "abcde":
        add(app, name)
    assert app.connector.get_sync_connector().execute_query_one(BACKEND) == {"pid": pid}
    assert sessions.settle(1) == 1
    app.close()
    with pytest.raises(AppNotOpen):
        add(app, "never")
    with engine.connect() as connection:
        assert connection.exec_driver_sql(BACKEND).scalar() == pid
    engine.dispose()
    assert sessions.settle(0) == 0
    assert connections_made() == made
    assert stored() == list("abcde")


def test_s11_an_async_connector_in_a_synchronous_program_needs_open_defer_and_close_only(
    app: adjourn.App, stored: Stored
) -> None:
    app.open()
    assert isinstance(add(app, "ann"), int)
    app.close()
    assert stored() == ["ann"]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_s12_every_asynchronous_connector_has_a_synchronous_one(pair: Pair, database: str) -> None:
    twin = pair.connector(database, 2, 10).get_sync_connector()
    assert isinstance(twin, pair.twin)
    assert twin.get_sync_connector() is twin


@EACH_SYNCHRONOUS
def test_s12_a_synchronous_connector_is_its_own(synchronous: str, database: str) -> None:
    connector = SYNCHRONOUS[synchronous](database, 2, 10)
    assert connector.get_sync_connector() is connector


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
    app: adjourn.App, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("an event loop was started")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    threads = threading.active_count()
    twin = app.connector.get_sync_connector()
    assert isinstance(twin, pair.twin)
    assert app.connector.get_sync_connector() is twin
    assert threading.active_count() == threads
    with app.open():
        assert app.connector.get_sync_connector() is twin
        add(app, "ann")
    assert app.connector.get_sync_connector() is twin


async def test_s15_after_opening_the_connector_serves_synchronous_calls_itself_on_the_connections_it_has(
    app: adjourn.App, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    names = [f"{number:02}" for number in range(16)]
    async with app.open_async():
        assert app.connector.get_sync_connector() is app.connector
        assert sessions.settle(1) == 1
        made = connections_made()
        deferring = sync_to_async(add, thread_sensitive=False)
        async with asyncio.timeout(BOUND):
            ids = await asyncio.gather(*(deferring(app, name) for name in names))
        assert len(set(ids)) == 16
        assert app.connector.get_sync_connector() is app.connector
        assert sessions.count() <= 2
    assert stored() == names
    assert sessions.settle(0) == 0
    # Beside the connection it was opened with there was room for one.
    assert connections_made() - made <= 1
