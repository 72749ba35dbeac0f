"""Finds out which driver a caller's connection is from, and which connector and call accept it.

It recognises a connection by the name of its class, so it imports no driver.
"""

from __future__ import annotations

from typing import Any

import attrs

from adjourn._drivers.wrappers import is_wrapper


@attrs.frozen
class Kind:
    """The kind of a connection.

    Attributes
    ----------
    is_awaited
        Whether it is asynchronous.
    connectors
        The connectors that accept it.
    """

    driver: str
    is_awaited: bool
    connectors: str


ON_ENGINES: str = "adjourn.contrib.sqlalchemy.SQLAlchemyConnector"
"""The connector that takes connections of every driver of SQLAlchemy's."""

_PSYCOPG = "adjourn.PsycopgConnector"
_PLAIN = Kind("psycopg", False, f"{_PSYCOPG} or adjourn.SyncPsycopgConnector")
_PLAIN_PSYCOPG2 = Kind("psycopg2", False, "adjourn.Psycopg2Connector, or adjourn.AsyncPsycopg2Connector")
_BLOCKING_ON_ENGINES = Kind(
    "sqlalchemy",
    False,
    f"{ON_ENGINES}, or the SQLAlchemyPsycopgConnector or SQLAlchemyPsycopg2Connector beside it",
)
_AWAITED_ON_ENGINES = Kind("sqlalchemy", True, f"{ON_ENGINES}, or {_PSYCOPG} if the engine is on psycopg")

_KINDS = {
    "psycopg.Connection": _PLAIN,
    "psycopg.AsyncConnection": Kind("psycopg", True, _PSYCOPG),
    "psycopg2.extensions.connection": _PLAIN_PSYCOPG2,
    "sqlalchemy.engine.base.Connection": _BLOCKING_ON_ENGINES,
    "sqlalchemy.orm.session.Session": _BLOCKING_ON_ENGINES,
    "sqlalchemy.orm.scoping.scoped_session": _BLOCKING_ON_ENGINES,
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _AWAITED_ON_ENGINES,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _AWAITED_ON_ENGINES,
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": _AWAITED_ON_ENGINES,
    "asyncpg.connection.Connection": Kind("asyncpg", True, ON_ENGINES),
    "asyncpg.pool.PoolConnectionProxy": Kind("asyncpg", True, ON_ENGINES),
}

_MAKERS = {
    "sqlalchemy.engine.base.Engine": "`engine.connect()`, or a session",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": "`engine.connect()`, or a session",
    "sqlalchemy.orm.session.sessionmaker": "the session that it makes",
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": "the session that it makes",
    "psycopg_pool.pool.ConnectionPool": "one that you have taken from the pool",
    "psycopg_pool.pool_async.AsyncConnectionPool": "one that you have taken from the pool",
}
"""What makes connections and is none, and what to pass instead."""


def kind_of(connection: Any) -> Kind | None:
    """Return the kind of a connection, or None if it is unknown. A Django connection has the kind of its driver's."""
    if is_wrapper(connection):
        database = getattr(getattr(connection, "Database", None), "__name__", "")
        return _PLAIN_PSYCOPG2 if database == "psycopg2" else _PLAIN
    for each in type(connection).__mro__:
        if kind := _KINDS.get(f"{each.__module__}.{each.__qualname__}"):
            return kind
    return None


def is_of_sqlalchemy(connection: Any, *, is_blocking: bool) -> bool:
    """Return whether this is a connection or a session of SQLAlchemy's that blocks, or else one that is awaited."""
    kind = kind_of(connection)
    return kind is not None and kind.driver == "sqlalchemy" and kind.is_awaited is not is_blocking


def remedy(connection: Any, taken: str, drivers: set[str], *, is_blocking: bool) -> str:
    """Return advice about a connection that a call has refused.

    Parameters
    ----------
    connection
        The connection.
    taken
        What the connector accepts, for the message about something that is not a connection.
    drivers
        The drivers whose connections this connector accepts, in a call of the right colour.
    is_blocking
        Whether the call that refused the connection blocks.
    """
    kind = kind_of(connection)
    if kind is None and (instead := _instead_of(connection)):
        return f"Pass a connection, not what makes connections: {instead}."
    if kind is None:
        return f"Pass {taken}, or give the app the connector of the driver that the connection is from."
    # Every connector takes SQLAlchemy's, but psycopg2's takes none that are awaited.
    is_taken = kind.driver in drivers or (kind.driver == "sqlalchemy" and kind.is_awaited == is_blocking)
    if is_taken and not kind.is_awaited:
        if is_wrapper(connection):
            return (
                "Use Django's connection in synchronous code, with the form of the call without `_async`: it belongs "
                "to its thread."
            )
        return "With this connection use the blocking form of the call, the one without `_async`, such as `defer`."
    if is_taken:
        # On a synchronous connector the `_async` form always raises, so name connectors on which it works.
        return (
            "With this connection await the form of the call that ends in `_async`, such as `defer_async`, on an "
            f"asynchronous connector: {kind.connectors}."
        )
    form = "await the form of the call that ends in `_async`" if kind.is_awaited else "use the one without `_async`"
    # Calls of both colours accept psycopg2's connections.
    is_other_colour = kind.is_awaited == is_blocking and kind.driver != "psycopg2"
    and_form = f" There {form}." if is_other_colour or is_wrapper(connection) else ""
    return (
        f"Give the app the connector of the driver that the connection is from, {kind.connectors}; "
        f"`app.with_connector(...)` returns an app with the same tasks.{and_form}"
    )


def _instead_of(maker: Any) -> str | None:
    """Return what to pass instead of something that makes connections."""
    names = (f"{each.__module__}.{each.__qualname__}" for each in type(maker).__mro__)
    return next((_MAKERS[name] for name in names if name in _MAKERS), None)
