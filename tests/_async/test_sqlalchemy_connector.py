"""What the SQLAlchemy connector promises to those who execute statements, in both colours and with each driver."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from adjourn import exceptions
from adjourn._async.connectors.sqlalchemy import AsyncSQLAlchemyHalf
from adjourn._drivers.sqlalchemy.names_async import (
    AsyncConnection,
    AsyncEngine,
    create_engine_async,
    drivers_async,
)
from adjourn.types import Statement
from support.addresses import address
from support.orm import AsyncOrmSession
from support.sessions import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id, name")
ALL = Statement("all", "SELECT name FROM scratch ORDER BY id")
PID = Statement("pid", "SELECT pg_backend_pid() AS pid")


@pytest.fixture(params=drivers_async)
def url(request: pytest.FixtureRequest, scratch: str) -> URL:
    """A database with a table to play with, for each driver."""
    return address(scratch, request.param)


@pytest.fixture
async def connector(url: URL, sessions: Sessions) -> AsyncIterator[AsyncSQLAlchemyHalf]:
    """A connector that is open, and has given back every connection when the test is over."""
    connector = AsyncSQLAlchemyHalf(dsn=url, pool_size=2, max_overflow=0, pool_timeout=10)
    await connector.open_async()
    yield connector
    await connector.close_async()
    assert sessions.settle(0) == 0


@pytest.fixture
async def engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine of the application's, with one connection at most."""
    engine = create_engine_async(url, pool_size=1, max_overflow=0, pool_timeout=5)
    yield engine
    await engine.dispose()


async def names_async(connector: AsyncSQLAlchemyHalf) -> list[str]:
    """What is in the table."""
    return [row["name"] for row in await connector.execute_async(ALL)]


async def test_rows_are_dictionaries_and_a_statement_is_committed_on_return(
    connector: AsyncSQLAlchemyHalf, observer: psycopg.Connection
) -> None:
    assert await connector.execute_async(ADD, {"name": "ann"}) == [{"id": 1, "name": "ann"}]
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]


async def test_a_statement_without_rows_returns_none(connector: AsyncSQLAlchemyHalf) -> None:
    assert await connector.execute_async(Statement("set", "SET application_name = 'adjourn'")) == []


async def test_without_parameters_the_text_is_sent_as_it_is(connector: AsyncSQLAlchemyHalf) -> None:
    several = "CREATE TEMP TABLE one (x text); INSERT INTO one VALUES ('100%'); DROP TABLE one"
    # More often than after which a driver prepares what it sends.
    for _ in range(8):
        await connector.execute_async(Statement("several", several))
    assert await connector.execute_async(Statement("percent", "SELECT '%s' AS x;")) == [{"x": "%s"}]


async def test_with_parameters_a_percent_sign_is_doubled(connector: AsyncSQLAlchemyHalf) -> None:
    text = "SELECT '100%%' AS much, %(one)s::text AS one, %(one)s::text AS again"
    assert await connector.execute_async(Statement("percent", text), {"one": "1", "unused": 2}) == [
        {"much": "100%", "one": "1", "again": "1"}
    ]
    assert await connector.execute_async(Statement("percent", "SELECT '100%%' AS much"), {}) == [{"much": "100%"}]


async def test_values_of_every_kind_that_adjourn_uses_arrive(connector: AsyncSQLAlchemyHalf) -> None:
    now = datetime.datetime.now(datetime.UTC)
    values = {
        "json": '{"a": 1}',
        "jsons": ['{"a": 1}', None],
        "time": now,
        "times": [now, None],
        "texts": ["a", None, 'quoted "text"'],
        "numbers": [1, 2**40],
        "nothing": [],
        "seconds": 5,
        "flag": True,
        "none": None,
    }
    text = (
        "SELECT %(json)s::jsonb::text AS json, (%(jsons)s::text[]::jsonb[])::text[] AS jsons, %(time)s::timestamptz AS"
        " time, %(times)s::timestamptz[] AS times, %(texts)s::text[] AS texts, %(numbers)s::bigint[] AS numbers,"
        " %(nothing)s::bigint[] AS nothing, extract(epoch from make_interval(secs => %(seconds)s))::int AS seconds,"
        " %(flag)s::boolean AS flag, %(none)s::text AS none"
    )
    assert await connector.execute_async(Statement("values", text), values) == [values]


