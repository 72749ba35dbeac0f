"""What every connector can do, whichever driver it is for and however it waits."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from adjourn import exceptions
from adjourn._async.queries import AsyncQueries
from adjourn._sync.queries import SyncQueries
from adjourn.types import Parameters, Statement

__all__ = ["BaseAsyncConnector", "BaseConnector", "BaseSyncConnector"]


class BaseConnector(SyncQueries, AsyncQueries):
    """A connector: the app's way to the database, in both colours."""

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


class BaseAsyncConnector(BaseConnector):
    """An asynchronous connector, which serves synchronous calls as well."""

    def get_async_connector(self) -> BaseConnector:
        """Return this connector."""
        return self


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

    def _refusal(self, what: str) -> exceptions.SyncConnectorConfigurationError:
        return exceptions.SyncConnectorConfigurationError(
            f"{what} the app's connector, a {type(self).__name__}, is synchronous. Give the app an async connector, "
            "such as adjourn.PsycopgConnector, or call the blocking form of the operation, the one without `_async`."
        )
