"""Pools of the user's own, and what a synchronous twin takes over from the connector it is made after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2.extensions
import pytest
from psycopg2.extras import RealDictCursor
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, NullConnectionPool
from sqlalchemy import Engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from adjourn.exceptions import AppNotOpen, InvalidOption, WrongCaller
from adjourn.types import Statement
from dispatch.conftest import Stored
from dispatch.pairs import DRIVERS, POOLS, PSYCOPG2, SYNCHRONOUS, OwnPool, Pair
from support.addresses import address
from support.apps import add, add_async, make_app
from support.places import together
from support.sessions import Sessions
from support.waiting import until


def is_whole(pool: Any) -> Callable[[], bool]:
    """Return what says whether a pool is as it was: not closed, or, for an engine, not disposed of."""
    engine = getattr(pool, "sync_engine", pool)
    if isinstance(engine, Engine):
        inner = engine.pool
        return lambda: engine.pool is inner
    return lambda: not pool.closed


def check_that_pools_are_let_go(
    connector: Any, make_pool: Callable[[], AbstractContextManager[Any]], sessions: Sessions
) -> None:
    """Open an app with two pools of the user's by turns, then without one; the jobs are a, b, c and d."""
    app = make_app(connector)
    with make_pool() as first, make_pool() as second:
        for pool, name in ((first, "a"), (second, "b"), (first, "c")):
            is_untouched = is_whole(pool)
            app.open(pool)
            assert connector.pool is pool
            add(app, name)
            app.close()
            assert is_untouched()
            with pytest.raises(AppNotOpen):
                add(app, "never")
        assert sessions.settle(2) == 2
        app.open()
        assert connector.pool is not first
        assert connector.pool is not second
        add(app, "d")
        assert sessions.settle(3) == 3
        app.close()
        # Its own it has really closed.
        assert sessions.settle(2) == 2
    assert sessions.settle(0) == 0


def test_b19_b20_a_pool_of_the_users_is_never_closed_by_us_and_let_go_by_close(
    pair: Pair, database: str, stored: Stored, sessions: Sessions
) -> None:
    assert pair.pool is not None
    check_that_pools_are_let_go(pair.connector(database, 2, 10), partial(pair.pool, database), sessions)
    assert stored() == list("abcd")


@pytest.mark.parametrize("synchronous", POOLS)
def test_b19_b20_a_synchronous_connector_never_closes_a_pool_of_the_users_and_lets_it_go(
    synchronous: str, database: str, stored: Stored, sessions: Sessions
) -> None:
    connector = SYNCHRONOUS[synchronous](database, 2, 10)
    check_that_pools_are_let_go(connector, partial(POOLS[synchronous], database), sessions)
    assert stored() == list("abcd")


async def test_b19_b20_an_asynchronous_pool_of_the_users_serves_threads_and_is_let_go(
    app: adjourn.App, pair: Pair, database: str, stored: Stored, sessions: Sessions
) -> None:
    connector: Any = app.connector
    assert pair.pool_async is not None
    async with pair.pool_async(database) as first, pair.pool_async(database) as second:
        for pool, name in ((first, "a"), (second, "b"), (first, "c")):
            is_untouched = is_whole(pool)
            async with app.open_async(pool):
                assert connector.pool is pool
                await asyncio.gather(*(asyncio.to_thread(add, app, f"{name}{number}") for number in range(8)))
                await add_async(app, f"{name}8")
            assert is_untouched()
            with pytest.raises(AppNotOpen):
                await add_async(app, "never")
            with pytest.raises(AppNotOpen):
                await asyncio.to_thread(add, app, "never")
        taken = sessions.steady()
        assert 2 <= taken <= 4
        async with app.open_async():
            assert connector.pool is not first
            assert connector.pool is not second
            await add_async(app, "d")
            assert sessions.settle(taken + 1) == taken + 1
        assert sessions.settle(taken) == taken
    assert sessions.settle(0) == 0
    assert len(stored()) == 28


async def test_b19_the_users_pool_outlives_a_close_in_a_thread_and_a_loop_that_takes_over(
    app: adjourn.App, pair: Pair, database: str, stored: Stored
) -> None:
    assert pair.pool is not None
    assert pair.pool_async is not None
    async with pair.pool_async(database) as pool:
        is_untouched = is_whole(pool)
        await app.open_async(pool)
        await asyncio.to_thread(app.close)
        assert is_untouched()
        async with app.open_async(pool):
            await add_async(app, "again")
    with pair.pool(database) as blocking:
        is_untouched = is_whole(blocking)
        app.open(blocking)
        add(app, "before")
        async with app.open_async():
            await add_async(app, "after")
        assert is_untouched()
        with app.open(blocking):
            add(app, "still of use")
    assert stored() == ["after", "again", "before", "still of use"]


