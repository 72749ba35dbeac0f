"""Sessions of SQLAlchemy's as `connection=`, on every connector: flushed first, joined, never committed.

`test_given_connections` says which connector takes which.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlmodel import Field, SQLModel
from sqlmodel import Session as SQLModelSession

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import AlreadyEnqueued, InvalidConnection
from support.addresses import address
from support.apps import make_app

BLOCKING: dict[str, tuple[Callable[[], Any], str]] = {
    "PsycopgConnector": (adjourn.PsycopgConnector, "psycopg"),
    "SyncPsycopgConnector": (adjourn.SyncPsycopgConnector, "psycopg"),
    "Psycopg2Connector": (adjourn.Psycopg2Connector, "psycopg2"),
    "AsyncPsycopg2Connector": (adjourn.AsyncPsycopg2Connector, "psycopg2"),
    "SQLAlchemyPsycopgConnector": (SQLAlchemyPsycopgConnector, "psycopg"),
    "SQLAlchemyPsycopg2Connector": (SQLAlchemyPsycopg2Connector, "psycopg2"),
    "SQLAlchemyConnector": (SQLAlchemyConnector, "psycopg2"),
}
AWAITED: dict[str, tuple[Callable[[], Any], str]] = {
    "PsycopgConnector": (adjourn.PsycopgConnector, "psycopg"),
    "SQLAlchemyConnector": (SQLAlchemyConnector, "psycopg"),
    "SQLAlchemyConnector on asyncpg": (SQLAlchemyConnector, "asyncpg"),
}


class Base(DeclarativeBase):
    """The user's models."""


class Order(Base):
    """A row of the user's. It goes into the table `scratch`."""

    __tablename__ = "scratch"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Person(SQLModel, table=True):
    """A row of the user's, as SQLModel has it."""

    __tablename__ = "scratch"  # pyright: ignore[reportAssignmentType]
    id: int | None = Field(default=None, primary_key=True)
    name: str


@pytest.fixture
def stored(database: str, scratch: str, observer: psycopg.Connection) -> Callable[[], tuple[list[str], list[str]]]:
    """Read what has been committed: the names of the user's rows, and those of jobs."""

    def read() -> tuple[list[str], list[str]]:
        rows = observer.execute("SELECT name FROM scratch ORDER BY name").fetchall()
        jobs = observer.execute("SELECT args ->> 'name' FROM adjourn.adjourn_jobs ORDER BY 1").fetchall()
        return [name for (name,) in rows], [name for (name,) in jobs]

    return read


Stored = Callable[[], tuple[list[str], list[str]]]


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """An engine of the user's on psycopg."""
    engine = create_engine(address(database, "psycopg"), pool_size=1, max_overflow=1)
    yield engine
    engine.dispose()


@pytest.fixture
async def engine_async(database: str) -> AsyncIterator[AsyncEngine]:
    """An asynchronous one."""
    engine = create_async_engine(address(database, "psycopg"), pool_size=1, max_overflow=1)
    yield engine
    await engine.dispose()


@pytest.fixture
def app() -> adjourn.App:
    """An app that is not open: a session of the caller's needs nothing else."""
    return make_app(adjourn.PsycopgConnector())


@pytest.mark.parametrize("name", BLOCKING)
def test_a_job_shares_the_fate_of_its_session(name: str, stored: Stored, database: str) -> None:
    make, driver = BLOCKING[name]
    add = make_app(make()).tasks["add"]
    engine = create_engine(address(database, driver))
    with Session(engine) as session:
        session.add(Order(name="lost"))
        add.configure(connection=session).defer(name="lost")
        assert session.scalars(select(Order.name)).all() == ["lost"]
        session.rollback()
        session.add(Order(name="kept"))
        add.configure(connection=session).defer(name="kept")
        nested = session.begin_nested()
        session.add(Order(name="undone"))
        add.configure(connection=session).defer(name="undone")
        nested.rollback()
        assert stored() == ([], [])
        session.commit()
    assert stored() == (["kept"], ["kept"])
    engine.dispose()


@pytest.mark.parametrize("name", AWAITED)
async def test_a_job_shares_the_fate_of_its_asynchronous_session(name: str, stored: Stored, database: str) -> None:
    make, driver = AWAITED[name]
    add = make_app(make()).tasks["add"]
    engine = create_async_engine(address(database, driver))
    async with AsyncSession(engine) as session:
        session.add(Order(name="lost"))
        await add.configure(connection=session).defer_async(name="lost")
        assert (await session.scalars(select(Order.name))).all() == ["lost"]
        await session.rollback()
        session.add(Order(name="kept"))
        await add.configure(connection=session).defer_async(name="kept")
        nested = await session.begin_nested()
        session.add(Order(name="undone"))
        await add.configure(connection=session).defer_async(name="undone")
        await nested.rollback()
        assert stored() == ([], [])
        await session.commit()
    assert stored() == (["kept"], ["kept"])
    await engine.dispose()


