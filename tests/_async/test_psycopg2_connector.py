"""What the psycopg2 connector promises to those who execute statements, in both colours."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import psycopg2
import pytest
from psycopg2.extras import NamedTupleCursor, RealDictCursor
from psycopg2.pool import ThreadedConnectionPool

from adjourn import exceptions
from adjourn._async.connectors.psycopg2 import AsyncPsycopg2Half
from adjourn.types import Statement
from support.sessions import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id, name")
ALL = Statement("all", "SELECT name FROM scratch ORDER BY id")
MINE = Statement("mine", "SELECT pg_backend_pid() AS pid")


@pytest.fixture
async def connector(scratch: str, sessions: Sessions) -> AsyncIterator[AsyncPsycopg2Half]:
    """A connector that is open, and has given every connection back when the test is over."""
    connector = AsyncPsycopg2Half(scratch, maxconn=2, timeout=10)
    await connector.open_async()
    yield connector
    await connector.close_async()
    assert sessions.settle(0) == 0


async def names_async(connector: AsyncPsycopg2Half) -> list[str]:
    """What is in the table."""
    return [row["name"] for row in await connector.execute_async(ALL)]


async def test_rows_are_dictionaries_and_a_statement_is_committed_on_return(
    connector: AsyncPsycopg2Half, observer: psycopg.Connection
) -> None:
    assert await connector.execute_async(ADD, {"name": "ann"}) == [{"id": 1, "name": "ann"}]
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]


async def test_a_statement_without_rows_returns_none(connector: AsyncPsycopg2Half) -> None:
    assert await connector.execute_async(Statement("set", "SET application_name = 'adjourn'")) == []


async def test_without_parameters_the_text_is_sent_as_it_is(connector: AsyncPsycopg2Half) -> None:
    several = "CREATE TEMP TABLE one (x text); INSERT INTO one VALUES ('100%'); DROP TABLE one"
    await connector.execute_async(Statement("several", several))
    assert await connector.execute_async(Statement("percent", "SELECT '%s' AS x")) == [{"x": "%s"}]
    assert await connector.execute_async(Statement("percent", "SELECT '%%' AS x"), {}) == [{"x": "%"}]


@pytest.mark.parametrize("cast", ["text", "bigint", "boolean", "timestamptz", "jsonb"])
async def test_lists_become_arrays_also_empty_ones_and_those_of_nothing(
    connector: AsyncPsycopg2Half, cast: str
) -> None:
    statement = Statement("lists", f"SELECT %(values)s::{'text' if cast == 'jsonb' else cast}[]::{cast}[] AS values")
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    value: dict[str, Any] = {
        "text": "a \\ 'quoted', \"quoted\" {braces} 100% é",
        "bigint": -(2**62),
        "boolean": True,
        "timestamptz": moment,
        "jsonb": '{"a": [1, "b\\n"]}',
    }
    for values in ([], [None, None], [value[cast], None]):
        (row,) = await connector.execute_async(statement, {"values": values})
        if cast != "jsonb":
            assert row["values"] == values


async def test_timestamps_are_aware(connector: AsyncPsycopg2Half) -> None:
    (row,) = await connector.execute_async(Statement("now", "SELECT now() AS now"))
    assert abs(row["now"] - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)


async def test_a_unique_violation_carries_the_constraints_name(connector: AsyncPsycopg2Half) -> None:
    await connector.execute_async(ADD, {"name": "ann"})
    with pytest.raises(exceptions.UniqueViolation, match="ann") as caught:
        await connector.execute_async(ADD, {"name": "ann"})
    assert caught.value.constraint_name == "scratch_name_key"
    assert caught.value.sqlstate == "23505"


async def test_other_errors_carry_the_drivers_words_and_the_state(connector: AsyncPsycopg2Half) -> None:
    with pytest.raises(exceptions.ConnectorException, match='relation "nowhere" does not exist') as caught:
        await connector.execute_async(Statement("wrong", "SELECT * FROM nowhere"))
    assert caught.value.sqlstate == "42P01"
    assert isinstance(caught.value.__cause__, psycopg2.Error)
    with pytest.raises(exceptions.ConnectorException, match="NUL") as caught:
        await connector.execute_async(ADD, {"name": "\0"})
    assert caught.value.was_refused


async def test_a_transaction_left_open_by_a_statement_ends_when_its_connection_comes_back(
    scratch: str, observer: psycopg.Connection
) -> None:
    connector = AsyncPsycopg2Half(scratch, maxconn=1)
    await connector.open_async()
    await connector.execute_async(Statement("begin", "BEGIN"))
    await connector.execute_async(ADD, {"name": "ann"})
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]
    await connector.close_async()


async def test_a_connector_that_is_not_open_says_so_before_and_after(scratch: str) -> None:
    connector = AsyncPsycopg2Half(scratch)
    for _ in range(2):
        with pytest.raises(exceptions.AppNotOpen, match="Open it first"):
            await connector.execute_async(ALL)
        with pytest.raises(exceptions.AppNotOpen):
            connector.pool.getconn()
        await connector.open_async()
        await connector.open_async()
        assert await connector.execute_async(ALL) == []
        await connector.close_async()
        await connector.close_async()


async def test_closing_gives_every_connection_back(scratch: str, sessions: Sessions) -> None:
    connector = AsyncPsycopg2Half(scratch, minconn=2, maxconn=3)
    for _ in range(3):
        await connector.open_async()
        assert isinstance(connector.pool, ThreadedConnectionPool)
        assert sessions.settle(2) == 2
        await connector.close_async()
        assert sessions.settle(0) == 0


async def test_libpq_keywords_go_straight_to_the_connector(scratch: str) -> None:
    keywords: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(scratch)
    connector = AsyncPsycopg2Half(**keywords, application_name="keyword")
    await connector.open_async()
    name = Statement("name", "SELECT current_setting('application_name') AS name")
    assert await connector.execute_async(name) == [{"name": "keyword"}]
    await connector.close_async()


@pytest.mark.parametrize("cursor_factory", [RealDictCursor, NamedTupleCursor])
async def test_the_users_own_kind_of_cursor_makes_no_difference(scratch: str, cursor_factory: Any) -> None:
    connector = AsyncPsycopg2Half(scratch, cursor_factory=cursor_factory)
    await connector.open_async()
    assert await connector.execute_async(ADD, {"name": "ann"}) == [{"id": 1, "name": "ann"}]
    await connector.close_async()


@pytest.mark.parametrize(("given", "meant"), [("maxcon", "maxconn"), ("hots", "host"), ("dbnmae", "dbname")])
async def test_an_unknown_option_is_refused_with_the_one_that_was_meant(given: str, meant: str) -> None:
    options: dict[str, Any] = {given: 1}
    with pytest.raises(exceptions.InvalidOption, match=rf"'{given}'.*'{meant}'"):
        AsyncPsycopg2Half(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"minconn": 3, "maxconn": 2},
        {"maxconn": 0},
        {"minconn": -1},
        {"maxconn": "5"},
        {"timeout": 0},
        {"port": "x"},
        {"cursor_factory": 5},
        {"json_dumps": 5},
        {"json_loads": "x"},
    ],
)
async def test_values_that_no_pool_can_have_are_refused_when_the_connector_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidOption, match=next(reversed(options))):
        AsyncPsycopg2Half(**options)


async def test_an_unreadable_dsn_is_refused_without_being_quoted() -> None:
    for dsn in ("postgresql:/me:secret@host/db", 3):
        with pytest.raises(exceptions.InvalidOption, match="dsn") as caught:
            AsyncPsycopg2Half(dsn)  # type: ignore[arg-type]
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None


async def test_a_server_that_is_not_there_is_named_with_the_drivers_words(tmp_path: Any) -> None:
    connector = AsyncPsycopg2Half(host=str(tmp_path), user="me", password="secret", dbname="mine", timeout=20)
    for _ in range(2):
        with pytest.raises(exceptions.ConnectorException, match="No such file or directory") as caught:
            await connector.open_async()
        assert str(tmp_path) in str(caught.value)
        assert "'mine'" in str(caught.value)
        assert "secret" not in str(caught.value)
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_async(ALL)


async def test_a_pool_that_cannot_be_filled_leaves_nothing_behind(scratch: str, sessions: Sessions) -> None:
    calls = 0

    def factory(dsn: str) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise psycopg2.OperationalError("no more")
        return psycopg2.extensions.connection(dsn)

    connector = AsyncPsycopg2Half(scratch, connection_factory=factory, minconn=3)
    with pytest.raises(exceptions.ConnectorException, match="no more"):
        await connector.open_async()
    assert not connector.is_open
    assert sessions.settle(0) == 0


@pytest.mark.parametrize("is_autocommit", [False, True])
async def test_a_pool_of_the_users_is_used_and_never_closed(
    scratch: str, sessions: Sessions, is_autocommit: bool
) -> None:
    pool = ThreadedConnectionPool(1, 1, scratch)
    connection = pool.getconn()
    connection.autocommit = is_autocommit
    pool.putconn(connection)
    with contextlib.ExitStack() as stack:
        stack.callback(pool.closeall)
        connector = AsyncPsycopg2Half()
        await connector.open_async(pool)
        assert connector.pool is pool
        await connector.execute_async(ADD, {"name": "ann"})
        await connector.execute_async(ADD, {"name": "bob"})
        with pytest.raises(exceptions.UniqueViolation):
            await connector.execute_async(ADD, {"name": "ann"})
        assert sessions.settle(1) == 1
        await connector.close_async()
        assert not pool.closed
        with pytest.raises(exceptions.AppNotOpen):
            await connector.execute_async(ALL)
        await connector.open_async(pool)
        assert await names_async(connector) == ["ann", "bob"]
        await connector.close_async()
    assert sessions.settle(0) == 0


async def test_a_pool_that_cannot_be_used_is_refused(scratch: str) -> None:
    connector = AsyncPsycopg2Half(scratch)
    with pytest.raises(exceptions.InvalidOption, match="ThreadedConnectionPool"):
        await connector.open_async("postgresql://")
    pool = ThreadedConnectionPool(0, 1, scratch)
    pool.closeall()
    with pytest.raises(exceptions.InvalidOption, match="is closed"):
        await connector.open_async(pool)
    assert not connector.is_open


async def test_a_pool_of_the_users_that_is_closed_under_the_app_is_an_error(scratch: str) -> None:
    connector = AsyncPsycopg2Half()
    pool = ThreadedConnectionPool(1, 1, scratch)
    await connector.open_async(pool)
    pool.closeall()
    with pytest.raises(exceptions.ConnectorException, match="closed"):
        await connector.execute_async(ALL)
    await connector.close_async()


async def test_a_statement_on_the_callers_connection_is_part_of_its_transaction(scratch: str) -> None:
    closed = AsyncPsycopg2Half()
    connection = psycopg2.connect(scratch)
    await closed.execute_async(ADD, {"name": "ann"}, connection=connection)
    connection.rollback()
    assert await closed.execute_async(ALL, connection=connection) == []
    await closed.execute_async(ADD, {"name": "ann"}, connection=connection)
    connection.commit()
    assert await closed.execute_async(ALL, connection=connection) == [{"name": "ann"}]
    with pytest.raises(exceptions.UniqueViolation):
        await closed.execute_async(ADD, {"name": "ann"}, connection=connection)
    connection.close()
    with pytest.raises(exceptions.ConnectorException, match="closed"):
        await closed.execute_async(ALL, connection=connection)


async def test_a_connection_of_another_kind_is_refused_with_the_remedy(
    connector: AsyncPsycopg2Half, scratch: str
) -> None:
    with pytest.raises(
        exceptions.InvalidConnection, match=r"takes a psycopg2 connection.*not an instance of builtins\.str"
    ):
        await connector.execute_async(ALL, connection="postgresql://")
    with (
        psycopg.connect(scratch) as other,
        pytest.raises(exceptions.InvalidConnection, match="the connector of the driver"),
    ):
        await connector.execute_async(ALL, connection=other)


async def test_a_connection_that_the_server_has_ended_is_replaced_without_an_error(
    connector: AsyncPsycopg2Half, observer: psycopg.Connection
) -> None:
    for _ in range(3):
        (row,) = await connector.execute_async(MINE)
        observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
        assert (await connector.execute_async(MINE))[0]["pid"] != row["pid"]


async def test_a_connection_on_which_something_has_arrived_is_used_again(
    scratch: str, observer: psycopg.Connection
) -> None:
    connector = AsyncPsycopg2Half(scratch, maxconn=1)
    await connector.open_async()
    await connector.execute_async(Statement("listen", "LISTEN noise"))
    (row,) = await connector.execute_async(MINE)
    observer.execute("NOTIFY noise")
    assert await connector.execute_async(MINE) == [row]
    await connector.close_async()


async def test_an_exhausted_pool_is_an_error_that_names_maxconn(scratch: str) -> None:
    connector = AsyncPsycopg2Half(scratch, maxconn=1, timeout=0.5)
    await connector.open_async()
    connection = connector.pool.getconn()
    with pytest.raises(exceptions.ConnectorException, match="maxconn"):
        await connector.execute_async(ALL)
    connector.pool.putconn(connection)
    assert await connector.execute_async(ALL) == []
    await connector.close_async()


async def test_a_session_commits_by_itself_and_needs_no_open_connector(
    scratch: str, sessions: Sessions, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopg2Half(scratch).session_async()
    await session.execute_async(ADD, {"name": "ann"})
    assert observer.execute("SELECT name FROM scratch").fetchall() == [("ann",)]
    with pytest.raises(exceptions.UniqueViolation):
        await session.execute_async(ADD, {"name": "ann"})
    await session.execute_async(Statement("begin", "begin"))
    await session.execute_async(ADD, {"name": "bob"})
    await session.execute_async(Statement("rollback", "rollback"))
    assert await session.execute_async(ALL) == [{"name": "ann"}]
    await session.close_async()
    await session.close_async()
    assert sessions.settle(0) == 0


async def test_a_session_beside_a_pool_of_the_users_has_the_pools_parameters(scratch: str) -> None:
    name = Statement("name", "SELECT current_setting('application_name') AS name")
    for pool in (
        ThreadedConnectionPool(1, 1, scratch, application_name="beside"),
        ThreadedConnectionPool(1, 1, dsn=scratch, application_name="beside"),
    ):
        connector = AsyncPsycopg2Half("host=nowhere")
        await connector.open_async(pool)
        session = await connector.session_async()
        assert await session.execute_async(name) == [{"name": "beside"}]
        await session.close_async()
        await connector.close_async()
        pool.closeall()


async def test_a_session_that_cannot_connect_says_why(tmp_path: Any) -> None:
    with pytest.raises(exceptions.ConnectorException, match="No such file or directory"):
        await AsyncPsycopg2Half(host=str(tmp_path)).session_async()


async def test_notifications_arrive(scratch: str, observer: psycopg.Connection) -> None:
    session = await AsyncPsycopg2Half(scratch).session_async()
    await session.listen_async('a "quoted" channel')
    assert await session.wait_for_notifications_async(0) == []
    assert await session.wait_for_notifications_async(0.05) == []
    observer.execute("SELECT pg_notify('a \"quoted\" channel', 'one'), pg_notify('a \"quoted\" channel', 'two')")
    received = await session.wait_for_notifications_async(10)
    while len(received) < 2:
        received += await session.wait_for_notifications_async(10)
    assert received == ["one", "two"]
    await session.close_async()


async def test_a_notification_that_comes_during_a_statement_is_not_lost(
    scratch: str, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopg2Half(scratch).session_async()
    await session.listen_async("channel")
    observer.execute("SELECT pg_notify('channel', 'kept')")
    await session.execute_async(Statement("sleep", "SELECT pg_sleep(0.05)"))
    await session.execute_async(Statement("sleep", "SELECT pg_sleep(0.05)"))
    assert await session.wait_for_notifications_async(10) == ["kept"]
    await session.close_async()


async def test_a_session_whose_server_is_gone_fails_clearly_and_closes_quietly(
    scratch: str, observer: psycopg.Connection
) -> None:
    session = await AsyncPsycopg2Half(scratch).session_async()
    await session.listen_async("channel")
    (row,) = await session.execute_async(MINE)
    observer.execute("SELECT pg_terminate_backend(%s, 5000)", [row["pid"]])
    with pytest.raises(exceptions.ConnectorException):
        await session.wait_for_notifications_async(10)
    with pytest.raises(exceptions.ConnectorException):
        await session.execute_async(ALL)
    await session.close_async()
