"""The options, errors and connection parameters of the psycopg connector, for both colours."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import psycopg
import psycopg.adapt
import psycopg.conninfo
import psycopg.errors
import psycopg.pq
import psycopg.types.datetime
import psycopg_pool
from psycopg.abc import Buffer

from adjourn import exceptions
from adjourn._domain.checks import check_port, function_or
from adjourn._domain.spelling import hint
from adjourn._domain.time_checks import check_seconds
from adjourn._drivers import errors
from adjourn._drivers.connections import remedy
from adjourn._drivers.errors import explained, unexpected
from adjourn._drivers.libpq import LASTING, check_choices, connect_timeout, is_readable, unsaid
from adjourn._drivers.psycopg.private import configure_of
from adjourn._drivers.settings import ENCODING, check_pooler
from adjourn._drivers.sockets import readable as readable
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT, check_response_timeout

LARGEST_POOL = 10
"""How many connections a pool has at most by default."""

SESSION_DEFAULTS = {**ENCODING, "prepare_threshold": 1, **LASTING}
"""The default parameters of a session. A statement is prepared when it comes again: that takes a round trip, and a worker that ends at once
executes most of them once."""

# Options of the pool that adjourn sets itself.
RESERVED = {"self", "conninfo", "open", "close_returns"}


@attrs.frozen
class PsycopgOptions:
    """The keywords given to a connector, split into those for connections and those for the pool."""

    conninfo: Any
    connection: Any = attrs.field(repr=False)
    """The arguments of each connection: a mapping, or the user's function that returns one."""
    pool: Mapping[str, Any]
    response_timeout: float | None = RESPONSE_TIMEOUT
    """Seconds that the server may take to answer."""
    pooler: bool | None = None
    """Whether there is a pooler in transaction mode in between, None for whether that has to be found out."""

    @property
    def chooses_preparing(self) -> bool:
        """Whether the user has said when statements are prepared."""
        return isinstance(self.connection, Mapping) and "prepare_threshold" in self.connection

    @property
    def timeout(self) -> float:
        """Seconds to wait for a connection."""
        return float(self.pool.get("timeout", 30.0))


