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
from adjourn._async.connectors.sqlalchemy import AsyncSQLAlchemyConnector
from adjourn._drivers.sqlalchemy.names_async import (
    AsyncConnection,
    AsyncEngine,
    AsyncOrmSession,
    create_engine_async,
    drivers_async,
)
from adjourn.types import Statement
from support.addresses import address
from support.sessions import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id, name")
ALL = Statement("all", "SELECT name FROM scratch ORDER BY id")
PID = Statement("pid", "SELECT pg_backend_pid() AS pid")


@pytest.fixture(params=drivers_async)
def url(request: pytest.FixtureRequest, scratch: str) -> URL:
    """A database with a table to play with, for each driver."""
    return address(scratch, request.param)


@pytest.fixture
async def connector(url: URL, sessions: Sessions) -> AsyncIterator[AsyncSQLAlchemyConnector]:
    """A connector that is open, and has given back every connection when the test is over."""
    connector = AsyncSQLAlchemyConnector(dsn=url, pool_size=2, max_overflow=0, pool_timeout=10)
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


async def names_async(connector: AsyncSQLAlchemyConnector) -> list[str]:
    """What is in the table."""
    return [row["name"] for row in await connector.execute_async(ALL)]


async def test_rows_are_dictionaries_and_a_statement_is_committed_on_return(
    connector: AsyncSQLAlchemyConnector, observer: psycopg.Connection
) -> None:
    assert await connector.execute_async(ADD, {"name": "ann"}) == [{"id": 1, "name": "ann"}]
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]


async def test_a_statement_without_rows_returns_none(connector: AsyncSQLAlchemyConnector) -> None:
    assert await connector.execute_async(Statement("set", "SET application_name = 'adjourn'")) == []


async def test_without_parameters_the_text_is_sent_as_it_is(connector: AsyncSQLAlchemyConnector) -> None:
    several = "CREATE TEMP TABLE one (x text); INSERT INTO one VALUES ('100%'); DROP TABLE one"
    # More often than after which a driver prepares what it sends.
    for _ in range(8):
        await connector.execute_async(Statement("several", several))
    assert await connector.execute_async(Statement("percent", "SELECT '%s' AS x;")) == [{"x": "%s"}]


async def test_with_parameters_a_percent_sign_is_doubled(connector: AsyncSQLAlchemyConnector) -> None:
    text = "SELECT '100%%' AS much, %(one)s::text AS one, %(one)s::text AS again"
    assert await connector.execute_async(Statement("percent", text), {"one": "1", "unused": 2}) == [
        {"much": "100%", "one": "1", "again": "1"}
    ]
    assert await connector.execute_async(Statement("percent", "SELECT '100%%' AS much"), {}) == [{"much": "100%"}]


async def test_values_of_every_kind_that_adjourn_uses_arrive(connector: AsyncSQLAlchemyConnector) -> None:
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


async def test_a_unique_violation_carries_the_constraints_name(connector: AsyncSQLAlchemyConnector) -> None:
    await connector.execute_async(ADD, {"name": "ann"})
    with pytest.raises(exceptions.UniqueViolation, match="ann") as caught:
        await connector.execute_async(ADD, {"name": "ann"})
    assert caught.value.constraint_name == "scratch_name_key"
    assert caught.value.sqlstate == "23505"


async def test_other_errors_carry_the_drivers_words_and_the_state(connector: AsyncSQLAlchemyConnector) -> None:
    ways: list[dict[str, Any] | None] = [None, {}]
    for parameters in ways:
        with pytest.raises(exceptions.ConnectorException, match=r'^relation "nowhere" does not exist') as caught:
            await connector.execute_async(Statement("wrong", "SELECT * FROM nowhere"), parameters)
        assert caught.value.sqlstate == "42P01"
    with pytest.raises(exceptions.ConnectorException, match='relation "nowhere" does not exist') as caught:
        await connector.execute_async(Statement("wrong", "SELECT 1; SELECT * FROM nowhere"))
    assert caught.value.sqlstate == "42P01"


async def test_a_batch_is_one_transaction(connector: AsyncSQLAlchemyConnector, observer: psycopg.Connection) -> None:
    mine = Statement("mine", "SELECT txid_current() AS id")
    first, second, added = await connector.execute_batch_async([(mine, {}), (mine, {}), (ADD, {"name": "ann"})])
    assert first == second
    assert added[0]["name"] == "ann"
    assert observer.execute("SELECT count(*) FROM scratch").fetchall() == [(1,)]


