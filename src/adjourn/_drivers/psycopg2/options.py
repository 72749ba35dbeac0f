"""The options and errors of the psycopg2 connector, and statements on its connections, for both colours."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import attrs
import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.pool

from adjourn import exceptions
from adjourn._domain.callings import APP
from adjourn._domain.checks import check_port, function_or
from adjourn._domain.spelling import hint
from adjourn._domain.time_checks import check_seconds
from adjourn._drivers import errors
from adjourn._drivers.connections import remedy
from adjourn._drivers.errors import explained, unexpected
from adjourn._drivers.libpq import LASTING, NAME, check_choices, connect_timeout, is_readable, unsaid
from adjourn._drivers.psycopg2.private import arguments_of
from adjourn._drivers.settings import ENCODING, check_pooler, greeting, is_pooled
from adjourn._drivers.sockets import readable
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT, Wait, check_response_timeout, limited
from adjourn.types import Parameters, Row, Statement

T = TypeVar("T")

Connection: TypeAlias = psycopg2.extensions.connection
ThreadedConnectionPool: TypeAlias = psycopg2.pool.ThreadedConnectionPool
quote_ident = psycopg2.extensions.quote_ident

LARGEST_POOL = 10
"""How many connections a pool has at most by default."""

POOL_OPTIONS = {"minconn": 1, "maxconn": LARGEST_POOL, "timeout": 30.0}
CONNECT_OPTIONS = {"connection_factory", "cursor_factory"}
RESERVED = {"async", "async_"}

# For suggestions only: libpq itself is asked which parameters exist.
_COMMON = ["dsn", "host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "sslmode", "options"]
_PLACE = {"host", "hostaddr", "port", "dbname", "database", "user", "service"}


@attrs.frozen
class Psycopg2Options:
    """The keywords given to a connector, split into those for connections and those for the pool."""

    connection: Mapping[str, Any] = attrs.field(repr=False)
    """What `psycopg2.connect` takes."""
    minconn: int = 1
    maxconn: int = LARGEST_POOL
    timeout: float = 30.0
    """Seconds to wait for a connection."""
    response_timeout: float | None = RESPONSE_TIMEOUT
    """Seconds that the server may take to answer."""
    pooler: bool | None = None
    """Whether there is a pooler in transaction mode in between, None for whether that has to be found out."""


def sorted_options(
    dsn: str,
    keywords: Mapping[str, Any],
    *,
    response_timeout: float | None,
    pooler: bool | None = None,
    is_blocking: bool,
) -> Psycopg2Options:
    """Separate the pool's options from those of psycopg2 and libpq, and refuse all others.

    Parameters
    ----------
    response_timeout
        Seconds that the server may take to answer.
    pooler
        Whether there is a pooler in between.
    is_blocking
        Whether the connector is the synchronous one, for the message.

    Raises
    ------
    InvalidOption
        If a keyword is unknown, or the connection string cannot be read. The message never contains a value.
    """
    name = "Psycopg2Connector" if is_blocking else "AsyncPsycopg2Connector"
    check_response_timeout(name, response_timeout)
    check_pooler(name, pooler)
    for keyword in keywords:
        if keyword in RESERVED:
            raise exceptions.InvalidOption(f"{name}: {keyword!r} is not an option, adjourn decides it.")
        if not (keyword in POOL_OPTIONS or keyword in CONNECT_OPTIONS or is_known_to_libpq(keyword)):
            raise exceptions.UnknownOption(_unknown(name, keyword))
    pool = {**POOL_OPTIONS, **{keyword: value for keyword, value in keywords.items() if keyword in POOL_OPTIONS}}
    _check_pool(name, pool)
    connection = {keyword: value for keyword, value in keywords.items() if keyword not in POOL_OPTIONS}
    _check_dsn(name, dsn)
    check_choices(name, {**psycopg2.extensions.parse_dsn(dsn), **connection})
    check_port(f"{name}: port", connection.get("port"))
    for keyword in CONNECT_OPTIONS:
        function_or(f"{name}: {keyword}", connection.get(keyword), None)
    return Psycopg2Options(
        {"dsn": dsn, **connection}, pool["minconn"], pool["maxconn"], float(pool["timeout"]), response_timeout, pooler
    )


def _check_pool(name: str, pool: Mapping[str, Any]) -> None:
    for keyword in ("minconn", "maxconn"):
        value = pool[keyword]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise exceptions.InvalidOption(f"{name}: {keyword}={value!r} must be a number of connections.")
    if pool["maxconn"] < max(pool["minconn"], 1):
        raise exceptions.InvalidOption(
            f"{name}: maxconn={pool['maxconn']!r} must be at least one, and not below minconn ({pool['minconn']!r})."
        )
    check_seconds(f"{name}: timeout", pool["timeout"], above_zero=True)


def _check_dsn(name: str, dsn: Any) -> None:
    if not isinstance(dsn, str):
        raise exceptions.InvalidOption(f"{name}: dsn must be a string.")
    if not is_readable(dsn, psycopg2.extensions.parse_dsn, psycopg2.Error):
        raise exceptions.InvalidOption(
            f"{name}: the dsn cannot be read. Write 'postgresql://user@host:5432/dbname' or "
            "'host=... port=... dbname=... user=...', and quote special characters."
        )


@functools.cache
def is_known_to_libpq(keyword: str) -> bool:
    """Return whether the libpq that psycopg2 uses has a connection parameter of this name."""
    try:
        psycopg2.extensions.make_dsn(**{keyword: "1"})
    except psycopg2.Error:
        return False
    return True


def _unknown(name: str, keyword: str) -> str:
    question = hint(keyword, [*POOL_OPTIONS, *CONNECT_OPTIONS, *_COMMON])
    return (
        f"{name} has no option {keyword!r}{question} It takes minconn, maxconn and timeout (seconds), connection_factory "
        "and cursor_factory, and the connection parameters of libpq (host, port, dbname, user, ...)."
    )


def connected(options: Psycopg2Options) -> Connection:
    """Connect once, for a pool, within its ``timeout`` in seconds.

    Raises
    ------
    ConnectorException
        If the database cannot be reached.
    """
    connection = _connected(options, APP)
    _greet(connection, options, lasting=False)
    return connection


def connected_for_session(options: Psycopg2Options, name: str) -> tuple[Connection, bool]:
    """Connect once, for a session, and return the connection, and whether it can listen.

    Parameters
    ----------
    name
        What it is called if the user has not said it.

    Raises
    ------
    ConnectorException
        If the database cannot be reached.
    """
    connection = _connected(options, name)
    return connection, not _greet(connection, options, lasting=True)


def _greet(connection: Connection, options: Psycopg2Options, *, lasting: bool) -> bool:
    """Set what adjourn depends on, and return whether the connection goes through a pooler."""
    process = connection.info.backend_pid
    has_options = bool(connection.info.options)
    text = greeting(process, sets=options.pooler is not True, lasting=lasting, has_options=has_options)
    try:
        with translating(), limited(connection, options.timeout):
            (facts,) = run(connection, Statement("greeting", text), None)
        return is_pooled(facts, process, options.pooler, whereabouts(options.connection))
    except BaseException:
        connection.close()
        raise


def _connected(options: Psycopg2Options, name: str) -> Connection:
    """Connect once, in autocommit mode, within the pool's ``timeout`` in seconds.

    Raises
    ------
    ConnectorException
        If the database cannot be reached.
    """
    given = options.connection
    try:
        said = {**psycopg2.extensions.parse_dsn(given.get("dsn") or ""), **given}
        limits = (options.timeout, options.response_timeout)
        defaults = {"connect_timeout": connect_timeout(said, limits), **ENCODING, **LASTING, NAME: name}
        known = {name: value for name, value in unsaid(said, defaults).items() if is_known_to_libpq(name)}
        connection: Connection = psycopg2.connect(**{**known, **given})
        connection.autocommit = True
    except psycopg2.Error as error:
        raise unreachable(error, given) from error
    except Exception as error:
        raise unexpected(error) from error
    return connection


def options_of_pool(pool: Any, timeout: float, response_timeout: float | None, pooler: bool | None) -> Psycopg2Options:
    """Return the parameters with which the user's own pool connects, and what the connector was told beside them."""
    return Psycopg2Options(arguments_of(pool), timeout=timeout, response_timeout=response_timeout, pooler=pooler)