def sorted_options(
    conninfo: Any,
    keywords: Mapping[str, Any],
    pool_factory: Callable[..., Any],
    *,
    response_timeout: float | None,
    pooler: bool | None = None,
    is_blocking: bool,
) -> PsycopgOptions:
    """Separate the pool's options from libpq's, and refuse all others.

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
    name = "SyncPsycopgConnector" if is_blocking else "PsycopgConnector"
    check_response_timeout(name, response_timeout)
    if not callable(pool_factory):
        raise exceptions.InvalidOption(f"{name}: pool_factory={pool_factory!r} must be a class of pools or a function.")
    check_pooler(name, pooler)
    known_to_pool = pool_options(pool_factory)
    known_to_libpq = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    pool = {keyword: value for keyword, value in keywords.items() if keyword in known_to_pool}
    libpq = {keyword: value for keyword, value in keywords.items() if keyword in known_to_libpq and keyword not in pool}
    for keyword in keywords:
        if keyword not in pool and keyword not in libpq:
            raise exceptions.UnknownOption(_unknown(name, keyword, {*known_to_pool, *known_to_libpq}))
    _check_pool(name, pool)
    connection = pool.pop("kwargs", None) or {}
    if callable(connection):
        if libpq:
            raise exceptions.InvalidOption(
                f"{name}: {next(iter(libpq))!r} cannot be combined with a function as `kwargs`. Let the function "
                "return it."
            )
    else:
        _check_kwargs(name, connection, known_to_libpq, pool.get("connection_class"))
        connection = {**libpq, **connection}
        check_port(f"{name}: port", connection.get("port"))
    if isinstance(conninfo, str):
        _check_conninfo(name, conninfo, connection)
    elif not callable(conninfo):
        raise exceptions.InvalidOption(f"{name}: conninfo must be a string or a function that returns one.")
    return PsycopgOptions(conninfo, connection, pool | _sizes(name, pool, pool_factory), response_timeout, pooler)


def _check_pool(name: str, pool: Mapping[str, Any]) -> None:
    for keyword in _SECONDS:
        # The other durations may be infinite, so that connections live for ever.
        if keyword in pool and (keyword == "timeout" or pool[keyword] != math.inf):
            check_seconds(f"{name}: {keyword}", pool[keyword], above_zero=keyword == "timeout")
    for keyword, least in (("num_workers", 1), ("max_waiting", 0)):
        value = pool.get(keyword, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise exceptions.InvalidOption(f"{name}: {keyword}={value!r} must be a whole number, at least {least}.")
    for keyword in ("configure", "check", "reset", "reconnect_failed"):
        function_or(f"{name}: {keyword}", pool.get(keyword), None)


def _check_kwargs(name: str, given: Any, known_to_libpq: Iterable[str], connection_class: Any) -> None:
    if not isinstance(given, Mapping):
        raise exceptions.InvalidOption(f"{name}: kwargs must be a dictionary, not of type {type(given).__name__}.")
    if connection_class not in (None, psycopg.Connection, psycopg.AsyncConnection):
        return  # it may take anything
    known = {*known_to_libpq, *inspect.signature(psycopg.Connection.connect).parameters} - {"conninfo", "kwargs"}
    for keyword in given:
        if keyword not in known:
            raise exceptions.InvalidOption(
                f"{name}: kwargs has {keyword!r}, which psycopg.connect does not take. It takes autocommit, "
                "prepare_threshold, row_factory, ... and the connection parameters of libpq (host, port, dbname, ...)."
            )


_SECONDS = ("timeout", "max_lifetime", "max_idle", "reconnect_timeout")


def _sizes(name: str, pool: Mapping[str, Any], pool_factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the pool's sizes: by default one connection at first and ten at most.

    One is enough for a program that seldom defers, and for a worker, which has its own connections.
    """
    keeps_connections = bool(getattr(inspect.signature(pool_factory).parameters.get("min_size"), "default", 1))
    smallest, largest = pool.get("min_size", 1 if keeps_connections else 0), pool.get("max_size")
    for keyword, value in (("min_size", smallest), ("max_size", largest)):
        if isinstance(value, bool) or not isinstance(value, int | None) or (value or 0) < 0:
            raise exceptions.InvalidOption(f"{name}: {keyword}={value!r} must be a number of connections.")
    if largest is None:
        largest = max(LARGEST_POOL, smallest)
    if largest < max(smallest, 1):
        raise exceptions.InvalidOption(
            f"{name}: max_size={largest!r} must be at least one, and not below min_size ({smallest!r})."
        )
    return {"min_size": smallest, "max_size": largest}


