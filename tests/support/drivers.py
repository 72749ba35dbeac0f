"""A driver as a third party writes one."""

from __future__ import annotations

from typing import Any

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from adjourn import exceptions
from adjourn._async.connectors.psycopg import AsyncPsycopgHalf
from adjourn._async.connectors.psycopg_session import AsyncPsycopgSession, translated_run_async
from adjourn.connectors.adapted import Driver, DriverSession
from adjourn.types import Parameters, Row, Statement


class PsycopgSession(AsyncPsycopgSession, DriverSession):
    """A session that was not written for the contract of drivers."""


class PsycopgDriver(Driver[AsyncConnectionPool[Any]]):
    """What a third party writes: here around psycopg's pool, by way of what adjourn itself has for it."""

    def __init__(self, conninfo: str, timeout: float = 10) -> None:
        self._half = AsyncPsycopgHalf(conninfo, min_size=1, max_size=2, timeout=timeout)
        self.timeout = timeout

    async def make_pool_async(self) -> AsyncConnectionPool[Any]:
        return await self._half.make_pool_async()

    async def close_pool_async(self, pool: AsyncConnectionPool[Any]) -> None:
        await self._half.close_pool_async(pool)

    def discard_pool(self, pool: AsyncConnectionPool[Any]) -> None:
        self._half.discard_pool(pool)

    def discard_unfinished(self) -> None:
        self._half.discard_unfinished()

    def accept_pool(self, pool: Any) -> AsyncConnectionPool[Any]:
        return self._half.accept_pool(pool)

    async def execute_async(
        self, pool: AsyncConnectionPool[Any], statement: Statement, parameters: Parameters | None
    ) -> list[Row]:
        try:
            async with pool.connection() as connection:
                return await translated_run_async(connection, statement, parameters)
        except PoolTimeout as error:
            raise exceptions.ConnectorException(str(error)) from error

    async def execute_on_async(self, connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
        return await self._half.execute_async(statement, parameters, connection=connection)

    async def session_async(self, pool: AsyncConnectionPool[Any] | None) -> DriverSession:
        session = await self._half.session_async()
        assert isinstance(session, AsyncPsycopgSession)
        return PsycopgSession(session.connection)
