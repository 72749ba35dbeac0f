"""Read the files with SQL text, and fill in their marks for the name of a schema.

==================  ====================================================================
``@schema``         the schema as an identifier, quoted
``@schema_name``    the same as a string literal, for casts and for SQL that functions build
``@schema_bare``    the unquoted name as a string literal
``@channel``        the channel that workers listen to, as a string literal
``@ends_channel``   the channel on which waiters learn of the ends of jobs, as a string literal
``@placing_key``    advisory lock: shared by promotions, exclusive for the worker that places locked jobs
``@electing_key``   advisory lock: decides which worker places locked jobs
``@migrating_key``  advisory lock: who applies a version of the schema
``@indexing_key``   advisory lock: who builds indexes of finished jobs
``@ticking_key``    advisory lock: decides which worker defers periodic tasks
``@waiting_key``    advisory lock: which run notes that its job waits for others
``@forgetting_key``  advisory lock: which worker deletes old notes of what people did
``@healing_key``    advisory lock: which worker looks for what other programs may have left
``@ready``, ...     a number by its name, from `constants`
==================  ====================================================================

Channel and keys derive from the schema's name, so that two installations in one database do not interfere. Reading a
file with an unknown mark raises an error.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable

from adjourn.exceptions import InvalidOption
from adjourn.sql.constants import NUMBERS

DEFAULT_SCHEMA = "adjourn"
_MARK = re.compile(r"@([a-z]\w*)")
_KEYS = ("placing", "electing", "migrating", "indexing", "ticking", "waiting", "forgetting", "healing")
_ENDS = "_ends"
_MAX_IDENTIFIER_BYTES = 63


def channel(schema: str) -> str:
    """Return the name of the channel on which the workers of a schema are woken."""
    return "adjourn_" + hashlib.sha256(schema.encode()).hexdigest()[:16]


def ends_channel(schema: str) -> str:
    """Return the name of the channel on which those who wait for jobs of a schema learn of their ends."""
    return channel(schema) + _ENDS


def is_ends_channel(name: str) -> bool:
    """Return whether this is such a channel, of whatever schema."""
    return name.endswith(_ENDS)


def checked(schema: str) -> str:
    """Return the name if it can be a schema's.

    Raises
    ------
    InvalidOption
        If it cannot.
    """
    if not isinstance(schema, str) or not schema or "\0" in schema or "$" in schema:
        message = f"schema={schema!r}: pass a non-empty name without NUL or dollar signs, such as 'adjourn'."
        raise InvalidOption(message)
    try:
        encoded = schema.encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"schema={schema!r}: pass a name without lone surrogates, such as 'adjourn'.") from None
    if len(encoded) > _MAX_IDENTIFIER_BYTES:
        message = (
            f"schema={schema!r}: Postgres takes names of {_MAX_IDENTIFIER_BYTES} bytes at most; pass a shorter one."
        )
        raise InvalidOption(message)
    return schema


def read(folder: Traversable) -> Iterator[tuple[str, str]]:
    """Find the SQL files of a folder, in order: the name of each without its suffix, and its text."""
    for stem in stems(folder):
        yield stem, folder.joinpath(f"{stem}.sql").read_text("utf-8")


def stems(folder: Traversable) -> list[str]:
    """Return the names of a folder's SQL files without their suffix, in order."""
    return sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))


def render(
    text: str,
    schema: str,
    *,
    percent: str = "%",
    more: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> str:
    """Fill in the marks of a text.

    Parameters
    ----------
    text
        The text.
    schema
        The name of the schema.
    percent
        The replacement for a percent sign in a schema's name: two, for drivers, in text that is sent with parameters.
    more
        Marks that only this text has, filled in first: their values may hold marks.
    names
        Marks that only this text has, with values in which nothing is a mark, such as somebody else's names.

    Raises
    ------
    LookupError
        If a mark is not known.
    """
    given = more or {}
    text = _MARK.sub(lambda mark: given.get(mark[1], mark[0]), text)
    values = {**_values(schema), **(names or {})}

    def value_of(mark: re.Match[str]) -> str:
        try:
            return values[mark[1]].replace("%", percent)
        except KeyError:
            raise LookupError(f"SQL text holds {mark[0]}, a mark that sql/templates.py does not know.") from None

    return _MARK.sub(value_of, text)


@functools.lru_cache(maxsize=16)
def _values(schema: str) -> Mapping[str, str]:
    quoted = identifier(schema)
    return {
        "schema": quoted,
        "schema_name": literal(quoted),
        "schema_bare": literal(schema),
        "channel": literal(channel(schema)),
        "ends_channel": literal(ends_channel(schema)),
        **{f"{purpose}_key": str(_advisory_key(purpose, schema)) for purpose in _KEYS},
        **{name: str(number) for name, number in NUMBERS.items()},
    }


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """Return the quoted name of something in a schema.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's.
    """
    return f"{identifier(checked(schema))}.{identifier(name)}"


def literal(text: str) -> str:
    """Quote a text for SQL."""
    quoted = "'" + text.replace("'", "''") + "'"
    # As quote_literal does: right with any standard_conforming_strings.
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def _advisory_key(purpose: str, schema: str) -> int:
    digest = hashlib.sha256(f"adjourn {purpose} {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
