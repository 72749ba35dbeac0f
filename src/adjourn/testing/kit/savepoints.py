"""A savepoint around a job's body, on the caller's connection of any driver: a job that fails takes back what it did."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from adjourn import exceptions
from adjourn._drivers.connections import kind_of
from adjourn._drivers.wrappers import is_wrapper

logger: logging.Logger = logging.getLogger(__name__)

NAME = "adjourn_job"
PROBE = "select 1"
IN_ERROR = 3
"""libpq's status of a transaction in which a statement has failed."""


def check_transaction(connection: Any) -> None:
    """Refuse a connection that commits each statement by itself.

    Raises
    ------
    InvalidConnection
        Naming the remedy.
    """
    if connection is None or is_wrapper(connection) or getattr(connection, "autocommit", False) is not True:
        return
    status = getattr(getattr(connection, "info", None), "transaction_status", 0)
    if not int(status):
        raise exceptions.InvalidConnection(
            "connection= commits each statement by itself (autocommit), so there is no transaction for the jobs to run "
            "in. Begin one around the drain, such as `with connection.transaction():`, or leave `connection` out."
        )


def savepoint(connection: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a block in a savepoint of a connection: what raises inside is rolled back to its beginning.

    Parameters
    ----------
    connection
        The caller's connection; None for no savepoint.
    """
    kind = kind_of(connection)
    if kind is None or kind.is_awaited:  # none, or one that the connector refuses
        return contextlib.nullcontext()
    if is_wrapper(connection):
        return _of_django(connection)
    if kind.driver == "sqlalchemy":
        return _of_sqlalchemy(connection)
    return _of_psycopg(connection) if kind.driver == "psycopg" else _by_statements(connection)


def savepoint_async(connection: Any) -> contextlib.AbstractAsyncContextManager[Any]:
    """Return a block in a savepoint of an asynchronous connection. See `savepoint`."""
    kind = kind_of(connection)
    if kind is None or not kind.is_awaited:
        return contextlib.nullcontext()
    return _of_sqlalchemy_async(connection) if kind.driver == "sqlalchemy" else _of_psycopg_async(connection)


@contextlib.contextmanager
def _of_sqlalchemy(connection: Any) -> Iterator[None]:
    with connection.begin_nested():
        yield
        # Not every driver tells whether the transaction is broken; and the savepoint is rolled back only if the block raises.
        try:
            (connection if _is_engines(connection) else connection.connection()).exec_driver_sql(PROBE)
        except Exception as error:
            raise _broken() from error


@contextlib.asynccontextmanager
async def _of_sqlalchemy_async(connection: Any) -> AsyncIterator[None]:
    async with connection.begin_nested():
        yield
        try:
            await (connection if _is_engines(connection) else await connection.connection()).exec_driver_sql(PROBE)
        except Exception as error:
            raise _broken() from error


def _is_engines(connection: Any) -> bool:
    """Return whether this is a connection of an engine, not a session."""
    return hasattr(connection, "exec_driver_sql")


@contextlib.contextmanager
def _of_psycopg(connection: Any) -> Iterator[None]:
    with connection.transaction():
        yield
        _refuse_broken(connection)


@contextlib.asynccontextmanager
async def _of_psycopg_async(connection: Any) -> AsyncIterator[None]:
    async with connection.transaction():
        yield
        _refuse_broken(connection)


@contextlib.contextmanager
def _by_statements(connection: Any) -> Iterator[None]:
    """Make the savepoint by SQL, for psycopg2."""

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    execute(f"savepoint {NAME}")
    try:
        yield
        _refuse_broken(connection)
    except BaseException:
        execute(f"rollback to savepoint {NAME}")
        raise
    finally:
        execute(f"release savepoint {NAME}")


@contextlib.contextmanager
def _of_django(connection: Any) -> Iterator[None]:
    """Make the savepoint as ``transaction.atomic()`` does, and run the callbacks of ``on_commit`` when the body succeeds.

    Outside of ``atomic()`` the job commits by itself, as in a worker.
    """
    if not connection.in_atomic_block:
        yield
        return
    before = len(connection.run_on_commit)
    name = connection.savepoint()
    connection.savepoint_ids.append(name)
    try:
        yield
        _refuse_broken(connection.connection, is_known=connection.needs_rollback)
    except BaseException:
        connection.needs_rollback = False
        connection.savepoint_rollback(name)
        raise
    finally:
        # Whatever fails here: the block around this one must find its own savepoint.
        connection.savepoint_ids.remove(name)
        connection.savepoint_commit(name)
    while len(connection.run_on_commit) > before:
        _, callback, *rest = connection.run_on_commit.pop(before)
        try:
            callback()
        except Exception:
            if not any(rest):  # on_commit(robust=True) logs errors
                raise
            logger.exception("A callback of on_commit(robust=True) raised")


def _refuse_broken(connection: Any, *, is_known: bool = False) -> None:
    """Have a job fail that has caught an error of the database, as the transaction cannot go on after it.

    Parameters
    ----------
    connection
        The driver's connection.
    is_known
        Whether it is known already that the transaction is broken.
    """
    if is_known or int(connection.info.transaction_status) == IN_ERROR:
        raise _broken()


def _broken() -> exceptions.ConnectorException:
    return exceptions.ConnectorException(
        "The job has caught an error of the database outside of a savepoint of its own, so its transaction cannot go on. Put a "
        "savepoint around what may fail: Django's transaction.atomic(), a session's begin_nested(), psycopg's "
        "connection.transaction()."
    )
