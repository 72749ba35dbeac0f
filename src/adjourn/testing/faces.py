"""One interface to the connectors of both colours, for checks that are written once."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from adjourn import sql
from adjourn.connectors.base import AsyncSession, BaseConnector, SyncSession
from adjourn.types import Parameters, Row, Statement

STATEMENTS = sql.statements()
NO_PARAMETERS: Parameters = {}
"""Differs from None, which sends the text as it is."""


class SessionFace(abc.ABC):
    """A session, in one of its colours."""

    @abc.abstractmethod
    async def execute(self, name: str, parameters: Parameters | None = NO_PARAMETERS) -> list[Row]:
        """Execute a statement by its name."""

    @abc.abstractmethod
    async def listen(self, channel: str) -> None:
        """Start to receive notifications."""

    @abc.abstractmethod
    async def wait_for_notifications(self, timeout: float) -> list[str]:
        """Wait at most ``timeout`` seconds for notifications."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close it."""


class Face(abc.ABC):
    """A connector, in one of its colours."""

    colour: str
    """Which methods are called."""

    def __init__(self, connector: BaseConnector) -> None:
        self.connector = connector

    def __str__(self) -> str:
        return f"{type(self.connector).__name__}, {self.colour} calls"

    @abc.abstractmethod
    async def open(self, pool: Any = None) -> None:
        """Open it."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close it."""

    @abc.abstractmethod
    async def execute_statement(
        self, statement: Statement, parameters: Parameters | None = None, connection: Any = None
    ) -> list[Row]:
        """Execute a statement."""

    @abc.abstractmethod
    async def session(self) -> SessionFace:
        """Open a session."""

    async def execute(self, name: str, parameters: Parameters = NO_PARAMETERS) -> list[Row]:
        """Execute a statement by its name."""
        return await self.execute_statement(STATEMENTS[name], parameters)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open it for the length of a block."""
        await self.open()
        try:
            yield
        finally:
            await self.close()


class AsyncFace(Face):
    """The methods to await."""

    colour = "awaited"

    async def open(self, pool: Any = None) -> None:
        await self.connector.open_async(pool)

    async def close(self) -> None:
        await self.connector.close_async()

    async def execute_statement(
        self, statement: Statement, parameters: Parameters | None = None, connection: Any = None
    ) -> list[Row]:
        return await self.connector.execute_async(statement, parameters, connection=connection)

    async def session(self) -> SessionFace:
        return AsyncSessionFace(await self.connector.session_async())


class AsyncSessionFace(SessionFace):
    """A session whose methods are awaited."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def execute(self, name: str, parameters: Parameters | None = NO_PARAMETERS) -> list[Row]:
        return await self._session.execute_async(STATEMENTS[name], parameters)

    async def listen(self, channel: str) -> None:
        await self._session.listen_async(channel)

    async def wait_for_notifications(self, timeout: float) -> list[str]:
        return await self._session.wait_for_notifications_async(timeout)

    async def close(self) -> None:
        await self._session.close_async()


class SyncFace(Face):
    """The methods that block, each called in a thread."""

    colour = "blocking"

    async def open(self, pool: Any = None) -> None:
        await asyncio.to_thread(self.connector.open, pool)

    async def close(self) -> None:
        await asyncio.to_thread(self.connector.close)

    async def execute_statement(
        self, statement: Statement, parameters: Parameters | None = None, connection: Any = None
    ) -> list[Row]:
        serving = self.connector.get_sync_connector()
        return await asyncio.to_thread(serving.execute, statement, parameters, connection=connection)

    async def session(self) -> SessionFace:
        return SyncSessionFace(await asyncio.to_thread(self.connector.session))


class SyncSessionFace(SessionFace):
    """A session whose methods block."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session

    async def execute(self, name: str, parameters: Parameters | None = NO_PARAMETERS) -> list[Row]:
        return await asyncio.to_thread(self._session.execute, STATEMENTS[name], parameters)

    async def listen(self, channel: str) -> None:
        await asyncio.to_thread(self._session.listen, channel)

    async def wait_for_notifications(self, timeout: float) -> list[str]:
        return await asyncio.to_thread(self._session.wait_for_notifications, timeout)

    async def close(self) -> None:
        await asyncio.to_thread(self._session.close)
