"""The only place with SQL text.

``statements/``
    one statement in each file, by whose name managers execute it, with parameters.
``noted.sql``
    one of those, and the note of who has executed it.
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
    "EVEN_WITHOUT_JOBS",
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
    "noted",
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
        "defer_unique_batch",
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
_ROWS, _FLAG = "count(*)", "count(*) filter (where {})"
CHANGED = {
    "cancel_jobs": _ROWS,
    "request_abort": _ROWS,
    "delete_finished": _ROWS,
    "retry_jobs": _ROWS,
    "change_jobs": _ROWS,
    "abort_workflow": _ROWS,
    "pause": _ROWS,
    "retry_job_by_id": _FLAG.format("found"),
    "set_limit": _FLAG.format("changed"),
    "reset_limit": _FLAG.format("changed"),
    "pause_schedule": _FLAG.format("outcome = 'changed'"),
    "cancel_workflow": "sum(cancelled)",
    "retry_workflow": "sum(retried)",
}
"""Statements of which a note may be stored with them, and how much each has changed, told from its rows."""
EVEN_WITHOUT_JOBS = frozenset({"cancel_workflow"})
"""Those of them that change something although they may change no job."""
SAME_TEXTS = {"defer_batch": "defer_jobs", "defer_unique_batch": "defer_unique"}
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
    return {name: _made(name, text, schema) for name, text in _texts().items()}


@functools.cache
def _texts() -> Mapping[str, str]:
    texts = dict(read(own_folder().joinpath("statements")))
    return texts | {name: texts[other] for name, other in SAME_TEXTS.items()}


def _made(name: str, text: str, schema: str, more: Mapping[str, str] | None = None) -> Statement:
    text = render(text, schema, percent="%%", more=more).strip()
    return Statement(name, text, may_take_long=name in MAY_TAKE_LONG, takes_tuples=name in TAKES_TUPLES)


def noted(schema: str) -> Mapping[str, Statement]:
    """Return those statements of which a note may be stored, each with its note, by the same names.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's.
    """
    return _noted(checked(schema))


@functools.lru_cache(maxsize=16)
def _noted(schema: str) -> Mapping[str, Statement]:
    frame = own_folder().joinpath("noted.sql").read_text("utf-8")

    def more(name: str, changed: str) -> Mapping[str, str]:
        least = int(name not in EVEN_WITHOUT_JOBS)
        return {"statement": _texts()[name].strip(), "changed": changed, "least": str(least)}

    return {name: _made(name, frame, schema, more(name, changed)) for name, changed in CHANGED.items()}


def whole_schema(schema: str = DEFAULT_SCHEMA) -> str:
    """Return the SQL of the whole schema: all versions one after the other, to be executed without parameters."""
    return "\n".join(version.sql for version in versions(schema))
