"""The public connectors for psycopg, the driver of choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg_pool import AsyncConnectionPool

from adjourn._async.connectors.psycopg import AsyncPsycopgConnector
from adjourn._dispatch.dispatcher import SelectingConnector, SummonedConnector
from adjourn._drivers.psycopg.options import options_of_pool
from adjourn._drivers.psycopg.twin import connecting_options, twin_options
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.psycopg import SyncPsycopgConnector as SyncPsycopgHalf
from adjourn.connectors.base import BaseAsyncConnector, BaseConnector, BaseSyncConnector
from adjourn.types import JSONDumps, JSONLoads

__all__ = ["BaseAsyncConnector", "BaseConnector", "BaseSyncConnector", "PsycopgConnector", "SyncPsycopgConnector"]


class SyncPsycopgConnector(BaseSyncConnector, SyncPsycopgHalf):
    """A synchronous connector, on a `psycopg_pool.ConnectionPool`.

    Every operation that is to be awaited raises `SyncConnectorConfigurationError`.

    Parameters
    ----------
    conninfo
        A connection string or URL, or a function that returns one.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    **options
        The pool's options (``min_size``, 1 by default, ``max_size``, 10 by default, ``timeout`` in seconds, 30 by
        default, ``configure``, ``kwargs``, ...), and
        the parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...).

    Raises
    ------
    InvalidOption
        If an option is known to neither.
    """


class SummonedPsycopgConnector(SummonedConnector, SyncPsycopgConnector):
    """The synchronous twin of a `PsycopgConnector`."""

    def __init__(self, principal: PsycopgConnector, options: dict[str, Any]) -> None:
        super().__init__(json_dumps=principal.json_dumps, json_loads=principal.json_loads, **options)
        self.principal: PsycopgConnector = principal


class PsycopgConnector(SelectingConnector):
    """An asynchronous connector, on a `psycopg_pool.AsyncConnectionPool`, that serves synchronous calls as well.

    Parameters
    ----------
    conninfo
        A connection string or URL, or a function that returns one.
    json_dumps, json_loads
        How the arguments of jobs become JSON text and back; `json.dumps` and `json.loads` unless given.
    pool_factory
        The class of the pool, or a function with the arguments of `psycopg_pool.AsyncConnectionPool`.
    **options
        The pool's options (``min_size``, 1 by default, ``max_size``, 10 by default, ``timeout`` in seconds, 30 by
        default, ``configure``, ``kwargs``, ...), and
        the parameters of libpq (``host``, ``port``, ``dbname``, ``user``, ``password``, ...). Connections are in
        autocommit mode unless ``kwargs`` says otherwise.

    Raises
    ------
    InvalidOption
        If an option is known to neither.
    """

    def __init__(
        self,
        conninfo: str | Callable[[], Any] = "",
        *,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
        pool_factory: Callable[..., AsyncConnectionPool[Any]] = AsyncConnectionPool,
        **options: Any,
    ) -> None:
        half = AsyncPsycopgConnector(
            conninfo, json_dumps=json_dumps, json_loads=json_loads, pool_factory=pool_factory, **options
        )
        self._options = half.options
        self._pool_factory = pool_factory
        super().__init__(half)

    def summon(self) -> SummonedPsycopgConnector:
        """Make the synchronous twin, with the parameters of this connector."""
        return SummonedPsycopgConnector(self, twin_options(self._options, self._pool_factory))

    def summon_plain(self) -> SummonedPsycopgConnector:
        """Make a twin that is never opened, for calls on connections of the callers' own."""
        return SummonedPsycopgConnector(self, {})

    def session(self) -> SyncSession:
        """Connect once more, beside the pool and from this very thread, for the caller alone.

        The connector need not be open. How its pool is made does not matter here.
        """
        if self._half.is_external:
            return self.session_beside(self._half.pool)
        return SyncPsycopgHalf(**connecting_options(self._options)).session()

    def session_beside(self, pool: AsyncConnectionPool[Any]) -> SyncSession:
        """Connect, blocking, with the parameters of an asynchronous pool of the user's."""
        return SyncPsycopgHalf(**connecting_options(options_of_pool(pool))).session()
