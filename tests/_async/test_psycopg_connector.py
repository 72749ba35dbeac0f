"""What the psycopg connector promises to those who execute statements, in both colours."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from adjourn import exceptions
from adjourn._async.connectors.psycopg import AsyncPsycopgHalf
from adjourn.types import Statement
from support.sessions import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id, name")
ALL = Statement("all", "SELECT name FROM scratch ORDER BY id")


@pytest.fixture
async def connector(scratch: str) -> AsyncIterator[AsyncPsycopgHalf]:
    """A connector that is open."""
    connector = AsyncPsycopgHalf(scratch, min_size=1, max_size=2, timeout=10)
    await connector.open_async()
    yield connector
    await connector.close_async()


async def names_async(connector: AsyncPsycopgHalf) -> list[str]:
    """What is in the table."""
    return [row["name"] for row in await connector.execute_async(ALL)]


async def test_rows_are_dictionaries_and_a_statement_is_committed_on_return(
    connector: AsyncPsycopgHalf, observer: psycopg.Connection
) -> None:
    assert await connector.execute_async(ADD, {"name": "ann"}) == [{"id": 1, "name": "ann"}]
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]


async def test_a_statement_without_rows_returns_none(connector: AsyncPsycopgHalf) -> None:
    assert await connector.execute_async(Statement("set", "SET application_name = 'adjourn'")) == []


async def test_without_parameters_the_text_is_sent_as_it_is(connector: AsyncPsycopgHalf) -> None:
    several = "CREATE TEMP TABLE one (x text); INSERT INTO one VALUES ('100%'); DROP TABLE one"
    await connector.execute_async(Statement("several", several))
    assert await connector.execute_async(Statement("percent", "SELECT '%s' AS x")) == [{"x": "%s"}]


async def test_a_unique_violation_carries_the_constraints_name(connector: AsyncPsycopgHalf) -> None:
    await connector.execute_async(ADD, {"name": "ann"})
    with pytest.raises(exceptions.UniqueViolation, match="ann") as caught:
        await connector.execute_async(ADD, {"name": "ann"})
    assert caught.value.constraint_name == "scratch_name_key"
    assert caught.value.sqlstate == "23505"


async def test_other_errors_carry_the_drivers_words_and_the_state(connector: AsyncPsycopgHalf) -> None:
    with pytest.raises(exceptions.ConnectorException, match='relation "nowhere" does not exist') as caught:
        await connector.execute_async(Statement("wrong", "SELECT * FROM nowhere"))
    assert caught.value.sqlstate == "42P01"
    assert isinstance(caught.value.__cause__, psycopg.Error)


async def test_connections_that_are_not_in_autocommit_mode_work_too(scratch: str, sessions: Sessions) -> None:
    connector = AsyncPsycopgHalf(scratch, kwargs={"autocommit": False}, min_size=1)
    await connector.open_async()
    await connector.execute_async(ADD, {"name": "ann"})
    await connector.execute_async(ADD, {"name": "bob"})
    with pytest.raises(exceptions.UniqueViolation):
        await connector.execute_async(ADD, {"name": "ann"})
    await connector.close_async()
    reader = AsyncPsycopgHalf(scratch, min_size=1)
    await reader.open_async()
    assert await names_async(reader) == ["ann", "bob"]
    await reader.close_async()
    assert sessions.settle(0) == 0


async def test_a_connector_that_is_not_open_says_so_before_and_after(scratch: str) -> None:
    connector = AsyncPsycopgHalf(scratch, min_size=1)
    for _ in range(2):
        with pytest.raises(exceptions.AppNotOpen, match="Open it first"):
            await connector.execute_async(ALL)
        with pytest.raises(exceptions.AppNotOpen):
            connector.pool.get_stats()
        await connector.open_async()
        await connector.open_async()
        assert await connector.execute_async(ALL) == []
        await connector.close_async()
        await connector.close_async()


async def test_closing_gives_every_connection_back(scratch: str, sessions: Sessions) -> None:
    connector = AsyncPsycopgHalf(scratch, min_size=2, max_size=3)
    for _ in range(3):
        await connector.open_async()
        assert sessions.settle(2) == 2
        await connector.close_async()
        assert sessions.settle(0) == 0


async def test_libpq_keywords_go_straight_to_the_connector(scratch: str) -> None:
    keywords: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(scratch)
    connector = AsyncPsycopgHalf(**keywords, application_name="keyword", min_size=1)
    await connector.open_async()
    name = Statement("name", "SELECT current_setting('application_name') AS name")
    assert await connector.execute_async(name) == [{"name": "keyword"}]
    await connector.close_async()


async def test_an_unknown_option_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"'min_sise'.*'min_size'"):
        AsyncPsycopgHalf(min_sise=1)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", "x"),
        ("timeout", -1),
        ("timeout", float("inf")),
        ("max_lifetime", "x"),
        ("max_idle", -1),
        ("num_workers", 0),
        ("max_waiting", -1),
        ("check", 5),
        ("configure", 5),
        ("kwargs", 5),
        ("kwargs", {"bogus": 1}),
        ("port", "x"),
        ("port", 70_000),
        ("pool_factory", 5),
        ("json_dumps", 5),
        ("json_loads", "x"),
    ],
)
async def test_a_value_that_an_option_cannot_have_is_refused_when_the_connector_is_made(
    option: str, value: Any
) -> None:
    with pytest.raises(exceptions.InvalidOption, match=rf"\b{option}\b"):
        AsyncPsycopgHalf(**{option: value})


async def test_what_psycopg_and_its_pool_can_work_with_is_accepted() -> None:
    AsyncPsycopgHalf(
        kwargs={"autocommit": False, "row_factory": None, "application_name": "a", "prepare_threshold": None},
        max_lifetime=float("inf"),
        port="5432,,5433",
        configure=None,
    )


async def test_an_unreadable_conninfo_is_refused_without_being_quoted() -> None:
    with pytest.raises(exceptions.InvalidOption) as caught:
        AsyncPsycopgHalf("postgresql:/me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_server_that_is_not_there_is_named_with_the_drivers_words(tmp_path: Any) -> None:
    connector = AsyncPsycopgHalf(host=str(tmp_path), user="me", password="secret", dbname="mine", timeout=20)
    for _ in range(2):
        with pytest.raises(exceptions.ConnectorException, match="No such file or directory") as caught:
            await connector.open_async()
        assert str(tmp_path) in str(caught.value)
        assert "'mine'" in str(caught.value)
        assert "secret" not in str(caught.value)
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_async(ALL)


async def test_a_pool_that_cannot_be_filled_leaves_nothing_behind(
    scratch: str, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    async def configure_async(connection: AsyncConnection[Any]) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise ValueError("no more")

    caplog.set_level(logging.CRITICAL, "psycopg.pool")
    connector = AsyncPsycopgHalf(scratch, configure=configure_async, min_size=3, timeout=1)
    with pytest.raises(exceptions.ConnectorException, match=r"3 connections \(min_size\)"):
        await connector.open_async()
    assert not connector.is_open
    assert sessions.settle(0) == 0


async def test_a_pool_of_the_users_is_used_and_never_closed(scratch: str, sessions: Sessions) -> None:
    async with AsyncConnectionPool(scratch, min_size=1, max_size=1, open=False) as pool:
        await pool.wait()
        connector = AsyncPsycopgHalf()
        await connector.open_async(pool)
        assert connector.pool is pool
        await connector.execute_async(ADD, {"name": "ann"})
        await connector.execute_async(ADD, {"name": "bob"})
        assert sessions.settle(1) == 1
        await connector.close_async()
        assert not pool.closed
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_async(ALL)
        await connector.open_async(pool)
        assert await names_async(connector) == ["ann", "bob"]
        await connector.close_async()


async def test_a_pool_that_cannot_be_used_is_refused(scratch: str) -> None:
    connector = AsyncPsycopgHalf(scratch)
    with pytest.raises(exceptions.InvalidOption, match="ConnectionPool"):
        await connector.open_async("postgresql://")
    with pytest.raises(exceptions.InvalidOption, match="is not open"):
        await connector.open_async(AsyncConnectionPool(scratch, open=False))
    assert not connector.is_open


async def test_a_statement_on_the_callers_connection_is_part_of_its_transaction(scratch: str) -> None:
    closed = AsyncPsycopgHalf()
    for autocommit in (False, True):
        connection = await AsyncConnection.connect(scratch, autocommit=autocommit, row_factory=tuple_row)
        async with connection.transaction(force_rollback=True):
            await closed.execute_async(ADD, {"name": "ann"}, connection=connection)
        async with connection.transaction():
            assert await closed.execute_async(ALL, connection=connection) == []
        await connection.close()


async def test_a_connection_of_another_kind_is_refused_with_the_remedy(connector: AsyncPsycopgHalf) -> None:
    with pytest.raises(
        exceptions.InvalidConnection, match=r"takes a psycopg\.\w*Connection.*not an instance of builtins\.str"
    ):
        await connector.execute_async(ALL, connection="postgresql://")


async def test_a_connection_that_the_server_has_ended_is_replaced_without_an_error(
    connector: AsyncPsycopgHalf, observer: psycopg.Connection
) -> None:
    mine = Statement("mine", "SELECT pg_backend_pid() AS pid")
    for _ in range(3):
        (row,) = await connector.execute_async(mine)
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
        assert (await connector.execute_async(mine))[0]["pid"] != row["pid"]


async def test_an_exhausted_pool_is_an_error_that_names_max_size(scratch: str) -> None:
    connector = AsyncPsycopgHalf(scratch, min_size=1, max_size=1, timeout=0.5)
    await connector.open_async()
    async with connector.pool.connection():
        with pytest.raises(exceptions.ConnectorException, match="max_size"):
            await connector.execute_async(ALL)
    await connector.close_async()


async def test_a_session_commits_by_itself_and_needs_no_open_connector(
    scratch: str, sessions: Sessions, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopgHalf(scratch).session_async()
    await session.execute_async(ADD, {"name": "ann"})
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]
    with pytest.raises(exceptions.UniqueViolation):
        await session.execute_async(ADD, {"name": "ann"})
    await session.close_async()
    await session.close_async()
    assert sessions.settle(0) == 0


@pytest.mark.parametrize(("kwargs", "is_prepared"), [({}, True), ({"prepare_threshold": None}, False)])
async def test_a_session_prepares_at_the_second_use_unless_told_otherwise(
    scratch: str, kwargs: dict[str, Any], is_prepared: bool
) -> None:
    session = await AsyncPsycopgHalf(scratch, kwargs=kwargs).session_async()
    look = Statement("prepared", "SELECT name FROM pg_prepared_statements")
    await session.execute_async(ALL, {})
    assert await session.execute_async(look) == []
    await session.execute_async(ALL, {})
    assert bool(await session.execute_async(look)) is is_prepared
    await session.close_async()


async def test_a_session_is_configured_like_the_pools_connections(scratch: str) -> None:
    async def configure_async(connection: AsyncConnection[Any]) -> None:
        await connection.execute("SET application_name = 'configured'")
        if not connection.autocommit:
            await connection.commit()

    name = Statement("name", "SELECT current_setting('application_name') AS name")
    own = await AsyncPsycopgHalf(scratch, configure=configure_async).session_async()
    assert await own.execute_async(name) == [{"name": "configured"}]
    await own.close_async()
    async with AsyncConnectionPool(scratch, min_size=1, configure=configure_async, open=False) as pool:
        connector = AsyncPsycopgHalf()
        await connector.open_async(pool)
        beside = await connector.session_async()
        assert await beside.execute_async(name) == [{"name": "configured"}]
        await beside.close_async()
        await connector.close_async()


async def test_a_session_that_cannot_connect_says_why(tmp_path: Any) -> None:
    with pytest.raises(exceptions.ConnectorException, match="No such file or directory"):
        await AsyncPsycopgHalf(host=str(tmp_path)).session_async()


async def test_notifications_arrive(scratch: str, observer: psycopg.Connection) -> None:
    session = await AsyncPsycopgHalf(scratch).session_async()
    await session.listen_async('a "quoted" channel')
    assert await session.wait_for_notifications_async(0) == []
    observer.execute("SELECT pg_notify('a \"quoted\" channel', 'one'), pg_notify('a \"quoted\" channel', 'two')")
    received = await session.wait_for_notifications_async(10)
    while len(received) < 2:
        received += await session.wait_for_notifications_async(10)
    assert received == ["one", "two"]
    await session.close_async()


async def test_a_notification_that_comes_during_a_statement_is_not_lost(
    scratch: str, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopgHalf(scratch).session_async()
    await session.listen_async("channel")
    observer.execute("SELECT pg_notify('channel', 'kept')")
    await session.execute_async(Statement("sleep", "SELECT pg_sleep(0.05)"))
    await session.execute_async(Statement("sleep", "SELECT pg_sleep(0.05)"))
    assert await session.wait_for_notifications_async(10) == ["kept"]
    await session.close_async()


async def test_a_session_whose_server_is_gone_fails_clearly_and_closes_quietly(
    scratch: str, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopgHalf(scratch).session_async()
    await session.listen_async("channel")
    (row,) = await session.execute_async(Statement("mine", "SELECT pg_backend_pid() AS pid"))
    observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
    with pytest.raises(exceptions.ConnectorException):
        await session.wait_for_notifications_async(10)
    with pytest.raises(exceptions.ConnectorException):
        await session.execute_async(ALL)
    await session.close_async()
