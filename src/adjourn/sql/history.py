"""The versions of the schema, each a file in ``migrations/``, applied once, in order.

A migration includes functions by naming their files, as psql would: ``\\ir ../functions/wake_v1.sql``. So a function
that changes is one new file in ``functions/`` and one line in a new migration, and ``diff`` shows what has changed. The
old file stays, because workers of the older release go on calling the old function.

A version is applied as one statement, which ``version.sql`` makes from its migration.

A line ``\\online create index NAME on @schema.adjourn_finished_jobs ...;`` adds an index to finished jobs, of which there may be many. If
there are any, the version makes it for the table alone, and whoever applies the schema builds it on each partition afterwards, outside
of transactions, while workers go on (`adjourn.sql.online`).
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from importlib.resources.abc import Traversable

import attrs

from adjourn.sql import templates
from adjourn.sql.templates import DEFAULT_SCHEMA
from adjourn.types import Statement

IS_IN_USE = "55006"
"""Postgres's code of the error with which `removal` refuses."""

_ONLINE = re.compile(r"^\\online (.*)$", re.MULTILINE)
_ONLINE_INDEX = re.compile(r"create index (adjourn_\w+) on (@schema\.adjourn_finished_jobs) [^;]+;")
_INCLUDE = re.compile(r"^\\ir \.\./functions/(\w+)\.sql$", re.MULTILINE)


@attrs.frozen
class SchemaVersion:
    """One version of the schema, as SQL that upgrades from the version before.

    Attributes
    ----------
    number
        The versions are numbered from 1.
    name
        One or two words about its content.
    sql
        The text to execute, without parameters: one statement, all or nothing. It records the version in the table
        ``adjourn_migrations``, does nothing if it has been applied already, and raises an error if an earlier version
        is missing.
    online_indexes
        The names of indexes that it adds to finished jobs. If there are any such jobs, `SchemaManager.apply_schema` has to build these
        on the partitions afterwards; until then all goes on, but slower. Most versions have none.
    """

    number: int
    name: str
    sql: str
    online_indexes: tuple[str, ...] = ()

    @property
    def statement(self) -> Statement:
        """The text as a statement for a connector to execute."""
        return Statement(f"schema_version_{self.number}", self.sql, may_take_long=True)


@attrs.frozen
class Migration:
    """A file of ``migrations/``, as it is read.

    Attributes
    ----------
    number, name
        Those of its version, from the file's name.
    functions
        The names of the files in ``functions/`` that it includes, in order.
    text
        The text with these files in it, and marks in place of the schema's name.
    online_indexes
        The indexes that are built afterwards, partition by partition.
    """

    number: int
    name: str
    functions: tuple[str, ...]
    text: str
    online_indexes: tuple[str, ...]


def own_folder() -> Traversable:
    """Return the folder with adjourn's own SQL."""
    return resources.files("adjourn.sql")


def read_migrations(folder: Traversable) -> list[Migration]:
    """Read the migrations of a folder that holds ``migrations/`` and ``functions/``.

    Raises
    ------
    LookupError
        If a migration names a function that has no file, or has an online step of another kind than there is.
    """
    functions = dict(templates.read(folder.joinpath("functions")))

    def function(include: re.Match[str]) -> str:
        if include[1] not in functions:
            raise LookupError(f"{include[0]}: there is no such file.")
        return functions[include[1]].strip() + "\n"

    def online(line: re.Match[str]) -> str:
        index = _ONLINE_INDEX.fullmatch(line[1])
        if index is None:
            raise LookupError(
                f"{line[0]}: write `create index adjourn_NAME on @schema.adjourn_finished_jobs ...;`, in one line."
            )
        only = line[1].replace(f" on {index[2]}", f" on only {index[2]}", 1)
        return f"if exists (select from {index[2]}) then\n    {only}\nelse\n    {line[1]}\nend if;"

    found = []
    for stem, text in templates.read(folder.joinpath("migrations")):
        name = stem.partition("_")[2]
        names = tuple(include[1] for include in _INCLUDE.finditer(text))
        indexes = tuple(index[1] for index in _ONLINE_INDEX.finditer("".join(_ONLINE.findall(text))))
        text = _INCLUDE.sub(function, _ONLINE.sub(online, text)).strip()
        found.append(Migration(_number_of(stem), name, names, text, indexes))
    return found


def _number_of(stem: str) -> int:
    return int(stem.partition("_")[0])


@functools.cache
def _own_migrations() -> tuple[Migration, ...]:
    return tuple(read_migrations(own_folder()))


def function_of(name: str, schema: str) -> Statement | None:
    """Return the statement that makes one of adjourn's functions, or makes it anew; None if there is none of that name.

    Parameters
    ----------
    name
        The function's name, such as ``adjourn_wake_v1``.
    schema
        The name of the schema.
    """
    file = own_folder().joinpath("functions", name.removeprefix("adjourn_") + ".sql")
    if not file.is_file():
        return None
    text = templates.render(file.read_text("utf-8"), schema)
    return Statement(f"make_{name}", text.replace("create function", "create or replace function", 1))


def versions(schema: str = DEFAULT_SCHEMA, folder: Traversable | None = None) -> list[SchemaVersion]:
    """Return all versions in order, rendered for a schema.

    Parameters
    ----------
    schema
        The name of the schema.
    folder
        Where the migrations and functions are; adjourn's own unless given.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's.
    """
    templates.checked(schema)
    migrations = _own_migrations() if folder is None else read_migrations(folder)
    frame = own_folder().joinpath("version.sql").read_text("utf-8")

    def rendered(migration: Migration) -> str:
        note = ""
        if migration.online_indexes:
            names = ", ".join(migration.online_indexes)
            note = f"\n-- If there are finished jobs, `adjourn schema --apply` has to build indexes afterwards, while workers go on: {names}."
        more = {
            "version": str(migration.number),
            "version_name": migration.name,
            "changes": migration.text,
            "note": note,
        }
        return templates.render(frame, schema, more=more)

    return [SchemaVersion(each.number, each.name, rendered(each), each.online_indexes) for each in migrations]


def partitions_ahead(schema: str = DEFAULT_SCHEMA) -> Statement:
    """Return the statement that makes the partitions of the weeks ahead, in whatever transaction."""
    templates.checked(schema)
    text = own_folder().joinpath("partitions.sql").read_text("utf-8")
    return Statement("partitions_ahead", templates.render(text, schema), may_take_long=True)


def removal(schema: str = DEFAULT_SCHEMA, *, is_forced: bool = False) -> Statement:
    """Return the statement that drops what adjourn has made in a schema, and the schema if nothing else is in it.

    Parameters
    ----------
    schema
        The name of the schema.
    is_forced
        Whether to drop jobs that wait or run. If not, the statement refuses with `IS_IN_USE` while there are any.
    """
    templates.checked(schema)
    text = own_folder().joinpath("removal.sql").read_text("utf-8")
    more = {"is_forced": "true" if is_forced else "false"}
    return Statement("removal", templates.render(text, schema, more=more), may_take_long=True)


@functools.cache
def latest_version() -> int:
    """Return the number of the version that this adjourn needs."""
    return max(_number_of(stem) for stem in templates.stems(own_folder().joinpath("migrations")))