async def test_a_unique_violation_carries_the_constraints_name(connector: AsyncSQLAlchemyHalf) -> None:
    await connector.execute_async(ADD, {"name": "ann"})
    with pytest.raises(exceptions.UniqueViolation, match="ann") as caught:
        await connector.execute_async(ADD, {"name": "ann"})
    assert caught.value.constraint_name == "scratch_name_key"
    assert caught.value.sqlstate == "23505"


async def test_other_errors_carry_the_drivers_words_and_the_state(connector: AsyncSQLAlchemyHalf) -> None:
    ways: list[dict[str, Any] | None] = [None, {}]
    for parameters in ways:
        with pytest.raises(exceptions.ConnectorException, match=r'^relation "nowhere" does not exist') as caught:
            await connector.execute_async(Statement("wrong", "SELECT * FROM nowhere"), parameters)
        assert caught.value.sqlstate == "42P01"
    with pytest.raises(exceptions.ConnectorException, match='relation "nowhere" does not exist') as caught:
        await connector.execute_async(Statement("wrong", "SELECT 1; SELECT * FROM nowhere"))
    assert caught.value.sqlstate == "42P01"


async def test_a_connector_that_is_not_open_says_so_before_and_after(url: URL) -> None:
    connector = AsyncSQLAlchemyHalf(dsn=url)
    for _ in range(2):
        with pytest.raises(exceptions.AppNotOpen, match="Open it first"):
            await connector.execute_async(ALL)
        with pytest.raises(exceptions.AppNotOpen):
            connector.pool  # noqa: B018
        await connector.open_async()
        await connector.open_async()
        assert isinstance(connector.pool, AsyncEngine)
        assert await connector.execute_async(ALL) == []
        await connector.close_async()
        await connector.close_async()


async def test_closing_gives_every_connection_back(url: URL, sessions: Sessions) -> None:
    connector = AsyncSQLAlchemyHalf(dsn=url)
    for _ in range(3):
        await connector.open_async()
        assert sessions.settle(1) == 1
        await connector.close_async()
        assert sessions.settle(0) == 0


async def test_options_are_those_of_sqlalchemys_engine(url: URL, sessions: Sessions) -> None:
    connector = AsyncSQLAlchemyHalf(dsn=url, poolclass=NullPool)
    await connector.open_async()
    assert await connector.execute_async(ALL) == []
    assert sessions.settle(0) == 0
    await connector.close_async()
    with pytest.raises(exceptions.InvalidOption, match="pool_sise"):
        AsyncSQLAlchemyHalf(dsn=url, pool_sise=1)


@pytest.mark.parametrize("dsn", ["mysql://me:secret@host/db", "postgresql+pg8000://me:secret@host/db"])
async def test_an_address_for_another_driver_is_refused(dsn: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match="This connector takes") as caught:
        AsyncSQLAlchemyHalf(dsn=dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("option", "value"), [("json_dumps", 5), ("json_loads", "x"), ("pool_timeout", "x")])
