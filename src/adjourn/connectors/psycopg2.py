"""Connectors for psycopg2, for programs that use it already. They need the extra ``adjourn[psycopg2]``."""

from __future__ import annotations

from typing import Any

from adjourn._async.connectors.psycopg2 import AsyncPsycopg2Connector as AsyncPsycopg2Half
from adjourn._dispatch.dispatcher import SelectingConnector, SummonedConnector
from adjourn._drivers.psycopg2.options import Options, ThreadedConnectionPool, options_of_pool
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg2 import SyncPsycopg2Connector as SyncPsycopg2Half
from adjourn._sync.connectors.psycopg2 import connected_session
from adjourn.connectors.base import BaseSyncConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["AsyncPsycopg2Connector", "Psycopg2Connector"]


class Psycopg2Connector(BaseSyncConnector, SyncPsycopg2Half):
    """A synchronous connector, on a `psycopg2.pool.ThreadedConnectionPool`.

    More threads than connections wait for one, in the order in which they came. Every operation that is to be awaited
    raises `SyncConnectorConfigurationError`.

    Parameters
    ----------
    dsn
        A connection string or URL.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        ``minconn`` (1 by default) and ``maxconn`` (10 by default), the numbers of connections; ``timeout``, the
        seconds to wait for one (30 by default); ``connection_factory`` and ``cursor_factory`` of psycopg2; and the
        parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

    Raises
    ------
    InvalidOption
        If an option is unknown.
    """


class SummonedPsycopg2Connector(SummonedConnector, Psycopg2Connector):
    """The synchronous twin of an `AsyncPsycopg2Connector`."""

    def __init__(self, principal: AsyncPsycopg2Connector, options: Options) -> None:
        super().__init__(json_dumps=principal.json_dumps, json_loads=principal.json_loads)
        self.options = options
        self.principal: AsyncPsycopg2Connector = principal


class AsyncPsycopg2Connector(SelectingConnector):
    """An asynchronous connector, on a `psycopg2.pool.ThreadedConnectionPool`, that serves synchronous calls as well.

    psycopg2 itself knows nothing of event loops, so what is awaited happens in threads, at most one for each
    connection. A call that is cancelled has the server cancel its statement. A new program is better served by
    `PsycopgConnector`.

    Parameters
    ----------
    dsn
        A connection string or URL.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        ``minconn`` (1 by default) and ``maxconn`` (10 by default), the numbers of connections; ``timeout``, the
        seconds to wait for one (30 by default); ``connection_factory`` and ``cursor_factory`` of psycopg2; and the
        parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

    Raises
    ------
    InvalidOption
        If an option is unknown.
    """

    def __init__(
        self,
        dsn: str = "",
        *,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        **options: Any,
    ) -> None:
        half = AsyncPsycopg2Half(dsn, json_dumps=json_dumps, json_loads=json_loads, **options)
        self._options = half.options
        super().__init__(half)

    def summon(self) -> SummonedPsycopg2Connector:
        """Make the synchronous twin, with the parameters of this connector."""
        return SummonedPsycopg2Connector(self, self._options)

    def session_beside(self, pool: ThreadedConnectionPool) -> SyncSession:
        """Connect, blocking, with the parameters of a pool of the user's."""
        return connected_session(options_of_pool(pool, self._options.timeout))
