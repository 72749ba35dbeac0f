"""Translate an engine's address into libpq's parameters, for connections that are made beside its pool.

These connections are always psycopg's, with any driver of the engine. SQLAlchemy turns an address into the arguments of
its driver. psycopg2 and psycopg take libpq's parameters; the arguments of asyncpg are translated here, and those
without a counterpart are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg.pq
from sqlalchemy.engine import URL

from adjourn import exceptions

# Arguments about asyncpg's statements and results, which are not part of the address.
_ASYNCPGS_OWN = {
    "command_timeout",
    "connection_class",
    "max_cacheable_statement_size",
    "max_cached_statement_lifetime",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "record_class",
    "statement_cache_size",
}
_SAME = {"gsslib", "host", "krbsrvname", "passfile", "password", "port", "target_session_attrs", "user"}


def connection_arguments(url: URL, connect_args: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments with which psycopg connects to an engine's database.

    Parameters
    ----------
    url
        The engine's address.
    connect_args
        The engine's ``connect_args``.

    Raises
    ------
    InvalidOption
        If something has no counterpart in libpq.
    """
    _, arguments = url.get_dialect()().create_connect_args(url)
    arguments = {**arguments, **(connect_args or {})}
    driver = url.get_driver_name()
    if driver == "asyncpg":
        return _from_asyncpg(arguments)
    if driver == "psycopg2":
        known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
        return {name: value for name, value in arguments.items() if name in known}
    # The colours differ only in the cursor class, and sessions have their own.
    return {name: value for name, value in arguments.items() if name not in ("context", "cursor_factory")}


def _from_asyncpg(given: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _SAME and not callable(value):
            arguments[name] = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        elif name == "database":
            arguments["dbname"] = value
        elif name == "timeout":
            arguments["connect_timeout"] = max(1, math.ceil(float(given[name])))
        elif name == "ssl" and (isinstance(value, str) or value is False):
            arguments["sslmode"] = value or "disable"
        elif name == "server_settings":
            arguments["options"] = " ".join(_settings(given[name].items()))
        elif name not in _ASYNCPGS_OWN:
            raise exceptions.InvalidOption(
                f"The engine connects with {name}={type(value).__name__} of asyncpg, which psycopg has no counterpart "
                "for; adjourn needs it for connections of its own beside the engine's (synchronous calls, a worker's "
                "sessions). Name ssl by its mode, such as ssl='verify-full', and a password in the dsn; or use an "
                "engine on psycopg."
            )
    # Behind a pooler in transaction mode neither driver may prepare statements.
    if any(str(given.get(name, "")) == "0" for name in ("statement_cache_size", "prepared_statement_cache_size")):
        arguments["prepare_threshold"] = None
    return arguments


def _settings(settings: Iterable[tuple[str, Any]]) -> Iterable[str]:
    for name, value in settings:
        escaped = str(value).replace("\\", "\\\\").replace(" ", "\\ ")
        yield f"-c {name}={escaped}"