def pool_options(pool_factory: Callable[..., Any]) -> set[str]:
    """Return the names of the options that a pool takes from the user."""
    parameters = inspect.signature(pool_factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        parameters = inspect.signature(psycopg_pool.ConnectionPool).parameters
    return set(parameters) - RESERVED


def _unknown(name: str, keyword: str, known: Iterable[str]) -> str:
    if keyword in RESERVED:
        return f"{name}: {keyword!r} is not an option, adjourn decides it."
    question = hint(keyword, [*known, "conninfo"])
    return (
        f"{name} has no option {keyword!r}{question} It takes the options of psycopg_pool's pool (min_size, max_size, "
        "timeout, configure, ...) and the connection parameters of libpq (host, port, dbname, user, ...)."
    )


def _check_conninfo(name: str, conninfo: str, connection: Any) -> None:
    if not is_readable(conninfo, psycopg.conninfo.conninfo_to_dict, psycopg.Error):
        raise exceptions.InvalidOption(
            f"{name}: the conninfo cannot be read. Write 'postgresql://user@host:5432/dbname' or "
            "'host=... port=... dbname=... user=...', and quote special characters."
        )
    given = {} if callable(connection) else connection
    check_choices(name, {**psycopg.conninfo.conninfo_to_dict(conninfo), **given})


def unsaid_parameters(
    conninfo: str, given: Mapping[str, Any], options: PsycopgOptions, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of those of libpq's parameters that the user has not set.

    Parameters
    ----------
    conninfo, given
        The connection string, and the arguments beside it.
    options
        The connector's options, which say how long connecting may take.
    defaults
        Values for some parameters.
    """
    said = psycopg.conninfo.conninfo_to_dict(conninfo, **{k: v for k, v in given.items() if k in _PLACE})
    limits = (options.timeout, options.response_timeout)
    return unsaid({**said, **given}, {"connect_timeout": connect_timeout(said, limits), **defaults})


def whereabouts(conninfo: Any, connection: Any) -> str:
    """Describe the server that a connection goes to, without any secret."""
    try:
        found = psycopg.conninfo.conninfo_to_dict(conninfo, **{k: v for k, v in connection.items() if k in _PLACE})
    except (psycopg.Error, AttributeError, TypeError):
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


def place_of(connection: psycopg.BaseConnection[Any]) -> str:
    """Describe the server that a connection goes to, without any secret."""
    return whereabouts("", {name: value for name, value in connection.info.get_parameters().items() if value})


_PLACE = {"host", "hostaddr", "port", "dbname", "user", "service"}


@contextlib.contextmanager
def translating(place: str = "") -> Iterator[None]:
    """Turn whatever a call of psycopg raises into adjourn's errors.

    Parameters
    ----------
    place
        The server, while connecting.
    """
    try:
        yield
    except exceptions.AdjournException:
        raise
    except psycopg.Error as error:
        raise (unreachable(error, place) if place else translated(error)) from error
    except Exception as error:
        raise unexpected(error) from error


def translated(error: psycopg.Error) -> exceptions.ConnectorException:
    """Return adjourn's error for one of psycopg's."""
    message = str(error).strip() or type(error).__name__
    if isinstance(error, psycopg.errors.UniqueViolation):
        return exceptions.UniqueViolation(message, constraint_name=error.diag.constraint_name)
    if isinstance(error, psycopg_pool.PoolTimeout):
        message += (
            ": all connections of the pool are in use, or the database cannot be reached. Raise max_size or timeout, "
            "or hold connections for a shorter time."
        )
    return exceptions.ConnectorException(explained(message, error.sqlstate), sqlstate=error.sqlstate)


class _TextLoader(psycopg.adapt.Loader):
    """Reads a text of a connection without an encoding (SQL_ASCII), from which psycopg returns bytes."""

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return bytes(data).decode()


def reads_texts(adapters: psycopg.adapt.AdaptersMap) -> None:
    """Have a cursor return texts on a connection without an encoding."""
    adapters.register_loader("text", _TextLoader)


def reads_times(adapters: psycopg.adapt.AdaptersMap) -> None:
    """Have a cursor return aware times, whatever the connection returns."""
    adapters.register_loader("timestamptz", psycopg.types.datetime.TimestamptzLoader)


def notifications(connection: psycopg.BaseConnection[Any]) -> list[str]:
    """Return the payloads of the notifications that have arrived since the last statement, and forget them."""
    encoding, libpq = connection.info.encoding, connection.pgconn
    libpq.consume_input()
    arrived = []
    while note := libpq.notifies():
        arrived.append(note.extra.decode(encoding))
    return arrived


def unreachable(error: psycopg.Error, place: str) -> exceptions.ConnectorException:
    """Return adjourn's error for a connection that could not be made."""
    return errors.unreachable(
        place, str(error), error.sqlstate, "the connector's host, port, dbname, user and password"
    )


def other_colour(connection: Any, *, is_blocking: bool) -> str:
    """Return advice for a connection that was passed to a call of the wrong colour."""
    return remedy(connection, "a connection of psycopg", {"psycopg"}, is_blocking=is_blocking)


def options_of_pool(pool: Any, response_timeout: float | None, pooler: bool | None) -> PsycopgOptions:
    """Return the parameters with which the user's own pool connects, and what the connector was told beside them."""
    taken = {"connection_class": pool.connection_class, "timeout": pool.timeout}
    # A session without these might, for instance, use another schema.
    if (configure := configure_of(pool)) is not None:
        taken["configure"] = configure
    return PsycopgOptions(pool.conninfo, pool.kwargs or {}, taken, response_timeout, pooler)
