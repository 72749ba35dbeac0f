"""Recognises database errors that mean that the schema is missing or old, or that a right is missing."""

from __future__ import annotations

from adjourn.exceptions import ConnectorException, SchemaOutOfDate
from adjourn.sql.history import latest_version
from adjourn.sql.templates import identifier

# undefined table, column, function and schema: the errors of a missing or an older adjourn schema
_SCHEMA_SQLSTATES = frozenset({"42P01", "42703", "42883", "3F000"})


def speaks_of_schema(error: ConnectorException) -> bool:
    """Return whether an error may mean that the schema is missing or old."""
    return error.sqlstate in _SCHEMA_SQLSTATES


APPLYING = "`adjourn --app=... schema --apply`, or app.schema_manager.apply_schema()"
"""What applies the schema, if nothing else does."""


def out_of_date(schema: str, version: int | None, applying: str = APPLYING) -> SchemaOutOfDate:
    """Return the error for a schema that is missing or too old.

    Parameters
    ----------
    schema
        The schema's name.
    version
        The version that the database has: 0 for none, None if unknown.
    applying
        What applies the schema.
    """
    found = {None: "no, or an older, adjourn schema", 0: "no adjourn schema"}.get(
        version, f"version {version} of the adjourn schema, which is older than this adjourn"
    )
    return SchemaOutOfDate(
        f"The database has {found} (in {schema!r}; version {latest_version()} is needed). Run "
        f"{applying}. It may be run at any time."
    )


def renamed(schema: str, applying: str = APPLYING) -> SchemaOutOfDate:
    """Return the error for a schema whose functions work on a schema of another name."""
    return SchemaOutOfDate(
        f"The functions in the schema {schema!r} work on the tables of another one: it was renamed. Run "
        f"{applying}, which makes them anew."
    )


def lacks_right(error: ConnectorException) -> bool:
    """Return whether the database refused because a right is missing."""
    return error.sqlstate == "42501"


def found_locked(error: ConnectorException) -> bool:
    """Return whether the database gave up because another session has locked what the statement needs."""
    return error.sqlstate == "55P03"


def missing_grant(error: ConnectorException) -> ConnectorException:
    """Return the error that says how to grant the right that an operation lacks."""
    if "schema --roles" in str(error):
        return error
    return ConnectorException(
        f"{_sentence(error)} Have the owner of the tables grant this role what it needs; `adjourn --app=... schema --roles` prints "
        "the grants for workers, and for programs that defer, list or change jobs.",
        sqlstate=error.sqlstate,
    )


def missing_right(schema: str, error: ConnectorException) -> ConnectorException:
    """Return the error that says which right the role lacks to apply the schema, and how to grant it."""
    quoted = identifier(schema)
    return ConnectorException(
        f"{_sentence(error)} Applying the schema needs the right to make it: as the owner of the database run "
        f"`create schema {quoted} authorization <role>`, or `grant create on database <database> to <role>`; in a "
        f"schema that exists already, `grant usage, create on schema {quoted} to <role>`. What adjourn has made there "
        "already belongs to the role that applied it: only that role, or a member of it, may change it.",
        sqlstate=error.sqlstate,
    )


def _sentence(error: ConnectorException) -> str:
    """Return the message of an error, with the full stop that the database's messages lack, without the statement."""
    text = str(error).split("\nLINE ")[0].strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."
