"""The only place with SQL text.

``statements/``
    one statement in each file, by whose name managers execute it, with parameters.
``functions/``
    one version of a function in each file: ``exchange_v1.sql`` makes ``adjourn_exchange_v1``.
``migrations/``
    the versions of the schema: tables, indexes, and the functions that each version includes (`history`).
``procrastinate/``
    what a migration from Procrastinate makes, does and drops.

All of them are templates with a few marks, such as ``@schema`` and ``@ready`` (`templates`, `constants`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from adjourn.sql.errors import (
    APPLYING,
    found_locked,
    lacks_right,
    missing_grant,
    missing_right,
    out_of_date,
    renamed,
    speaks_of_schema,
)
from adjourn.sql.history import (
    IS_IN_USE,
    SchemaVersion,
    function_of,
    latest_version,
    own_folder,
    partitions_ahead,
    removal,
    versions,
)
from adjourn.sql.templates import DEFAULT_SCHEMA, channel, checked, ends_channel, qualified, read, render
from adjourn.types import Statement

__all__ = [
    "APPLYING",
    "DEFAULT_SCHEMA",
    "IS_IN_USE",
    "SchemaVersion",
    "channel",
    "ends_channel",
    "found_locked",
    "function_of",
    "lacks_right",
    "latest_version",
    "missing_grant",
    "missing_right",
    "out_of_date",
    "partitions_ahead",
    "qualified",
    "removal",
    "renamed",
    "speaks_of_schema",
    "statements",
    "versions",
    "whole_schema",
]


MAY_TAKE_LONG = frozenset(
    {
        "clear_results",
        "defer_batch",
        "defer_unique",
        "clean_workflows",
        "delete_old_jobs",
        "drop_partition",
        "lock_migrations",
        "make_partitions",
    }
)
"""Statements that store or delete many rows, or wait for whoever holds a table."""
TAKES_TUPLES = frozenset({"exchange"})
"""Statements whose rows are so many that dictionaries would cost much."""
SAME_TEXTS = {"defer_batch": "defer_jobs"}
"""Statements that have the text of another."""


def statements(schema: str = DEFAULT_SCHEMA) -> Mapping[str, Statement]:
    """Return every statement by name, rendered for a schema.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's.
    """
    return _statements(checked(schema))


@functools.lru_cache(maxsize=16)
def _statements(schema: str) -> Mapping[str, Statement]:
    texts = dict(read(own_folder().joinpath("statements")))
    texts |= {name: texts[other] for name, other in SAME_TEXTS.items()}
    return {
        name: Statement(
            name,
            render(text, schema, percent="%%").strip(),
            may_take_long=name in MAY_TAKE_LONG,
            takes_tuples=name in TAKES_TUPLES,
        )
        for name, text in texts.items()
    }


def whole_schema(schema: str = DEFAULT_SCHEMA) -> str:
    """Return the SQL of the whole schema: all versions one after the other, to be executed without parameters."""
    return "\n".join(version.sql for version in versions(schema))