async def test_an_awaited_call_takes_a_blocking_session_where_it_takes_a_blocking_connection(
    stored: Stored, database: str
) -> None:
    add = make_app(adjourn.AsyncPsycopg2Connector()).tasks["add"]
    engine = create_engine(address(database, "psycopg2"))
    for ends, kept in ((Session.rollback, []), (Session.commit, ["ann"])):
        with Session(engine) as session:
            session.add(Order(name="ann"))
            await add.configure(connection=session).defer_async(name="ann")
            ends(session)
        assert stored() == (kept, kept)
    engine.dispose()


def test_the_rows_of_a_session_are_there_before_the_job(engine: Engine, app: adjourn.App, stored: Stored) -> None:
    """Even where the session does not flush by itself."""
    with Session(engine, autoflush=False) as session, session.begin():
        order = Order(name="ann")
        session.add(order)
        app.tasks["add"].configure(connection=session).defer(name="first")
        assert order.id is not None
    assert stored() == (["ann"], ["first"])


def test_an_error_of_the_flush_is_sqlalchemys_own_and_nothing_is_deferred(
    engine: Engine, app: adjourn.App, stored: Stored
) -> None:
    with Session(engine) as session:
        session.add_all([Order(name="twice"), Order(name="twice")])
        with pytest.raises(IntegrityError):
            app.tasks["add"].configure(connection=session, queueing_lock="q").defer(name="x")
        session.rollback()
        session.commit()
    assert stored() == ([], [])


def test_a_queueing_lock_that_is_taken_leaves_the_session_usable(
    engine: Engine, app: adjourn.App, stored: Stored
) -> None:
    add = app.tasks["add"]
    with Session(engine) as session, session.begin():
        add.configure(connection=session, queueing_lock="q").defer(name="first")
        with pytest.raises(AlreadyEnqueued):
            add.configure(connection=session, queueing_lock="q").defer(name="second")
        session.add(Order(name="ann"))
    assert stored() == (["ann"], ["first"])


def test_a_scoped_session_is_the_callers_own(engine: Engine, app: adjourn.App, stored: Stored) -> None:
    scoped = scoped_session(sessionmaker(engine))
    scoped.add(Order(name="ann"))
    app.tasks["add"].configure(connection=scoped).defer(name="ann")
    scoped.rollback()
    scoped.add(Order(name="bob"))
    app.tasks["add"].configure(connection=scoped).defer(name="bob")
    scoped.commit()
    scoped.remove()
    assert stored() == (["bob"], ["bob"])


async def test_an_asynchronous_scoped_session_is_that_of_the_callers_task(
    engine_async: AsyncEngine, app: adjourn.App, stored: Stored
) -> None:
    scoped = async_scoped_session(async_sessionmaker(engine_async), asyncio.current_task)

    async def work(name: str, *, commits: bool) -> None:
        scoped.add(Order(name=name))
        await app.tasks["add"].configure(connection=scoped).defer_async(name=name)
        await (scoped.commit() if commits else scoped.rollback())
        await scoped.remove()

    await asyncio.gather(work("ann", commits=True), work("bob", commits=False))
    assert stored() == (["ann"], ["ann"])


def test_a_session_of_sqlmodels_rolls_back_both(engine: Engine, app: adjourn.App, stored: Stored) -> None:
    with SQLModelSession(engine) as session:
        session.add(Person(name="lost"))
        app.tasks["add"].configure(connection=session).defer(name="lost")
        session.rollback()
        session.add(Person(name="kept"))
        app.tasks["add"].configure(connection=session).defer(name="kept")
        session.commit()
    assert stored() == (["kept"], ["kept"])


async def test_connections_of_sqlalchemys_are_joined_as_well(
    engine: Engine, engine_async: AsyncEngine, app: adjourn.App, stored: Stored
) -> None:
    add = app.tasks["add"]
    with engine.connect() as connection:
        add.configure(connection=connection).defer(name="lost")
        connection.rollback()
        add.configure(connection=connection).defer(name="ann")
        connection.commit()
    async with engine_async.connect() as awaited:
        await add.configure(connection=awaited).defer_async(name="lost")
        await awaited.rollback()
        await add.configure(connection=awaited).batch_defer_async({"name": "bob"}, {"name": "eve"})
        await awaited.commit()
    assert stored() == ([], ["ann", "bob", "eve"])