async def test_a_value_that_an_option_cannot_have_is_refused_when_the_connector_is_made(
    option: str, value: Any
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(exceptions.InvalidOption, match=rf"\b{option}="):
        AsyncSQLAlchemyHalf(**options)


async def test_an_unreadable_address_is_refused_without_being_quoted() -> None:
    with pytest.raises(exceptions.InvalidOption, match="cannot be read") as caught:
        AsyncSQLAlchemyHalf(dsn="postgresql:/me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_server_that_is_not_there_is_named_with_the_drivers_words(url: URL, tmp_path: Any) -> None:
    nowhere = URL.create(url.drivername, "me", "secret", database="mine", query={"host": str(tmp_path)})
    connector = AsyncSQLAlchemyHalf(dsn=nowhere)
    for _ in range(2):
        with pytest.raises(exceptions.ConnectorException, match="No such file or directory") as caught:
            await connector.open_async()
        assert str(tmp_path) in str(caught.value)
        assert "'mine'" in str(caught.value)
        assert "secret" not in str(caught.value)
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_async(ALL)


async def test_an_engine_of_the_users_is_used_and_never_disposed_of(
    engine: AsyncEngine, sessions: Sessions, observer: psycopg.Connection
) -> None:
    connector = AsyncSQLAlchemyHalf()
    await connector.open_async(engine)
    assert connector.pool is engine
    pids = {(await connector.execute_async(PID))[0]["pid"] for _ in range(5)}
    await connector.execute_async(ADD, {"name": "bob"})
    assert len(pids) == 1
    assert sessions.settle(1) == 1
    await connector.close_async()
    with pytest.raises(exceptions.AppNotOpen):
        await connector.execute_async(ALL)
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql(PID.text)).scalar() in pids
    await connector.open_async(engine)
    assert await names_async(connector) == ["bob"]
    await connector.close_async()


async def test_an_engines_connection_is_given_back_as_it_was(engine: AsyncEngine) -> None:
    level = "SHOW transaction_isolation"
    mine = Statement("mine", "SELECT txid_current() AS id")
    serializable = create_engine_async(engine.url, isolation_level="SERIALIZABLE", pool_size=1, max_overflow=0)
    connector = AsyncSQLAlchemyHalf()
    await connector.open_async(serializable)
    await connector.execute_async(ADD, {"name": "ann"})
    await connector.execute_async(ADD, {"name": "bob"})
    async with serializable.begin() as connection:
        assert (await connection.exec_driver_sql(level)).scalar() == "serializable"
        first, second = [(await connection.exec_driver_sql(mine.text)).scalar() for _ in range(2)]
        assert first == second
    await connector.close_async()
    await serializable.dispose()


async def test_an_engine_that_cannot_be_used_is_refused() -> None:
    connector = AsyncSQLAlchemyHalf()
    with pytest.raises(
        exceptions.InvalidOption, match=r"takes a SQLAlchemy \w*Engine, not an instance of builtins\.str"
    ):
        await connector.open_async("postgresql://")
    assert not connector.is_open


async def test_a_statement_on_the_callers_connection_is_part_of_its_transaction(
    engine: AsyncEngine, observer: psycopg.Connection
) -> None:
    closed = AsyncSQLAlchemyHalf()
    count = "SELECT count(*) FROM scratch"
    async with engine.connect() as connection:
        await closed.execute_async(ADD, {"name": "ann"}, connection=connection)
        await connection.rollback()
        assert await closed.execute_async(ALL, connection=connection) == []
        await closed.execute_async(ADD, {"name": "bob"}, connection=connection)
        assert observer.execute("SELECT count(*) FROM scratch").fetchall() == [(0,)]
        assert (await connection.exec_driver_sql(count)).scalar() == 1
        await connection.commit()
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("bob",)]
    async with engine.begin() as connection:
        await closed.execute_async(ADD, {"name": "cy"}, connection=connection)
    assert observer.execute("SELECT count(*) FROM scratch").fetchall() == [(2,)]


async def test_several_commands_on_the_callers_connection_are_part_of_its_transaction(
    engine: AsyncEngine, observer: psycopg.Connection
) -> None:
    several = Statement("several", "INSERT INTO scratch (name) VALUES ('ann'); INSERT INTO scratch (name) VALUES ('b')")
    async with engine.connect() as connection:
        await AsyncSQLAlchemyHalf().execute_async(several, connection=connection)
        await connection.rollback()
    assert observer.execute("SELECT name FROM scratch").fetchall() == []


