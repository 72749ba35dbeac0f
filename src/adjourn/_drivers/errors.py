"""adjourn's errors for what a driver raises beside its own errors.

A driver may fail before the server gets to see a statement, or after it has answered: a text has no place in the
connection's encoding, a value arrives in a form that the driver cannot read, a socket breaks below it. Callers need to
know one exception only.
"""

from __future__ import annotations

from adjourn import exceptions

UNTRANSLATABLE = "22P05"
"""Postgres's error code for a character that an encoding does not have."""
MET = "40P01"
"""Postgres's error code for a transaction that has met another one: a deadlock."""
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
_LIMITS = {
    ("57014", "statement timeout"): ("statement_timeout", "ends statements that take longer than it says"),
    ("55P03", "lock timeout"): (
        "lock_timeout",
        (
            "says how long a statement may wait for what another session has locked (`select pid, xact_start, query from pg_stat_activity order by "
            "xact_start` shows whose transaction takes long)"
        ),
    ),
    ("25P03", ""): (
        "idle_in_transaction_session_timeout",
        "ends sessions that do nothing in a transaction for longer than it says",
    ),
    ("25P04", ""): ("transaction_timeout", "ends sessions whose transaction takes longer than it says"),
    ("57P05", ""): ("idle_session_timeout", "ends sessions that do nothing for longer than it says"),
}
"""Which setting limits a time, and what it does: by Postgres's error code, and words of the message where that is of other errors, too."""
_CLOSED = (
    "This driver does not hear why; the server's log says it. If this connection did nothing for some time, or was in a transaction for long, it "
    "may be a limit of this role, database or server, which these lift: `alter role ... set idle_in_transaction_session_timeout = 0`, "
    "`alter role ... set transaction_timeout = 0`, `alter role ... set idle_session_timeout = 0`."
)
_CLOSED_WORDS = (
    "server closed the connection unexpectedly",
    "connection is closed",
    "connection was closed",
    "connection already closed",
)
"""What drivers say of a connection that the server has closed, if they have not read what it said."""
_REMEDIES = {
    "42P05": _UNPREPARED,
    "26000": _UNPREPARED,
    MET: (
        "Two transactions waited for each other, and the server has ended this one, so nothing of it is done: roll it back, and do it again. "
        "Transactions that do several things, such as to pause two queues, do not meet so if each does them in the same order, or each thing in a "
        "transaction of its own."
    ),
    "25006": (
        "The server is a standby, or default_transaction_read_only is on for this role, database or server, which "
        "adjourn leaves alone: connect to the primary, or run `alter role ... set default_transaction_read_only = off`."
    ),
}


def explained(message: str, sqlstate: str | None, *, is_callers: bool = False) -> str:
    """Return the server's message, with the remedy if there is one to name.

    Parameters
    ----------
    is_callers
        Whether the connection is the caller's, which may have done nothing for long, or be in a long transaction.
    """
    remedy = _REMEDIES.get(sqlstate or "")
    for (state, words), (name, does) in _LIMITS.items():
        if sqlstate == state and words in message:
            remedy = (
                f"{name} {does}, and may be a setting of this role, of the database or of the server: "
                f"`alter role ... set {name} = 0` lifts it for the role's next sessions."
            )
            if name == "lock_timeout":
                remedy += (
                    " What workers do, pauses and limits, and a defer with a queueing lock or a unique key have one of adjourn's own, 10 seconds "
                    "at most, which nothing lifts."
                )
    if is_callers and sqlstate is None and any(words in message for words in _CLOSED_WORDS):
        remedy = _CLOSED
    if sqlstate == "54000" and "NOTIFY" in message:
        remedy = _FULL_QUEUE
    if sqlstate == "22007" and '"NULL"' in message:
        remedy = "array_nulls is off in this session; run `alter role ... set array_nulls = on`."
    if not remedy:
        return message
    # Where in the statement it was comes last, and so do the processes and statements that waited for each other.
    message, place, statement = message.partition("\n" if sqlstate == MET else "\nLINE ")
    return f"{message.rstrip('.')}. {remedy}{place}{statement}"


def unreachable(place: str, message: str, sqlstate: str | None, given: str) -> exceptions.ConnectorException:
    """Return adjourn's error for a connection that could not be made.

    Parameters
    ----------
    place
        The server.
    message
        What the driver says.
    given
        What the user has given to the connector, in words.
    """
    # libpq writes its hints into lines of their own, without a full stop before them.
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = ""
    for line in lines:
        told += f"{'' if not told or told[-1] in '.?!:;,' or not line[0].isupper() else '.'} {line}"
    told = told.strip() if told[-1:] in (".", "?") else f"{told.strip()}."
    message = told.rstrip(".?")
    reason = explained(message, sqlstate)
    if reason == message:
        reason = f"{told} Check that the server runs there, and {given}."
    return exceptions.ConnectorException(f"Cannot connect to PostgreSQL ({place}): {reason}", sqlstate=sqlstate)


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
