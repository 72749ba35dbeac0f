"""Queries that only read, for who watches a database: one a file, in ``doctor/`` and ``monitor/``.

Their rows travel as JSON, so that a column that only newer releases of Postgres have is simply absent, and that no driver is asked
about its type. Besides the marks of `templates`, these texts have ``@counted``, how many rows a query counts or looks through at most,
and ``@listed``, how many rows it returns at most.
"""

from __future__ import annotations

from collections.abc import Mapping

from adjourn.sql import templates
from adjourn.sql.history import own_folder
from adjourn.types import Statement

COUNTED = 10_000
LISTED = 200
LOCK_WAIT = 0.2
"""Seconds that a query waits for what another session has locked."""
NOTIFY = Statement("notify", "select pg_notify(%(channel)s::text, %(payload)s::text)")
"""Sends a notification."""
_NAMES = {"counted": str(COUNTED), "listed": str(LISTED)}


def queries(folder: str, schema: str) -> Mapping[str, Statement]:
    """Return every query of a folder by name, rendered for a schema. A row has one column, ``facts``, which is JSON."""
    texts = templates.read(own_folder().joinpath(folder))
    return {name: _query(f"{folder}_{name}", text, schema) for name, text in texts}


def begin(seconds: float, name: str = "") -> Statement:
    """Return the statement that begins a transaction which only reads, and none of whose statements takes longer.

    Its statements take rows from indexes until they have as many as they show. Where many jobs came lately, statistics know nothing of
    them, and the planner would rather read the whole table, or all entries of an index before the first row.

    Parameters
    ----------
    seconds
        The most seconds for a statement.
    name
        What the server calls the session meanwhile; empty for what it is called anyway. It has no quotation marks.
    """
    limit = max(1, round(seconds * 1000))
    named = f"; set local application_name = '{name}'" if name else ""
    return Statement(
        "begin_reading",
        "begin transaction isolation level read committed read only;"
        f"set local statement_timeout = {limit}; set local lock_timeout = {min(limit, round(LOCK_WAIT * 1000))}; set local jit = off; set local datestyle = 'ISO';"
        "set local enable_seqscan = off; set local enable_bitmapscan = off;"
        f"set local idle_in_transaction_session_timeout = 5000{named}",
    )


def _query(name: str, text: str, schema: str) -> Statement:
    query = templates.render(text, schema, percent="%%", names=_NAMES).strip()
    return Statement(name, "\n".join(("select to_jsonb(facts)::text as facts from (", query, ") facts")))