def test_b19_a_pool_of_a_loop_that_has_died_is_not_touched(
    app: adjourn.App, pair: Pair, database: str, stored: Stored, sessions: Sessions
) -> None:
    assert pair.pool_async is not None
    loop, stack = asyncio.new_event_loop(), contextlib.AsyncExitStack()

    async def open_on_pool() -> Any:
        assert pair.pool_async is not None
        pool = await stack.enter_async_context(pair.pool_async(database))
        await app.open_async(pool)
        await add_async(app, "ann")
        return pool

    pool = loop.run_until_complete(open_on_pool())
    is_untouched = is_whole(pool)
    # It looks dead; the user brings it back in order to close what is his.
    loop.is_closed = lambda: True  # type: ignore[method-assign]
    with pytest.raises(WrongCaller, match="closed"):
        add(app, "never")
    with app.open():
        add(app, "bob")
        assert sessions.settle(2) == 2
    assert is_untouched()
    assert sessions.settle(1) == 1
    del loop.is_closed
    loop.run_until_complete(stack.aclose())
    loop.close()
    assert stored() == ["ann", "bob"]


async def test_b20_a_pool_that_is_given_to_an_app_that_is_open_is_not_looked_at(
    app: adjourn.App, pair: Pair, database: str, stored: Stored
) -> None:
    connector: Any = app.connector
    assert pair.pool is not None
    assert pair.pool_async is not None
    with pair.pool(database) as pool, app.open():
        own = connector.pool
        app.open(pool)
        assert connector.pool is own
        add(app, "sync")
    async with pair.pool_async(database) as pool, app.open_async():
        own = connector.pool
        await app.open_async(pool)
        assert connector.pool is own
        await add_async(app, "async")
    assert stored() == ["async", "sync"]


async def test_b20_a_pool_of_another_colour_or_driver_is_refused_and_nothing_is_opened(
    app: adjourn.App, pair: Pair, database: str
) -> None:
    for each in DRIVERS:
        assert each.pool is not None
        assert each.pool_async is not None
        # The engines of SQLAlchemy's are the same for both of its drivers, and psycopg2's pools for both colours.
        is_akin = pair.twin is each.twin
        if not is_akin:
            with each.pool(database) as pool, pytest.raises(InvalidOption):
                app.open(pool)
            async with each.pool_async(database) as pool:
                with pytest.raises(InvalidOption):
                    await app.open_async(pool)
        if not (is_akin and pair is PSYCOPG2):
            async with each.pool_async(database) as pool:
                with pytest.raises(InvalidOption):
                    app.open(pool)
            with each.pool(database) as pool, pytest.raises(InvalidOption):
                await app.open_async(pool)
    with pytest.raises(AppNotOpen):
        add(app, "never")