async def test_jobs_are_cancelled_in_a_session_too(engine_async: AsyncEngine, app: adjourn.App, stored: Stored) -> None:
    add, jobs = app.tasks["add"], app.job_manager
    async with AsyncSession(engine_async) as session:
        job = await add.configure(connection=session).defer_async(name="ann")
        await session.commit()
        assert await jobs.cancel_job_by_id_async(job, connection=session)
        await session.rollback()
        assert await jobs.get_job_status_async(job, connection=session) == "todo"


async def test_two_phase_transactions_are_refused_before_they_could_fail_at_their_commit(
    engine: Engine, engine_async: AsyncEngine, app: adjourn.App, stored: Stored
) -> None:
    add = app.tasks["add"]
    with Session(engine, twophase=True) as session, pytest.raises(InvalidConnection, match="without twophase=True"):
        add.configure(connection=session).defer(name="x")
    async with AsyncSession(engine_async, twophase=True) as awaited:
        with pytest.raises(InvalidConnection, match="without twophase=True"):
            await add.configure(connection=awaited).defer_async(name="x")
    with (
        engine.connect() as connection,
        connection.begin_twophase(),
        pytest.raises(InvalidConnection, match="notifies the workers"),
    ):
        add.configure(connection=connection).defer(name="x")
    assert stored() == ([], [])


async def test_an_open_app_takes_a_session_in_calls_of_both_colours(
    database: str, engine: Engine, engine_async: AsyncEngine, stored: Stored
) -> None:
    app = make_app(adjourn.PsycopgConnector(database))

    def blocking() -> None:
        with Session(engine) as session, session.begin():
            app.tasks["add"].configure(connection=session).defer(name="blocking")

    async with app.open_async():
        await asyncio.to_thread(blocking)
        async with AsyncSession(engine_async) as session, session.begin():
            await app.tasks["add"].configure(connection=session).defer_async(name="awaited")
    assert stored() == ([], ["awaited", "blocking"])


async def test_the_wrong_colour_is_refused_with_the_name_of_the_right_call(
    engine: Engine, engine_async: AsyncEngine, app: adjourn.App, stored: Stored
) -> None:
    add = app.tasks["add"]
    async with AsyncSession(engine_async) as session:
        with pytest.raises(InvalidConnection, match="`defer_async`"):
            add.configure(connection=session).defer(name="x")
    with Session(engine) as blocking, pytest.raises(InvalidConnection, match="`defer`"):
        await add.configure(connection=blocking).defer_async(name="x")
    assert stored() == ([], [])


@pytest.mark.parametrize("make", [lambda engine: engine, sessionmaker], ids=["an engine", "a sessionmaker"])
def test_what_makes_connections_is_refused_with_what_to_pass(
    make: Callable[[Engine], Any], engine: Engine, app: adjourn.App
) -> None:
    with pytest.raises(InvalidConnection, match=r"not what makes connections: .*session"):
        app.configure_task("any", connection=make(engine)).defer()


def test_a_session_that_is_not_on_postgres_is_refused_by_name(app: adjourn.App) -> None:
    said = r"is on sqlite\+pysqlite.*those on postgresql\+psycopg"
    with Session(create_engine("sqlite://")) as session, pytest.raises(InvalidConnection, match=said):
        app.tasks["add"].configure(connection=session).defer(name="x")


def test_a_session_without_an_engine_for_our_tables_is_refused_with_the_remedy(
    engine: Engine, app: adjourn.App, stored: Stored
) -> None:
    with Session(binds={Order: engine}) as session:
        with pytest.raises(InvalidConnection, match="bind_arguments"):
            app.tasks["add"].configure(connection=session).defer(name="x")
        connection = session.connection(bind_arguments={"bind": engine})
        app.tasks["add"].configure(connection=connection).defer(name="ann")
        session.commit()
    assert stored() == ([], ["ann"])


def test_sqlalchemy_is_not_imported_for_a_connection_of_a_drivers(database: str) -> None:
    program = """
import sys, psycopg, adjourn
app = adjourn.App(connector=adjourn.PsycopgConnector())
with psycopg.connect(sys.argv[1]) as connection:
    app.configure_task("add", connection=connection).defer()
    try:
        app.configure_task("add", connection=object()).defer()
    except adjourn.exceptions.InvalidConnection:
        print("sqlalchemy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program, database], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
