"""What every connector can do, whichever driver it is for and however it waits."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol, TypeAlias

from adjourn import exceptions
from adjourn._async.managers.queries import AsyncQueries
from adjourn._sync.managers.queries import SyncQueries
from adjourn.types import Parameters, Statement

__all__ = ["BaseAsyncConnector", "BaseConnector", "BaseSyncConnector", "Engine", "Notify", "Pool"]

Pool: TypeAlias = Any
"""A pool of connections, of whichever driver."""
Engine: TypeAlias = Any
"""An engine of SQLAlchemy's."""
LISTEN_TIMEOUT = 30.0
"""Seconds between looks whether a connection that listens still lives."""


class Notify(Protocol):
    """What `BaseConnector.listen_notify` calls."""

    def __call__(self, *, channel: str, payload: str) -> Awaitable[None]:
        """Receive one notification."""


class BaseConnector(SyncQueries, AsyncQueries):
    """A connector: the app's way to the database, in both colours.

    Attributes
    ----------
    needs_opening
        Whether calls are refused while it is not open.
    """

    needs_opening: bool = True

    @abc.abstractmethod
    def get_sync_connector(self) -> BaseConnector:
        """Return the connector that serves synchronous calls made here and now."""

    @abc.abstractmethod
    def get_async_connector(self) -> BaseConnector:
        """Return the connector that serves asynchronous calls.

        Raises
        ------
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        """

    @abc.abstractmethod
    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Receive notifications of PostgreSQL until cancelled, over a connection for each channel.

        Parameters
        ----------
        on_notification
            Called with ``channel`` and ``payload``, and awaited, for one notification of a channel after the other.
        channels
            The channels to listen on.

        Raises
        ------
        SyncConnectorConfigurationError
            If this is a synchronous connector.
        ConnectorException
            If the database cannot be reached, or a connection breaks: call it again.
        """


class BaseAsyncConnector(BaseConnector):
    """An asynchronous connector, which serves synchronous calls as well."""

    def get_async_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Receive notifications of PostgreSQL until cancelled, over a connection for each channel."""
        listening = [asyncio.create_task(self._listen(on_notification, channel)) for channel in channels]
        try:
            for ended in asyncio.as_completed(listening):
                await ended
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _listen(self, on_notification: Notify, channel: str) -> None:
        session = await self.session_async()
        try:
            await session.listen_async(channel)
            while True:
                for payload in await session.wait_for_notifications_async(LISTEN_TIMEOUT):
                    await on_notification(channel=channel, payload=payload)
        finally:
            await session.close_async()


class BaseSyncConnector(BaseConnector):
    """A synchronous connector: everything that is to be awaited is refused, open or not."""

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def get_async_connector(self) -> NoReturn:
        """Refuse: there is none."""
        raise self._refusal("An asynchronous operation was called, but")

    async def open_async(self, pool: Any = None) -> NoReturn:
        """Refuse: use `open`."""
        raise self._refusal("`open_async` was called, but")

    async def close_async(self) -> NoReturn:
        """Refuse: use `close`."""
        raise self._refusal("`close_async` was called, but")

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> NoReturn:
        """Refuse: use `execute`."""
        raise self._refusal("`execute_async` was called, but")

    async def execute_batch_async(self, batch: Sequence[tuple[Statement, Mapping[str, Any]]]) -> NoReturn:
        """Refuse: use `execute_batch`."""
        raise self._refusal("`execute_batch_async` was called, but")

    async def session_async(self) -> NoReturn:
        """Refuse: use `session`."""
        raise self._refusal("`session_async` was called, but")

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> NoReturn:
        """Refuse: there is no asynchronous session."""
        raise self._refusal("`listen_notify` was called, but")

    def _refusal(self, what: str) -> exceptions.SyncConnectorConfigurationError:
        return exceptions.SyncConnectorConfigurationError(
            f"{what} the app's connector, a {type(self).__name__}, is synchronous. Give the app an async connector, "
            "such as adjourn.PsycopgConnector, or call the blocking form of the operation, the one without `_async`."
        )
