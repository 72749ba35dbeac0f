"""Statements in the transaction of a SQLAlchemy connection or session of the caller's, for every connector.

A connector imports this module where such a connection is passed to it, because only then it is certain that the program
has SQLAlchemy.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, TwoPhaseTransaction
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from adjourn import exceptions
from adjourn._drivers.connections import ON_ENGINES
from adjourn._drivers.sqlalchemy import engines
from adjourn.types import Parameters, Row, Statement

ALL_DRIVERS: tuple[str, ...] = ("psycopg", "psycopg2", "asyncpg")
"""The drivers with which statements can be executed by way of SQLAlchemy."""

# By name: the asynchronous one is imported by programs that have greenlet alone.
_SCOPED = ("scoped_session", "async_scoped_session")


def resolved(given: Any) -> Any:
    """Return the session of a scoped session. It may depend on the current thread or task, so ask there."""
    is_scoped = any(each.__name__ in _SCOPED for each in type(given).__mro__)
    return given() if is_scoped else given


async def run_async(
    given: Any, drivers: tuple[str, ...], statement: Statement, parameters: Parameters | None
) -> list[Row]:
    """Do what `run` does, on a connection or session that is awaited."""
    rows: list[Row] = await given.run_sync(run, drivers, statement, parameters)
    return rows


def run(
    given: Session | Connection, drivers: tuple[str, ...], statement: Statement, parameters: Parameters | None
) -> list[Row]:
    """Execute a statement in the transaction of a connection or session, which goes on, and return its rows.

    A session is flushed first, so that the job never comes before the rows that it is about. Errors of that are
    SQLAlchemy's own: they are about the caller's rows.

    Parameters
    ----------
    given
        The caller's connection or session.
    drivers
        The drivers that the connector takes.
    statement, parameters
        The statement to execute, and its parameters by name.

    Raises
    ------
    InvalidConnection
        If it is on another driver, its transaction is a two-phase one, or SQLAlchemy cannot tell which of several engines to use.
    ConnectorException
        For an error of the database or of the connection to it.
    """
    connection = _connection_of(given)
    _check_driver(type(given).__name__, connection, drivers)
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        raise exceptions.InvalidConnection(
            f"The transaction of this {type(given).__name__} is a two-phase one. Postgres cannot prepare a transaction that notifies "
            "others, and a deferred job notifies the workers. Use a session without twophase=True, or defer after the commit."
        )
    with engines.translating(is_callers=True):
        return engines.run(connection, statement, parameters)


def _connection_of(given: Session | Connection) -> Connection:
    if isinstance(given, Connection):
        return given
    given.flush()
    try:
        with engines.translating():
            return given.connection()
    except exceptions.ConnectorException as error:
        if not isinstance(error.__cause__, UnboundExecutionError):
            raise
        raise exceptions.InvalidConnection(
            f"SQLAlchemy does not know which engine this {type(given).__name__} uses for adjourn's tables. Give it a `bind`, "
            "or pass the connection of one of its engines: connection=session.connection(bind_arguments={'bind': engine})."
        ) from error.__cause__


def _check_driver(kind: str, connection: Connection, drivers: tuple[str, ...]) -> None:
    dialect = connection.dialect
    if dialect.name == "postgresql" and dialect.driver in drivers:
        return
    taken = " or ".join(f"postgresql+{driver}" for driver in drivers)
    remedy = f"Make its engine with an address that begins with {taken}://"
    if len(drivers) == 1 and dialect.name == "postgresql":
        remedy += f", or give the app {ON_ENGINES}, which takes every driver"
    raise exceptions.InvalidConnection(
        f"This {kind} is on {dialect.name}+{dialect.driver}, and the app's connector takes those on {taken}. {remedy}."
    )
