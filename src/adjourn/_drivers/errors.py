"""adjourn's errors for what a driver raises beside its own errors.

A driver may fail before the server gets to see a statement, or after it has answered: a text has no place in the
connection's encoding, a value arrives in a form that the driver cannot read, a socket breaks below it. Callers need to
know one exception only.
"""

from __future__ import annotations

from adjourn import exceptions

UNTRANSLATABLE = "22P05"
"""Postgres's error code for a character that an encoding does not have."""


_UNPREPARED = (
    "There is a connection pooler in transaction mode in between, which mixes up the prepared statements of its clients: "
    "pass pooler=True to the connector, and have your own pools and connections prepare no statements "
    "(for psycopg prepare_threshold=None; for SQLAlchemy's asyncpg connect_args={'statement_cache_size': 0, "
    "'prepared_statement_cache_size': 0, 'prepared_statement_name_func': str})."
)
_FULL_QUEUE = (
    "Nothing that notifies can be stored, by anybody, until the oldest session that listens takes its notifications: end the one that has "
    "been in a transaction for longest (`select pid, xact_start, query from pg_stat_activity order by xact_start`), as "
    "`adjourn doctor` says before it comes to this."
)
_REMEDIES = {
    "42P05": _UNPREPARED,
    "26000": _UNPREPARED,
    "25006": (
        "The server is a standby, or default_transaction_read_only is on for this role, database or server, which "
        "adjourn leaves alone: connect to the primary, or run `alter role ... set default_transaction_read_only = off`."
    ),
}


def explained(message: str, sqlstate: str | None) -> str:
    """Return the server's message, with the remedy if there is one to name."""
    remedy = _REMEDIES.get(sqlstate or "")
    if sqlstate == "54000" and "NOTIFY" in message:
        remedy = _FULL_QUEUE
    if sqlstate == "22007" and '"NULL"' in message:
        remedy = "array_nulls is off in this session; run `alter role ... set array_nulls = on`."
    return f"{message.rstrip('.')}. {remedy}" if remedy else message


def unexpected(error: Exception) -> exceptions.ConnectorException:
    """Return adjourn's error for any exception that is not one of the driver's own."""
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, UnicodeEncodeError):
        # The driver could not even send the statement, so it has had no effect, as if the server had refused it.
        message += ". Connect with client_encoding=UTF8."
        return exceptions.ConnectorException(message, sqlstate=UNTRANSLATABLE)
    if isinstance(error, UnicodeDecodeError):
        message += ". The connection does not use the encoding of what it receives: connect with client_encoding=UTF8."
    return exceptions.ConnectorException(message)
