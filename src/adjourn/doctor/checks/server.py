"""How is the server set up, and is there room for history?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from adjourn._domain.wording import counted, verb
from adjourn.doctor.findings import Check, Finding, Level, critical, ok, unknown, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.words import named, span, unseen
from adjourn.sql.reading import COUNTED
from adjourn.sql.templates import identifier, literal
from adjourn.types import Row

MANY_IN_DEFAULT = COUNTED
"""How many jobs in the default partition are many: no more are counted."""
SHORTEST_TIMEOUT = 10_000.0
"""Milliseconds that a statement of a worker may need."""
MUCH_WAL = 10e9
"""Bytes of the log that a slot may keep."""


def _replication(patient: Patient) -> Iterator[Finding]:
    limits, found = patient.thresholds, False
    if patient.server["is_standby"]:
        lag = patient.server["lag"]
        yield critical(
            "This server is a standby, which stores nothing"
            + (
                ""
                if lag is None
                else f"; it is {span(lag)} behind the primary"
                if lag >= 1
                else "; it has all that the primary has stored"
            ),
            "Use the address of the primary, or target_session_attrs=read-write with all addresses.",
        )
        return
    settings = patient.settings("synchronous_standby_names", "synchronous_commit", "max_slot_wal_keep_size")
    standbys = patient.rows("standbys")
    hidden = not patient.server["sees_others"]
    streams = any(row["sync_state"] in ("sync", "quorum") and row["state"] == "streaming" for row in standbys)
    if settings.get("synchronous_standby_names") and not streams and not hidden:
        found = True
        yield critical(
            f"synchronous_standby_names is {settings['synchronous_standby_names']!r}, and no such standby is connected: commits hang",
            "Bring the standby back, or take it out of the setting.",
            "alter system set synchronous_standby_names = ''; select pg_reload_conf();",
        )
    if settings.get("synchronous_commit") == "off":
        found = True
        yield warn(
            "synchronous_commit is off: a crash of the server loses the last commits, jobs among them",
            "Switch it on for the roles that defer and run jobs.",
            f"alter role {identifier(patient.server['role'])} set synchronous_commit = on;",
        )
    for row in standbys:
        if (row["lag"] or 0) >= limits.lag_warn:
            found = True
            yield (critical if row["lag"] >= limits.lag_critical else warn)(
                f"The standby {named(row['application'])} is {span(row['lag'])} behind",
                "Look at its disk and its network. A failover now would lose or delay what it has not got.",
                "",
                f"lag_warn={limits.lag_warn:g} s",
            )
    notes = list[Finding]()
    for row in patient.rows("slots"):
        finding = _slot(row, settings.get("max_slot_wal_keep_size"), patient.server["number"])
        if finding is None:
            continue
        if finding.level is Level.OK:
            notes.append(finding)
        else:
            found = True
            yield finding
    yield from notes
    if hidden and standbys:
        yield unseen(patient, f"{counted(len(standbys), 'standby server')} may be behind")
    elif not found:
        yield ok(
            f"{counted(len(standbys), 'standby server')} {verb(len(standbys), 'is', 'are')} connected"
            if standbys
            else "No standby server is connected"
        )


def _slot(row: Row, most_log: str | None, server: int) -> Finding | None:
    """Return what is wrong with a replication slot, or could become so; None for nothing."""
    name = row["slot_name"]
    drop = f"select pg_drop_replication_slot({literal(name)});"
    # Servers before 17 say only that what its reader needs is gone.
    reason = row.get("invalidation_reason") or ("wal_removed" if row.get("wal_status") == "lost" else None)
    if reason:
        return warn(
            f"The replication slot {name!r} was made invalid ({reason}): its reader cannot go on",
            "Drop it, and build its reader anew from a copy of the database.",
            drop,
        )
    if row["active"]:
        return None
    since = "" if row["inactive_for"] is None else f" for {span(row['inactive_for'])}"
    if (row["bytes"] or 0) >= MUCH_WAL:
        return warn(
            f"The replication slot {name!r} is not in use{since}, and keeps {row['bytes'] / 1e9:,.1f} GB of the log",
            "Drop it if nobody needs it, and set max_slot_wal_keep_size: a full disk stops the server.",
            drop,
        )
    if most_log == "-1":
        also = " or idle_replication_slot_timeout" if server >= 180_000 else ""
        return ok(
            f"The replication slot {name!r} is not in use{since}; nothing limits how much of the log it keeps",
            f"Set max_slot_wal_keep_size{also}, or drop the slot if nobody needs it: a full disk stops the server.",
            drop,
        )
    return None


def _sequences(patient: Patient) -> Iterator[Finding]:
    rows = patient.rows("sequences")
    hidden = [row["name"] for row in rows if row["last"] is None and not row["is_readable"]]
    for row in rows:
        if row["name"] in hidden:
            continue
        sequence = f"{identifier(row['schema'])}.{identifier(row['name'])}"
        yield critical(
            f"The next id of {row['table']} would be {(row['last'] or 0) + 1}, and {row['id']} is taken already",
            "This is so after a copy by logical replication, which leaves sequences out. Stop workers and what defers jobs, and raise it.",
            f"select setval({literal(sequence)}, {row['id']});",
        )
    if hidden:
        yield unknown(
            f"The role {patient.server['role']!r} may not read {counted(len(hidden), 'sequence')}",
            "Ask as the role that runs workers, or as the owner.",
        )
    elif not rows:
        yield ok("The next ids are above those that are taken")


def _settings(patient: Patient) -> Iterator[Finding]:
    settings, found = (
        patient.settings("fsync", "full_page_writes", "track_activities", "statement_timeout", "transaction_timeout"),
        False,
    )
    for name in ("fsync", "full_page_writes"):
        if settings.get(name) == "off":
            found = True
            yield critical(
                f"{name} is off: a crash of the machine may ruin the whole database",
                "Switch it on.",
                f"alter system set {name} = on; select pg_reload_conf();",
            )
    if settings.get("track_activities") == "off":
        found = True
        yield warn(
            "track_activities is off: nobody sees what sessions do",
            "Switch it on.",
            "alter system set track_activities = on; select pg_reload_conf();",
        )
    for name in ("statement_timeout", "transaction_timeout"):
        limit = float(settings.get(name, 0))
        if 0 < limit < SHORTEST_TIMEOUT:
            found = True
            yield warn(
                f"{name} is {limit / 1000:g} s for {patient.server['role']!r}: it may end what applies the schema, or deletes old jobs",
                "Set none for this role; adjourn bounds its statements itself.",
                f"alter role {identifier(patient.server['role'])} set {name} = 0;",
            )
    hints = list(_hints(patient))
    if hints:
        more = "would help on a bad day" if len(hints) == 1 else "would help on bad days"
        yield ok(
            f"{'The other settings' if found else 'The settings'} that were looked at suit a queue; {counted(len(hints), 'hint')} {more}",
            " ".join(text for text, _ in hints),
            "\n".join([*(statement for _, statement in hints), "select pg_reload_conf();"]),
        )
    elif not found:
        yield ok("The settings that were looked at suit a queue")


def _hints(patient: Patient) -> Iterator[tuple[str, str]]:
    """Yield what settings would help besides, with the statement that sets each. Those of Postgres as it comes are among them."""
    role = f"alter role {identifier(patient.server['role'])} set"
    hints = {
        "jit": ("on", "jit is on, which can make counts of many jobs slower than they need be.", f"{role} jit = off;"),
        "log_lock_waits": (
            "off",
            "log_lock_waits is off: the server's log does not say who waited for whose lock.",
            "alter system set log_lock_waits = on;",
        ),
        "track_io_timing": (
            "off",
            "track_io_timing is off: nobody can tell a slow disk from a slow query.",
            "alter system set track_io_timing = on;",
        ),
        # Servers before 18 do not know it.
        "track_cost_delay_timing": (
            "off",
            "track_cost_delay_timing is off: nobody sees how long vacuum sleeps.",
            "alter system set track_cost_delay_timing = on;",
        ),
        "idle_in_transaction_session_timeout": (
            "0",
            "idle_in_transaction_session_timeout is 0: a program that forgets to commit keeps vacuum from its work for as long as it lives.",
            f"{role} idle_in_transaction_session_timeout = '10min';",
        ),
    }
    settings = patient.settings(*hints)
    for name, (value, text, statement) in hints.items():
        if settings.get(name) == value:
            yield text, statement


def _partitions(patient: Patient) -> Iterator[Finding]:
    limits, rows, found = patient.thresholds, patient.rows("partitions"), False
    if not rows:
        yield unknown("There is no table of finished jobs")
        return
    monday = datetime.date.fromisoformat(rows[0]["this_week"])
    names = {row["name"] for row in rows}
    ahead = 0
    while f"adjourn_finished_jobs_{monday + datetime.timedelta(weeks=ahead):%Y%m%d}" in names:
        ahead += 1
    if ahead < limits.weeks_ahead_warn:
        found = True
        yield (warn if ahead else critical)(
            f"There {verb(ahead, 'is a table', 'are tables')} of finished jobs for {counted(ahead, 'week')}, this one counted",
            "A worker of the tables' owner makes them; so does this, at any time.",
            patient.command("schema --apply"),
            f"weeks_ahead_warn={limits.weeks_ahead_warn:g}",
        )
    default = patient.row("default_partition")
    in_default = default["jobs"]
    if in_default:
        found = True
        many = in_default >= MANY_IN_DEFAULT
        blocked = (
            ""
            if default["newest"] < datetime.date.fromisoformat(rows[0]["this_week"]).isoformat()
            else ". While those of this week or later are there, the table of their week cannot be made"
        )
        yield (critical if many else warn)(
            f"{in_default:,}{' or more' if many else ''} finished jobs are in the default partition, which is never dropped as a whole{blocked}",
            "Jobs ended while there was no table for their week. Delete them with the task that removes old jobs; the page about "
            "old jobs says how.",
        )
    for row in rows:
        if row["is_detaching"]:
            found = True
            yield warn(
                f"Detaching {row['name']} was interrupted",
                "Finish it.",
                f"alter table {identifier(patient.schema)}.adjourn_finished_jobs detach partition "
                f"{identifier(patient.schema)}.{identifier(row['name'])} finalize;",
            )
    if not found:
        yield ok(f"There are tables of finished jobs for {ahead} weeks, this one counted")


def _growth(patient: Patient) -> str:
    """Return how many finished jobs a day came of late, as part of a sentence; empty if that is not known: by last week, or this one."""
    rows = patient.rows("partitions")
    sizes = {row["name"]: row for row in rows}
    days = patient.server["now"] / 86_400 - 4.0  # the epoch began on a Thursday, and day 4 was a Monday
    for name, passed in ((rows[0]["last_week"], 7.0), (rows[0]["this_week"], days % 7.0)) if rows else ():
        row = sizes.get(f"adjourn_finished_jobs_{name}")
        if row is not None and row["rows"] >= 1 and passed >= 1:
            return f"; some {row['rows'] / passed:,.0f} jobs and {row['bytes'] / passed / 1e6:,.1f} MB a day have come of late"
    return ""


def _retention(patient: Patient) -> Iterator[Finding]:
    row, limits = patient.row("history"), patient.thresholds
    removes = any("remove_old_jobs" in periodic.task.name for periodic in patient.periodic_tasks)
    if row["oldest"] is None:
        yield ok("No finished job is kept")
        return
    # Statistics come some time after the jobs.
    kept = (
        f"About {counted(row['rows'], 'finished job')} or more"
        if row["rows"] and row["is_uncounted"]
        else f"About {counted(row['rows'], 'finished job')}"
        if row["rows"]
        else "Finished jobs, not counted yet,"
        if row["is_uncounted"]
        else "Few finished jobs"
    )
    text = (
        f"{kept} {'is' if row['rows'] == 1 else 'are'} kept, the oldest of {span(row['oldest'])} ago{_growth(patient)}"
    )
    if not removes and row["rows"] >= limits.history_warn:
        yield warn(
            f"{text}, and no periodic task of this app removes old ones",
            "Declare one; the page about old jobs says how.",
            "",
            f"history_warn={limits.history_warn:.0f} jobs",
        )
    else:
        yield ok(text)


CHECKS = (
    Check(
        "replication",
        "What a standby has not got is lost in a failover, and a synchronous one that is away stops all commits.",
        _replication,
    ),
    Check(
        "sequences",
        "An id that is given twice makes a defer fail, or two jobs look like one.",
        _sequences,
        needs_schema=True,
    ),
    Check("settings", "Some settings make jobs be lost, or their workers stop.", _settings),
    Check(
        "partitions",
        "Without a table for its week, a finished job lands where it is deleted slowly.",
        _partitions,
        needs_schema=True,
    ),
    Check("retention", "History grows with each job, until somebody removes it.", _retention, needs_schema=True),
)
"""These checks."""
