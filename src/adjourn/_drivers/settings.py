"""What adjourn sets in its own sessions, whatever the role, the database or the server begins them with.

Each connection that adjourn makes asks for UTF8, and executes one statement first. It sets what adjourn's statements
depend on, returns the encoding of the database, and finds out whether there is a connection pooler in between.
Connections that callers pass, and pools of theirs, are left as they are: adjourn's statements return times as text in
ISO 8601, and are repeated where a stricter isolation has refused them.

What is not here does not matter: every name in adjourn's statements has its schema (``search_path``), their strings have
no backslash (``standard_conforming_strings``), none returns bytes or a float (``bytea_output``, ``extra_float_digits``),
every list is sorted by its statement, statements find their rows by an index whatever else the planner is told (its other
settings), triggers fire in any session (``session_replication_role``), and nothing depends on policies (``row_security``). A session that may only read (``default_transaction_read_only``) stays
so, because somebody wants it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from adjourn import exceptions

logger: logging.Logger = logging.getLogger("adjourn.connectors")

ENCODING = {"client_encoding": "UTF8"}
"""A connection parameter, because a driver may look at it only once."""

EVERY_SESSION: Mapping[str, str] = {
    # psycopg reads times and intervals in these forms only; the first leaves the order of day and month as it is.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    # Without it a null in an array is the text "NULL".
    "array_nulls": "on",
    "exit_on_error": "off",
    # Under a stricter isolation statements fail that meet others.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # Without them each statement would read all that an index has.
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
}
"""What every connection that adjourn makes has."""

LASTING_SESSION: Mapping[str, str] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""What a worker's session has as well. Limits that are meant for requests would end it, since it waits for most of its
life. Those that the connector's own options set are kept."""

POOLER = "Pass pooler=True to the connector if it is one in transaction mode, or pooler=False if it is not"


def greeting(process: int | None, *, sets: bool, lasting: bool, has_options: bool = True) -> str:
    """Return the first statement of a connection.

    Parameters
    ----------
    process
        The server process that the driver believes to be connected to. If another one answers, nothing is set: there is
        a pooler in between, and what is set would be found by its other clients. None does not compare.
    sets
        Whether the statement may set anything.
    lasting
        Whether it is a worker's session.
    has_options
        Whether settings may have been passed when it was connected. Only `pg_settings` tells which, and it takes a millisecond.
    """
    columns = ["pg_backend_pid() AS process", "current_setting('server_encoding') AS encoding"]
    if lasting:
        columns.append("current_setting('default_transaction_isolation') AS isolation")
    direct = "true" if process is None else f"pg_backend_pid() = {process:d}"
    if sets:
        columns.append(f"{_setting(EVERY_SESSION)} WHERE {direct}) AS settings")
    if sets and lasting:
        # A version of Postgres may not have all of them.
        known = "WHERE current_setting(name, true) IS NOT NULL"
        if has_options:
            known = "JOIN pg_settings s USING (name) WHERE s.source <> 'client'"
        columns.append(f"{_setting(LASTING_SESSION)} {known} AND {direct}) AS limits")
    return "SELECT " + ", ".join(columns)


def _setting(settings: Mapping[str, str]) -> str:
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    # The values are those that stand above.
    return f"(SELECT count(set_config(name, value, false)) FROM (VALUES {values}) w (name, value)"  # noqa: S608


def check_pooler(name: str, pooler: Any) -> None:
    """Refuse an option ``pooler`` that is neither a flag nor None.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if pooler is not None and not isinstance(pooler, bool):
        raise exceptions.InvalidOption(f"{name}: pooler={pooler!r} must be True, False, or None to find out.")


def check_can_listen(can_listen: bool) -> None:
    """Refuse to listen through a pooler.

    Raises
    ------
    ConnectorException
        If the session cannot listen.
    """
    if not can_listen:
        raise exceptions.ConnectorException(
            f"No notifications come through a connection pooler in transaction mode. {POOLER}; to listen, connect to "
            "the server itself."
        )


def check_encoding(encoding: str, place: str = "") -> None:
    """Refuse a database whose encoding cannot hold the texts of jobs.

    Raises
    ------
    ConnectorException
        If it is SQL_ASCII: Postgres does not know the characters in such a database, and refuses many of them in JSON.
    """
    if encoding == "SQL_ASCII":
        raise exceptions.ConnectorException(
            f"The database{place and f' ({place})'} has the encoding SQL_ASCII, in which Postgres cannot store texts "
            "of jobs faithfully. Use a database made with `create database ... template template0 encoding 'UTF8'`; "
            "pg_dump with --encoding=UTF8 takes the data of this one there."
        )


def is_pooled(facts: Mapping[str, Any], process: int | None, pooler: bool | None, place: str) -> bool:
    """Return whether a connection goes through a pooler in transaction mode.

    Parameters
    ----------
    facts
        The row that `greeting` returned.
    process
        The server process that the driver believes to be connected to.
    pooler
        What the user has said, None for nothing.
    place
        The server, for messages.

    Raises
    ------
    ConnectorException
        If the database cannot hold the texts of jobs, or the sessions behind a pooler are not isolated as a worker needs
        it.
    """
    check_encoding(facts["encoding"], place)
    is_behind = pooler if pooler is not None else process is not None and facts["process"] != process
    if not is_behind:
        return False
    isolation = facts.get("isolation", "read committed")
    if isolation != "read committed":
        raise exceptions.ConnectorException(
            f"Sessions behind the connection pooler ({place}) begin with default_transaction_isolation = {isolation!r}, "
            "and nothing can be set in them. Run `alter role ... set default_transaction_isolation = 'read committed'`, "
            "or connect workers to the server itself."
        )
    if pooler is None:
        _say_once(place)
    return True


_said: set[str] = set()


def _say_once(place: str) -> None:
    if place not in _said:
        _said.add(place)
        logger.warning(
            "The connection to PostgreSQL (%s) goes through a connection pooler: adjourn prepares no statements on it, "
            "sets nothing in its sessions, and workers poll for jobs instead of listening. %s.",
            place,
            POOLER,
            extra={"action": "pooler_found"},
        )