async def test_a_batch_takes_effect_as_a_whole_or_not_at_all(connector: AsyncSQLAlchemyConnector) -> None:
    with pytest.raises(exceptions.UniqueViolation):
        await connector.execute_batch_async([(ADD, {"name": "ann"}), (ADD, {"name": "ann"})])
    assert await names_async(connector) == []
    await connector.execute_batch_async([(ADD, {"name": "ann"}), (ADD, {"name": "bob"})])
    assert await names_async(connector) == ["ann", "bob"]


async def test_a_connector_that_is_not_open_says_so_before_and_after(url: URL) -> None:
    connector = AsyncSQLAlchemyConnector(dsn=url)
    for _ in range(2):
        with pytest.raises(exceptions.AppNotOpen, match="Open it first"):
            await connector.execute_async(ALL)
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_batch_async([(ALL, {})])
        with pytest.raises(exceptions.AppNotOpen):
            connector.engine  # noqa: B018
        await connector.open_async()
        await connector.open_async()
        assert isinstance(connector.engine, AsyncEngine)
        assert await connector.execute_async(ALL) == []
        await connector.close_async()
        await connector.close_async()


async def test_closing_gives_every_connection_back(url: URL, sessions: Sessions) -> None:
    connector = AsyncSQLAlchemyConnector(dsn=url)
    for _ in range(3):
        await connector.open_async()
        assert sessions.settle(1) == 1
        await connector.close_async()
        assert sessions.settle(0) == 0


async def test_options_are_those_of_sqlalchemys_engine(url: URL, sessions: Sessions) -> None:
    connector = AsyncSQLAlchemyConnector(dsn=url, poolclass=NullPool)
    await connector.open_async()
    assert await connector.execute_async(ALL) == []
    assert sessions.settle(0) == 0
    await connector.close_async()
    with pytest.raises(exceptions.InvalidOption, match="pool_sise"):
        AsyncSQLAlchemyConnector(dsn=url, pool_sise=1)


@pytest.mark.parametrize("dsn", ["mysql://me:secret@host/db", "postgresql+pg8000://me:secret@host/db"])
async def test_an_address_for_another_driver_is_refused(dsn: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match="This connector takes") as caught:
        AsyncSQLAlchemyConnector(dsn=dsn)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("option", "value"), [("json_dumps", 5), ("json_loads", "x"), ("pool_timeout", "x")])
async def test_a_value_that_an_option_cannot_have_is_refused_when_the_connector_is_made(
    option: str, value: Any
) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(exceptions.InvalidOption, match=rf"\b{option}="):
        AsyncSQLAlchemyConnector(**options)


async def test_an_unreadable_address_is_refused_without_being_quoted() -> None:
    with pytest.raises(exceptions.InvalidOption, match="cannot be read") as caught:
        AsyncSQLAlchemyConnector(dsn="postgresql:/me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_server_that_is_not_there_is_named_with_the_drivers_words(url: URL, tmp_path: Any) -> None:
    nowhere = URL.create(url.drivername, "me", "secret", database="mine", query={"host": str(tmp_path)})
    connector = AsyncSQLAlchemyConnector(dsn=nowhere)
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
    connector = AsyncSQLAlchemyConnector()
    await connector.open_async(engine)
    assert connector.engine is engine
    pids = {(await connector.execute_async(PID))[0]["pid"] for _ in range(5)}
    await connector.execute_batch_async([(ADD, {"name": "bob"})])
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
    connector = AsyncSQLAlchemyConnector()
    await connector.open_async(serializable)
    await connector.execute_async(ADD, {"name": "ann"})
    await connector.execute_batch_async([(ADD, {"name": "bob"})])
    async with serializable.begin() as connection:
        assert (await connection.exec_driver_sql(level)).scalar() == "serializable"
        first, second = [(await connection.exec_driver_sql(mine.text)).scalar() for _ in range(2)]
        assert first == second
    await connector.close_async()
    await serializable.dispose()


async def test_a_batch_is_one_transaction_on_an_engine_that_commits_by_itself_too(url: URL) -> None:
    engine = create_engine_async(url, isolation_level="AUTOCOMMIT")
    connector = AsyncSQLAlchemyConnector()
    await connector.open_async(engine)
    with pytest.raises(exceptions.UniqueViolation):
        await connector.execute_batch_async([(ADD, {"name": "ann"}), (ADD, {"name": "ann"})])
    assert await names_async(connector) == []
    await connector.close_async()
    await engine.dispose()


async def test_an_engine_that_cannot_be_used_is_refused() -> None:
    connector = AsyncSQLAlchemyConnector()
    with pytest.raises(exceptions.InvalidOption, match=r"takes a SQLAlchemy \w*Engine, not a builtins\.str"):
        await connector.open_async("postgresql://")
    assert not connector.is_open


async def test_a_statement_on_the_callers_connection_is_part_of_its_transaction(
    engine: AsyncEngine, observer: psycopg.Connection
) -> None:
    closed = AsyncSQLAlchemyConnector()
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
        await AsyncSQLAlchemyConnector().execute_async(several, connection=connection)
        await connection.rollback()
    assert observer.execute("SELECT name FROM scratch").fetchall() == []


async def test_a_statement_on_the_callers_orm_session_is_part_of_its_transaction(
    engine: AsyncEngine, observer: psycopg.Connection
) -> None:
    closed = AsyncSQLAlchemyConnector()
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


async def test_an_orm_session_without_an_engine_is_refused_in_sqlalchemys_words() -> None:
    async with AsyncOrmSession() as session:
        with pytest.raises(exceptions.ConnectorException, match="bind"):
            await AsyncSQLAlchemyConnector().execute_async(ALL, connection=session)


async def test_a_connection_of_psycopgs_own_is_taken_too(dsn: str, url: URL, observer: psycopg.Connection) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await AsyncSQLAlchemyConnector(dsn=url).execute_async(ADD, {"name": "ann"}, connection=connection)
        await connection.rollback()
        await AsyncSQLAlchemyConnector(dsn=url).execute_async(ADD, {"name": "bob"}, connection=connection)
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("bob",)]


