"""Pools of the user's own, and what a synchronous twin takes over from the connector it is made after."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, ConnectionPool, NullConnectionPool

import adjourn
from adjourn.exceptions import AppNotOpen, InvalidOption
from conftest import Sessions
from selection.conftest import Stored
from selection.pairs import add, add_async, make_app
from selection.places import LoopThread


@pytest.mark.parametrize("kind", [adjourn.PsycopgConnector, adjourn.SyncPsycopgConnector])
def test_b19_b20_a_pool_of_the_users_is_never_closed_by_us_and_let_go_by_close(
    database: str, stored: Stored, sessions: Sessions, kind: type[Any]
) -> None:
    connector = kind(database, min_size=1, max_size=2)
    app = make_app(connector)
    with (
        ConnectionPool(database, min_size=1, max_size=1, open=True) as first,
        ConnectionPool(database, min_size=1, max_size=1, open=True) as second,
    ):
        for pool, name in ((first, "a"), (second, "b"), (first, "c")):
            pool.wait()
            app.open(pool)
            assert connector.pool is pool
            add(app, name)
            app.close()
            assert not pool.closed
            with pytest.raises(AppNotOpen):
                add(app, "never")
        assert sessions.settle(2) == 2
    app.open()
    own = connector.pool
    add(app, "d")
    assert sessions.settle(1) == 1
    app.close()
    assert own.closed
    assert sessions.settle(0) == 0
    assert stored() == list("abcd")


async def test_b19_b20_an_asynchronous_pool_of_the_users_serves_threads_and_is_let_go(
    app: adjourn.App, database: str, stored: Stored, sessions: Sessions
) -> None:
    connector: Any = app.connector
    async with (
        AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as first,
        AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as second,
    ):
        for pool, name in ((first, "a"), (second, "b"), (first, "c")):
            await pool.wait()
            async with app.open_async(pool):
                assert connector.pool is pool
                await asyncio.gather(*(asyncio.to_thread(add, app, f"{name}{number}") for number in range(8)))
                await add_async(app, f"{name}8")
            assert not pool.closed
            with pytest.raises(AppNotOpen):
                await add_async(app, "never")
            with pytest.raises(AppNotOpen):
                await asyncio.to_thread(add, app, "never")
        assert sessions.settle(2) == 2
    async with app.open_async():
        own = connector.pool
        await add_async(app, "d")
    assert own.closed
    assert sessions.settle(0) == 0
    assert len(stored()) == 28


async def test_b19_the_users_pool_outlives_a_close_in_a_thread_and_a_loop_that_takes_over(
    app: adjourn.App, database: str, stored: Stored, sessions: Sessions
) -> None:
    async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as pool:
        await app.open_async(pool)
        await asyncio.to_thread(app.close)
        assert not pool.closed
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as blocking:
        app.open(blocking)
        add(app, "before")
        async with app.open_async():
            await add_async(app, "after")
        assert not blocking.closed
        with blocking.connection() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert stored() == ["after", "before"]
    assert sessions.settle(0) == 0


def test_b19_a_pool_of_a_loop_that_has_died_is_not_touched(
    app: adjourn.App, thread: LoopThread, database: str, stored: Stored
) -> None:
    async def open_on_pool() -> AsyncConnectionPool[Any]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(database, min_size=1, max_size=1, open=False)
        await pool.open(wait=True)
        await app.open_async(pool)
        return pool

    pool = thread.wait(open_on_pool)
    thread.end()
    with app.open():
        add(app, "ann")
    assert not pool.closed
    assert stored() == ["ann"]


async def test_b20_a_pool_of_the_other_colour_is_refused_and_nothing_is_opened(app: adjourn.App, database: str) -> None:
    async with AsyncConnectionPool(database, min_size=1, open=False) as pool:
        with pytest.raises(InvalidOption, match=r"psycopg_pool\.ConnectionPool"):
            app.open(pool)
    with ConnectionPool(database, min_size=1, open=True) as blocking, pytest.raises(InvalidOption, match="Async"):
        await app.open_async(blocking)
    with pytest.raises(AppNotOpen):
        add(app, "never")


def test_b24_the_twin_is_made_after_the_original(database: str) -> None:
    written: list[Any] = []

    def dumps(value: Any) -> str:
        written.append(value)
        return json.dumps(value)

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute("SET application_name = 'configured'")
        if not connection.autocommit:
            await connection.commit()

    connector = adjourn.PsycopgConnector(
        database,
        json_dumps=dumps,
        pool_factory=AsyncNullConnectionPool,
        max_size=3,
        timeout=9,
        configure=configure,
        kwargs={"cursor_factory": psycopg.AsyncClientCursor},
    )
    app = make_app(connector)
    with app.open():
        assert isinstance(connector.pool, NullConnectionPool)
        assert (connector.pool.max_size, connector.pool.timeout) == (3, 9)
        assert connector.execute_query_one("SELECT current_setting('application_name') AS name") == {
            "name": "configured"
        }
        add(app, "ann")
    assert written == [{"name": "ann"}]


def test_b24_what_has_no_synchronous_counterpart_is_refused_by_name_and_not_dropped(
    database: str, stored: Stored, sessions: Sessions
) -> None:
    class OwnPool(AsyncConnectionPool[Any]):
        pass

    class OwnConnection(psycopg.AsyncConnection[Any]):
        pass

    class OwnCursor(psycopg.AsyncCursor[Any]):
        pass

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await asyncio.sleep(0.01)

    options: list[tuple[str, dict[str, Any]]] = [
        ("pool_factory", {"pool_factory": OwnPool}),
        ("connection_class", {"connection_class": OwnConnection}),
        ("cursor_factory", {"kwargs": {"cursor_factory": OwnCursor}}),
        ("configure", {"configure": configure, "timeout": 2}),
    ]
    for name, given in options:
        app = make_app(adjourn.PsycopgConnector(database, min_size=1, **given))
        with pytest.raises(InvalidOption, match=name):
            app.open()

        async def use(app: adjourn.App = app, name: str = name) -> None:
            async with app.open_async():
                await asyncio.to_thread(add, app, name)

        asyncio.run(use())
    assert sessions.settle(0) == 0
    assert stored() == sorted(name for name, _ in options)
