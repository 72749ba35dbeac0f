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
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg.conninfo
import pytest
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

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import (
    AlreadyEnqueued,
    AppNotOpen,
    ConnectorException,
    InvalidConnection,
    InvalidOption,
    SyncConnectorConfigurationError,
)
from adjourn.types import Statement
from support.addresses import address
from support.bench import Bench
from support.sessions import Sessions

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


class TestThePage:
    """The user's page as it stands."""

    @pytest.mark.parametrize("kind", SYNCHRONOUS)
    def test_every_awaited_operation_is_refused_even_before_opening(self, kind: Any) -> None:
        arguments: dict[str, tuple[Any, ...]] = {"execute_async": (PID,)}
        arguments |= {f"execute_query{form}_async": ("SELECT 1",) for form in ("", "_one", "_all")}
        names = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name.endswith("_async")]
        names.remove("transaction_async")  # it is not awaited
        assert len(names) > 5
        for name in names:
            with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
                asyncio.run(getattr(kind(), name)(*arguments.get(name, ())))


class TestLife:
    """Opened, closed, opened again."""

    def test_an_engine_can_be_passed_by_its_name(self, database: str, sessions: Sessions) -> None:
        connector = SQLAlchemyPsycopg2Connector()
        engine = create_engine(address(database, "psycopg2"), pool_size=1)
        connector.open(engine=engine)
        assert connector.engine is engine
        connector.close()
        engine.dispose()
        assert sessions.settle(0) == 0

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

    @pytest.mark.parametrize("is_closed", [True, False])
    def test_a_loop_that_died_in_the_middle_of_a_call_leaves_nothing_for_sqlalchemy_to_complain_of(
        self, asynchronous: SQLAlchemyConnector, sessions: Sessions, is_closed: bool
    ) -> None:
        app, _ = with_task(asynchronous)
        loop = asyncio.new_event_loop()
        # Other tests sleep on the same server, and a session whose client is gone sleeps to the end.
        sleep = f"SELECT pg_sleep(2) AS mine_{uuid.uuid4().hex}"

        async def begin() -> None:
            await app.open_async()
            pending.append(asyncio.create_task(asynchronous.execute_query_async(sleep)))
            await asyncio.to_thread(sessions.wait_for, sleep)

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
        # The server need not go on with what nobody waits for.
        sessions.cancel("SELECT pg_sleep(60)")

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

    def test_options_are_refused_in_the_name_that_users_write(self) -> None:
        with pytest.raises(InvalidOption, match=r"^SQLAlchemyConnector: .*bogus"):
            SQLAlchemyConnector(bogus=1)
        with pytest.raises(InvalidOption, match=r"^SQLAlchemyConnector: the dsn cannot be read"):
            SQLAlchemyConnector(dsn="postgresql:/nowhere")


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
