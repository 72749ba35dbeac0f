"""Addresses, errors and the sending of statements, for both colours of the SQLAlchemy connector.

SQLAlchemy's asynchronous connections run its blocking ones in a greenlet, so `run` is written once.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from adjourn import exceptions
from adjourn._domain.callings import APP
from adjourn._domain.checks import is_storable
from adjourn._domain.time_checks import check_seconds
from adjourn._drivers.connections import remedy
from adjourn._drivers.errors import explained, unexpected, unreachable
from adjourn._drivers.libpq import LASTING, NAME, connect_timeout, unsaid
from adjourn._drivers.numbered import has_several_commands, numbered
from adjourn._drivers.psycopg import options as libpq
from adjourn._drivers.settings import ENCODING
from adjourn._drivers.sockets import HasSocket, keep_alive
from adjourn._drivers.sqlalchemy.connecting import Connecting
from adjourn._drivers.sqlalchemy.private import finish_asyncpg
from adjourn._drivers.sqlalchemy.sessions import UNPREPARED, socket_of
from adjourn._drivers.wrappers import is_wrapper
from adjourn._runtime.forks import keep_for_ever
from adjourn.types import Parameters, Row, Statement

WAIT = 30.0
"""Seconds to wait for a connection if the pool has no timeout."""

_DRIVERS = frozenset({"asyncpg", "psycopg", "psycopg2"})


# Engines


def address(name: str, dsn: str | URL, drivers: Sequence[str]) -> URL:
    """Return the address of a database, with the driver to use.

    Parameters
    ----------
    name
        The connector's name, for messages.
    drivers
        The drivers that the address may name; the first is the default.

    Raises
    ------
    InvalidOption
        If the address cannot be read, or is for another database or driver. The message never contains the address.
    """
    url = _read(dsn)
    if url is None:
        raise exceptions.InvalidOption(
            f"{name}: the dsn cannot be read. Write 'postgresql://user@host:5432/dbname', and quote special characters."
        )
    backend, _, driver = url.drivername.partition("+")
    if backend not in ("postgres", "postgresql") or (driver or drivers[0]) not in drivers:
        wanted = " or ".join(f"'postgresql+{each}://...'" for each in drivers)
        raise exceptions.InvalidOption(f"{name}: the dsn is for {url.drivername!r}. This connector takes {wanted}.")
    return url.set(drivername=f"postgresql+{driver or drivers[0]}")


def _read(dsn: str | URL) -> URL | None:
    """Read an address; None if that is impossible.

    No exception leaves this function, not even as the context of another: it would quote the text, and so the password.
    """
    try:
        url = make_url(dsn)
        text = url.render_as_string(hide_password=False)
    except (ArgumentError, TypeError, ValueError, AttributeError):
        return None
    return url if is_storable(text) and is_storable(unquote(text)) else None


def make_engine(
    name: str,
    create: Callable[..., Any],
    url: URL,
    options: Mapping[str, Any],
    response_timeout: float | None,
    connecting: Connecting | None = None,
    *,
    may_prepare: bool = True,
) -> Any:
    """Make an engine, which does not connect yet.

    Parameters
    ----------
    name
        The connector's name, for messages.
    create
        SQLAlchemy's function that makes engines.
    url, options
        Its arguments.
    connecting
        What connects for it; None for the driver itself.
    may_prepare
        Whether the driver may prepare statements that last for longer than a transaction.

    Raises
    ------
    InvalidOption
        If SQLAlchemy does not know an option.
    """
    check_seconds(f"{name}: pool_timeout", options.get("pool_timeout", WAIT))
    given: Mapping[str, Any] = options.get("connect_args") or {}
    said = {**url.translate_connect_args(), **url.query, **given}
    within = connect_timeout(said, (pool_timeout(options), response_timeout))
    is_libpq = url.get_driver_name() != "asyncpg"  # which always uses UTF8
    defaults = {"connect_timeout": within, **ENCODING, **LASTING, NAME: APP} if is_libpq else {"timeout": within}
    arguments = {**unsaid(said, defaults), **given}
    if not is_libpq:
        called = {"application_name": os.environ.get("PGAPPNAME") or APP}
        arguments["server_settings"] = {**called, **(given.get("server_settings") or {})}
    if connecting is not None:
        arguments.setdefault("async_creator_fn", connecting)
    if not may_prepare:
        arguments = {**UNPREPARED[url.get_driver_name()], **arguments}
    try:
        engine = create(url, **{**options, "connect_args": arguments})
    except (ArgumentError, TypeError) as error:
        raise exceptions.InvalidOption(
            f"{name}: {error}. It takes the options of SQLAlchemy's create_engine (pool_size, max_overflow, ...)."
        ) from None
    except (ImportError, NoSuchModuleError) as error:
        driver = url.get_driver_name()
        raise ImportError(f"{name} needs {driver}: pip install 'adjourn[sqlalchemy,{driver}]' ({error}).") from error
    if url.get_driver_name() == "psycopg2" and options.get("isolation_level") != "AUTOCOMMIT":
        event.listen(engine, "checkin", _in_transactions_again)
    return engine


def _in_transactions_again(raw: Any, entry: ConnectionPoolEntry) -> None:
    """Undo what `names.committing` has done, as a connection goes back: the engine's user may have it next."""
    if raw is not None and raw.autocommit and not raw.closed:
        try:
            raw.autocommit = False
        except Exception:  # a transaction that somebody has begun by a statement
            entry.invalidate()