def whereabouts(connection: Mapping[str, Any]) -> str:
    """Describe the server that a connection goes to, without any secret."""
    try:
        place = {keyword: value for keyword, value in connection.items() if keyword in _PLACE}
        found = psycopg2.extensions.parse_dsn(psycopg2.extensions.make_dsn(connection.get("dsn") or "", **place))
    except (psycopg2.Error, TypeError):
        return "the database"
    host = found.get("host") or found.get("hostaddr") or os.environ.get("PGHOST") or "the local socket"
    parts = [f"{host}"]
    if port := found.get("port"):
        parts.append(f"port {port}")
    if dbname := found.get("dbname"):
        parts.append(f"database {dbname!r}")
    if user := found.get("user"):
        parts.append(f"user {user!r}")
    return ", ".join(parts)


def unreachable(error: psycopg2.Error, connection: Mapping[str, Any]) -> exceptions.ConnectorException:
    """Return adjourn's error for a connection that could not be made."""
    return errors.unreachable(
        whereabouts(connection), str(error), error.pgcode, "the connector's host, port, dbname, user and password"
    )


def translated(error: psycopg2.Error, *, is_callers: bool = False) -> exceptions.ConnectorException:
    """Return adjourn's error for one of psycopg2's, on a connection of the caller's or of the connector's."""
    message = str(error).strip() or type(error).__name__
    if isinstance(error, psycopg2.errors.UniqueViolation):
        return exceptions.UniqueViolation(message, constraint_name=error.diag.constraint_name)
    message = explained(message, error.pgcode, is_callers=is_callers)
    return exceptions.ConnectorException(message, sqlstate=error.pgcode)


