"""One interface to the connectors of both colours, for checks that are written once."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from adjourn import sql
from adjourn.connectors.base import AsyncSession, BaseConnector, SyncSession
from adjourn.testing.threads import in_thread
from adjourn.types import Parameters, Row, Statement

STATEMENTS = sql.statements()
NO_PARAMETERS: Parameters = {}
"""Differs from None, which sends the text as it is."""


class SessionFace(abc.ABC):
    """A session, in one of its colours."""

    def __init__(self, session: AsyncSession | SyncSession) -> None:
        self.can_listen: bool = session.can_listen
        self.is_wakeable: bool = session.is_wakeable
        self.wake: Callable[[], None] = session.wake
        self.abandon: Callable[[], None] = session.abandon

    async def execute(self, name: str, parameters: Parameters | None = NO_PARAMETERS) -> list[Row]:
        """Execute a statement by its name."""
        return await self.execute_statement(STATEMENTS[name], parameters)

    @abc.abstractmethod
    async def execute_statement(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute a statement."""

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
        self._sessions: list[SessionFace] = []

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
    async def connect(self) -> SessionFace:
        """Take a session."""

    async def session(self) -> SessionFace:
        """Take a session that is closed at the end, however the check ends."""
        session = await self.connect()
        self._sessions.append(session)
        return session

    async def close_sessions(self) -> None:
        """Close the sessions that a check has left open."""
        for session in self._sessions:
            await session.close()

    async def execute(
        self, name: str, parameters: Parameters | None = NO_PARAMETERS, connection: Any = None
    ) -> list[Row]:
        """Execute a statement by its name."""
        return await self.execute_statement(STATEMENTS[name], parameters, connection)

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

    async def connect(self) -> SessionFace:
        return AsyncSessionFace(await self.connector.session_async())


class AsyncSessionFace(SessionFace):
    """A session whose methods are awaited."""

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(session)
        self._session = session

    async def execute_statement(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        return await self._session.execute_async(statement, parameters)

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
        await in_thread(self.connector.open, pool)

    async def close(self) -> None:
        await in_thread(self.connector.close)

    async def execute_statement(
        self, statement: Statement, parameters: Parameters | None = None, connection: Any = None
    ) -> list[Row]:
        serving = self.connector.get_sync_connector()
        return await in_thread(serving.execute, statement, parameters, connection=connection)

    async def connect(self) -> SessionFace:
        return SyncSessionFace(await in_thread(self.connector.session))


class SyncSessionFace(SessionFace):
    """A session whose methods block."""

    def __init__(self, session: SyncSession) -> None:
        super().__init__(session)
        self._session = session

    async def execute_statement(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        return await in_thread(self._session.execute, statement, parameters)

    async def listen(self, channel: str) -> None:
        await in_thread(self._session.listen, channel)

    async def wait_for_notifications(self, timeout: float) -> list[str]:
        return await in_thread(self._session.wait_for_notifications, timeout)

    async def close(self) -> None:
        await in_thread(self._session.close)
