"""Converts the options of an asynchronous psycopg connector to those of its synchronous twin.

Numbers and strings are the same for both. The user's coroutine functions (``configure``, ``check``, ``reset``) expect
an asynchronous connection, and get one: `Borrowed` uses the same libpq connection, but blocks instead of waiting on an
event loop. So the coroutine never has to wait, and runs to its end in one step, without an event loop. An option that
has no synchronous counterpart is refused by name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg_pool

from adjourn import exceptions
from adjourn._drivers.psycopg.options import PsycopgOptions
from adjourn._drivers.psycopg.private import Borrowed

ON_CONNECTIONS = ("configure", "check", "reset")


def twin_options(options: PsycopgOptions, pool_factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments for making the synchronous connector.

    Raises
    ------
    InvalidOption
        If an option has no synchronous counterpart.
    """
    return {
        "pool_factory": counterpart("pool_factory", pool_factory, psycopg_pool),
        **connecting_options(options),
    }


def connecting_options(options: PsycopgOptions) -> dict[str, Any]:
    """Return arguments for a synchronous connector that makes the same connections."""
    return {
        "conninfo": blocking(options.conninfo) if callable(options.conninfo) else options.conninfo,
        "kwargs": _connection_arguments(options.connection),
        "response_timeout": options.response_timeout,
        "pooler": options.pooler,
        **{name: _pool_option(name, value) for name, value in options.pool.items()},
    }


def _connection_arguments(given: Any) -> Any:
    if callable(given):
        answer = blocking(given)
        return lambda: _connection_arguments(answer())
    arguments = dict(given)
    if factory := arguments.get("cursor_factory"):
        arguments["cursor_factory"] = counterpart("cursor_factory", factory, psycopg)
    return arguments


def _pool_option(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ON_CONNECTIONS:
        return on_borrowed(name, value)
    if name == "connection_class":
        return counterpart(name, value, psycopg)
    return blocking(value) if callable(value) else value


def counterpart(name: str, asynchronous: Any, library: Any) -> Any:
    """Return a library's blocking counterpart of its asynchronous class.

    Raises
    ------
    InvalidOption
        If there is none, for instance for the user's own class.
    """
    plain = getattr(asynchronous, "__name__", "").removeprefix("Async")
    if getattr(library, f"Async{plain}", None) is asynchronous:
        return getattr(library, plain)
    raise exceptions.InvalidOption(
        f"{name}={asynchronous!r} has no synchronous counterpart, so this connector cannot be opened for synchronous "
        "calls. Open it with `await app.open_async()`, or give synchronous code an app of its own: "
        "`app.with_connector(SyncPsycopgConnector(...))`."
    )


def on_borrowed(name: str, callback: Callable[[Any], Any]) -> Callable[[psycopg.Connection[Any]], None]:
    """Turn a callback for asynchronous connections into one for blocking connections."""

    @functools.wraps(callback)
    def call(connection: psycopg.Connection[Any]) -> None:
        borrowed = Borrowed(connection)
        finish(name, callback(borrowed))
        connection.prepare_threshold = borrowed.prepare_threshold
        if connection.autocommit != borrowed.autocommit:
            connection.autocommit = borrowed.autocommit

    return call


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs a coroutine and returns its result, instead of returning the coroutine."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return finish(getattr(function, "__name__", repr(function)), function(*arguments))

    return call


def finish(name: str, result: Any) -> Any:
    """Run a coroutine that never has to wait, and return its result; anything else is returned as it is.

    Raises
    ------
    InvalidOption
        If it waits for something that needs an event loop.
    """
    if not inspect.iscoroutine(result):
        return result
    try:
        result.send(None)
    except StopIteration as stop:
        return stop.value
    except RuntimeError as error:
        if "event loop" not in str(error):
            raise
    finally:
        result.close()
    raise exceptions.InvalidOption(
        f"{name} waits for something that needs an event loop, so it cannot be used for synchronous calls. Await only "
        "the connection in it, or give synchronous code an app of its own: "
        "`app.with_connector(SyncPsycopgConnector(...))`."
    )