def pool_timeout(options: Mapping[str, Any]) -> float:
    """Return how many seconds an engine with these options waits for a connection."""
    return float(options.get("pool_timeout", WAIT))


def timeout_of(pool: Any) -> float:
    """Return how many seconds a pool waits for a connection."""
    timeout: Callable[[], float] | None = getattr(pool, "timeout", None)
    return float(timeout()) if callable(timeout) else WAIT


def check_dialect(dialect: Dialect, what: str) -> None:
    """Refuse an engine that is not on Postgres with a known driver."""
    if dialect.name != "postgresql" or dialect.driver not in _DRIVERS:
        raise exceptions.InvalidOption(
            f"This {what} is on {dialect.name}+{dialect.driver}. Use one on PostgreSQL and psycopg, psycopg2 or asyncpg."
        )


def other_engine(given: Any) -> str:
    """Return advice for an engine that was passed to the wrong call."""
    homes = [each.__module__ for each in type(given).__mro__]
    if any(home.startswith("sqlalchemy.ext.asyncio") for home in homes):
        return (
            "With this one await the form of the call that ends in `_async`, on an asynchronous connector: "
            "adjourn.contrib.sqlalchemy.SQLAlchemyConnector."
        )
    if any(home.startswith("sqlalchemy.engine") for home in homes):
        return "With this one use the blocking form of the call, the one without `_async`."
    return "Pass an engine of SQLAlchemy's, or give the app the connector of the driver that this is from."


def other_colour(connection: Any, *, is_blocking: bool) -> str:
    """Return advice for a connection that was passed to a call of the wrong colour."""
    drivers = {"sqlalchemy", "psycopg", "asyncpg"}
    if is_wrapper(connection):
        drivers = {"sqlalchemy"}  # the connection inside it is managed by another framework
    return remedy(connection, "a connection or session of SQLAlchemy's", drivers, is_blocking=is_blocking)