@contextlib.contextmanager
def translating(*, is_callers: bool = False) -> Iterator[None]:
    """Turn whatever a call of psycopg2 raises into adjourn's errors, on a connection of the caller's or of the connector's."""
    try:
        yield
    except exceptions.AdjournException:
        raise
    except psycopg2.Error as error:
        raise translated(error, is_callers=is_callers) from error
    except Exception as error:
        if isinstance(error, ValueError) and "NUL" in str(error):
            # psycopg2 refuses NUL characters before Postgres can; this is Postgres's error code.
            raise exceptions.ConnectorException(str(error), sqlstate="22021") from error
        raise unexpected(error) from error


def run(connection: Connection, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute a statement, in the open transaction or in one that it begins, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement.text, parameters)
        return rows(cursor)


def run_watched(wait: Wait, connection: Connection, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute a statement as `run` does; its server has only so much time from now on."""
    wait.on(connection)
    return run(connection, statement, parameters)


def run_committed(connection: Connection, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute a statement, commit it, and return its rows."""
    if connection.autocommit:
        return run(connection, statement, parameters)
    try:
        found = run(connection, statement, parameters)
        connection.commit()
    except BaseException:
        with contextlib.suppress(psycopg2.Error):
            connection.rollback()
        raise
    return found


def rows(cursor: Any) -> list[Row]:
    """Return the rows of a statement as dictionaries, whatever the user's class of cursor returns."""
    if cursor.description is None:
        return []
    names = [column[0] for column in cursor.description]
    return [dict(row) if isinstance(row, Mapping) else dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def is_alive(connection: Connection) -> bool:
    """Return whether the server of an unused connection is still there, without asking the server.

    If the server is gone there is something to read: the end of the stream.
    """
    try:
        while not connection.closed and readable(connection.fileno()):
            connection.poll()
    except psycopg2.Error:
        return False
    return not connection.closed


def notifications(connection: Connection) -> list[str]:
    """Return the payloads of the notifications that have arrived by now, and forget them."""
    with translating():
        if not connection.notifies:
            connection.poll()
        arrived = [note.payload or "" for note in connection.notifies]
        del connection.notifies[:]
        return arrived


def checked_connection(connection: Any, *, is_blocking: bool) -> Connection:
    """Check the connection that a caller has passed to a call of either colour.

    Raises
    ------
    InvalidConnection
        If it is of another kind.
    """
    if isinstance(connection, psycopg2.extensions.connection):
        if not connection.async_:
            return connection
        raise exceptions.InvalidConnection(
            "This psycopg2 connection is in asynchronous mode, in which there are no transactions. Pass one that was "
            "made without `async_`."
        )
    kind = type(connection)
    raise exceptions.InvalidConnection(
        "This call takes a psycopg2 connection (psycopg2.extensions.connection) as `connection`, not an instance of "
        f"{kind.__module__}.{kind.__qualname__}. "
        + remedy(connection, "a connection of psycopg2", {"psycopg2"}, is_blocking=is_blocking)
    )
