"""Apps on SQLAlchemy's engines: the page's own code, which connector serves whom, and the callers' transactions."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg.conninfo
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import (
    AlreadyEnqueued,
    AppNotOpen,
    ConnectorException,
    InvalidConnection,
    InvalidOption,
    SyncConnectorConfigurationError,
    WrongCaller,
)
from adjourn.types import Statement
from conftest import Sessions
from sqlalchemy_addresses import address
from worker.conftest import Bench

PID = Statement("pid", "SELECT pg_backend_pid() AS pid")
SLOW = "INSERT INTO slow SELECT 1 FROM pg_sleep(0.3)"
SYNCHRONOUS = [SQLAlchemyPsycopgConnector, SQLAlchemyPsycopg2Connector]
BLOCKING = [(SQLAlchemyPsycopgConnector, "psycopg"), (SQLAlchemyPsycopg2Connector, "psycopg2")]
ASYNCHRONOUS = ["psycopg", "asyncpg"]


@pytest.fixture
def stored(observer: psycopg.Connection) -> Callable[[], list[Any]]:
    """The arguments of the jobs that are in the database, sorted."""

    def read() -> list[Any]:
        rows = observer.execute("SELECT (args->>'n')::int FROM adjourn.adjourn_jobs ORDER BY 1").fetchall()
        return [number for (number,) in rows]

    return read


@pytest.fixture(params=SYNCHRONOUS)
def synchronous(request: pytest.FixtureRequest, database: str, sessions: Sessions) -> Iterator[Any]:
    """A closed synchronous connector on the tests' database, of each kind."""
    driver = "psycopg" if request.param is SQLAlchemyPsycopgConnector else "psycopg2"
    yield request.param(dsn=address(database, driver), pool_size=2, max_overflow=0, pool_timeout=10)
    assert sessions.settle(0) == 0


@pytest.fixture(params=ASYNCHRONOUS)
def asynchronous(request: pytest.FixtureRequest, database: str, sessions: Sessions) -> Iterator[SQLAlchemyConnector]:
    """A closed asynchronous connector on the tests' database, for each driver."""
    url = address(database, request.param)
    yield SQLAlchemyConnector(dsn=url, pool_size=2, max_overflow=0, pool_timeout=10)
    assert sessions.settle(0) == 0


@pytest.fixture(params=ASYNCHRONOUS)
async def engine(request: pytest.FixtureRequest, database: str) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine of the application's, for each driver."""
    engine = create_async_engine(address(database, request.param), pool_size=2, max_overflow=0, pool_timeout=10)
    yield engine
    await engine.dispose()


def with_task(connector: Any) -> tuple[adjourn.App, Any]:
    """An app on a connector, and a task of its."""
    app = adjourn.App(connector=connector)

    @app.task(name="work")
    def work(n: int) -> None: ...

    return app, work


def in_threads(number: int, call: Callable[[int], Any]) -> list[Any]:
    """Call something in so many threads that begin together, and return the results."""
    start = threading.Barrier(number)

    def run(index: int) -> Any:
        start.wait(10)
        return call(index)

    with ThreadPoolExecutor(number) as executor:
        return list(executor.map(run, range(number), timeout=60))


