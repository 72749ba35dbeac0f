"""A connector that opens itself when it is first used in a process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from adjourn.connectors.base import AsyncSession, BaseAsyncConnector, BaseConnector, SyncSession
from adjourn.exceptions import AppNotOpen, WrongCaller
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

_ADVICE = (
    " Flask runs an async view on an event loop of its own, which ends with the view: call the blocking form of the "
    "operation there, such as `defer`."
)


class OpensItself(BaseAsyncConnector):
    """A connector around another one, which it opens for synchronous calls when the first of them needs it.

    Servers that fork make no connection in their first process, and each other process makes its own. A worker opens it on its
    event loop, as ever.

    Parameters
    ----------
    connector
        The connector to open.
    """

    applies_schema: str = "`flask adjourn schema --apply`"

    def __init__(self, connector: BaseConnector) -> None:
        self._connector = connector
        self.is_shared: bool = connector.is_shared
        self.json_dumps: JSONDumps = connector.json_dumps
        self.json_loads: JSONLoads = connector.json_loads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector, which forwards each call to the one that serves it."""
        return self

    @property
    def shares_commits(self) -> bool:
        """Whether threads may share commits. See `BaseConnector.shares_commits`."""
        return self._connector.shares_commits

    def open(self, pool: Any = None) -> None:
        """Open the connector."""
        self._connector.open(pool)

    def close(self) -> None:
        """Close the connector. The next call opens it again."""
        self._connector.close()

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement, after opening the connector if need be."""
        try:
            return self._connector.get_sync_connector().execute(statement, parameters, connection=connection)
        except AppNotOpen:
            # Nothing has been executed. Opening what another thread has opened meanwhile does nothing.
            self._connector.open()
        return self._connector.get_sync_connector().execute(statement, parameters, connection=connection)

    def session(self) -> SyncSession:
        """Open another connection, for the caller alone."""
        return self._connector.session()

    def kept_open(self) -> contextlib.AbstractContextManager[None]:
        """Return a block: what is open before it is open afterwards."""
        return self._connector.kept_open()

    async def open_async(self, pool: Any = None) -> None:
        """Open the connector on this event loop."""
        await self._connector.open_async(pool)

    async def close_async(self) -> None:
        """Close the connector."""
        await self._connector.close_async()

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement on the event loop that the connector is open on, which is a worker's."""
        with _advising():
            serving = self._connector.get_async_connector()
            return await serving.execute_async(statement, parameters, connection=connection)

    async def session_async(self) -> AsyncSession:
        """Open another connection, for the caller alone."""
        return await self._connector.session_async()


class Nowhere(BaseAsyncConnector):
    """Stands for the connector of an extension that is bound to no Flask application: every call raises."""

    def __init__(self) -> None:
        self.json_dumps: JSONDumps = json.dumps
        self.json_loads: JSONLoads = json.loads

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def open(self, pool: Any = None) -> NoReturn:
        """Refuse."""
        raise _unbound()

    def close(self) -> None:
        """Do nothing."""

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> NoReturn:
        """Refuse."""
        raise _unbound()

    def session(self) -> NoReturn:
        """Refuse."""
        raise _unbound()

    async def open_async(self, pool: Any = None) -> NoReturn:
        """Refuse."""
        raise _unbound()

    async def close_async(self) -> None:
        """Do nothing."""

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> NoReturn:
        """Refuse."""
        raise _unbound()

    async def session_async(self) -> NoReturn:
        """Refuse."""
        raise _unbound()


def _unbound() -> AppNotOpen:
    return AppNotOpen("This `Adjourn` is bound to no Flask application yet: call its `init_app(flask_app)` first.")


@contextlib.contextmanager
def _advising() -> Iterator[None]:
    try:
        yield
    except (AppNotOpen, WrongCaller) as error:
        raise type(error)(f"{error}{_ADVICE}") from error