@pytest.mark.parametrize("synchronous", ["Psycopg2Connector", "SQLAlchemyPsycopg2Connector"])
def test_b23_more_threads_than_psycopg2_has_connections_wait_for_one(
    synchronous: str, database: str, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    app = make_app(SYNCHRONOUS[synchronous](database, 2, 10))

    def add_ten(index: int) -> None:
        for number in range(10):
            add(app, f"{index:02}-{number}")

    with app.open():
        assert sessions.settle(1) == 1
        made = connections_made()
        together(16, add_ten)
    assert sessions.settle(0) == 0
    assert connections_made() - made == 1
    assert len(stored()) == 160


def test_b23_more_threads_than_the_users_own_pool_has_connections_wait_for_one_too(
    database: str, stored: Stored, sessions: Sessions, connections_made: Callable[[], int]
) -> None:
    with OwnPool(1, 2, database) as pool:
        made = connections_made()
        # Two apps on one pool, and its owner beside them.
        apps = [make_app(adjourn.Psycopg2Connector()) for _ in range(2)]
        for app in apps:
            app.open(pool)
        held = pool.getconn()
        giving_back = threading.Timer(0.3, pool.putconn, [held])
        giving_back.start()

        def add_five(index: int) -> None:
            for number in range(5):
                add(apps[index % 2], f"{index:02}-{number}")

        together(16, add_five)
        giving_back.join()
        for app in apps:
            app.close()
    assert sessions.settle(0) == 0
    # All on one while the other was held, and one connection more was all that there was room for.
    assert connections_made() - made <= 20
    assert len(stored()) == 80


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


def test_b24_the_twin_checks_and_resets_connections_and_asks_for_the_address_as_the_original_does(
    database: str, stored: Stored, sessions: Sessions
) -> None:
    done: list[str] = []

    async def conninfo() -> str:
        done.append("conninfo")
        return database

    async def arguments() -> dict[str, Any]:
        done.append("kwargs")
        return {"application_name": "asked for", "cursor_factory": psycopg.AsyncClientCursor}

    async def check(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SELECT 1")
        done.append("check")

    async def reset(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SET search_path TO public")
        done.append("reset")

    connector = adjourn.PsycopgConnector(conninfo, min_size=1, max_size=1, kwargs=arguments, check=check, reset=reset)
    app = make_app(connector)

    def use() -> dict[str, Any]:
        return connector.execute_query_one("SELECT current_setting('application_name') AS name")

    expected = {"check", "conninfo", "kwargs", "reset"}
    with app.open():
        assert use() == {"name": "asked for"}
        add(app, "sync")
    until(lambda: set(done) == expected)
    done.clear()

    async def main() -> None:
        async with app.open_async():
            assert await asyncio.to_thread(use) == {"name": "asked for"}
            await add_async(app, "async")

    asyncio.run(main())
    assert set(done) == expected
    assert sessions.settle(0) == 0
    assert stored() == ["async", "sync"]


def test_b24_plain_functions_for_the_address_serve_both_colours(database: str, stored: Stored) -> None:
    app = make_app(adjourn.PsycopgConnector(lambda: database, min_size=1, kwargs=lambda: {"application_name": "x"}))
    with app.open():
        add(app, "sync")

    async def main() -> None:
        async with app.open_async():
            await add_async(app, "async")

    asyncio.run(main())
    assert stored() == ["async", "sync"]


def test_b24_psycopg2s_twin_is_made_after_the_original(database: str) -> None:
    written: list[Any] = []
    made: list[str] = []

    def dumps(value: Any) -> str:
        written.append(value)
        return json.dumps(value)

    class OwnConnection(psycopg2.extensions.connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(threading.current_thread().name)

    connector = adjourn.AsyncPsycopg2Connector(
        database,
        json_dumps=dumps,
        minconn=2,
        maxconn=3,
        timeout=7,
        connection_factory=OwnConnection,
        cursor_factory=RealDictCursor,
        application_name="carried over",
    )
    app = make_app(connector)
    twin: Any = connector.get_sync_connector()
    assert twin.timeout == 7
    with app.open():
        assert (connector.pool.minconn, connector.pool.maxconn) == (2, 3)
        assert len(made) == 2
        assert connector.execute_query_one("SELECT current_setting('application_name') AS name") == {
            "name": "carried over"
        }
        add(app, "ann")
    assert written == [{"name": "ann"}]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_b24_the_twin_of_an_engine_is_made_after_the_original(driver: str, database: str) -> None:
    written: list[Any] = []

    def dumps(value: Any) -> str:
        written.append(value)
        return json.dumps(value)

    options: dict[str, Any] = {"poolclass": AsyncAdaptedQueuePool, "pool_size": 3, "max_overflow": 1, "pool_timeout": 7}
    if driver == "asyncpg":
        options["connect_args"] = {"server_settings": {"application_name": "two words", "work_mem": "5MB"}}
    else:
        options["connect_args"] = {"application_name": "two words", "options": "-c work_mem=5MB"}
    connector = SQLAlchemyConnector(dsn=address(database, driver), json_dumps=dumps, **options)
    app = make_app(connector)
    show = "SELECT current_setting('application_name') AS name, current_setting('work_mem') AS memory"
    shown = {"name": "two words", "memory": "5MB"}

    async def asked() -> None:
        async with app.open_async():
            assert await connector.execute_query_one_async(show) == shown
            session = await connector.session_async()
            assert await session.execute_async(Statement("show", show)) == [shown]
            await session.close_async()

    with app.open():
        pool = connector.engine.pool
        assert isinstance(pool, QueuePool)
        assert (pool.size(), pool._max_overflow, pool.timeout()) == (3, 1, 7)
        assert connector.execute_query_one(show) == shown
        add(app, "ann")
    assert written == [{"name": "ann"}]
    asyncio.run(asked())


def test_b24_what_an_engine_has_no_synchronous_counterpart_for_is_refused_by_name() -> None:
    class OwnQueue(AsyncAdaptedQueuePool): ...

    for name, given in {"async_creator": asyncpg.connect, "poolclass": OwnQueue}.items():
        with pytest.raises(InvalidOption, match=name):
            SQLAlchemyConnector(**{name: given}).open()
    with pytest.raises(InvalidOption, match="ssl"):
        SQLAlchemyConnector(dsn="postgresql+asyncpg://", connect_args={"ssl": object()}).open()


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
