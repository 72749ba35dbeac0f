"""A savepoint around a job's body, on the caller's connection of any driver: a job that fails takes back what it did."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from adjourn import exceptions
from adjourn._drivers.connections import kind_of
from adjourn._drivers.wrappers import is_wrapper

logger: logging.Logger = logging.getLogger(__name__)

NAME = "adjourn_job"


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
        nested: contextlib.AbstractContextManager[Any] = connection.begin_nested()
        return nested
    if kind.driver == "psycopg":
        block: contextlib.AbstractContextManager[Any] = connection.transaction()
        return block
    return _by_statements(connection)


def savepoint_async(connection: Any) -> contextlib.AbstractAsyncContextManager[Any]:
    """Return a block in a savepoint of an asynchronous connection. See `savepoint`."""
    kind = kind_of(connection)
    if kind is None or not kind.is_awaited:
        return contextlib.nullcontext()
    is_sqlalchemy = kind.driver == "sqlalchemy"
    block: contextlib.AbstractAsyncContextManager[Any] = (
        connection.begin_nested() if is_sqlalchemy else connection.transaction()
    )
    return block


@contextlib.contextmanager
def _by_statements(connection: Any) -> Iterator[None]:
    """Make the savepoint by SQL, for psycopg2."""

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    execute(f"savepoint {NAME}")
    try:
        yield
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
        if connection.needs_rollback:
            raise exceptions.ConnectorException(
                "The job has caught an error of the database outside of a transaction.atomic() of its own, so its "
                "transaction cannot go on. Put atomic() around what may fail."
            )
    except BaseException:
        connection.needs_rollback = False
        connection.savepoint_rollback(name)
        raise
    finally:
        connection.savepoint_commit(name)
        connection.savepoint_ids.remove(name)
    while len(connection.run_on_commit) > before:
        _, callback, *rest = connection.run_on_commit.pop(before)
        try:
            callback()
        except Exception:
            if not any(rest):  # on_commit(robust=True) logs errors
                raise
            logger.exception("A callback of on_commit(robust=True) raised")
