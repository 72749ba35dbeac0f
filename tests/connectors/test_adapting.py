"""A connector that is written in async alone, as a third party would, serves blocking calls too."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

import adjourn
from adjourn import exceptions
from adjourn.connector import BaseConnector
from adjourn.connectors.adapted import AdaptedConnector, Driver, DriverSession
from adjourn.testing import ConnectorContract
from adjourn.types import Parameters, Row, Statement
from dispatch.pairs import own_connection
from support.drivers import PsycopgDriver
from support.sessions import Sessions


class Adapted(AdaptedConnector):
    """What a third party writes beside the driver."""

    def __init__(self, conninfo: str, timeout: float = 10) -> None:
        super().__init__(lambda: PsycopgDriver(conninfo, timeout))


class TestAdaptedConnector(ConnectorContract):
    @pytest.fixture(autouse=True)
    def _database(self, database: str, tmp_path: Path) -> None:
        self.dsn = database
        self.nowhere = f"host={tmp_path}"

    def make_connector(self) -> BaseConnector:
        return Adapted(self.dsn)

    def make_unreachable_connector(self) -> BaseConnector:
        return Adapted(self.nowhere)

    def make_impatient_connector(self) -> BaseConnector:
        return Adapted(self.dsn, timeout=0.2)

    def make_connection(self) -> AbstractAsyncContextManager[Any]:
        return own_connection(self.dsn)

    @contextlib.asynccontextmanager
    async def _made_pool(self) -> AsyncIterator[Any]:
        async with AsyncConnectionPool(self.dsn, min_size=1, max_size=2, open=False) as pool:
            yield pool

    def make_pool(self) -> AbstractAsyncContextManager[Any]:
        return self._made_pool()


@pytest.fixture
def app(database: str) -> adjourn.App:
    return adjourn.App(connector=Adapted(database))


def threads() -> int:
    return sum(thread.name == "adjourn connector" for thread in threading.enumerate())


def test_closing_gives_back_every_connection_and_thread(app: adjourn.App, sessions: Sessions) -> None:
    for _ in range(3):
        with app.open():
            app.configure_task("any").defer()
            assert threads() == 1
            session = app.connector.session()
            assert threads() == 2
            session.close()
            session.close()
        assert (threads(), sessions.settle(0)) == (0, 0)


async def test_a_worker_runs_on_it(app: adjourn.App, sessions: Sessions) -> None:
    done: list[int] = []

    @app.task(name="do", lock="l")
    def do(n: int) -> None:
        done.append(n)

    async with app.open_async():
        await do.batch_defer_async({"n": 1}, {"n": 2})
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert done == [1, 2]
    assert (threads(), sessions.settle(0)) == (0, 0)


async def test_a_worker_runs_beside_a_pool_of_the_users(app: adjourn.App, database: str) -> None:
    done: list[int] = []

    @app.task(name="do")
    async def do(n: int) -> None:
        done.append(n)

    async with AsyncConnectionPool(database, min_size=1, max_size=2, open=False) as pool, app.open_async(pool):
        await asyncio.to_thread(do.defer, n=1)
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        assert not pool.closed
    assert done == [1]


def test_what_only_an_event_loop_can_use_is_refused_with_the_remedy(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"await app\.open_async\(pool\)"):
        app.open("pool")
    with pytest.raises(exceptions.InvalidConnection, match="ends in `_async`"):
        app.configure_task("any", connection="mine").defer()
    assert threads() == 0


async def test_an_awaited_call_joins_the_callers_transaction(app: adjourn.App, database: str) -> None:
    async with (
        app.open_async(),
        await psycopg.AsyncConnection.connect(database) as connection,
        connection.transaction(force_rollback=True),
    ):
        await app.configure_task("any", connection=connection).defer_async()
        assert await app.job_manager.list_jobs_async() == []


def test_a_session_that_cannot_connect_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(exceptions.ConnectorException, match="No such file"):
        Adapted(f"host={tmp_path}").session()
    assert threads() == 0


class Bare(Driver[str]):
    """A driver with nothing but what it has to have."""

    async def make_pool_async(self) -> str:
        return "pool"

    async def close_pool_async(self, pool: str) -> None: ...

    async def execute_async(self, pool: str, statement: Statement, parameters: Parameters | None) -> list[Row]:
        return [{"pool": pool, "name": statement.name}]

    async def session_async(self, pool: str | None) -> DriverSession:
        raise NotImplementedError


async def test_a_driver_takes_no_pool_and_no_connection_of_the_users_unless_it_says_so() -> None:
    connector = AdaptedConnector(Bare)
    with pytest.raises(exceptions.InvalidOption, match="Bare takes no pool"):
        await connector.open_async("pool")
    with pytest.raises(exceptions.InvalidConnection, match="Leave `connection` out"):
        await connector.execute_async(Statement("any", ""), connection="mine")


async def test_a_driver_need_not_know_of_opening_closing_json_and_time() -> None:
    connector = AdaptedConnector(Bare)
    assert connector.json_loads(str(connector.json_dumps({"x": 1}))) == {"x": 1}
    with pytest.raises(exceptions.AppNotOpen):
        await connector.execute_async(Statement("any", ""))
    await connector.open_async()
    found = await asyncio.to_thread(connector.execute, Statement("any", ""))
    assert found == [{"pool": "pool", "name": "any"}]
    await connector.close_async()
    connector.open()
    assert connector.get_sync_connector().execute(Statement("any", "")) == found
    connector.close()


@pytest.mark.parametrize("contract", [AdaptedConnector, Driver, DriverSession, BaseConnector])
def test_what_a_third_party_inherits_is_public_and_inherits_nothing_internal(contract: type) -> None:
    for kind in contract.__mro__:
        rooms = kind.__module__.split(".")
        assert rooms[0] != "adjourn" or not any(room.startswith("_") for room in rooms), kind
