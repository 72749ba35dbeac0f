"""What psycopg's connectors do by themselves, on a real Postgres. Who serves whom is shown in `tests/dispatch`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

import adjourn
from adjourn._sync.connectors.psycopg import SyncPsycopgHalf
from adjourn._sync.connectors.psycopg_session import SyncPsycopgSession
from adjourn.connectors import BaseConnector, PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import (
    AppNotOpen,
    InvalidConnection,
    InvalidOption,
    NoResult,
    SyncConnectorConfigurationError,
    WrongCaller,
)
from adjourn.types import Statement
from support.sessions import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id")
PROCESS = Statement("process", "SELECT pg_backend_pid() AS process")
SLOW = Statement("slow", "INSERT INTO scratch (name) SELECT %(name)s FROM pg_sleep(0.3) RETURNING id")


class OwnAsyncPool(AsyncConnectionPool[Any]):
    """A kind of pool that has no blocking counterpart."""


@pytest.fixture
def connector(scratch: str, sessions: Sessions) -> Iterator[PsycopgConnector]:
    """A connector that is closed, and has given back every connection when the test is over."""
    yield PsycopgConnector(scratch, min_size=1, max_size=2, timeout=10)
    assert sessions.settle(0) == 0


@pytest.fixture
async def opened(connector: PsycopgConnector) -> AsyncIterator[PsycopgConnector]:
    """A connector that is open on this event loop."""
    await connector.open_async()
    yield connector
    await connector.close_async()


async def add_async(connector: BaseConnector, name: str) -> None:
    """What a manager does in asynchronous code."""
    await connector.get_async_connector().execute_async(ADD, {"name": name})


class TestSyncPsycopgConnector:
    """A connector that is synchronous and nothing else."""

    @pytest.mark.parametrize(
        "name",
        [
            name
            for name, _ in inspect.getmembers(SyncPsycopgConnector, inspect.isfunction)
            if "_async" in name and name not in ("get_async_connector", "transaction_async")
        ],
    )
    async def test_every_awaited_operation_is_refused_even_before_opening(self, name: str) -> None:
        arguments: dict[str, tuple[Any, ...]] = {"execute_async": (ADD,)}
        arguments |= {f"execute_query{form}_async": ("SELECT 1",) for form in ("", "_one", "_all")}
        arguments |= {f"execute_query_{form}_async_with_connection": (None, "SELECT 1") for form in ("one", "all")}
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            await getattr(SyncPsycopgConnector(), name)(*arguments.get(name, ()))

    def test_asking_it_for_the_asynchronous_connector_is_refused(self) -> None:
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            SyncPsycopgConnector().get_async_connector()

    def test_queries_of_the_users_own(self, scratch: str) -> None:
        connector = SyncPsycopgConnector(scratch, min_size=1)
        connector.open()
        connector.execute_query("INSERT INTO scratch (name) VALUES (%(name)s)", name="ann")
        assert connector.execute_query_all("SELECT name FROM scratch WHERE name LIKE 'a%'") == [{"name": "ann"}]
        assert connector.execute_query_one("SELECT %(number)s::int AS number", number=3) == {"number": 3}
        with pytest.raises(NoResult):
            connector.execute_query_one("SELECT 1 WHERE false")
        connector.close()


class TestBeforeOpening:
    """Nothing has been opened yet."""

    def test_an_awaited_call_without_asyncio_is_refused(self, connector: PsycopgConnector) -> None:
        coroutine = connector.execute_async(ADD, {"name": "ann"})
        with pytest.raises(WrongCaller, match="asyncio"):
            coroutine.send(None)


class TestOpenedOnALoop:
    """`await open_async()`."""

    async def test_a_thread_gets_a_session_of_its_own_in_every_state(
        self, connector: PsycopgConnector, scratch: str
    ) -> None:
        def use_a_session() -> None:
            session = connector.get_sync_connector().session()
            assert session.execute(Statement("one", "SELECT 1 AS one")) == [{"one": 1}]
            session.close()

        use_a_session()
        await connector.open_async()
        await asyncio.to_thread(use_a_session)
        use_a_session()
        await connector.close_async()
        async with AsyncConnectionPool(scratch, min_size=1, open=False) as pool:
            beside = PsycopgConnector("host=nowhere")
            await beside.open_async(pool)
            session = await asyncio.to_thread(beside.session)
            session.close()
            await beside.close_async()

    async def test_a_cancel_scope_around_a_statement_leaves_the_pool_whole(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        for _ in range(4):
            with anyio.move_on_after(0.05) as scope:
                await opened.execute_async(SLOW, {"name": "never"})
            assert scope.cancelled_caught
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opened.execute_async(SLOW, {"name": "never"}), 0.05)
        await asyncio.gather(*(add_async(opened, f"{number}") for number in range(8)))
        assert stored() == [f"{number}" for number in range(8)]

    @pytest.mark.parametrize("shape", ["gathered", "awaited", "awaited in a group"])
    async def test_a_cancel_scope_reaches_a_task_that_is_awaited_inside_again_and_again_too(
        self, shape: str, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        async def work_async() -> None:
            call = opened.execute_async(SLOW, {"name": "never"})
            await (asyncio.gather(call) if shape == "gathered" else asyncio.create_task(call))

        before = await opened.execute_async(PROCESS)
        for _ in range(3):
            with anyio.move_on_after(0.05) as scope:
                if shape == "awaited in a group":
                    async with anyio.create_task_group() as group:
                        group.start_soon(work_async)
                else:
                    await work_async()
            assert scope.cancel_called
        assert await opened.execute_async(PROCESS) == before, "the connection was broken"
        assert stored() == []


class TestConnectionsOfTheCallers:
    """`connection=`."""

    async def test_each_colour_takes_its_own_kind_wherever_the_caller_is_and_open_or_not(
        self, connector: PsycopgConnector, scratch: str, stored: Callable[[], list[str]]
    ) -> None:
        for state in ("closed", "opened"):
            with psycopg.connect(scratch) as blocking:
                connector.get_sync_connector().execute(ADD, {"name": f"blocking, {state}"}, connection=blocking)
                blocking.rollback()
                connector.execute(ADD, {"name": f"blocking, {state}"}, connection=blocking)
            async with await psycopg.AsyncConnection.connect(scratch) as connection:
                await connector.execute_async(ADD, {"name": f"awaited, {state}"}, connection=connection)
            await connector.open_async()
        await connector.close_async()
        assert stored() == ["awaited, closed", "awaited, opened", "blocking, closed", "blocking, opened"]

    async def test_the_connector_need_not_be_one_that_can_be_opened_for_blocking_calls(
        self, scratch: str, stored: Callable[[], list[str]]
    ) -> None:
        connector = PsycopgConnector(scratch, pool_factory=OwnAsyncPool)
        with pytest.raises(AppNotOpen):
            connector.get_sync_connector().execute(ADD, {"name": "never"})
        with pytest.raises(InvalidOption, match="pool_factory"):
            connector.open()
        session = connector.session()
        assert session.execute(Statement("one", "SELECT 1 AS one")) == [{"one": 1}]
        session.close()
        for name in ("closed", "opened"):
            with psycopg.connect(scratch) as blocking:
                connector.get_sync_connector().execute(ADD, {"name": name}, connection=blocking)
            await connector.open_async()
        await asyncio.to_thread(connector.execute, ADD, {"name": "bridged"})
        await connector.close_async()
        assert stored() == ["bridged", "closed", "opened"]

    async def test_cursors_of_the_users_need_not_take_named_parameters(
        self, scratch: str, stored: Callable[[], list[str]]
    ) -> None:
        raw = PsycopgConnector(scratch, kwargs={"cursor_factory": psycopg.AsyncRawCursor})
        await raw.open_async()
        await raw.execute_async(ADD, {"name": "pooled"})
        await raw.close_async()
        with psycopg.connect(scratch, cursor_factory=psycopg.RawCursor) as blocking:
            raw.execute(ADD, {"name": "blocking"}, connection=blocking)
        assert stored() == ["blocking", "pooled"]

    async def test_the_wrong_kind_is_refused_with_the_remedy(self, connector: PsycopgConnector, scratch: str) -> None:
        with psycopg.connect(scratch) as blocking, pytest.raises(InvalidConnection, match="blocking form"):
            await connector.execute_async(ADD, {"name": "ann"}, connection=blocking)
        async with await psycopg.AsyncConnection.connect(scratch) as connection:
            with pytest.raises(InvalidConnection, match="ends in `_async`"):
                connector.execute(ADD, {"name": "ann"}, connection=connection)


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, (1, 10)), ({"max_size": 2}, (1, 2)), ({"min_size": 20}, (20, 20)), ({"min_size": 2, "max_size": 3}, (2, 3))],
)
def test_a_pool_is_small_unless_the_user_says_otherwise(options: dict[str, Any], sizes: tuple[int, int]) -> None:
    pool = SyncPsycopgHalf(**options).options.pool
    assert (pool["min_size"], pool["max_size"]) == sizes


@pytest.mark.parametrize(
    "options", [{"min_size": 3, "max_size": 2}, {"max_size": 0}, {"min_size": -1}, {"max_size": "5"}]
)
def test_sizes_that_no_pool_can_have_are_refused_when_the_connector_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(reversed(options))):
        SyncPsycopgConnector(**options)


def test_a_session_notices_a_lost_network_unless_the_user_says_otherwise(dsn: str) -> None:
    with_default = SyncPsycopgConnector(dsn).session()
    with_other = SyncPsycopgConnector(dsn, keepalives_idle=77).session()
    with_conninfo = SyncPsycopgConnector(psycopg.conninfo.make_conninfo(dsn, keepalives_idle=88)).session()
    sessions = (with_default, with_other, with_conninfo)
    idle = []
    for session in sessions:
        assert isinstance(session, SyncPsycopgSession)
        idle.append(session.connection.info.get_parameters().get("keepalives_idle"))
    for session in sessions:
        session.close()
    assert idle == ["10", "77", "88"]


@pytest.mark.parametrize("kind", [adjourn.PsycopgConnector, adjourn.AsyncPsycopg2Connector])
async def test_notifications_can_be_listened_to(kind: Any, database: str, observer: psycopg.Connection) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def on_notification(*, channel: str, payload: str) -> None:
        await heard.put((channel, payload))

    listening = asyncio.create_task(kind(database).listen_notify(on_notification, ["one", "two"]))
    found: set[tuple[str, str]] = set()
    async with asyncio.timeout(30):
        while len(found) < 2:
            observer.execute("SELECT pg_notify('one', 'a'), pg_notify('two', 'b'), pg_notify('three', 'c')")
            await asyncio.sleep(0.05)
            while not heard.empty():
                found.add(heard.get_nowait())
    assert found == {("one", "a"), ("two", "b")}
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