class Made:
    """The connections of adjourn's own engine, to close them where waiting is impossible.

    That is when an event loop has died, at the end of the program, and when an engine is deleted. In a forked child the
    connections must not be touched at all, not even by Python's garbage collection.
    """

    def __init__(self, engine: Any, connecting: Connecting | None) -> None:
        self._connecting = connecting
        self._process = os.getpid()
        self._connections: dict[int, tuple[Any, Any, ConnectionPoolEntry]] = {}
        # Connections that were in use when their event loop died. SQLAlchemy warns if one is deleted before it is
        # closed.
        self.left_behind: list[Any] = []
        pool = getattr(engine, "sync_engine", engine).pool
        # Before SQLAlchemy's own statements on a new connection, because the server may not answer those.
        event.listen(pool, "connect", self._remember, insert=True)
        event.listen(pool, "close", self._forget)
        # `self` must not refer to the engine, which would then never be deleted.
        weakref.finalize(engine, self.finish, idle_only=True)

    def finish(self, idle_only: bool = False) -> None:
        """Close the connections of this process without waiting for anything."""
        if self._process == os.getpid():
            for _, raw, entry in list(self._connections.values()):
                with contextlib.suppress(Exception):
                    _finish(raw, idle_only)
                if not idle_only:
                    entry.dbapi_connection = None  # type: ignore[misc]  # a property in its types
            if self._connecting is not None and not idle_only:
                self._connecting.give_up()
                for raw in list(self._connecting.made):
                    with contextlib.suppress(Exception):
                        _finish(raw, idle_only)
            self.left_behind.clear()

    def keep_for_ever(self) -> None:
        """Keep the connections alive in a forked child, because deleting them would affect the parent's."""
        for made in self._connections.values():
            keep_for_ever(made)

    def lines(self) -> list[HasSocket]:
        """Return all connections as something that can be hung up."""
        return [line for _, raw, _ in list(self._connections.values()) if (line := socket_of(raw)) is not None]

    def _remember(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        raw = getattr(connection, "driver_connection", connection)
        self._connections[id(connection)] = (connection, raw, entry)
        if hasattr(raw, "get_server_pid") and (line := socket_of(raw)) is not None:  # asyncpg has no options for this
            keep_alive(line, LASTING)

    def _forget(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        self._connections.pop(id(connection), None)


def _finish(raw: Any, idle_only: bool) -> None:
    if hasattr(raw, "pgconn"):  # psycopg
        # At the end of the program another thread may still wait on it.
        if not idle_only or raw.pgconn.transaction_status != TransactionStatus.ACTIVE:
            raw.pgconn.finish()
    elif hasattr(raw, "terminate"):  # asyncpg
        finish_asyncpg(raw, idle_only)
    elif not idle_only:
        raw.close()


# Statements


def run(
    connection: Connection, statement: Statement, parameters: Parameters | None, may_prepare: bool = True
) -> list[Row]:
    """Execute a statement on a connection and return its rows."""
    text, options = statement.text, {}
    values: Any = parameters
    if connection.dialect.driver == "asyncpg":
        if parameters is None and has_several_commands(text):
            return _run_several_on_asyncpg(connection, text)
        if parameters is not None:
            text, names = numbered(text)
            values = tuple(map(parameters.__getitem__, names)) or None
    elif parameters is None:
        options["no_parameters"] = True
    else:
        values = dict(parameters)
    with _unprepared(connection, may_prepare and parameters is not None):
        result = connection.exec_driver_sql(text, values, execution_options=options)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []


def _run_several_on_asyncpg(connection: Connection, text: str) -> list[Row]:
    # SQLAlchemy begins its transaction with its first statement, and does not notice statements sent without it.
    connection.exec_driver_sql("SELECT 1")
    adapted: Any = connection.connection.dbapi_connection
    adapted.run_async(lambda raw: raw.execute(text))
    return []


@contextlib.contextmanager
def _unprepared(connection: Connection, may_prepare: bool) -> Iterator[None]:
    """Keep psycopg from preparing text, which may hold several commands, or when there is a pooler in between."""
    if may_prepare or connection.dialect.driver != "psycopg":
        yield
        return
    raw: Any = connection.connection.driver_connection
    threshold, raw.prepare_threshold = raw.prepare_threshold, None
    try:
        yield
    finally:
        raw.prepare_threshold = threshold


def is_quiet(connection: Any) -> bool:
    """Return whether nothing has arrived at a connection since its last use, so that its server is probably there."""
    raw = _raw(connection)
    line = socket_of(raw)
    if line is None or (hasattr(raw, "is_closed") and raw.is_closed()):
        return False
    try:
        return not libpq.readable(line.fileno())
    except Exception:  # each driver has its own error for a closed connection
        return False


def line_of(connection: Any) -> HasSocket | None:
    """Return what has the socket of a connection of SQLAlchemy's, or None if there is none any more."""
    return socket_of(_raw(connection))


def _raw(connection: Any) -> Any:
    return getattr(connection, "sync_connection", connection).connection.driver_connection


# Errors


@contextlib.contextmanager
def translating(place: str = "", *, is_callers: bool = False) -> Iterator[None]:
    """Turn the errors of SQLAlchemy and of the driver into adjourn's.

    Parameters
    ----------
    place
        The server, if the error arose while connecting.
    is_callers
        Whether the connection is the caller's.
    """
    try:
        yield
    except exceptions.AdjournException:
        raise
    except Exception as error:
        raise translated(error, place, is_callers=is_callers) from error


def translated(error: Exception, place: str = "", *, is_callers: bool = False) -> exceptions.ConnectorException:
    """Return adjourn's error for whatever SQLAlchemy or a driver raised."""
    cause = driver_error(error)
    if not isinstance(cause, SQLAlchemyError | OSError) and not _is_drivers(cause):
        return unexpected(cause)
    message = str(cause).strip() or type(cause).__name__
    state = sqlstate_of(cause)
    if state == "23505":
        constraint = getattr(getattr(cause, "diag", cause), "constraint_name", None)
        return exceptions.UniqueViolation(message, constraint_name=constraint)
    if isinstance(cause, PoolTimeoutError):
        message += (
            ": all connections of the engine's pool are in use. Raise pool_size, max_overflow or pool_timeout, or hold "
            "connections for a shorter time."
        )
    elif place:
        return unreachable(place, message, state, "the host, port, database, user and password of the dsn")
    return exceptions.ConnectorException(explained(message, state, is_callers=is_callers), sqlstate=state)


def sqlstate_of(cause: Exception) -> str | None:
    """Return Postgres's error code, if a driver's error has one."""
    state: str | None = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state


def driver_error(error: Exception) -> Exception:
    """Return the error of the driver that SQLAlchemy has wrapped, or the error itself."""
    if isinstance(error, StatementError) and isinstance(error.orig, Exception):
        error = error.orig
        # asyncpg's errors are wrapped twice.
        if type(error).__module__.startswith("sqlalchemy") and isinstance(error.__cause__, Exception):
            error = error.__cause__
    return error


def _is_drivers(error: BaseException) -> bool:
    return any(each.__module__.split(".")[0] in _DRIVERS for each in type(error).__mro__)
