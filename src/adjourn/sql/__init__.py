"""The only place with SQL text: numbered migrations, and one named statement a file.

The files are templates in a few marks, which `render` fills in for the name of a schema:

=================  ====================================================================
``@schema``        the schema as an identifier, quoted
``@schema_name``   the same as a string literal, for casts and ``format('%s')``
``@schema_bare``   the unquoted name as a string literal
``@channel``       the channel that workers listen to, as a string literal
``@placing_key``   advisory lock: promotions share it, the placer of locked jobs has it alone
``@electing_key``  advisory lock: who is the placer
``@migrating_key`` advisory lock: who applies migrations
=================  ====================================================================

Channel and keys derive from the schema's name, so that two installations in one database do not meet.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from importlib import resources

import attrs

from adjourn.exceptions import ConnectorException, InvalidOption, SchemaOutOfDate
from adjourn.types import Statement

DEFAULT_SCHEMA = "adjourn"
_MARK = re.compile(r"@(schema_name|schema_bare|schema|channel|placing_key|electing_key|migrating_key)\b")
_MAX_IDENTIFIER_BYTES = 63


@attrs.frozen
class Migration:
    """One step of the schema's history, applied once, in order of its version."""

    version: int
    name: str
    text: str

    @property
    def statement(self) -> Statement:
        """The migration as something to execute, without parameters."""
        return Statement(f"migration_{self.version:04}", self.text)


def channel(schema: str) -> str:
    """Name the channel on which the workers of a schema are woken."""
    return "adjourn_" + hashlib.sha256(schema.encode()).hexdigest()[:16]


def statements(schema: str = DEFAULT_SCHEMA) -> Mapping[str, Statement]:
    """Return every statement by name, rendered for a schema.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's.
    """
    return _statements(_checked(schema))


@functools.lru_cache(maxsize=16)
def _statements(schema: str) -> Mapping[str, Statement]:
    return {
        name: Statement(name, _render(text, schema, percent="%%").strip()) for name, text in _templates("statements")
    }


def migrations(schema: str = DEFAULT_SCHEMA) -> list[Migration]:
    """Return all migrations in order, rendered for a schema, as text to be sent without parameters."""
    _checked(schema)
    found = []
    for stem, text in _templates("migrations"):
        version, _, name = stem.partition("_")
        found.append(Migration(int(version), name, _render(text, schema, percent="%")))
    return found


def whole_schema(schema: str = DEFAULT_SCHEMA) -> str:
    """Return the SQL of the whole schema, as text for people and for other tools."""
    return "\n".join(migration.text for migration in migrations(schema))


def _checked(schema: str) -> str:
    if not isinstance(schema, str) or not schema or "\0" in schema or "$" in schema:
        message = f"schema={schema!r}: pass a non-empty name without NUL or dollar signs, such as 'adjourn'."
        raise InvalidOption(message)
    if len(schema.encode()) > _MAX_IDENTIFIER_BYTES:
        message = (
            f"schema={schema!r}: Postgres takes names of {_MAX_IDENTIFIER_BYTES} bytes at most; pass a shorter one."
        )
        raise InvalidOption(message)
    return schema


@functools.cache
def _templates(folder: str) -> tuple[tuple[str, str], ...]:
    return tuple(_read(folder))


def _read(folder: str) -> Iterator[tuple[str, str]]:
    files = resources.files(__name__).joinpath(folder)
    for file in sorted(files.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".sql"):
            yield file.name.removesuffix(".sql"), file.read_text("utf-8")


def _render(text: str, schema: str, percent: str) -> str:
    identifier = _identifier(schema)
    values = {
        "schema": identifier,
        "schema_name": _literal(identifier),
        "schema_bare": _literal(schema),
        "channel": _literal(channel(schema)),
        **{f"{purpose}_key": str(_advisory_key(purpose, schema)) for purpose in ("placing", "electing", "migrating")},
    }
    return _MARK.sub(lambda mark: values[mark[1]].replace("%", percent), text)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _advisory_key(purpose: str, schema: str) -> int:
    digest = hashlib.sha256(f"adjourn {purpose} {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


# undefined table, column, function and schema: what a missing or an older schema of ours looks like
_SCHEMA_SQLSTATES = frozenset({"42P01", "42703", "42883", "3F000"})


def latest_version() -> int:
    """Return the version that this adjourn's migrations lead to."""
    return int(_templates("migrations")[-1][0].partition("_")[0])


def speaks_of_schema(error: ConnectorException) -> bool:
    """Tell whether an error may mean that the schema is missing or old."""
    return error.sqlstate in _SCHEMA_SQLSTATES


def out_of_date(schema: str, version: int | None) -> SchemaOutOfDate:
    """Say what is wrong with a schema that a statement did not fit.

    Parameters
    ----------
    schema
        The schema's name.
    version
        The version that the database has: 0 for none, None where it is not known.
    """
    found = {None: "no, or an older, adjourn schema", 0: "no adjourn schema"}.get(
        version, f"version {version} of the adjourn schema, which is older than this adjourn"
    )
    return SchemaOutOfDate(
        f"The database has {found} (in {schema!r}; version {latest_version()} is needed). Run "
        "`adjourn --app=... schema --apply`, or app.schema_manager.apply_schema(); both may be run at any time."
    )


def lacks_right(error: ConnectorException) -> bool:
    """Tell whether the database refused for want of a right."""
    return error.sqlstate == "42501"


def missing_right(schema: str, error: ConnectorException) -> ConnectorException:
    """Say which right the role lacks to apply the schema, and how to grant it."""
    identifier = _identifier(schema)
    return ConnectorException(
        f"{error} Applying the schema needs the right to make it: as the owner of the database run "
        f"`create schema {identifier} authorization <role>`, or `grant create on database <database> to <role>`; in a "
        f"schema that exists already, `grant usage, create on schema {identifier} to <role>`.",
        sqlstate=error.sqlstate,
    )
