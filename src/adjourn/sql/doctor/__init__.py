"""What the doctor reads: one query a file, each of them only reads. Their rows travel as JSON, so that a column that only newer
releases of Postgres have is simply absent, and that no driver is asked about its type.
"""

from __future__ import annotations

from collections.abc import Mapping

from adjourn.sql import templates
from adjourn.sql.history import own_folder
from adjourn.types import Statement

NOTIFY = Statement("doctor_notify", "select pg_notify(%(channel)s::text, %(payload)s::text)")
"""Sends a notification."""
COUNTED = 10_000
"""How many rows a query counts, or looks through, at most."""


def statements(schema: str) -> Mapping[str, Statement]:
    """Return every query by name, rendered for a schema. A row has one column, ``facts``, which is JSON."""
    return {name: _statement(name, text, schema) for name, text in templates.read(own_folder().joinpath("doctor"))}


def begin(seconds: float) -> Statement:
    """Return the statement that begins a transaction which only reads, and none of whose statements takes longer."""
    limit = max(1, round(seconds * 1000))
    return Statement(
        "doctor_begin",
        "begin transaction isolation level read committed read only;"
        f"set local statement_timeout = {limit}; set local lock_timeout = {min(limit, 200)}; set local jit = off; set local datestyle = 'ISO'",
    )


def _statement(name: str, text: str, schema: str) -> Statement:
    query = templates.render(text, schema, percent="%%", names={"counted": str(COUNTED)}).strip()
    return Statement(f"doctor_{name}", "\n".join(("select to_jsonb(facts)::text as facts from (", query, ") facts")))
