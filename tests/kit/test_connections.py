"""A drain on the caller's connection, of each driver: everything is in its transaction, each body in a savepoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy
import sqlalchemy.ext.asyncio
import sqlalchemy.orm

import adjourn
from adjourn import testing
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.exceptions import InvalidConnection, SyncConnectorConfigurationError, WrongCaller


def of_psycopg(dsn: str) -> Any:
    connection = psycopg.connect(dsn)
    return adjourn.App(connector=adjourn.SyncPsycopgConnector(dsn)), connection, connection.execute, connection.close


def of_psycopg2(dsn: str) -> Any:
    connection = psycopg2.connect(dsn)

    def execute(statement: str) -> Any:
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor

    return adjourn.App(connector=adjourn.Psycopg2Connector(dsn)), connection, execute, connection.close


def of_sqlalchemy(dsn: str, make: Callable[[Any], Any]) -> Any:
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    connection = make(engine)

    def execute(statement: str) -> Any:
        return connection.execute(sqlalchemy.text(statement))

    return adjourn.App(connector=SQLAlchemyConnector(dsn=url)), connection, execute, connection.close


KINDS: dict[str, Callable[[str], Any]] = {
    "psycopg": of_psycopg,
    "psycopg2": of_psycopg2,
    "a session": lambda dsn: of_sqlalchemy(dsn, sqlalchemy.orm.Session),
    "an engine's connection": lambda dsn: of_sqlalchemy(dsn, sqlalchemy.Engine.connect),
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, scratch: str, database: str) -> Iterator[Any]:
    app, connection, execute, close = KINDS[request.param](database)
    yield app, connection, execute
    connection.rollback()
    close()


def test_jobs_see_the_transaction_and_one_that_breaks_it_fails_alone(
    place: Any, observer: psycopg.Connection[Any]
) -> None:
    app: adjourn.App = place[0]
    _, connection, execute = place

    @app.task(name="add")
    def add(name: str) -> None:
        execute(f"INSERT INTO scratch (name) VALUES ('{name}')")

    @app.task(name="add_many")
    async def add_many() -> None:
        await add.defer_async(name="b")

    execute("INSERT INTO scratch (name) VALUES ('a')")
    for name in ("a", "c"):
        add.configure(connection=connection, lock="one").defer(name=name)
    add_many.configure(connection=connection).defer()
    drained = testing.drain(app, connection=connection, raise_failures=False)
    assert (drained.succeeded, drained.failed, drained.left) == (3, 1, 0)
    assert [name for (name,) in execute("SELECT name FROM scratch ORDER BY name").fetchall()] == ["a", "b", "c"]
    testing.assert_deferred(app, add, args={"name": "b"}, status="succeeded", connection=connection)
    connection.rollback()
    assert observer.execute("SELECT name FROM scratch").fetchall() == []
    assert observer.execute("SELECT id FROM adjourn.adjourn_all_jobs").fetchall() == []


def test_a_job_that_has_caught_an_error_of_the_database_fails_alone(place: Any) -> None:
    app: adjourn.App = place[0]
    _, connection, execute = place

    @app.task(name="catch")
    def catch() -> None:
        with contextlib.suppress(Exception):
            execute("SELECT 1 / 0")

    @app.task(name="add")
    def add() -> None:
        execute("INSERT INTO scratch (name) VALUES ('a')")

    execute("INSERT INTO scratch (name) VALUES ('before')")
    for task in (catch, add):
        task.configure(connection=connection).defer()
    drained = testing.drain(app, connection=connection, raise_failures=False)
    assert (drained.succeeded, drained.failed, drained.left) == (1, 1, 0)
    assert [name for (name,) in execute("SELECT name FROM scratch ORDER BY name").fetchall()] == ["a", "before"]
    assert "Put a savepoint around what may fail" in str(drained.failures[0].error)


@pytest.mark.parametrize("kind", ["psycopg", "a session"])
async def test_a_job_that_has_caught_an_error_fails_alone_in_an_awaited_drain(database: str, kind: str) -> None:
    url = database.replace("postgresql://", "postgresql+asyncpg://")
    engine = sqlalchemy.ext.asyncio.create_async_engine(url, poolclass=sqlalchemy.NullPool)
    is_psycopg = kind == "psycopg"
    app = adjourn.App(connector=adjourn.PsycopgConnector(database) if is_psycopg else SQLAlchemyConnector(dsn=url))
    connection: Any
    if is_psycopg:
        connection = await psycopg.AsyncConnection.connect(database)
    else:
        connection = sqlalchemy.ext.asyncio.AsyncSession(engine)

    @app.task(name="catch")
    async def catch() -> None:
        with contextlib.suppress(Exception):
            await connection.execute("SELECT 1 / 0" if is_psycopg else sqlalchemy.text("SELECT 1 / 0"))

    @app.task(name="leaf")
    async def leaf() -> None: ...

    for task in (catch, leaf):
        await task.configure(connection=connection).defer_async()
    drained = await testing.drain_async(app, connection=connection, raise_failures=False)
    assert (drained.succeeded, drained.failed, drained.left) == (1, 1, 0)
    await connection.rollback()
    await connection.close()
    await engine.dispose()


def test_a_connection_without_a_transaction_is_refused(database: str) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with psycopg.connect(database, autocommit=True) as connection:
        with pytest.raises(InvalidConnection, match=r"with connection\.transaction\(\)"):
            testing.drain(app, connection=connection)
        with connection.transaction():
            assert testing.drain(app, connection=connection) == testing.Drained()


def test_memory_names_what_can_do_it() -> None:
    app = adjourn.App(connector=testing.InMemoryConnector())
    with pytest.raises(InvalidConnection, match=r"@pytest\.mark\.adjourn\(isolation=\"delete\"\)"):
        testing.drain(app, connection=object())


def test_a_program_that_is_open_for_one_colour_runs_tasks_of_both(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, min_size=1, max_size=1))
    ran = []

    @app.task(name="leaf")
    def leaf() -> None:
        ran.append("leaf")

    @app.task(name="branch")
    async def branch() -> None:
        await leaf.defer_async()

    with pytest.raises(adjourn.exceptions.AppNotOpen):
        testing.drain(app)
    with app.open():
        branch.defer()
        assert testing.drain(app).succeeded == 2
    assert ran == ["leaf"]


async def test_a_drain_on_an_event_loop_runs_tasks_of_both_colours(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, min_size=1, max_size=2))
    ran: list[str] = []

    @app.task(name="leaf", retry=1)
    def leaf(name: str) -> None:
        ran.append(name)
        if len(ran) == 1:
            raise ConnectionError

    @app.task(name="branch")
    async def branch() -> None:
        await leaf.defer_async(name="b")

    @app.task(name="thread")
    def thread() -> None:
        leaf.defer(name="t")

    async with app.open_async():
        await branch.configure(lock="one").defer_async()
        await thread.configure(lock="one", schedule_in={"hours": 1}).defer_async()
        assert await testing.drain_async(app) == testing.Drained(succeeded=2, retried=1, left=1)
        await testing.travel_async(app, hours=1)
        assert await testing.drain_async(app) == testing.Drained(succeeded=2)
        await testing.assert_deferred_async(app, leaf, count=2)
        await testing.refute_deferred_async(app, leaf, status="todo")
        assert len(await testing.deferred_async(app)) == 4
    assert ran == ["b", "b", "t"]


@pytest.mark.parametrize("kind", ["psycopg", "a session"])
async def test_an_awaited_drain_is_in_the_transaction_of_an_awaited_connection(database: str, kind: str) -> None:
    url = database.replace("postgresql://", "postgresql+asyncpg://")
    engine = sqlalchemy.ext.asyncio.create_async_engine(url, poolclass=sqlalchemy.NullPool)
    is_psycopg = kind == "psycopg"
    app = adjourn.App(connector=adjourn.PsycopgConnector(database) if is_psycopg else SQLAlchemyConnector(dsn=url))
    ran = []

    @app.task(name="leaf")
    def leaf() -> None:
        ran.append("leaf")

    @app.task(name="branch")
    async def branch() -> None:
        await leaf.defer_async()

    @app.task(name="thread")
    def thread() -> None:
        leaf.defer()

    async with contextlib.AsyncExitStack() as stack:
        connection: Any
        if is_psycopg:
            connection = await stack.enter_async_context(await psycopg.AsyncConnection.connect(database))
        else:
            connection = await stack.enter_async_context(sqlalchemy.ext.asyncio.AsyncSession(engine))
        await branch.configure(connection=connection).defer_async()
        await thread.configure(connection=connection).defer_async()
        assert await testing.drain_async(app, connection=connection) == testing.Drained(succeeded=4)
        await testing.assert_deferred_async(app, leaf, count=2, connection=connection)
        await connection.rollback()
        assert await testing.deferred_async(app, connection=connection) == []
        await connection.rollback()
    await engine.dispose()
    assert ran == ["leaf", "leaf"]


async def test_connections_of_the_other_colour_are_refused_with_the_call_that_takes_them(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    with psycopg.connect(database) as connection, pytest.raises(InvalidConnection, match="blocking form"):
        await testing.drain_async(app, connection=connection)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        with pytest.raises(WrongCaller, match="drain_async"):
            testing.drain(app, connection=connection)
    with pytest.raises(SyncConnectorConfigurationError):
        await testing.drain_async(adjourn.App(connector=adjourn.SyncPsycopgConnector(database)))