async def test_a_connection_of_another_kind_is_refused_with_the_remedy(connector: AsyncSQLAlchemyConnector) -> None:
    with pytest.raises(exceptions.InvalidConnection, match=r"takes a SQLAlchemy \w*Connection.*not a builtins\.str"):
        await connector.execute_async(ALL, connection="postgresql://")


async def test_a_connection_that_the_server_has_ended_is_replaced_without_an_error(
    connector: AsyncSQLAlchemyConnector, observer: psycopg.Connection
) -> None:
    for _ in range(3):
        (row,) = await connector.execute_async(PID)
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
        assert (await connector.execute_async(PID))[0]["pid"] != row["pid"]
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [(await connector.execute_async(PID))[0]["pid"]])
        await connector.execute_batch_async([(PID, {})])


async def test_an_exhausted_pool_is_an_error_that_names_pool_size(url: URL) -> None:
    connector = AsyncSQLAlchemyConnector(dsn=url, pool_size=1, max_overflow=0, pool_timeout=0.5)
    await connector.open_async()
    async with connector.engine.connect():
        with pytest.raises(exceptions.ConnectorException, match="pool_size"):
            await connector.execute_async(ALL)
    await connector.close_async()


async def test_a_session_is_beside_the_pool_and_needs_no_open_connector(
    url: URL, engine: AsyncEngine, sessions: Sessions, observer: psycopg.Connection
) -> None:
    connector = AsyncSQLAlchemyConnector(dsn=url)
    for _ in range(2):
        session = await connector.session_async()
        await session.execute_async(ADD, {"name": "ann"})
        await session.listen_async("channel")
        observer.execute("SELECT pg_notify('channel', 'one')")
        assert await session.wait_for_notifications_async(10) == ["one"]
        await session.close_async()
        observer.execute("DELETE FROM scratch")
        # Of the engine that is in use it is the address.
        connector = AsyncSQLAlchemyConnector(dsn="postgresql:///nowhere?host=/nowhere")
        await connector.open_async(engine)
    await connector.close_async()


async def test_a_session_that_cannot_connect_says_why(url: URL, tmp_path: Any) -> None:
    with pytest.raises(exceptions.ConnectorException, match="No such file or directory"):
        await AsyncSQLAlchemyConnector(dsn=url.set(query={"host": str(tmp_path)})).session_async()


async def test_an_engines_connection_that_is_in_use_keeps_its_own_transaction(
    connector: AsyncSQLAlchemyConnector, observer: psycopg.Connection
) -> None:
    connection: AsyncConnection
    async with connector.engine.connect() as connection:
        await connection.exec_driver_sql("INSERT INTO scratch (name) VALUES ('mine')")
        await connector.execute_async(ADD, {"name": "ann"})
        await connection.rollback()
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]
