"""The contract notices what is wrong with a connector to a server. More such tests are in `tests/unit`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest

from adjourn import exceptions
from adjourn._async.connectors.psycopg_session import translated_run_async
from adjourn.connector import BaseConnector
from adjourn.connectors.adapted import SETTINGS, AdaptedConnector, Driver, DriverSession
from adjourn.testing import ConnectorContract
from adjourn.types import Parameters, Row, Statement
from dispatch.pairs import own_connection
from support.drivers import PsycopgSession

Connection = psycopg.AsyncConnection[Any]


class Pool:
    """Two connections, and those of them that are free."""

    made: list[Connection] = []  # noqa: RUF012 - of all pools, to be closed at the end

    def __init__(self, connections: list[Connection]) -> None:
        self.made += connections
        self.connections = connections
        self.free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            self.free.put_nowait(connection)


class Faultless(Driver[Pool]):
    """A driver that keeps the contract. Each of the others breaks one promise."""

    def __init__(self, dsn: str, timeout: float) -> None:
        self.dsn = dsn
        self.timeout = timeout

    async def connect_async(self) -> Connection:
        return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True)

    async def set_up_async(self, connection: Connection) -> None:
        await translated_run_async(connection, SETTINGS, None)

    async def make_pool_async(self) -> Pool:
        pool = Pool([await self.connect_async(), await self.connect_async()])
        for connection in pool.connections:
            await self.set_up_async(connection)
        return pool

    async def close_pool_async(self, pool: Pool) -> None:
        for connection in pool.connections:
            await connection.close()

    def discard_pool(self, pool: Pool) -> None:
        for connection in pool.connections:
            connection.pgconn.finish()

    async def take_async(self, pool: Pool) -> Connection:
        try:
            return await asyncio.wait_for(pool.free.get(), self.timeout)
        except TimeoutError as error:
            raise exceptions.ConnectorException("All connections are in use.") from error

    async def execute_async(self, pool: Pool, statement: Statement, parameters: Parameters | None) -> list[Row]:
        connection = await self.take_async(pool)
        try:
            return await translated_run_async(connection, statement, parameters)
        finally:
            pool.free.put_nowait(connection)

    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        if not isinstance(connection, psycopg.AsyncConnection):
            raise exceptions.InvalidConnection("It is no psycopg.AsyncConnection.")
        return await translated_run_async(connection, statement, parameters)

    async def session_async(self, pool: Pool | None) -> DriverSession:
        return PsycopgSession(await self.connect_async())


class CommitsByItself(Faultless):
    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        async with await self.connect_async() as other:
            return await translated_run_async(other, statement, parameters)


class TakesNoConnection(Faultless):
    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        return await Driver.execute_on_async(self, connection, statement, parameters)


class SetsNothing(Faultless):
    async def set_up_async(self, connection: Connection) -> None: ...


class SetsOneConnection(Faultless):
    is_first = True

    async def set_up_async(self, connection: Connection) -> None:
        if self.is_first:
            await super().set_up_async(connection)
        self.is_first = False


class ResetsConnections(Faultless):
    async def execute_async(self, pool: Pool, statement: Statement, parameters: Parameters | None) -> list[Row]:
        connection = await self.take_async(pool)
        try:
            return await translated_run_async(connection, statement, parameters)
        finally:
            await connection.execute("RESET ALL")
            pool.free.put_nowait(connection)


class ClosesNothing(Faultless):
    async def close_pool_async(self, pool: Pool) -> None: ...


class DiscardsNothing(Faultless):
    def discard_pool(self, pool: Pool) -> None: ...


class WaitsForEver(Faultless):
    async def take_async(self, pool: Pool) -> Connection:
        return await pool.free.get()


class SplitsAtSemicolons(Faultless):
    async def execute_async(self, pool: Pool, statement: Statement, parameters: Parameters | None) -> list[Row]:
        rows = await super().execute_async(pool, statement, parameters)
        return [] if parameters is None and ";" in statement.text else rows


class LosesConnections(Faultless):
    async def execute_async(self, pool: Pool, statement: Statement, parameters: Parameters | None) -> list[Row]:
        connection = await pool.free.get()
        rows = await translated_run_async(connection, statement, parameters)
        pool.free.put_nowait(connection)
        return rows

    async def close_pool_async(self, pool: Pool) -> None:
        for _ in pool.connections:
            await pool.free.get()
        await super().close_pool_async(pool)


class SilentSession(PsycopgSession):
    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        try:
            return await super().wait_for_notifications_async(timeout)
        except exceptions.ConnectorException:
            await asyncio.sleep(timeout)
            return []


class WaitsInSilence(Faultless):
    async def session_async(self, pool: Pool | None) -> DriverSession:
        return SilentSession(await self.connect_async())


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    for connection in Pool.made:
        connection.pgconn.finish()
    Pool.made.clear()


class IgnoresConnections(AdaptedConnector):
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        return super().execute(statement, parameters)


def contract_of(
    driver: type[Faultless], dsn: str, kind: type[AdaptedConnector] = AdaptedConnector
) -> ConnectorContract:
    class Contract(ConnectorContract):
        time_limit = 6.0

        def make_connector(self) -> BaseConnector:
            return kind(lambda: driver(dsn, 5))

        def make_impatient_connector(self) -> BaseConnector:
            return kind(lambda: driver(dsn, 0.2))

        def make_connection(self) -> AbstractAsyncContextManager[Any]:
            return own_connection(dsn)

    return Contract()


SET_UP = "test_each_connection_of_the_pool_has_the_settings_that_statements_depend_on"
BREACHES = [
    (CommitsByItself, "test_a_call_on_a_connection_of_the_users_is_part_of_its_transaction", "expected"),
    (
        TakesNoConnection,
        "test_a_call_on_a_connection_of_the_users_is_part_of_its_transaction",
        "Leave `connection` out",
    ),
    (ClosesNothing, "test_closing_ends_every_session_on_the_server", "no session is left"),
    (DiscardsNothing, "test_the_connections_of_an_event_loop_that_has_ended_are_given_back", "end too"),
    (WaitsForEver, "test_a_call_does_not_wait_longer_than_the_timeout_for_a_connection", "a call is refused"),
    (SplitsAtSemicolons, "test_without_parameters_the_text_is_sent_as_it_is", "expected"),
    (LosesConnections, "test_a_call_that_is_cancelled_leaves_the_connector_usable", "hangs"),
    *((driver, SET_UP, "DateStyle.* is not set") for driver in (SetsNothing, SetsOneConnection, ResetsConnections)),
    (WaitsInSilence, "test_a_session_that_the_server_has_ended_raises", "expected ConnectorException"),
]


@pytest.mark.parametrize(("driver", "test", "word"), BREACHES)
def test_a_breach_is_noticed(driver: type[Faultless], test: str, word: str, database: str) -> None:
    with pytest.raises((AssertionError, exceptions.InvalidConnection), match=word):
        getattr(contract_of(driver, database), test)()


@pytest.mark.parametrize("test", sorted({test for _, test, _ in BREACHES}))
def test_a_driver_without_that_fault_passes(test: str, database: str) -> None:
    getattr(contract_of(Faultless, database), test)()


def test_a_blocking_call_that_ignores_the_connection_is_noticed(database: str) -> None:
    contract = contract_of(Faultless, database, IgnoresConnections)
    with pytest.raises(AssertionError, match=r"expected \[\], found"):
        contract.test_a_blocking_call_refuses_a_connection_that_it_cannot_use()
    contract_of(Faultless, database).test_a_blocking_call_refuses_a_connection_that_it_cannot_use()