class TestThePage:
    """The user's page as it stands."""

    def test_its_code_works(
        self, database: str, monkeypatch: pytest.MonkeyPatch, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        found = psycopg.conninfo.conninfo_to_dict(database)
        for name in ("host", "port", "user", "password", "dbname"):
            if name in found:
                monkeypatch.setenv("PGDATABASE" if name == "dbname" else f"PG{name.upper()}", str(found[name]))

        from sqlalchemy import create_engine

        from adjourn import App
        from adjourn.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector

        engine = create_engine("postgresql+psycopg2://", echo=True)

        app = App(connector=SQLAlchemyPsycopg2Connector())
        app.open(engine)

        @app.task(name="work")
        def work(n: int) -> None: ...

        assert isinstance(work.defer(n=1), int)
        assert stored() == [1]
        assert sessions.settle(1) == 1
        app.close()
        engine.dispose()
        with app.open():
            work.defer(n=2)
        assert stored() == [1, 2]
        assert sessions.settle(0) == 0

    @pytest.mark.parametrize(("kind", "driver"), BLOCKING)
    def test_five_defers_use_the_applications_one_connection(
        self, kind: Any, driver: str, database: str, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        engine = create_engine(address(database, driver), pool_size=1, max_overflow=0)
        app, work = with_task(kind())
        with engine.connect() as connection:
            pid = connection.exec_driver_sql(PID.text).scalar()
        app.open(engine)
        assert app.connector.engine is engine  # type: ignore[attr-defined]
        for n in range(5):
            work.defer(n=n)
        assert app.connector.get_sync_connector().execute(PID) == [{"pid": pid}]
        assert sessions.settle(1) == 1
        app.close()
        with pytest.raises(AppNotOpen):
            work.defer(n=5)
        with engine.connect() as connection:
            assert connection.exec_driver_sql(PID.text).scalar() == pid
        assert stored() == [0, 1, 2, 3, 4]
        engine.dispose()

    @pytest.mark.parametrize("kind", SYNCHRONOUS)
    def test_every_awaited_operation_is_refused_even_before_opening(self, kind: Any) -> None:
        arguments: dict[str, tuple[Any, ...]] = {"execute_async": (PID,), "execute_batch_async": ([],)}
        arguments |= {f"execute_query{form}_async": ("SELECT 1",) for form in ("", "_one", "_all")}
        names = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name.endswith("_async")]
        assert len(names) > 5
        for name in names:
            with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
                asyncio.run(getattr(kind(), name)(*arguments.get(name, ())))

    async def test_an_apps_awaited_operations_are_refused_and_deferring_still_works(
        self, synchronous: Any, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(synchronous)
        for _ in range(2):
            for awaited in (
                lambda: work.defer_async(n=1),
                lambda: work.batch_defer_async({"n": 1}),
                app.open_async,
                app.job_manager.list_jobs_async,
                app.check_connection_async,
                app.run_worker_async,
            ):
                with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
                    await awaited()
            with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
                app.run_worker()
            app.open()
        work.defer(n=2)
        assert stored() == [2]
        app.close()

    def test_every_blocking_operation_works(self, synchronous: Any, stored: Callable[[], list[Any]]) -> None:
        app, work = with_task(synchronous)
        assert synchronous.get_sync_connector() is synchronous
        with app.open():
            first = work.configure(lock="a", queueing_lock="q", schedule_in={"hours": 1}).defer(n=1)
            with pytest.raises(AlreadyEnqueued):
                work.configure(queueing_lock="q").defer(n=1)
            ids = work.batch_defer({"n": 2}, {"n": 3})
            app.configure_task("other").defer(n=4)
            assert app.check_connection()
            assert [job.id for job in app.job_manager.list_jobs(task="work")] == [first, *ids]
            assert app.job_manager.list_queues()[0]["jobs_count"] == 4
            assert {row["name"] for row in app.job_manager.list_tasks()} == {"work", "other"}
            assert [row["name"] for row in app.job_manager.list_locks()] == ["a"]
            assert app.job_manager.cancel_job_by_id(first)
            assert app.job_manager.get_job_status(first) == "cancelled"
            assert app.schema_manager.apply_schema() == []
        assert stored() == [2, 3, 4]


class TestLife:
    """Opened, closed, opened again."""

    def test_a_synchronous_connector_that_is_not_open_says_so(self, synchronous: Any) -> None:
        app, work = with_task(synchronous)
        for _ in range(2):
            with pytest.raises(AppNotOpen):
                work.defer(n=1)
            with pytest.raises(AppNotOpen):
                app.connector.engine  # type: ignore[attr-defined]  # noqa: B018
            app.open()
            app.open()
            app.close()
            app.close()

    def test_six_cycles_of_either_colour_leave_nothing_behind(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)

        async def cycle(n: int) -> None:
            async with app.open_async():
                await work.defer_async(n=n)
            with pytest.raises(AppNotOpen):
                await work.defer_async(n=n)

        for n in range(6):
            if n % 2:
                asyncio.run(cycle(n))
            else:
                with app.open():
                    work.defer(n=n)
                with pytest.raises(AppNotOpen):
                    work.defer(n=n)
            assert sessions.settle(0) == 0
        assert stored() == list(range(6))

    @pytest.mark.parametrize(("kind", "driver"), BLOCKING)
    def test_a_failed_opening_leaves_the_app_closed_and_the_next_one_works(
        self, kind: Any, driver: str, database: str, tmp_path: Path, stored: Callable[[], list[Any]]
    ) -> None:
        url = address(database, driver)
        app, work = with_task(kind(dsn=url.set(query={"host": str(tmp_path)})))
        for _ in range(2):
            with pytest.raises(ConnectorException, match=str(tmp_path)):
                app.open()
            with pytest.raises(AppNotOpen):
                work.defer(n=1)
        app.connector.url = url  # type: ignore[attr-defined]
        with app.open():
            work.defer(n=1)
        assert stored() == [1]

    async def test_a_failed_asynchronous_opening_leaves_the_app_closed(
        self, asynchronous: SQLAlchemyConnector, tmp_path: Path
    ) -> None:
        beside = SQLAlchemyConnector(dsn=asynchronous._url.set(query={"host": str(tmp_path)}))
        for _ in range(2):
            with pytest.raises(ConnectorException, match=str(tmp_path)):
                await beside.open_async()
            with pytest.raises(ConnectorException, match=str(tmp_path)):
                beside.open()
            with pytest.raises(AppNotOpen):
                await beside.execute_async(PID)

    def test_an_own_engine_that_follows_the_applications_is_really_disposed_of(
        self, synchronous: Any, sessions: Sessions
    ) -> None:
        engine = create_engine(synchronous.url, pool_size=1)
        for _ in range(2):
            synchronous.open(engine)
            assert synchronous.engine is engine
            synchronous.execute(PID)
            synchronous.close()
            assert sessions.settle(1) == 1
            synchronous.open()
            assert synchronous.engine is not engine
            assert sessions.settle(2) == 2
            synchronous.close()
            assert sessions.settle(1) == 1
        engine.dispose()

    def test_an_engine_can_be_passed_by_its_name(self, database: str, sessions: Sessions) -> None:
        connector = SQLAlchemyPsycopg2Connector(dsn=address(database, "psycopg2"))
        engine = create_engine(connector.url, pool_size=1)
        connector.open(engine=engine)
        assert connector.engine is engine
        connector.close()
        engine.dispose()
        assert sessions.settle(0) == 0

    async def test_synchronized_apps_have_states_of_their_own(
        self, asynchronous: SQLAlchemyConnector, synchronous: Any, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        other = app.with_connector(synchronous)
        with other.open():
            other.tasks["work"].defer(n=1)
            with pytest.raises(AppNotOpen):
                await work.defer_async(n=2)
            async with app.open_async():
                await work.defer_async(n=3)
            other.tasks["work"].defer(n=4)
        assert stored() == [1, 3, 4]

    async def test_the_wrong_engine_is_refused_with_the_remedy(
        self, engine: AsyncEngine, asynchronous: SQLAlchemyConnector
    ) -> None:
        blocking: Engine = create_engine("postgresql+psycopg://")
        with pytest.raises(InvalidOption, match="blocking form"):
            await asynchronous.open_async(blocking)
        with pytest.raises(InvalidOption, match="`_async`"):
            asynchronous.open(engine)
        with pytest.raises(InvalidOption, match="`_async`"):
            SQLAlchemyPsycopgConnector().open(engine)
        with pytest.raises(AppNotOpen):
            await asynchronous.execute_async(PID)


class TestSelection:
    """Which connector serves a synchronous call."""

    def test_before_opening_it_is_a_twin_and_always_the_same(self, asynchronous: SQLAlchemyConnector) -> None:
        twin = asynchronous.get_sync_connector()
        assert isinstance(twin, SQLAlchemyPsycopgConnector)
        assert len({id(asynchronous.get_sync_connector()), *in_threads(8, lambda _: id(twin))}) == 1
        assert twin.get_sync_connector() is twin

    async def test_after_opening_it_is_the_connector_itself_on_the_same_connections(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        async with app.open_async():
            assert asynchronous.get_sync_connector() is asynchronous
            await asyncio.to_thread(work.defer, n=1)
            await sync_to_async(work.defer)(n=2)
            await sync_to_async(work.defer, thread_sensitive=False)(n=3)
            await anyio.to_thread.run_sync(lambda: work.defer(n=4))
            assert sessions.settle(1) == 1
        assert stored() == [1, 2, 3, 4]

    async def test_on_the_loops_own_thread_it_is_refused_at_once_and_nothing_is_stored(
        self, asynchronous: SQLAlchemyConnector, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        loop = asyncio.get_running_loop()
        async with app.open_async():
            with pytest.raises(WrongCaller, match="_async"):
                work.defer(n=1)
            done: asyncio.Future[BaseException | None] = loop.create_future()

            def callback() -> None:
                try:
                    work.defer(n=2)
                except BaseException as error:
                    done.set_result(error)
                else:
                    done.set_result(None)

            loop.call_soon(callback)
            assert isinstance(await done, RuntimeError)
            await work.defer_async(n=3)
        assert stored() == [3]

    async def test_sixteen_threads_on_a_pool_of_two_all_succeed(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        async with app.open_async():
            await asyncio.to_thread(in_threads, 16, lambda n: [work.defer(n=n * 10 + each) for each in range(10)])
            assert sessions.settle(2) == 2
        assert stored() == list(range(160))

    async def test_forty_calls_at_once_from_asgiref(
        self, asynchronous: SQLAlchemyConnector, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        async with app.open_async():
            for first, sensitive in ((0, True), (40, False)):
                defer = sync_to_async(work.defer, thread_sensitive=sensitive)
                await asyncio.gather(*(defer(n=first + n) for n in range(40)))
            within = sync_to_async(async_to_sync(sync_to_async(work.defer)))
            await within(n=80)
        assert stored() == list(range(81))

    def test_opened_synchronously_it_is_the_twin_until_a_loop_takes_over(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        app.open()
        assert isinstance(asynchronous.engine, Engine)
        work.defer(n=1)

        async def take_over() -> None:
            with pytest.raises(AppNotOpen, match="open_async"):
                await work.defer_async(n=2)
            async with app.open_async():
                assert isinstance(asynchronous.engine, AsyncEngine)
                await work.defer_async(n=3)
                assert sessions.settle(1) == 1

        asyncio.run(take_over())
        assert stored() == [1, 3]

    async def test_calls_are_bridged_to_the_applications_engine(
        self, engine: AsyncEngine, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(SQLAlchemyConnector())
        async with app.open_async(engine):
            assert app.connector.engine is engine  # type: ignore[attr-defined]
            await work.defer_async(n=1)
            await asyncio.to_thread(work.defer, n=2)
            assert sessions.settle(1) == 1
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
        with pytest.raises(AppNotOpen):
            await work.defer_async(n=3)
        assert stored() == [1, 2]

    def test_a_dead_loop_is_named_and_the_next_opening_gives_its_connections_back(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)

        async def abandon() -> None:
            await app.open_async()
            await work.defer_async(n=1)

        def refused(_: int) -> None:
            with pytest.raises(WrongCaller, match="closed"):
                work.defer(n=2)

        for _ in range(2):
            asyncio.run(abandon())
            in_threads(12, refused)
        assert sessions.settle(1) == 1
        with app.open():
            work.defer(n=3)
        assert sessions.settle(0) == 0
        asyncio.run(abandon())
        app.close()
        assert sessions.settle(0) == 0
        assert stored() == [1, 1, 1, 3]

    @pytest.mark.parametrize("is_closed", [True, False])
    def test_a_loop_that_died_in_the_middle_of_a_call_leaves_nothing_for_sqlalchemy_to_complain_of(
        self, asynchronous: SQLAlchemyConnector, observer: psycopg.Connection, is_closed: bool
    ) -> None:
        app, _ = with_task(asynchronous)
        loop = asyncio.new_event_loop()

        async def begin() -> None:
            await app.open_async()
            pending.append(asyncio.create_task(asynchronous.execute_query_async("SELECT pg_sleep(2)")))
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(2)' AND state = 'active'"
            while observer.execute(sleeping).fetchone() != (1,):
                await asyncio.sleep(0.01)

        pending: list[asyncio.Task[None]] = []
        loop.run_until_complete(begin())
        pending[0]._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        if is_closed:
            app.close()
        pending.clear()
        # A complaint would come from a finaliser here, and is an error.
        gc.collect()
        app.close()

    def test_a_loop_that_was_left_idle_gives_way_to_the_next_one(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)
        left = asyncio.new_event_loop()

        async def open_and_defer(n: int) -> None:
            await app.open_async()
            await work.defer_async(n=n)

        left.run_until_complete(open_and_defer(1))
        asyncio.run(open_and_defer(2))
        assert sessions.settle(1) == 1
        app.close()
        left.run_until_complete(asyncio.sleep(0.01))
        left.close()
        assert stored() == [1, 2]

    async def test_a_cancel_scope_around_a_statement_leaves_the_engine_whole(
        self, asynchronous: SQLAlchemyConnector, observer: psycopg.Connection
    ) -> None:
        observer.execute("DROP TABLE IF EXISTS slow; CREATE TABLE slow (n integer)")
        await asynchronous.open_async()
        for _ in range(3):
            with anyio.move_on_after(0.05) as scope:
                await asynchronous.execute_query_async(SLOW)
            assert scope.cancelled_caught
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asynchronous.execute_query_async(SLOW), 0.05)
        await asyncio.gather(*(asynchronous.execute_async(PID) for _ in range(8)))
        await asyncio.sleep(0.5)
        assert observer.execute("SELECT count(*) FROM slow").fetchall() == [(0,)]
        await asynchronous.close_async()

    def test_the_twin_is_made_after_the_original(self, asynchronous: SQLAlchemyConnector, database: str) -> None:
        url = asynchronous._url
        options: dict[str, Any] = {"poolclass": AsyncAdaptedQueuePool, "pool_size": 3, "max_overflow": 1}
        if url.get_driver_name() == "asyncpg":
            options["connect_args"] = {"server_settings": {"application_name": "two words", "work_mem": "5MB"}}
        else:
            options["connect_args"] = {"application_name": "two words", "options": "-c work_mem=5MB"}
        connector = SQLAlchemyConnector(dsn=url, **options)
        show = "SELECT current_setting('application_name') AS name, current_setting('work_mem') AS memory"

        async def asked() -> Any:
            await connector.open_async()
            row = await connector.execute_query_one_async(show)
            session = await connector.session_async()
            assert await session.execute_async(Statement("show", show)) == [row]
            await session.close_async()
            await connector.close_async()
            return row

        connector.open()
        assert isinstance(connector.engine.pool, QueuePool)
        assert connector.engine.pool.size() == 3
        assert connector.execute_query_one(show) == {"name": "two words", "memory": "5MB"} == asyncio.run(asked())
        connector.close()

    @pytest.mark.parametrize("name", ["async_creator", "poolclass"])
    def test_what_has_no_synchronous_counterpart_is_refused_by_name(self, name: str) -> None:
        class OwnPool(AsyncAdaptedQueuePool): ...

        connector = SQLAlchemyConnector(**{name: {"async_creator": asyncpg.connect, "poolclass": OwnPool}[name]})
        with pytest.raises(InvalidOption, match=name):
            connector.open()

    def test_options_are_refused_in_the_name_that_users_write(self) -> None:
        with pytest.raises(InvalidOption, match=r"^SQLAlchemyConnector: .*bogus"):
            SQLAlchemyConnector(bogus=1)
        with pytest.raises(InvalidOption, match=r"^SQLAlchemyConnector: the dsn cannot be read"):
            SQLAlchemyConnector(dsn="postgresql:/nowhere")

    def test_what_psycopg_cannot_be_told_of_asyncpgs_arguments_is_refused_by_name(self) -> None:
        connector = SQLAlchemyConnector(dsn="postgresql+asyncpg://", connect_args={"ssl": object()})
        with pytest.raises(InvalidOption, match="ssl"):
            connector.open()


class TestConnectionsOfTheCallers:
    """`configure(connection=...)`: committed together, rolled back together."""

    @pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
    @pytest.mark.parametrize("kind", [Session, sessionmaker, scoped_session, None])
    def test_blocking_ones(self, driver: str, kind: Any, database: str, stored: Callable[[], list[Any]]) -> None:
        engine = create_engine(address(database, driver), pool_size=1, max_overflow=0)
        connection: Any = engine.connect() if kind is None else None
        if kind is not None:
            makers: dict[Any, Callable[[], Any]] = {
                Session: lambda: Session(engine),
                sessionmaker: lambda: sessionmaker(engine)(),
                scoped_session: lambda: scoped_session(sessionmaker(engine)),
            }
            connection = makers[kind]()
        for connector in (SQLAlchemyPsycopgConnector(), SQLAlchemyPsycopg2Connector(), SQLAlchemyConnector()):
            app, work = with_task(connector)
            given = work.configure(connection=connection)
            before = stored()
            given.defer(n=1)
            given.batch_defer({"n": 2}, {"n": 3})
            assert stored() == before
            connection.rollback()
            assert stored() == before
            job_id = given.defer(n=4)
            assert app.job_manager.get_job_status(job_id, connection=connection) == "todo"
            connection.commit()
            assert app.job_manager.cancel_job_by_id(given.defer(n=5), connection=connection)
            connection.commit()
            assert stored() == [*before, 4]
        connection.close()
        engine.dispose()

    @pytest.mark.parametrize("kind", [AsyncSession, async_sessionmaker, async_scoped_session, None])
    async def test_asynchronous_ones(self, engine: AsyncEngine, kind: Any, stored: Callable[[], list[Any]]) -> None:
        app, work = with_task(SQLAlchemyConnector())
        connection: Any = await engine.connect() if kind is None else None
        if kind is not None:
            makers: dict[Any, Callable[[], Any]] = {
                AsyncSession: lambda: AsyncSession(engine),
                async_sessionmaker: lambda: async_sessionmaker(engine)(),
                async_scoped_session: lambda: async_scoped_session(async_sessionmaker(engine), asyncio.current_task),
            }
            connection = makers[kind]()
        given = work.configure(connection=connection)
        await given.defer_async(n=1)
        await given.batch_defer_async({"n": 2}, {"n": 3})
        assert stored() == []
        await connection.rollback()
        assert stored() == []
        job_id = await given.defer_async(n=4)
        assert await app.job_manager.get_job_status_async(job_id, connection=connection) == "todo"
        await connection.commit()
        cancelled = await given.defer_async(n=5)
        assert await app.job_manager.cancel_job_by_id_async(cancelled, connection=connection)
        await connection.commit()
        assert stored() == [4]
        await connection.close()

    async def test_the_blocking_session_inside_of_an_asynchronous_one(
        self, engine: AsyncEngine, stored: Callable[[], list[Any]]
    ) -> None:
        _, work = with_task(SQLAlchemyConnector())

        def defer(session: Session, n: int) -> None:
            work.configure(connection=session).defer(n=n)

        async with AsyncSession(engine) as session:
            await session.run_sync(defer, 1)
            await session.rollback()
            await session.run_sync(defer, 2)
            await session.commit()
        assert stored() == [2]

    async def test_a_connection_of_asyncpgs_own_may_have_codecs_of_its_own(
        self, database: str, stored: Callable[[], list[Any]]
    ) -> None:
        _, work = with_task(SQLAlchemyConnector())
        connection = await asyncpg.connect(database)
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        await work.configure(connection=connection).defer_async(n=1)
        await work.configure(connection=connection).batch_defer_async({"n": 2}, {"n": 3})
        await connection.close()
        assert stored() == [1, 2, 3]

    @pytest.mark.parametrize("pooled", [False, True])
    async def test_a_connection_of_asyncpgs_own(
        self, database: str, pooled: bool, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(SQLAlchemyConnector())
        pool = await asyncpg.create_pool(database, min_size=1, max_size=1)
        connection = await pool.acquire() if pooled else await asyncpg.connect(database)
        given = work.configure(connection=connection)
        transaction = connection.transaction()
        await transaction.start()
        await given.defer_async(n=1)
        await given.batch_defer_async({"n": 2}, {"n": 3})
        assert stored() == []
        await transaction.rollback()
        assert stored() == []
        async with connection.transaction():
            job_id = await work.configure(connection=connection, queueing_lock="q").defer_async(n=4)
            assert await app.job_manager.get_job_status_async(job_id, connection=connection) == "todo"
        with pytest.raises(AlreadyEnqueued):
            await work.configure(connection=connection, queueing_lock="q").defer_async(n=5)
        assert stored() == [4]
        await connection.close() if not pooled else await pool.release(connection)
        await pool.close()

    async def test_the_wrong_colour_is_refused_with_the_remedy(
        self, engine: AsyncEngine, database: str, stored: Callable[[], list[Any]]
    ) -> None:
        _, work = with_task(SQLAlchemyConnector())
        blocking = create_engine(address(database, "psycopg"))
        with blocking.connect() as connection, Session(blocking) as session:
            for wrong in (connection, session):
                with pytest.raises(InvalidConnection, match="blocking form"):
                    await work.configure(connection=wrong).defer_async(n=1)
        async with engine.connect() as awaited, AsyncSession(engine) as orm_session:
            for each in (awaited, orm_session, (await awaited.get_raw_connection()).driver_connection):
                with pytest.raises(InvalidConnection, match="ends in `_async`"):
                    work.configure(connection=each).defer(n=1)
        for nonsense in ("postgresql://", engine.url):
            with pytest.raises(InvalidConnection, match="takes a SQLAlchemy"):
                work.configure(connection=nonsense).defer(n=1)
        assert stored() == []
        blocking.dispose()


class TestWorkers:
    """A worker on an engine."""

    @pytest.mark.parametrize("whose", ["own", "application's"])
    async def test_an_idle_worker_is_woken_by_a_job_and_its_jobs_defer_others(
        self, engine: AsyncEngine, whose: str, stored: Callable[[], list[Any]]
    ) -> None:
        own = whose == "own"
        app = adjourn.App(connector=SQLAlchemyConnector(dsn=engine.url) if own else SQLAlchemyConnector())
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        @app.task(name="sync")
        def synchronous(n: int) -> None:
            if n:
                synchronous.defer(n=n - 1)
            else:
                loop.call_soon_threadsafe(done.set)

        @app.task(name="async")
        async def asynchronous() -> None:
            await synchronous.defer_async(n=3)

        async with app.open_async(None if own else engine):
            bench = Bench(app)
            async with bench.working(fetch_job_polling_interval=600):
                await asyncio.sleep(0.5)
                await asynchronous.defer_async()
                async with asyncio.timeout(10):
                    await done.wait()
        assert stored() == []

    async def test_a_job_of_a_transaction_wakes_a_worker_when_that_commits(self, engine: AsyncEngine) -> None:
        app = adjourn.App(connector=SQLAlchemyConnector())

        @app.task(name="work")
        async def work() -> None: ...

        async with app.open_async(engine):
            bench = Bench(app)
            async with bench.working(fetch_job_polling_interval=600):
                async with AsyncSession(engine) as session, session.begin():
                    job_id = await work.configure(connection=session).defer_async()
                    await asyncio.sleep(0.5)
                await bench.ended(job_id)

    async def test_twenty_synchronous_jobs_defer_at_once(
        self, asynchronous: SQLAlchemyConnector, stored: Callable[[], list[Any]]
    ) -> None:
        app, work = with_task(asynchronous)

        @app.task(name="outer", queue="outer")
        def outer(n: int) -> None:
            work.defer(n=n)

        async with app.open_async():
            await outer.batch_defer_async(*({"n": n} for n in range(20)))
            await Bench(app).drain(concurrency=20, queues=["outer"])
        assert stored() == list(range(20))


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [("sqlalchemy", r"adjourn\[sqlalchemy\]"), ("greenlet", r"adjourn\[sqlalchemy\]"), ("psycopg2", "psycopg2")],
)
def test_what_is_not_installed_is_named_with_its_extra(missing: str, wanted: str) -> None:
    program = f"""
        import re, sys
        sys.modules[{missing!r}] = None
        try:
            from adjourn.contrib.sqlalchemy import SQLAlchemyPsycopgConnector, SQLAlchemyPsycopg2Connector
            SQLAlchemyPsycopgConnector()
            SQLAlchemyPsycopg2Connector()
            from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
        except ImportError as error:
            assert re.search({wanted!r}, str(error)), str(error)
        else:
            raise AssertionError
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_password_is_in_no_message_and_no_representation(tmp_path: Path) -> None:
    url = URL.create("postgresql+psycopg", "me", "secret", query={"host": str(tmp_path)})
    connector = SQLAlchemyPsycopgConnector(dsn=url)
    with pytest.raises(ConnectorException) as caught:
        connector.open()
    assert "secret" not in f"{caught.value} {caught.value!r} {connector!r}"