async def test_a_statement_on_the_callers_orm_session_is_part_of_its_transaction(
    engine: AsyncEngine, observer: psycopg.Connection
) -> None:
    closed = AsyncSQLAlchemyHalf()
    async with AsyncOrmSession(engine) as session:
        await closed.execute_async(ADD, {"name": "ann"}, connection=session)
        assert observer.execute("SELECT count(*) FROM scratch").fetchall() == [(0,)]
        await session.rollback()
        await closed.execute_async(ADD, {"name": "bob"}, connection=session)
        await session.commit()
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("bob",)]
    async with AsyncOrmSession(engine) as session, session.begin():
        async with session.begin_nested() as savepoint:
            await closed.execute_async(ADD, {"name": "dan"}, connection=session)
            await savepoint.rollback()
        await closed.execute_async(ADD, {"name": "eve"}, connection=session)
    assert observer.execute("SELECT name FROM scratch ORDER BY name").fetchall() == [("bob",), ("eve",)]


async def test_an_orm_session_without_an_engine_is_refused_with_the_remedy() -> None:
    async with AsyncOrmSession() as session:
        with pytest.raises(exceptions.InvalidConnection, match="bind"):
            await AsyncSQLAlchemyHalf().execute_async(ALL, connection=session)


async def test_a_connection_of_psycopgs_own_is_taken_too(dsn: str, url: URL, observer: psycopg.Connection) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await AsyncSQLAlchemyHalf(dsn=url).execute_async(ADD, {"name": "ann"}, connection=connection)
        await connection.rollback()
        await AsyncSQLAlchemyHalf(dsn=url).execute_async(ADD, {"name": "bob"}, connection=connection)
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("bob",)]


async def test_a_connection_of_another_kind_is_refused_with_the_remedy(connector: AsyncSQLAlchemyHalf) -> None:
    with pytest.raises(
        exceptions.InvalidConnection, match=r"takes a SQLAlchemy \w*Connection.*not an instance of builtins\.str"
    ):
        await connector.execute_async(ALL, connection="postgresql://")


async def test_a_connection_that_the_server_has_ended_is_replaced_without_an_error(
    connector: AsyncSQLAlchemyHalf, observer: psycopg.Connection
) -> None:
    for _ in range(3):
        (row,) = await connector.execute_async(PID)
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
        assert (await connector.execute_async(PID))[0]["pid"] != row["pid"]
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [(await connector.execute_async(PID))[0]["pid"]])
        assert await names_async(connector) == []


async def test_an_exhausted_pool_is_an_error_that_names_pool_size(url: URL) -> None:
    connector = AsyncSQLAlchemyHalf(dsn=url, pool_size=1, max_overflow=0, pool_timeout=0.5)
    await connector.open_async()
    async with connector.pool.connect():
        with pytest.raises(exceptions.ConnectorException, match="pool_size"):
            await connector.execute_async(ALL)
    await connector.close_async()


async def test_a_session_is_beside_the_pool_and_needs_no_open_connector(
    url: URL, engine: AsyncEngine, sessions: Sessions, observer: psycopg.Connection
) -> None:
    connector = AsyncSQLAlchemyHalf(dsn=url)
    for _ in range(2):
        session = await connector.session_async()
        await session.execute_async(ADD, {"name": "ann"})
        await session.listen_async("channel")
        observer.execute("SELECT pg_notify('channel', 'one')")
        assert await session.wait_for_notifications_async(10) == ["one"]
        await session.close_async()
        observer.execute("DELETE FROM scratch")
        # Of the engine that is in use it is the address.
        connector = AsyncSQLAlchemyHalf(dsn="postgresql:///nowhere?host=/nowhere")
        await connector.open_async(engine)
    await connector.close_async()


async def test_a_session_that_cannot_connect_says_why(url: URL, tmp_path: Any) -> None:
    with pytest.raises(exceptions.ConnectorException, match="No such file or directory"):
        await AsyncSQLAlchemyHalf(dsn=url.set(query={"host": str(tmp_path)})).session_async()


async def test_an_engines_connection_that_is_in_use_keeps_its_own_transaction(
    connector: AsyncSQLAlchemyHalf, observer: psycopg.Connection
) -> None:
    connection: AsyncConnection
    async with connector.pool.connect() as connection:
        await connection.exec_driver_sql("INSERT INTO scratch (name) VALUES ('mine')")
        await connector.execute_async(ADD, {"name": "ann"})
        await connection.rollback()
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]
