"""Statements on a connection of Django's, through its cursors.

Through its cursors, because then all of Django applies: its log of queries, ``execute_wrapper``, ``assertNumQueries``,
the guards of its test cases, and its check for a broken transaction.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.db.transaction import TransactionManagementError

from adjourn.contrib.django.parameters import is_psycopg2
from adjourn.exceptions import ConnectorException
from adjourn.types import Parameters, Row, Statement

__all__ = ["execute", "sqlstate"]


def execute(connection: Any, statement: Statement, parameters: Parameters | None) -> list[Row]:
    """Execute one statement on a connection of Django's, and return its rows as dictionaries.

    Parameters
    ----------
    connection
        Django's connection, of this thread.
    statement
        The statement to execute.
    parameters
        The values of its ``%(name)s``; None sends the text as it is.
    """
    if connection.vendor != "postgresql":
        raise ImproperlyConfigured(
            f"The database {connection.alias!r} is not PostgreSQL (its ENGINE is {connection.settings_dict['ENGINE']}), which "
            "adjourn needs. Name one that is by ADJOURN_DATABASE_ALIAS."
        )
    in_transaction = connection.in_atomic_block
    try:
        with connection.cursor() as cursor:
            # Only now, because a connection that is not connected yet does not know.
            in_transaction = connection.in_atomic_block or not connection.get_autocommit()
            if in_transaction and parameters is not None and "own_transaction" in parameters:
                # Workers are told of the job at the commit, whenever that is.
                parameters = {**parameters, "own_transaction": True}
            _reads_as_we_do(connection, cursor.cursor)
            cursor.execute(statement.text, parameters)
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except TransactionManagementError:
        raise
    except Error as error:
        raised = _translated(connection, error)
        raised.ended_transaction = in_transaction
        raise raised from error


def sqlstate(error: Error) -> str | None:
    """Return Postgres's code of one of Django's errors, or None."""
    cause = error.__cause__
    # As psycopg calls it, and as psycopg2 does.
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _reads_as_we_do(connection: Any, cursor: Any) -> None:
    """Have a cursor return aware times. With ``USE_TZ=False`` Django's drop their zone."""
    if is_psycopg2(connection):
        cursor.tzinfo_factory = datetime.timezone
    else:
        from adjourn._drivers.psycopg.options import reads_times

        reads_times(cursor.adapters)


def _translated(connection: Any, error: Error) -> ConnectorException:
    """Return adjourn's error for one of Django's, whose cause is the driver's."""
    cause: Any = error.__cause__
    if not isinstance(cause, connection.Database.Error):
        return ConnectorException(f"{type(error).__name__}: {error}")
    # The other driver may not be there.
    if is_psycopg2(connection):
        from adjourn._drivers.psycopg2.options import translated as translated_psycopg2

        return translated_psycopg2(cause)
    from adjourn._drivers.psycopg.options import translated

    return translated(cause)
